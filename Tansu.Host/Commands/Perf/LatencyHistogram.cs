using System.Numerics;

namespace Tansu.Host.Commands.Perf;

/// <summary>How long things took: counts by duration, each to within two per cent. Not safe for several threads.</summary>
internal sealed class LatencyHistogram
{
    // A bucket for each microsecond up to 128, then 64 for each doubling.
    private const int PreciseBits = 6;
    private const int MostDoublings = 36;

    private readonly long[] _counts = new long[(MostDoublings + 2) << PreciseBits];
    private long _maxMicroseconds;
    private double _sumMicroseconds;

    /// <summary>How many durations were added.</summary>
    public long Count { get; private set; }

    /// <summary>The longest, in milliseconds.</summary>
    public double MaxMs => _maxMicroseconds / 1000.0;

    /// <summary>The mean, in milliseconds; 0 of none.</summary>
    public double MeanMs => Count == 0 ? 0 : _sumMicroseconds / Count / 1000;

    /// <summary>Adds a duration that several records took.</summary>
    public void Add(long microseconds, long records)
    {
        microseconds = Math.Max(0, microseconds);
        _counts[BucketOf(microseconds)] += records;
        _maxMicroseconds = Math.Max(_maxMicroseconds, microseconds);
        _sumMicroseconds += (double)microseconds * records;
        Count += records;
    }

    /// <summary>The duration, in milliseconds, that a share of all was not longer than; 0 of none.</summary>
    /// <param name="share">Such as 0.99.</param>
    public double PercentileMs(double share)
    {
        var wanted = (long)Math.Ceiling(share * Count);
        var seen = 0L;
        for (var bucket = 0; bucket < _counts.Length; bucket++)
        {
            seen += _counts[bucket];
            if (seen >= wanted && seen > 0)
            {
                return Math.Min(UpperOf(bucket), _maxMicroseconds) / 1000.0;
            }
        }

        return 0;
    }

    /// <summary>Adds all of another, and empties that.</summary>
    public void TakeFrom(LatencyHistogram other)
    {
        for (var bucket = 0; bucket < _counts.Length; bucket++)
        {
            _counts[bucket] += other._counts[bucket];
        }

        _maxMicroseconds = Math.Max(_maxMicroseconds, other._maxMicroseconds);
        _sumMicroseconds += other._sumMicroseconds;
        Count += other.Count;
        Array.Clear(other._counts);
        other._maxMicroseconds = 0;
        other._sumMicroseconds = 0;
        other.Count = 0;
    }

    private static int BucketOf(long microseconds)
    {
        var doublings = Math.Clamp(BitOperations.Log2((ulong)microseconds | 1) - PreciseBits, 0, MostDoublings);
        return (doublings << PreciseBits) + (int)Math.Min(microseconds >> doublings, (2 << PreciseBits) - 1);
    }

    private static long UpperOf(int bucket)
    {
        var doublings = Math.Max(0, (bucket >> PreciseBits) - 1);
        return ((bucket - (doublings << PreciseBits) + 1L) << doublings) - 1;
    }
}
