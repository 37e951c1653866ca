using System.Runtime.InteropServices;
using Microsoft.Win32.SafeHandles;

namespace Tansu.Adapters;

/// <summary>The calls of the C library that .NET has no form of. Linux only; each caller has a way around for other systems.</summary>
internal static partial class Libc
{
    private const int ReadOnlyCloseOnExec = 0x80000;
    private const int AdviceDontNeed = 4;
    private const int AdviceHugePages = 14;
    private const int DoNotWait = 8;
    private const int AtEmptyPath = 0x1000;
    private const uint StatXLinks = 4;

    /// <summary>
    /// Makes a file's bytes and length durable. Not <c>fsync</c>, which also waits for the times of last change: a journal write
    /// more whenever the length stays the same, for something nobody reads.
    /// </summary>
    public static void SyncData(SafeFileHandle handle)
    {
        if (!OperatingSystem.IsLinux())
        {
            RandomAccess.FlushToDisk(handle);
            return;
        }

        if (FDataSync(handle) != 0)
        {
            throw LastError("fdatasync");
        }
    }

    /// <summary>Makes the names in a directory durable: a file that was created, renamed or deleted in it.</summary>
    public static void SyncDirectory(string path)
    {
        if (!OperatingSystem.IsLinux())
        {
            return;
        }

        var descriptor = Open(path, ReadOnlyCloseOnExec);
        if (descriptor < 0)
        {
            throw LastError($"opening directory {path}");
        }

        using var handle = new SafeFileHandle(descriptor, ownsHandle: true);
        if (FSync(handle) != 0)
        {
            throw LastError($"fsync of directory {path}");
        }
    }

    /// <summary>
    /// Drops the kernel's copy of a file, so that what is read next comes from the disk. After a failed write-back the kernel may
    /// hold pages that it calls clean and that the disk never got.
    /// </summary>
    public static void DropCache(SafeFileHandle handle)
    {
        if (OperatingSystem.IsLinux())
        {
            // Advice: a file system that does not take it (one in memory) has nothing to drop either.
            _ = FAdvise(handle, 0, 0, AdviceDontNeed);
        }
    }

    /// <summary>How many names a file has, 0 when it has been deleted; null if the system cannot tell.</summary>
    public static unsafe uint? CountNames(SafeFileHandle handle)
    {
        if (!OperatingSystem.IsLinux())
        {
            return null;
        }

        // struct statx, the same on all processors: 256 bytes, of which the first say what was asked for, and the fifth 32 bits are the number of names.
        var found = stackalloc uint[64];
        try
        {
            return StatX(handle, "", AtEmptyPath, StatXLinks, found) == 0 && (found[0] & StatXLinks) != 0 ? found[4] : null;
        }
        catch (EntryPointNotFoundException)
        {
            // An older library.
            return null;
        }
    }

    /// <summary>Reads what the kernel has in memory, without waiting for the disk.</summary>
    /// <returns>How many bytes; 0 at the end of the file; less than 0 when it would take the disk, or the system cannot tell.</returns>
    public static unsafe int ReadAtHand(SafeFileHandle handle, Span<byte> destination, long position)
    {
        if (!OperatingSystem.IsLinux())
        {
            return -1;
        }

        fixed (byte* bytes = destination)
        {
            var vector = new Vector { Base = bytes, Length = (nuint)destination.Length };
            return (int)PReadV2(handle, &vector, 1, position, DoNotWait);
        }
    }

    /// <summary>
    /// Has memory that will be used in whole come in large pages, where the system has such: each page that is touched for the first time costs, on some virtual machines
    /// more than filling it.
    /// </summary>
    public static unsafe void PreferLargePages(Span<byte> memory)
    {
        if (!OperatingSystem.IsLinux())
        {
            return;
        }

        fixed (byte* start = memory)
        {
            var pageBytes = (nuint)Environment.SystemPageSize;
            var first = ((nuint)start + pageBytes - 1) / pageBytes * pageBytes;
            var end = ((nuint)start + (nuint)memory.Length) / pageBytes * pageBytes;
            if (end > first)
            {
                // Advice: a system without such pages goes on with small ones.
                _ = MAdvise((byte*)first, end - first, AdviceHugePages);
            }
        }
    }

    private static IOException LastError(string what)
    {
        var errno = Marshal.GetLastPInvokeError();
        return new IOException($"{what}: {Marshal.GetPInvokeErrorMessage(errno)}", errno);
    }

    [LibraryImport("libc", EntryPoint = "preadv2")]
    private static unsafe partial nint PReadV2(SafeFileHandle handle, Vector* vectors, int count, long offset, int flags);

    [LibraryImport("libc", EntryPoint = "fdatasync", SetLastError = true)]
    private static partial int FDataSync(SafeFileHandle handle);

    [LibraryImport("libc", EntryPoint = "fsync", SetLastError = true)]
    private static partial int FSync(SafeFileHandle handle);

    [LibraryImport("libc", EntryPoint = "open", SetLastError = true, StringMarshalling = StringMarshalling.Utf8)]
    private static partial int Open(string path, int flags);

    [LibraryImport("libc", EntryPoint = "posix_fadvise")]
    private static partial int FAdvise(SafeFileHandle handle, long offset, long length, int advice);

    [LibraryImport("libc", EntryPoint = "madvise")]
    private static unsafe partial int MAdvise(byte* start, nuint length, int advice);

    [LibraryImport("libc", EntryPoint = "statx", StringMarshalling = StringMarshalling.Utf8)]
    private static unsafe partial int StatX(SafeFileHandle handle, string path, int flags, uint mask, uint* found);

    [StructLayout(LayoutKind.Sequential)]
    private unsafe struct Vector
    {
        public byte* Base;
        public nuint Length;
    }
}
