using Tansu.Benchmarks;

// Every benchmark is named here. Each measures its floor in the same run and prints ratios.
var benchmarks = new Dictionary<string, Func<string[], Task<int>>>(StringComparer.Ordinal)
{
    ["compaction"] = CompactionBenchmark.RunAsync,
    ["consume"] = ConsumeBenchmark.RunAsync,
    ["produce"] = ProduceBenchmark.RunAsync,
    ["hostile"] = HostileBenchmark.RunAsync,
    ["footprint"] = FootprintBenchmark.RunAsync,
    ["group-join"] = GroupJoinBenchmark.RunAsync,
    ["snapshot-size"] = SnapshotSizeBenchmark.RunAsync,
    ["slow-store"] = SlowStoreBenchmark.RunAsync,
};

if (args.Length > 0 && benchmarks.TryGetValue(args[0], out var benchmark))
{
    return await benchmark(args[1..]);
}

Console.Error.WriteLine($"usage: dotnet run -c Release --project benchmarks -- {string.Join('|', benchmarks.Keys)}");
return 2;
