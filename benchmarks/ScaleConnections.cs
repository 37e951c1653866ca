namespace Tansu.Benchmarks;

/// <summary>
/// The same requests at the same rate over 5,000 connections and over one: each at its time, as independent clients send, and those of a millisecond
/// together, of which one connection brings several in one receive.
/// </summary>
internal static class ScaleConnections
{
    private const int Connections = 5_000;
    private const int Partitions = 4;
    private const int RecordBytes = 1024;

    public static async Task RunAsync(double seconds)
    {
        var duration = TimeSpan.FromSeconds(seconds);
        Console.WriteLine($"1 and {Connections} connections, {Partitions} partitions, one batch in a request, medians of {ScaleBenchmark.Rounds} rounds of {seconds} s");
        Console.WriteLine();
        Console.WriteLine("| store | batch | sent | 1: MB/s | many: MB/s | 1: broker CPU | many: broker CPU | CPU per byte, times | the floor, times | 1: memory | many: memory |");
        Console.WriteLine("|---|---|---|---|---|---|---|---|---|---|---|");
        (string, int, int)[] cases = [("null", 16 * 1024, 100), ("null", 1024, 5), ("file", 16 * 1024, 50)];
        foreach (var ((store, batchBytes, megabytesPerSecond), isEven) in cases.SelectMany(static one => new[] { (one, true), (one, false) }))
        {
            var rounds = new List<(Result One, Result Many, Result FloorOne, Result FloorMany)>();
            for (var round = 0; round < ScaleBenchmark.Rounds; round++)
            {
                rounds.Add((
                    await MeasureAsync(store, 1, batchBytes, megabytesPerSecond, isEven, duration),
                    await MeasureAsync(store, Connections, batchBytes, megabytesPerSecond, isEven, duration),
                    await MeasureAsync(null, 1, batchBytes, megabytesPerSecond, isEven, duration),
                    await MeasureAsync(null, Connections, batchBytes, megabytesPerSecond, isEven, duration)));
            }

            Console.WriteLine(
                $"| {store} | {batchBytes / 1024} KiB | {(isEven ? "each" : "together")} | {Medians.Of(rounds, static round => round.One.BytesPerSecond) / 1e6:F0} "
                + $"| {Medians.Of(rounds, static round => round.Many.BytesPerSecond) / 1e6:F0} "
                + $"| {Medians.Of(rounds, static round => round.One.CpuPerByte):F2} ns/byte "
                + $"| {Medians.Of(rounds, static round => round.Many.CpuPerByte):F2} ns/byte "
                + $"| {Medians.Of(rounds, static round => round.Many.CpuPerByte / round.One.CpuPerByte):F2} "
                + $"| {Medians.Of(rounds, static round => round.FloorMany.CpuPerByte / round.FloorOne.CpuPerByte):F2} "
                + $"| {Medians.Of(rounds, static round => round.One.ResidentBytes) / 1e6:F0} MB "
                + $"| {Medians.Of(rounds, static round => round.Many.ResidentBytes) / 1e6:F0} MB |");
        }
    }

    /// <param name="store">The broker's; null for the floor, which only reads and answers.</param>
    private static Task<Result> MeasureAsync(string? store, int connections, int batchBytes, int megabytesPerSecond, bool isEven, TimeSpan duration) => ScaleBenchmark.InDirectoryAsync(async directory =>
    {
        var frames = BrokerUnderTest.NamedFrames(BrokerUnderTest.TopicName, Partitions, batchBytes, RecordBytes);
        var rate = megabytesPerSecond * 1e6 / frames[0].Length;
        using var other = store is null
            ? await OtherProcess.PartAsync("sink")
            : await ScaleBenchmark.BrokerAsync(store == "file" ? $"file://{directory}/store" : "null://", Partitions);
        using var load = await PacedLoad.ConnectAsync(other.Port, connections);

        // Until every connection has been used.
        await load.RunAsync(frames, rate, isEven: false, TimeSpan.FromSeconds(Math.Max(1, connections / rate)));
        var cpu = other.ProcessorSeconds;
        var sent = await load.RunAsync(frames, rate, isEven, duration);
        return new Result(sent.Bytes / sent.Seconds, (other.ProcessorSeconds - cpu) * 1e9 / sent.Bytes, other.ResidentBytes);
    });

    private sealed record Result(double BytesPerSecond, double CpuPerByte, double ResidentBytes);
}
