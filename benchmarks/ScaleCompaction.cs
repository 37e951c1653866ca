using System.Diagnostics;
using System.Globalization;

namespace Tansu.Benchmarks;

/// <summary>
/// What a producer of one record at a time on File notices while a backlog is compacted: beside itself before, with the same backlog that nobody compacts.
/// </summary>
internal static class ScaleCompaction
{
    private const int Partitions = 4;
    private const int BatchBytes = 16 * 1024;
    private const int RecordBytes = 1024;
    private const long BacklogBytes = 1_000_000_000;
    private const int InFlight = 5;

    private static readonly double[] Shares = [0.5, 0.95, 0.99];

    /// <summary>After so long a broker compacts for the first time, if that is its interval. With less a pass would rest less.</summary>
    private static readonly TimeSpan Begin = TimeSpan.FromSeconds(15);

    public static async Task RunAsync(double seconds)
    {
        Console.WriteLine($"{BacklogBytes / 1e6:F0} MB in batches of {BatchBytes / 1024} KiB are compacted while one producer writes a record of {RecordBytes} bytes at a time, medians of {ScaleBenchmark.Rounds} rounds of {seconds} s");
        Console.WriteLine();
        Console.WriteLine("| file | p50 | p95 | p99 |");
        Console.WriteLine("|---|---|---|---|");
        var alone = new List<List<double>>();
        var beside = new List<List<double>>();
        for (var round = 0; round < ScaleBenchmark.Rounds; round++)
        {
            var (before, during) = await MeasureAsync(TimeSpan.FromSeconds(seconds));
            alone.Add(before);
            beside.Add(during);
        }

        Row("alone", share => $"{Medians.Of(alone, times => Medians.At(times, share)):F2} ms");
        Row("while a backlog is compacted", share => $"{Medians.Of(beside, times => Medians.At(times, share)):F2} ms");
        Row("times", share => $"{Medians.Of(alone.Zip(beside, (one, other) => Medians.At(other, share) / Medians.At(one, share))):F2}");
    }

    private static void Row(string name, Func<double, FormattableString> figure)
    {
        var figures = Shares.Select(share => figure(share).ToString(CultureInfo.InvariantCulture));
        Console.WriteLine($"| {name} | {string.Join(" | ", figures)} |");
    }

    private static Task<(List<double> Alone, List<double> Beside)> MeasureAsync(TimeSpan duration) => ScaleBenchmark.InDirectoryAsync(async directory =>
    {
        var frames = BrokerUnderTest.NamedFrames(BrokerUnderTest.TopicName, Partitions + 1, BatchBytes, RecordBytes)[..Partitions];
        var one = BrokerUnderTest.NamedFrame(BrokerUnderTest.TopicName, [Partitions], RecordBytes, RecordBytes);
        using var broker = await ScaleBenchmark.BrokerAsync($"file://{directory}/store", Partitions + 1, "--compaction-interval", $"{Begin.TotalMilliseconds}");
        var clock = Stopwatch.StartNew();
        var times = (int)(BacklogBytes / Partitions / BatchBytes);
        await LoadGenerator.RunOnceAsync(broker.Port, Array.ConvertAll(frames, frame => Enumerable.Repeat(frame, times).ToArray()), InFlight);
        var alone = Times(broker.Port, one, duration);
        if (clock.Elapsed > Begin)
        {
            throw new InvalidOperationException("the backlog took longer to write than a broker waits before it compacts");
        }

        _ = Times(broker.Port, one, Begin - clock.Elapsed);
        return (alone, Times(broker.Port, one, duration));
    });

    /// <summary>The milliseconds of each request, sorted.</summary>
    private static List<double> Times(int port, byte[] frame, TimeSpan duration)
    {
        using var producer = new OneAtATime(port, frame);
        var times = new List<double>();
        producer.Run(duration, times);
        times.Sort();
        return times;
    }
}
