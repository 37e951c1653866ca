using Tansu.Benchmarks;

// Every benchmark is named here. Each measures its floor in the same run and prints ratios.
var benchmarks = new Dictionary<string, Func<string[], Task<int>>>(StringComparer.Ordinal)
{
    ["compaction"] = CompactionBenchmark.RunAsync,
    ["produce"] = ProduceBenchmark.RunAsync,
    ["hostile"] = HostileBenchmark.RunAsync,
    ["footprint"] = FootprintBenchmark.RunAsync,
    ["group-join"] = GroupJoinBenchmark.RunAsync,
    ["scale"] = ScaleBenchmark.RunAsync,
    ["snapshot-size"] = SnapshotSizeBenchmark.RunAsync,
    ["speed"] = SpeedBenchmark.RunAsync,
    ["slow-store"] = SlowStoreBenchmark.RunAsync,
    ["stores"] = StoresBenchmark.RunAsync,
};

// Parts of a benchmark that run in a process of their own.
if (args is ["sink"])
{
    await using var sink = SocketSink.Start();
    return await OtherProcess.RunPartAsync(sink.Port);
}

if (args is ["source", var replyBytes])
{
    await using var source = SocketSource.Start(int.Parse(replyBytes, System.Globalization.CultureInfo.InvariantCulture));
    return await OtherProcess.RunPartAsync(source.Port);
}

if (args.Length > 0 && benchmarks.TryGetValue(args[0], out var benchmark))
{
    return await benchmark(args[1..]);
}

Console.Error.WriteLine($"usage: dotnet run -c Release --project benchmarks -- {string.Join('|', benchmarks.Keys)}");
return 2;
