using System.Diagnostics;
using System.Globalization;

namespace Tansu.Host.Commands.Perf;

/// <summary>Counts what several clients do, and tells every second how fast that is.</summary>
/// <param name="progress">For the line of each second.</param>
internal sealed class PerfMeter(TextWriter progress)
{
    private static readonly TimeSpan Interval = TimeSpan.FromSeconds(1);

    private readonly Lock _lock = new();
    private readonly LatencyHistogram _recent = new();
    private long _startedAt = Stopwatch.GetTimestamp();
    private long _lastAt;
    private long _toldAt;
    private long _toldRecords;
    private long _toldBytes;

    /// <summary>How many records were counted.</summary>
    public long Records { get; private set; }

    /// <summary>How many bytes were counted.</summary>
    public long Bytes { get; private set; }

    /// <summary>How long they took.</summary>
    public LatencyHistogram Latency { get; } = new();

    /// <summary>From the beginning to what was counted last; not zero.</summary>
    public double Seconds => Math.Max(1e-6, Stopwatch.GetElapsedTime(_startedAt, _lastAt).TotalSeconds);

    /// <summary>Begins to count.</summary>
    public void Start()
    {
        lock (_lock)
        {
            _startedAt = _toldAt = _lastAt = Stopwatch.GetTimestamp();
        }
    }

    /// <summary>Counts records that took a time, by <see cref="Stopwatch"/>.</summary>
    public void Add(long records, long bytes, long ticks)
    {
        lock (_lock)
        {
            Records += records;
            Bytes += bytes;
            _recent.Add((long)(ticks * 1e6 / Stopwatch.Frequency), Math.Max(1, records));
            _lastAt = Stopwatch.GetTimestamp();
        }
    }

    /// <summary>Takes what the last line has not told.</summary>
    public void Finish()
    {
        lock (_lock)
        {
            Latency.TakeFrom(_recent);
        }
    }

    /// <summary>Writes a line every second until it is told to stop.</summary>
    public async Task TellAsync(CancellationToken cancellationToken)
    {
        using var timer = new PeriodicTimer(Interval);
        try
        {
            while (await timer.WaitForNextTickAsync(cancellationToken))
            {
                await progress.WriteLineAsync(Line());
            }
        }
        catch (OperationCanceledException)
        {
            // The summary follows.
        }
    }

    /// <summary>Such as `p50 1.2 ms, p95 3 ms, p99 4 ms, max 7 ms`.</summary>
    public static string Describe(LatencyHistogram latency) => string.Create(
        CultureInfo.InvariantCulture,
        $"p50 {latency.PercentileMs(0.5):0.##} ms, p95 {latency.PercentileMs(0.95):0.##} ms, p99 {latency.PercentileMs(0.99):0.##} ms, max {latency.MaxMs:0.##} ms");

    private string Line()
    {
        lock (_lock)
        {
            var now = Stopwatch.GetTimestamp();
            var seconds = Math.Max(1e-6, Stopwatch.GetElapsedTime(_toldAt, now).TotalSeconds);
            var line = string.Create(
                CultureInfo.InvariantCulture,
                $"{Records} records, {(Records - _toldRecords) / seconds:F0} records/s, {(Bytes - _toldBytes) / seconds / 1e6:F1} MB/s, {Describe(_recent)}");
            Latency.TakeFrom(_recent);
            _toldAt = now;
            _toldRecords = Records;
            _toldBytes = Bytes;
            return line;
        }
    }
}
