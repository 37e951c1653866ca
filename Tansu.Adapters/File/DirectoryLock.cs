using System.Globalization;
using Microsoft.Win32.SafeHandles;
using Tansu.Adapters.Ports;

namespace Tansu.Adapters;

/// <summary>
/// Keeps a second broker from a directory: an exclusive lock on the file <c>lock</c>, which the system lets go when the process
/// ends however it ends. The file itself stays; the file <c>lock-holder</c> beside it says who holds it.
/// </summary>
internal sealed class DirectoryLock : IDisposable
{
    private readonly SafeFileHandle _handle;
    private readonly string _holderPath;

    private DirectoryLock(SafeFileHandle handle, string holderPath)
    {
        _handle = handle;
        _holderPath = holderPath;
    }

    /// <exception cref="StoreRefusedException">Another broker holds it.</exception>
    public static DirectoryLock Take(string directory, bool isReadOnly = false)
    {
        var holderPath = Path.Combine(directory, "lock-holder");
        SafeFileHandle handle;
        try
        {
            handle = File.OpenHandle(
                Path.Combine(directory, "lock"),
                FileMode.OpenOrCreate,
                FileAccess.ReadWrite,
                FileShare.None);
        }
        catch (IOException error) when (IsHeld(error))
        {
            var advice = isReadOnly
                ? "a file store can be looked at only while no broker runs on it: stop that broker first"
                : "stop that broker, or give this one a directory of its own";
            throw new StoreRefusedException($"Directory {directory} is in use by {Holder(holderPath)}; {advice}.", error);
        }

        try
        {
            File.WriteAllText(holderPath, Environment.ProcessId.ToString(CultureInfo.InvariantCulture));
            return new DirectoryLock(handle, holderPath);
        }
        catch
        {
            handle.Dispose();
            throw;
        }
    }

    public void Dispose()
    {
        File.Delete(_holderPath);
        _handle.Dispose();
    }

    // EWOULDBLOCK on Linux and macOS; ERROR_SHARING_VIOLATION on Windows.
    private static bool IsHeld(IOException error) => error.HResult is 11 or 35 or unchecked((int)0x80070020);

    private static string Holder(string holderPath)
    {
        try
        {
            var text = File.ReadAllText(holderPath);
            return int.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out var processId)
                ? string.Create(CultureInfo.InvariantCulture, $"process {processId}")
                : "another process";
        }
        catch (IOException)
        {
            // It has the lock and has not yet said who it is.
            return "another process";
        }
    }
}
