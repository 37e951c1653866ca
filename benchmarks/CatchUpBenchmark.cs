using System.Diagnostics;
using System.Globalization;

namespace Tansu.Benchmarks;

/// <summary>
/// Records on S3 that no compactor has touched, read by consumers at a broker that did not write them: one for each partition, or one for all, one request at a
/// time. Beside it the same objects fetched whole, as many at a time as there are partitions.
/// </summary>
internal static class CatchUpBenchmark
{
    private const int Rounds = 3;
    private const int BatchBytes = 16 * 1024;
    private const int RecordBytes = 1024;
    private const int RequestsInFlight = 128;
    private const int PartitionFetchBytes = 1024 * 1024;
    private const int FetchBytes = 16 * PartitionFetchBytes;

    public static async Task RunAsync(TimeSpan duration)
    {
        Console.WriteLine(
            $"S3 (Ceph), {SlowS3.DelayMs} ms more for each request, batches of 16 KiB, {RequestsInFlight} requests in flight while they are written, {Rounds} rounds; "
            + "raw: the same objects fetched whole, as many at a time as there are partitions");
        Console.WriteLine();
        Console.WriteLine("| partitions | consumers | read | MB/s | GETs | bytes per GET | raw MB/s | of raw | broker CPU |");
        Console.WriteLine("|---|---|---|---|---|---|---|---|---|");
        foreach (var (partitions, consumers) in new[] { (1, 1), (8, 8), (64, 64), (8, 1), (64, 1) })
        {
            var results = new List<Result>();
            for (var round = 0; round < Rounds; round++)
            {
                results.Add(await MeasureAsync(partitions, consumers, duration));
            }

            double Median(Func<Result, double> figure) => Medians.Of(results, figure);
            Console.WriteLine(string.Create(
                CultureInfo.InvariantCulture,
                $"| {partitions} | {consumers} | {Median(static result => result.Bytes) / 1e6:F0} MB | {Median(static result => result.Bytes / result.Seconds) / 1e6:F0} | {Median(static result => result.Gets):F0} "
                + $"| {Median(static result => result.Bytes / result.Gets) / 1024:F0} KiB | {Median(static result => result.Raw) / 1e6:F0} "
                + $"| {Medians.Percent(Median(static result => result.Bytes / result.Seconds / result.Raw))} | {Median(static result => result.Cpu * 1e9 / result.Bytes):F2} ns/byte |"));
        }
    }

    private static async Task<Result> MeasureAsync(int partitions, int consumers, TimeSpan duration)
    {
        // Each time anew: it keeps everything in memory.
        using var server = SlowS3.Start();
        string[] flags = ["--compaction-interval", "86400000"];
        using (var writer = await OtherProcess.BrokerAsync("s3://test/catch-up", flags))
        {
            await writer.CreateTopicAsync(partitions);
            var frames = BrokerUnderTest.NamedFrames(BrokerUnderTest.TopicName, partitions, BatchBytes, RecordBytes);
            await LoadGenerator.RunAsync(writer.Port, frames, RequestsInFlight / partitions, duration);
        }

        using var broker = await OtherProcess.BrokerAsync("s3://test/catch-up", flags);
        var cpu = broker.ProcessorSeconds;
        var clock = Stopwatch.StartNew();
        var bytes = await Task.WhenAll(Enumerable.Range(0, partitions).Chunk(partitions / consumers).Select(share =>
            Task.Factory.StartNew(() => Consume(broker.Port, share), CancellationToken.None, TaskCreationOptions.LongRunning, TaskScheduler.Default)));
        var seconds = clock.Elapsed.TotalSeconds;
        cpu = broker.ProcessorSeconds - cpu;
        var gets = await broker.MetricAsync("tansu_store_seconds_count{operation=\"read_object\"") + await broker.MetricAsync("tansu_store_seconds_count{operation=\"read_records\"");
        return new Result(bytes.Sum(), seconds, gets, cpu, await S3Floor.MeasureReadingAsync("catch-up/", partitions));
    }

    /// <summary>Reads some partitions from their beginnings to their ends.</summary>
    /// <returns>The bytes of their records.</returns>
    private static long Consume(int port, int[] partitions)
    {
        using var client = new SerialClient(port);
        var wanted = partitions.Select(static partition => (Partition: partition, Offset: 0L)).ToList();
        var bytes = 0L;
        while (wanted.Count > 0)
        {
            var frame = BrokerUnderTest.NamedFetchFrame(BrokerUnderTest.TopicName, wanted, FetchBytes, PartitionFetchBytes, maxWaitMs: 500);
            foreach (var fetched in BrokerUnderTest.NamedFetchReplies(client.Ask(frame)))
            {
                if (fetched.Records.Length > 0)
                {
                    // Behind those that have been given nothing.
                    bytes += fetched.Records.Length;
                    wanted.RemoveAll(one => one.Partition == fetched.PartitionIndex);
                    wanted.Add((fetched.PartitionIndex, BrokerUnderTest.LastOffset(fetched) + 1));
                }

                wanted.RemoveAll(one => one.Partition == fetched.PartitionIndex && one.Offset >= fetched.HighWatermark);
            }
        }

        return bytes;
    }

    private sealed record Result(double Bytes, double Seconds, double Gets, double Cpu, double Raw);
}
