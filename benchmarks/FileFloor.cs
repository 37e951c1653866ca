using System.Diagnostics;
using System.Runtime.InteropServices;
using Microsoft.Win32.SafeHandles;

namespace Tansu.Benchmarks;

/// <summary>The same bytes appended to a file in as many equal pieces as there were commits, each made durable by one fdatasync.</summary>
internal static partial class FileFloor
{
    /// <param name="path">A file that does not exist.</param>
    /// <param name="bytes">How many in all.</param>
    /// <param name="commits">The number of pieces.</param>
    /// <returns>How long it took.</returns>
    public static TimeSpan Measure(string path, long bytes, long commits)
    {
        var piece = new byte[Math.Max(1, bytes / Math.Max(1, commits))];
        Random.Shared.NextBytes(piece);
        using var file = File.OpenHandle(path, FileMode.CreateNew, FileAccess.Write);
        var clock = Stopwatch.StartNew();
        for (var number = 0L; number < commits; number++)
        {
            RandomAccess.Write(file, piece, number * piece.Length);
            Sync(file);
        }

        return clock.Elapsed;
    }

    /// <summary>Appends pieces of so many bytes, each made durable by one fdatasync, and adds the time of each to a list, in milliseconds.</summary>
    /// <param name="file">Open for writing.</param>
    /// <param name="pieceBytes">The size of each.</param>
    /// <param name="duration">How long.</param>
    /// <param name="latencies">Where the times go.</param>
    public static void Append(SafeFileHandle file, int pieceBytes, TimeSpan duration, List<double> latencies)
    {
        var piece = new byte[pieceBytes];
        Random.Shared.NextBytes(piece);
        var clock = Stopwatch.StartNew();
        while (clock.Elapsed < duration)
        {
            latencies.Add(AppendOne(file, piece));
        }
    }

    /// <summary>The records of all requests that have come are appended to a file, with one append and one fdatasync.</summary>
    public static GroupedFloor Grouped(string directory, int frameBytes, int recordBytes)
    {
        var file = File.OpenHandle(Path.Combine(directory, "floor"), FileMode.CreateNew, FileAccess.Write);
        return GroupedFloor.Start(frameBytes, count => AppendOne(file, new byte[count * recordBytes]), file);
    }

    /// <summary>Files, read from their start to their end in pieces of 1 MiB.</summary>
    /// <returns>Bytes per second.</returns>
    public static double MeasureReading(string[] paths)
    {
        var buffer = new byte[1 << 20];
        var total = 0L;
        var clock = Stopwatch.StartNew();
        foreach (var path in paths)
        {
            using var file = File.OpenHandle(path, share: FileShare.ReadWrite);
            var position = 0L;
            while (RandomAccess.Read(file, buffer, position) is var read and > 0)
            {
                position += read;
            }

            total += position;
        }

        return total / clock.Elapsed.TotalSeconds;
    }

    /// <summary>Has the operating system forget the content of files, so that who reads them reads the disk.</summary>
    public static void Forget(string[] paths)
    {
        const int dontNeed = 4;
        foreach (var path in paths)
        {
            using var file = File.OpenHandle(path, share: FileShare.ReadWrite);
            if (posix_fadvise((int)file.DangerousGetHandle(), 0, 0, dontNeed) != 0)
            {
                throw new IOException($"posix_fadvise failed for {path}");
            }
        }
    }

    /// <returns>The milliseconds it took.</returns>
    private static double AppendOne(SafeFileHandle file, byte[] piece)
    {
        var begun = Stopwatch.GetTimestamp();
        RandomAccess.Write(file, piece, RandomAccess.GetLength(file));
        Sync(file);
        return Stopwatch.GetElapsedTime(begun).TotalMilliseconds;
    }

    private static void Sync(SafeFileHandle file)
    {
        if (fdatasync((int)file.DangerousGetHandle()) != 0)
        {
            throw new IOException($"fdatasync failed with {Marshal.GetLastPInvokeError()}");
        }
    }

    [LibraryImport("libc", SetLastError = true)]
    private static partial int fdatasync(int descriptor);

    [LibraryImport("libc")]
    private static partial int posix_fadvise(int descriptor, long offset, long length, int advice);
}
