using System.Globalization;

namespace Tansu.Benchmarks;

/// <summary>Produce through a broker beside the raw store: the same bytes in as many rows and commits, or in objects of the same sizes.</summary>
internal static class StoreCeilingBenchmark
{
    private const int Rounds = 5;
    private const int RecordBytes = 1024;
    private const int InFlight = 5;

    private const int PostgresConnections = 4;

    private const int S3Partitions = 128;
    private const int S3Producers = 8;

    public static async Task RunPostgresAsync(TimeSpan duration)
    {
        Console.WriteLine($"PostgreSQL, {PostgresConnections} connections, {InFlight} requests in flight each, {Rounds} rounds; raw: as many rows of the same size, one commit each");
        Console.WriteLine();
        Console.WriteLine("| batch | MB/s | commits/s | bytes per commit | raw MB/s | of raw | waiting for the store | broker CPU |");
        Console.WriteLine("|---|---|---|---|---|---|---|---|");
        using var server = PostgresServer.Start();
        var databases = 0;
        foreach (var batch in new[] { 16 * 1024, 256 * 1024 })
        {
            var results = new List<(StoreLoad Load, double Raw)>();
            for (var round = 0; round < Rounds; round++)
            {
                var database = string.Create(CultureInfo.InvariantCulture, $"bench{databases++}");
                await server.CreateAsync(database);
                StoreLoad load;
                using (var broker = await OtherProcess.BrokerAsync(server.Url(database)))
                {
                    await broker.CreateTopicAsync(PostgresConnections);
                    var frames = BrokerUnderTest.NamedFrames(BrokerUnderTest.TopicName, PostgresConnections, batch, RecordBytes);
                    load = await StoreLoad.RunAsync(broker, frames, InFlight, duration);
                }

                results.Add((load, await server.FloorAsync(database, (long)load.Spent.AppendedBytes, (long)load.Spent.Appends)));
            }

            double Median(Func<(StoreLoad Load, double Raw), double> figure) => Medians.Of(results, figure);
            Console.WriteLine(string.Create(
                CultureInfo.InvariantCulture,
                $"| {batch / 1024} KiB | {Median(static result => result.Load.BytesPerSecond) / 1e6:F0} | {Median(static result => result.Load.Spent.Appends / result.Load.Seconds):F0} "
                + $"| {Median(static result => result.Load.Spent.AppendedBytes / result.Load.Spent.Appends) / 1024:F0} KiB | {Median(static result => result.Raw) / 1e6:F0} "
                + $"| {Medians.Percent(Median(static result => result.Load.BytesPerSecond / result.Raw))} "
                + $"| {Medians.Percent(Median(static result => result.Load.Spent.AppendSeconds / result.Load.Seconds))} of the time "
                + $"| {Median(static result => result.Load.Spent.Cpu * 1e9 / (result.Load.BytesPerSecond * result.Load.Seconds)):F2} ns/byte |"));
        }
    }

    public static async Task RunS3Async(TimeSpan duration)
    {
        Console.WriteLine(
            $"S3 (Ceph), {S3Producers} producers, {InFlight} requests in flight each, {S3Partitions / S3Producers} batches of 16 KiB in a request, {Rounds} rounds; "
            + "raw: PUTs of objects of the same sizes, with as many in flight on average");
        Console.WriteLine();
        Console.WriteLine("| added to a request | commit interval | MB/s | objects/s | bytes per object | entries/s | in flight | raw MB/s | of raw | broker CPU |");
        Console.WriteLine("|---|---|---|---|---|---|---|---|---|---|");
        foreach (var (delayMs, interval) in new[] { (0, 0), (SlowS3.DelayMs, 0), (SlowS3.DelayMs, 30) })
        {
            var results = new List<(StoreLoad Load, double InFlight, double Raw)>();
            for (var round = 0; round < Rounds; round++)
            {
                // Each time anew: it keeps everything in memory.
                using var server = SlowS3.Start(delayMs);
                StoreLoad load;
                using (var broker = await OtherProcess.BrokerAsync("s3://test/bench", "--commit-interval", $"{interval}"))
                {
                    await broker.CreateTopicAsync(S3Partitions);
                    var frames = BrokerUnderTest.NamedSharedFrames(BrokerUnderTest.TopicName, S3Partitions, S3Producers, 16 * 1024, RecordBytes);
                    load = await StoreLoad.RunAsync(broker, frames, InFlight, duration);
                }

                var inFlight = (load.Spent.AppendSeconds + load.Spent.ObjectSeconds) / load.Seconds;
                results.Add((load, inFlight, await RawS3Async(load.Spent, inFlight)));
            }

            double Median(Func<(StoreLoad Load, double InFlight, double Raw), double> figure) => Medians.Of(results, figure);
            Console.WriteLine(string.Create(
                CultureInfo.InvariantCulture,
                $"| {delayMs} ms | {interval} ms | {Median(static result => result.Load.BytesPerSecond) / 1e6:F0} | {Median(static result => result.Load.Spent.Objects / result.Load.Seconds):F1} "
                + $"| {Median(static result => result.Load.Spent.ObjectBytes / result.Load.Spent.Objects) / 1024 / 1024:F1} MiB "
                + $"| {Median(static result => result.Load.Spent.Appends / result.Load.Seconds):F1} | {Median(static result => result.InFlight):F1} | {Median(static result => result.Raw) / 1e6:F0} "
                + $"| {Medians.Percent(Median(static result => result.Load.BytesPerSecond / result.Raw))} "
                + $"| {Median(static result => result.Load.Spent.Cpu * 1e9 / (result.Load.BytesPerSecond * result.Load.Seconds)):F2} ns/byte |"));
        }
    }

    /// <summary>What as many objects of the same sizes take with as many in flight on average: between the two whole numbers beside it.</summary>
    /// <returns>Bytes per second.</returns>
    private static async Task<double> RawS3Async(StoreSnapshot spent, double inFlight)
    {
        var fewer = Math.Max(1, (int)inFlight);
        var share = Math.Clamp(inFlight - fewer, 0, 1);
        return ((1 - share) * await PutAsync(fewer)) + (share * await PutAsync(fewer + 1));

        // Half of them: the order is such that they are alike.
        Task<double> PutAsync(int concurrency) => S3Floor.MeasureAsync(
            [((long)spent.Objects / 2, spent.ObjectBytes / 2), ((long)spent.Appends / 2, spent.AppendedBytes / 2)],
            concurrency);
    }
}
