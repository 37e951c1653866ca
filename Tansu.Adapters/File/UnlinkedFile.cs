using Microsoft.Win32.SafeHandles;

namespace Tansu.Adapters;

/// <summary>A file that has been deleted and still has its space, until this is disposed.</summary>
internal sealed class UnlinkedFile : IDisposable
{
    /// <summary>So much is given back at once. Whole pages, so that who still reads the file finds its bytes or its end, but no zeros.</summary>
    private const int BytesAtOnce = 2 * 1024 * 1024;

    private static readonly TimeSpan Pause = TimeSpan.FromMilliseconds(1);

    private readonly SafeFileHandle? _handle;

    private UnlinkedFile(SafeFileHandle? handle) => _handle = handle;

    /// <summary>Deletes a file, or does nothing if there is none.</summary>
    /// <exception cref="IOException">It cannot be deleted.</exception>
    public static UnlinkedFile Delete(string path)
    {
        var handle = TryOpen(path);
        try
        {
            File.Delete(path);
        }
        catch (DirectoryNotFoundException)
        {
            // Then the file does not exist either.
        }
        catch
        {
            handle?.Dispose();
            throw;
        }

        return new UnlinkedFile(handle);
    }

    /// <summary>
    /// Gives the space back a little at a time; what is left when that is cancelled goes at once. Whoever has the file open finds it shorter and shorter. A file that has
    /// another name, a copy of the store for example, stays what it is.
    /// </summary>
    public void GiveBack(CancellationToken cancellationToken)
    {
        if (_handle is null || Libc.CountNames(_handle) != 0)
        {
            return;
        }

        try
        {
            for (var length = RandomAccess.GetLength(_handle); length > BytesAtOnce && !cancellationToken.IsCancellationRequested;)
            {
                length = (length - 1) / BytesAtOnce * BytesAtOnce;
                RandomAccess.SetLength(_handle, length);
                cancellationToken.WaitHandle.WaitOne(Pause);
            }
        }
        catch (Exception error) when (error is IOException or UnauthorizedAccessException)
        {
            // It goes all the same, when the file is closed.
        }
    }

    /// <inheritdoc/>
    public void Dispose() => _handle?.Dispose();

    private static SafeFileHandle? TryOpen(string path)
    {
        try
        {
            return File.OpenHandle(path, FileMode.Open, FileAccess.Write, FileShare.ReadWrite | FileShare.Delete);
        }
        catch (Exception error) when (error is IOException or UnauthorizedAccessException)
        {
            // There is none, or it can be deleted but not opened.
            return null;
        }
    }
}
