namespace Tansu.Adapters.Measuring;

/// <summary>Counts values by size, without a lock: any thread adds, and whoever reads gets a recent picture.</summary>
public sealed class Histogram
{
    private readonly long[] _bounds;
    private readonly long[] _counts;
    private long _sum;

    /// <summary>Creates an empty one.</summary>
    /// <param name="bounds">The largest value of each bucket, ascending; one more bucket takes what is larger.</param>
    public Histogram(params ReadOnlySpan<long> bounds)
    {
        _bounds = bounds.ToArray();
        _counts = new long[bounds.Length + 1];
    }

    /// <summary>The largest value of each bucket but the last.</summary>
    public ReadOnlySpan<long> Bounds => _bounds;

    /// <summary>The sum of all values.</summary>
    public long Sum => Interlocked.Read(ref _sum);

    /// <summary>For times in microseconds, from 0.25 ms to a minute.</summary>
    public static Histogram OfMicroseconds() => new(
        250, 500, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 500_000, 1_000_000, 2_500_000, 5_000_000, 10_000_000, 30_000_000, 60_000_000);

    /// <summary>For sizes in bytes, from 1 KiB to 64 MiB.</summary>
    public static Histogram OfBytes() => new(1 << 10, 1 << 12, 1 << 14, 1 << 16, 1 << 18, 1 << 20, 1 << 22, 1 << 24, 1 << 26);

    /// <summary>Adds a value.</summary>
    public void Record(long value)
    {
        var bucket = 0;
        while (bucket < _bounds.Length && value > _bounds[bucket])
        {
            bucket++;
        }

        Interlocked.Increment(ref _counts[bucket]);
        Interlocked.Add(ref _sum, value);
    }

    /// <summary>Adds a time, in microseconds.</summary>
    public void Record(TimeSpan elapsed) => Record(elapsed.Ticks / TimeSpan.TicksPerMicrosecond);

    /// <summary>How many values there were up to each bound, and in the end how many altogether.</summary>
    public long[] Cumulated()
    {
        var cumulated = new long[_counts.Length];
        long total = 0;
        for (var bucket = 0; bucket < cumulated.Length; bucket++)
        {
            total += Interlocked.Read(ref _counts[bucket]);
            cumulated[bucket] = total;
        }

        return cumulated;
    }
}
