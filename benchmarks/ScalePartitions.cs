namespace Tansu.Benchmarks;

/// <summary>
/// Records spread over 10,000 partitions beside the same in one: requests of the same size, with as many batches of the same size. (Kafka's clients put one batch
/// of a partition into a request, so that those of one partition are smaller; they are not here, for what is to be seen is the cost of a partition.)
/// </summary>
internal static class ScalePartitions
{
    private const int Partitions = 10_000;
    private const int RecordBytes = 1024;
    private const int Connections = 4;
    private const int InFlight = 5;

    public static async Task RunAsync(double seconds)
    {
        var duration = TimeSpan.FromSeconds(seconds);
        Console.WriteLine($"1 and {Partitions} partitions, {Connections} connections, {InFlight} requests in flight each, medians of {ScaleBenchmark.Rounds} rounds of {seconds} s");
        Console.WriteLine();
        Console.WriteLine("| store | batch | batches in a request | 1: MB/s | many: MB/s | 1: broker CPU | many: broker CPU | CPU per byte, times | 1: allocated per batch | many: allocated per batch |");
        Console.WriteLine("|---|---|---|---|---|---|---|---|---|---|");
        foreach (var (store, batchBytes, batches) in new[] { ("null", 16 * 1024, 16), ("null", 1024, 64), ("file", 16 * 1024, 16) })
        {
            var rounds = new List<(Result One, Result Many)>();
            var one = Frames(1, batchBytes, batches);
            var many = Frames(Partitions, batchBytes, batches);
            for (var round = 0; round < ScaleBenchmark.Rounds; round++)
            {
                rounds.Add((await MeasureAsync(store, 1, one, batches, duration), await MeasureAsync(store, Partitions, many, batches, duration)));
            }

            Console.WriteLine(
                $"| {store} | {batchBytes / 1024} KiB | {batches} | {Medians.Of(rounds, static round => round.One.BytesPerSecond) / 1e6:F0} "
                + $"| {Medians.Of(rounds, static round => round.Many.BytesPerSecond) / 1e6:F0} "
                + $"| {Medians.Of(rounds, static round => round.One.CpuPerByte):F2} ns/byte "
                + $"| {Medians.Of(rounds, static round => round.Many.CpuPerByte):F2} ns/byte "
                + $"| {Medians.Of(rounds, static round => round.Many.CpuPerByte / round.One.CpuPerByte):F2} "
                + $"| {Medians.Of(rounds, static round => round.One.AllocatedPerBatch):F0} bytes "
                + $"| {Medians.Of(rounds, static round => round.Many.AllocatedPerBatch):F0} bytes |");
        }
    }

    /// <summary>For each connection its share of the requests; as many different ones whatever the number of partitions.</summary>
    private static byte[][][] Frames(int partitions, int batchBytes, int batches)
    {
        var requests = (Partitions + batches - 1) / batches;
        var all = Enumerable.Range(0, requests)
            .Select(request => BrokerUnderTest.NamedFrame(
                BrokerUnderTest.TopicName,
                Enumerable.Range(0, batches).Select(batch => ((request * batches) + batch) % partitions),
                batchBytes,
                RecordBytes))
            .ToArray();
        return [.. Enumerable.Range(0, Connections).Select(connection => all.Where((_, index) => index % Connections == connection).ToArray())];
    }

    private static Task<Result> MeasureAsync(string store, int partitions, byte[][][] frames, int batches, TimeSpan duration) => ScaleBenchmark.InDirectoryAsync(async directory =>
    {
        using var broker = await ScaleBenchmark.BrokerAsync(store == "file" ? $"file://{directory}/store" : "null://", partitions);
        await LoadGenerator.RunAsync(broker.Port, frames, InFlight, duration / 4);
        var cpu = broker.ProcessorSeconds;
        var allocated = await broker.MetricAsync("dotnet_gc_allocated_bytes_total");
        var load = await LoadGenerator.RunAsync(broker.Port, frames, InFlight, duration);
        cpu = broker.ProcessorSeconds - cpu;
        allocated = await broker.MetricAsync("dotnet_gc_allocated_bytes_total") - allocated;
        return new Result(load.Sent / load.Seconds, cpu * 1e9 / load.Sent, allocated / (load.Sent / (double)frames[0][0].Length * batches));
    });

    private sealed record Result(double BytesPerSecond, double CpuPerByte, double AllocatedPerBatch);
}
