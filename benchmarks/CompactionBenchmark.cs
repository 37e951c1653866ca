using System.Diagnostics;
using System.Globalization;
using Tansu.Adapters;
using Tansu.Adapters.Compaction;
using Tansu.Adapters.Ports;
using Tansu.Adapters.Replica;
using Tansu.Codec.Records;
using Tansu.Domain;

namespace Tansu.Benchmarks;

/// <summary>
/// What it costs to read one partition's whole history from a real S3 server, in requests and bytes, before and after compaction, and what compaction itself costs.
/// The floor is one request for each MiB.
/// </summary>
internal static class CompactionBenchmark
{
    private const int FetchBytes = 1024 * 1024;
    private static readonly TimeSpan Patience = TimeSpan.FromMinutes(2);
    private static readonly TopicId Topic = TopicId.NewTopicId(new Guid("c0ffee00-0000-0000-0000-000000000001"));

    public static async Task<int> RunAsync(string[] arguments)
    {
        using var server = SlowS3.Start(delayMs: 0);
        Console.WriteLine("| partitions | flushes of | passes | of the partition | read with | useful bytes per GET | seconds to read | written by compaction | PUTs | GETs | seconds of compaction |");
        Console.WriteLine("|---|---|---|---|---|---|---|---|---|---|---|");
        if (arguments.Length == 3)
        {
            var numbers = Array.ConvertAll(arguments, text => int.Parse(text, CultureInfo.InvariantCulture));
            await MeasureAsync(numbers[0], numbers[1], numbers[2]);
            return 0;
        }

        await MeasureAsync(1000, 2048, 200);
        await MeasureAsync(50, 512, 8192);
        return 0;
    }

    /// <param name="partitions">How many partitions every flush brings a batch to.</param>
    /// <param name="flushes">How many flushes.</param>
    /// <param name="batchBytes">About how large each batch is.</param>
    private static async Task MeasureAsync(int partitions, int flushes, int batchBytes)
    {
        var place = $"test/compaction-{partitions}-{flushes}-{batchBytes}";
        await using var store = await S3Store.OpenAsync(place, StoreOptions.Default, CancellationToken.None);
        await using var cluster = await OpenAsync(store);
        await FillAsync(cluster, partitions, 0, flushes, batchBytes);
        var key = new TopicPartition(Topic, partitions / 2);
        var flush = $"{partitions} | {flushes} x {batchBytes} bytes";
        await ReadAsync(place, key, flush, "none", default, default, default);

        // Everything at once, as after a long pause of compaction.
        var compactor = cluster.Shards[0].Compactor;
        await PassAsync(place, store, compactor, key, flush, "one");

        // As it goes on: as much again, with a pass after every sixteenth of it.
        var (total, requests, time) = (default(CompactionCounts), default(S3RequestCounts), TimeSpan.Zero);
        for (var part = 0; part < 16; part++)
        {
            await FillAsync(cluster, partitions, flushes + (flushes * part / 16), flushes + (flushes * (part + 1) / 16), batchBytes);
            var (done, sent, elapsed) = await RunAsync(store, compactor);
            total += done;
            requests = Sum(requests, sent);
            time += elapsed;
        }

        await ReadAsync(place, key, flush, "16 more, with as many flushes", total, requests, time);
    }

    private static S3RequestCounts Sum(S3RequestCounts left, S3RequestCounts right) =>
        new(left.Put + right.Put, left.Get + right.Get, left.Head + right.Head, left.List + right.List, left.Delete + right.Delete);

    private static async Task PassAsync(string place, S3Store store, Compactor compactor, TopicPartition key, string flush, string name)
    {
        var (done, requests, elapsed) = await RunAsync(store, compactor);
        await ReadAsync(place, key, flush, name, done, requests, elapsed);
    }

    private static async Task<(CompactionCounts Done, S3RequestCounts Requests, TimeSpan Elapsed)> RunAsync(S3Store store, Compactor compactor)
    {
        var begun = Stopwatch.GetTimestamp();
        var before = store.Requests.Snapshot();
        var done = await compactor.PassAsync(CancellationToken.None);
        return (done, store.Requests.Snapshot() - before, Stopwatch.GetElapsedTime(begun));
    }

    private static async Task ReadAsync(
        string place,
        TopicPartition key,
        string flush,
        string passes,
        CompactionCounts done,
        S3RequestCounts requests,
        TimeSpan elapsed)
    {
        await using var store = await S3Store.OpenAsync(place, StoreOptions.Default, CancellationToken.None);
        await using var cluster = await OpenAsync(store);
        var shard = cluster.Shards[0];
        var state = shard.Partition(key);
        var before = store.Requests.Snapshot();
        var begun = Stopwatch.GetTimestamp();
        long bytes = 0;
        for (var offset = state.LogStartOffset; offset < state.HighWatermark;)
        {
            var records = await shard.Reader.ReadAsync(state, offset, FetchBytes, atLeastOneBatch: true, CancellationToken.None);
            bytes += records.Length;
            foreach (var batch in new RecordBatches(records.Joined()))
            {
                offset = batch.Header.LastOffset + 1;
            }
        }

        var seconds = Stopwatch.GetElapsedTime(begun).TotalSeconds;
        var gets = (store.Requests.Snapshot() - before).Get;
        Console.WriteLine(string.Create(
            CultureInfo.InvariantCulture,
            $"| {flush} | {passes} | {bytes / 1024.0:F0} KiB | {gets} GETs | {bytes / 1024.0 / gets:F0} KiB | {seconds:F2} "
            + $"| {done.WrittenBytes / 1048576.0:F0} MiB | {requests.Put} | {requests.Get} | {elapsed.TotalSeconds:F1} |"));
    }

    private static Task<Cluster> OpenAsync(S3Store store) => Cluster.OpenAsync(
        store,
        new ClusterOptions { AdvertisedHost = "localhost", AdvertisedPort = 9092, CommitInterval = TimeSpan.Zero, TimeProvider = new HastyTime() },
        CancellationToken.None);

    /// <summary>Timers of a quarter of a minute or more never fire: the passes that a broker makes by itself would come between those that are measured.</summary>
    private sealed class HastyTime : TimeProvider
    {
        public override ITimer CreateTimer(TimerCallback callback, object? state, TimeSpan dueTime, TimeSpan period) =>
            base.CreateTimer(callback, state, dueTime >= TimeSpan.FromSeconds(15) ? Timeout.InfiniteTimeSpan : dueTime, period);
    }

    /// <summary>Flushes, each with one batch for every partition.</summary>
    private static async Task FillAsync(Cluster cluster, int partitions, int from, int to, int batchBytes)
    {
        for (var flush = from; flush < to; flush++)
        {
            var batch = Batch(flush, batchBytes);
            var batches = new BatchToAppend[partitions];
            var slices = new ReadOnlyMemory<byte>[partitions];
            for (var partition = 0; partition < partitions; partition++)
            {
                slices[partition] = batch;
                batches[partition] = new BatchToAppend(
                    new TopicPartition(Topic, partition), batch.Length, 0, flush, Absent.ProducerId, Absent.ProducerEpoch, Absent.Sequence, 0);
            }

            await cluster.Shards[0].Replica.SubmitAsync(ShardCommand.NewAppendBatches(batches), new Payload(slices), Patience);
        }
    }

    private static byte[] Batch(int seed, int bytes)
    {
        var value = new byte[Math.Max(1, bytes - 80)];
        new Random(seed).NextBytes(value);
        var builder = new RecordBatchBuilder();
        builder.Append(seed, null, value, []);
        return builder.Build();
    }
}
