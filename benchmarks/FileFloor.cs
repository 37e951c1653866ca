using System.Diagnostics;
using System.Runtime.InteropServices;

namespace Tansu.Benchmarks;

/// <summary>The same bytes appended to a file in as many equal pieces as there were commits, each made durable by one fdatasync.</summary>
internal static partial class FileFloor
{
    /// <returns>Bytes per second.</returns>
    public static double Measure(string directory, long bytes, long commits)
    {
        var piece = new byte[Math.Max(1, bytes / Math.Max(1, commits))];
        Random.Shared.NextBytes(piece);
        using var file = File.OpenHandle(Path.Combine(directory, "floor"), FileMode.CreateNew, FileAccess.Write);
        var clock = Stopwatch.StartNew();
        for (var number = 0L; number < commits; number++)
        {
            RandomAccess.Write(file, piece, number * piece.Length);
            if (fdatasync((int)file.DangerousGetHandle()) != 0)
            {
                throw new IOException($"fdatasync failed with {Marshal.GetLastPInvokeError()}");
            }
        }

        return commits * (double)piece.Length / clock.Elapsed.TotalSeconds;
    }

    /// <summary>Pieces appended to a file at a steady rate, each made durable by one fdatasync.</summary>
    /// <returns>The milliseconds of each, sorted.</returns>
    public static double[] Times(string directory, int pieceBytes, int perSecond, int pieces)
    {
        var piece = new byte[pieceBytes];
        Random.Shared.NextBytes(piece);
        using var file = File.OpenHandle(Path.Combine(directory, "floor"), FileMode.CreateNew, FileAccess.Write);
        var times = new double[pieces];
        var clock = Stopwatch.StartNew();
        for (var number = 0; number < pieces; number++)
        {
            while (number > clock.Elapsed.TotalSeconds * perSecond)
            {
                Thread.Sleep(1);
            }

            var begun = Stopwatch.GetTimestamp();
            RandomAccess.Write(file, piece, (long)number * pieceBytes);
            if (fdatasync((int)file.DangerousGetHandle()) != 0)
            {
                throw new IOException($"fdatasync failed with {Marshal.GetLastPInvokeError()}");
            }

            times[number] = Stopwatch.GetElapsedTime(begun).TotalMilliseconds;
        }

        Array.Sort(times);
        return times;
    }

    /// <summary>Every file below a directory, read from its start to its end in pieces of 1 MiB.</summary>
    /// <returns>Bytes per second.</returns>
    public static double MeasureReading(string directory)
    {
        var buffer = new byte[1 << 20];
        var total = 0L;
        var clock = Stopwatch.StartNew();
        foreach (var path in Directory.EnumerateFiles(directory, "*", SearchOption.AllDirectories))
        {
            using var file = File.OpenHandle(path);
            var position = 0L;
            while (RandomAccess.Read(file, buffer, position) is var read and > 0)
            {
                position += read;
            }

            total += position;
        }

        return total / clock.Elapsed.TotalSeconds;
    }

    [LibraryImport("libc", SetLastError = true)]
    private static partial int fdatasync(int descriptor);
}
