using System.Globalization;
using Confluent.Kafka;

namespace Tansu.Benchmarks;

/// <summary>
/// Two brokers on one PostgreSQL beside one, each with an address of its own and no more than a fraction of a core, so that the broker is what limits the
/// rate and neither the store nor the client. Small requests, which cost a broker most. The same connections in both cases, each to the partition's leader.
/// </summary>
internal static class TwoBrokersBenchmark
{
    private const int Rounds = 5;
    private const int Shards = 4;
    private const int Partitions = 16;
    private const int InFlight = 20;
    private const double Cores = 0.15;
    private const int LeaseMs = 3000;
    private const int BatchBytes = 1024;

    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(30);

    public static async Task RunAsync(TimeSpan duration)
    {
        Console.WriteLine(
            $"PostgreSQL, {Shards} shards, {Partitions} connections, {InFlight} requests of one record of 1 KiB in flight each, each broker held to {Cores} cores, {Rounds} rounds");
        Console.WriteLine();
        Console.WriteLine("| brokers | partitions of each | requests/s | commits/s | conflicts/s | CPU of each broker | times one broker |");
        Console.WriteLine("|---|---|---|---|---|---|---|");
        using var server = PostgresServer.Start();
        var results = new List<(Result One, Result Two)>();
        for (var round = 0; round < Rounds; round++)
        {
            results.Add((await RunAsync(server, $"one{round}", 1, duration), await RunAsync(server, $"two{round}", 2, duration)));
        }

        Row("one", static result => result.One, results);
        Row("two", static result => result.Two, results);
    }

    private static void Row(string name, Func<(Result One, Result Two), Result> which, List<(Result One, Result Two)> results)
    {
        double Median(Func<Result, double> figure) => Medians.Of(results, result => figure(which(result)));
        Console.WriteLine(string.Create(
            CultureInfo.InvariantCulture,
            $"| {name} | {which(results[0]).Shares} | {Median(static result => result.RequestsPerSecond):F0} | {Median(static result => result.CommitsPerSecond):F0} | {Median(static result => result.ConflictsPerSecond):F1} "
            + $"| {Median(static result => result.Cores):F2} cores | {Medians.Of(results, result => which(result).RequestsPerSecond / result.One.RequestsPerSecond):F2} |"));
    }

    private static async Task<Result> RunAsync(PostgresServer server, string database, int count, TimeSpan duration)
    {
        await server.CreateAsync(database);
        var brokers = new List<OtherProcess>();
        var quotas = new List<ProcessorQuota>();
        try
        {
            for (var number = 0; number < count; number++)
            {
                brokers.Add(await OtherProcess.BrokerAsync(server.Url(database), "--shards", $"{Shards}", "--node-lease-ms", $"{LeaseMs}"));
            }

            await brokers[0].CreateTopicAsync(Partitions);
            var ports = await LeadersAsync(brokers[^1].Port, count);
            quotas.AddRange(brokers.Select(static broker => new ProcessorQuota(broker.Id, Cores)));
            var frames = BrokerUnderTest.NamedFrames(BrokerUnderTest.TopicName, Partitions, BatchBytes, BatchBytes);
            await DriveAsync(frames, ports, duration / 2);
            var before = await Task.WhenAll(brokers.Select(StoreSnapshot.TakeAsync));
            var (requests, seconds) = await DriveAsync(frames, ports, duration);
            var after = await Task.WhenAll(brokers.Select(StoreSnapshot.TakeAsync));
            var spent = after.Zip(before, static (later, earlier) => later.Since(earlier)).ToArray();
            return new Result(
                string.Join(" + ", ports.CountBy(static port => port).Select(static share => share.Value)),
                requests / seconds,
                spent.Sum(static broker => broker.Appends) / seconds,
                spent.Sum(static broker => broker.Conflicts) / seconds,
                spent.Average(static broker => broker.Cpu) / seconds);
        }
        finally
        {
            brokers.ForEach(static broker => broker.Dispose());
            quotas.ForEach(static quota => quota.Dispose());
        }
    }

    /// <summary>The port of each partition's leader, once every broker leads some: after as long as it may take all of them to know of a new one.</summary>
    private static async Task<int[]> LeadersAsync(int port, int brokers)
    {
        using var admin = new AdminClientBuilder(new AdminClientConfig { BootstrapServers = $"127.0.0.1:{port}" }).Build();
        var until = DateTime.UtcNow + Patience;
        while (true)
        {
            var metadata = admin.GetMetadata(BrokerUnderTest.TopicName, Patience);
            var ports = metadata.Brokers.ToDictionary(static broker => broker.BrokerId, static broker => broker.Port);
            int[] leaders = [.. metadata.Topics[0].Partitions.OrderBy(static partition => partition.PartitionId).Select(partition => ports[partition.Leader])];
            if (leaders.Distinct().Count() == brokers)
            {
                return leaders;
            }

            if (DateTime.UtcNow > until)
            {
                throw new InvalidOperationException($"the partitions are led by ports {string.Join(", ", leaders.Distinct())}, not by {brokers} brokers");
            }

            await Task.Delay(100);
        }
    }

    private static async Task<(double Requests, double Seconds)> DriveAsync(byte[][] frames, int[] ports, TimeSpan duration)
    {
        var loads = await Task.WhenAll(ports.Distinct().Select(port =>
            LoadGenerator.RunAsync(port, [.. frames.Where((_, partition) => ports[partition] == port)], InFlight, duration)));
        return (loads.Sum(static load => load.Bytes) / (double)frames[0].Length, loads.Max(static load => load.Seconds));
    }

    private sealed record Result(string Shares, double RequestsPerSecond, double CommitsPerSecond, double ConflictsPerSecond, double Cores);
}
