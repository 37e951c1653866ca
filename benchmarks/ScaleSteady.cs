namespace Tansu.Benchmarks;

/// <summary>A steady 100 MB/s, for a minute after a minute of it: how often generation 2 was collected meanwhile.</summary>
internal static class ScaleSteady
{
    private const int Connections = 4;
    private const int BatchBytes = 16 * 1024;
    private const int RecordBytes = 1024;
    private const double BytesPerSecond = 100e6;

    private static readonly string[] Stores = ["null", "file"];

    /// <summary>An index that grows from nothing has generation 2 collected each time that it has nearly doubled.</summary>
    private static readonly TimeSpan WarmUp = TimeSpan.FromSeconds(60);

    /// <param name="seconds">How long.</param>
    /// <param name="only">The beginning of a store's name; empty for both.</param>
    public static async Task RunAsync(double seconds, string only)
    {
        Console.WriteLine($"{Connections} connections, one batch of {BatchBytes / 1024} KiB in a request, {seconds} s after {WarmUp.TotalSeconds} s of warming up");
        Console.WriteLine();
        Console.WriteLine("| store | MB/s | broker CPU | gen-0 collections | gen-1 | gen-2 | time stopped by collections | allocated per request | heap at the end | memory at the end |");
        Console.WriteLine("|---|---|---|---|---|---|---|---|---|---|");
        foreach (var store in Stores.Where(store => store.StartsWith(only, StringComparison.Ordinal)))
        {
            await MeasureAsync(store, TimeSpan.FromSeconds(seconds));
        }
    }

    private static Task<bool> MeasureAsync(string store, TimeSpan duration) => ScaleBenchmark.InDirectoryAsync(async directory =>
    {
        var frames = BrokerUnderTest.NamedFrames(BrokerUnderTest.TopicName, Connections, BatchBytes, RecordBytes);
        using var broker = await ScaleBenchmark.BrokerAsync(store == "file" ? $"file://{directory}/store" : "null://", Connections);
        using var load = await PacedLoad.ConnectAsync(broker.Port, Connections);
        await load.RunAsync(frames, BytesPerSecond / frames[0].Length, isEven: false, WarmUp);
        var before = await SnapshotAsync(broker);
        var sent = await load.RunAsync(frames, BytesPerSecond / frames[0].Length, isEven: false, duration);
        var after = await SnapshotAsync(broker);
        Console.WriteLine(
            $"| {store} | {sent.Bytes / sent.Seconds / 1e6:F0} | {(after.Cpu - before.Cpu) * 1e9 / sent.Bytes:F2} ns/byte "
            + $"| {after.Gen0 - before.Gen0} | {after.Gen1 - before.Gen1} | {after.Gen2 - before.Gen2} "
            + $"| {(after.PauseSeconds - before.PauseSeconds) * 1000:F0} ms "
            + $"| {(after.Allocated - before.Allocated) / (after.Requests - before.Requests):F0} bytes | {after.Heap / 1e6:F0} MB "
            + $"| {broker.ResidentBytes / 1e6:F0} MB |");
        return true;
    });

    private static async Task<Snapshot> SnapshotAsync(OtherProcess broker) => new(
        broker.ProcessorSeconds,
        await broker.MetricAsync("dotnet_gc_collections_total{generation=\"0\"}"),
        await broker.MetricAsync("dotnet_gc_collections_total{generation=\"1\"}"),
        await broker.MetricAsync("dotnet_gc_collections_total{generation=\"2\"}"),
        await broker.MetricAsync("dotnet_gc_pause_seconds_total"),
        await broker.MetricAsync("dotnet_gc_allocated_bytes_total"),
        await broker.MetricAsync("dotnet_gc_heap_bytes"),
        await broker.MetricAsync("tansu_requests_total"));

    private sealed record Snapshot(double Cpu, double Gen0, double Gen1, double Gen2, double PauseSeconds, double Allocated, double Heap, double Requests);
}
