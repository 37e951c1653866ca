using System.Globalization;

namespace Tansu.Benchmarks;

/// <summary>
/// What it costs to have much of something: partitions, connections, state; how long a record takes from producer to consumer; what the collector does in a
/// steady stream. The native program in a process of its own; what it is compared with is measured in the same round.
/// </summary>
internal static class ScaleBenchmark
{
    public const int Rounds = 5;

    private static readonly Dictionary<string, Func<double?, string, Task>> Parts = new(StringComparer.Ordinal)
    {
        ["partitions"] = static (seconds, _) => ScalePartitions.RunAsync(seconds ?? 3),
        ["connections"] = static (seconds, _) => ScaleConnections.RunAsync(seconds ?? 4),
        ["state"] = static (_, _) => ScaleState.RunAsync(),
        ["latency"] = static (seconds, store) => ScaleLatency.RunAsync(seconds ?? 5, store),
        ["compacting"] = static (seconds, _) => ScaleCompaction.RunAsync(seconds ?? 2),
        ["steady"] = static (seconds, store) => ScaleSteady.RunAsync(seconds ?? 60, store),
    };

    public static async Task<int> RunAsync(string[] arguments)
    {
        var seconds = arguments.Length > 1 ? double.Parse(arguments[1], CultureInfo.InvariantCulture) : (double?)null;
        foreach (var (name, run) in Parts)
        {
            if (arguments.Length == 0 || arguments[0] == name)
            {
                await run(seconds, arguments.Length > 2 ? arguments[2] : "");
                Console.WriteLine();
            }
        }

        if (arguments.Length == 0 || Parts.ContainsKey(arguments[0]))
        {
            return 0;
        }

        Console.Error.WriteLine($"usage: scale [{string.Join('|', Parts.Keys)} [seconds per round [store, of latency and steady]]]");
        return 2;
    }

    /// <summary>A broker with one topic.</summary>
    /// <param name="store">The storage engine.</param>
    /// <param name="partitions">How many partitions the topic has.</param>
    /// <param name="flags">What else the broker is told.</param>
    public static async Task<OtherProcess> BrokerAsync(string store, int partitions, params string[] flags)
    {
        var broker = await OtherProcess.BrokerAsync(store, ["--commit-interval", "0", .. flags]);
        await broker.CreateTopicAsync(partitions);
        return broker;
    }

    /// <summary>Runs something with a directory that is gone afterwards.</summary>
    public static async Task<TResult> InDirectoryAsync<TResult>(Func<string, Task<TResult>> run)
    {
        var directory = Directory.CreateTempSubdirectory("tansu-scale-").FullName;
        try
        {
            return await run(directory);
        }
        finally
        {
            Directory.Delete(directory, recursive: true);
        }
    }
}
