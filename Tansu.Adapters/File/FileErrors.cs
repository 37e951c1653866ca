using Tansu.Adapters.Ports;

namespace Tansu.Adapters;

/// <summary>Makes the port's errors of the file system's.</summary>
internal static class FileErrors
{
    private const int ErrnoNoSpace = 28;
    private const int ErrnoFileTooBig = 27;
    private const int ErrnoQuota = 122;
    private const int ErrnoReadOnly = 30;

    /// <summary>Whether a write failed for want of room, which says that not all of it was taken.</summary>
    public static bool IsFull(IOException error) => error.HResult is ErrnoNoSpace or ErrnoFileTooBig or ErrnoQuota;

    /// <summary>The port's form of an error, or the error itself when it has none.</summary>
    /// <param name="what">What was being done, with the path.</param>
    /// <param name="error">What the file system said.</param>
    public static Exception Translate(string what, Exception error) => error switch
    {
        FileNotFoundException or DirectoryNotFoundException => new StoreRefusedException(
            $"{what}: {error.Message} Restore the directory from a copy.",
            error),
        UnauthorizedAccessException => new StoreRefusedException(
            $"{what}: permission denied; let the broker's user read and write there, or choose another directory.",
            error),
        IOException { HResult: ErrnoReadOnly } => new StoreRefusedException(
            $"{what}: the file system is read-only; mount it for writing, or choose another directory.",
            error),
        IOException full when IsFull(full) => new StoreUnavailableException($"{what}: the disk is full; make room.", error),
        IOException => new StoreUnavailableException($"{what}: {error.Message}", error),
        _ => error,
    };

    /// <summary>Acknowledged data cannot be read any more.</summary>
    public static StoreRefusedException Damaged(string path, long position, string finding) =>
        new($"{path} is damaged at byte {position}: {finding}. Restore the log's directory from a copy.");
}
