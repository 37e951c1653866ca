using System.Globalization;

namespace Tansu.Benchmarks;

/// <summary>
/// The native program on each store, beside the same store without a broker: one record at a time on File, bytes per second on PostgreSQL and S3, reading what others
/// have written to S3, and two brokers beside one.
/// </summary>
internal static class StoresBenchmark
{
    private static readonly Dictionary<string, Func<TimeSpan, Task>> Parts = new(StringComparer.Ordinal)
    {
        ["file"] = OneRecordBenchmark.RunAsync,
        ["postgres"] = StoreCeilingBenchmark.RunPostgresAsync,
        ["s3"] = StoreCeilingBenchmark.RunS3Async,
        ["catch-up"] = CatchUpBenchmark.RunAsync,
        ["brokers"] = TwoBrokersBenchmark.RunAsync,
    };

    /// <summary>Seconds per round, then the parts to run; all of them when none is named.</summary>
    public static async Task<int> RunAsync(string[] arguments)
    {
        var seconds = arguments.Length > 0 ? double.Parse(arguments[0], CultureInfo.InvariantCulture) : 3;
        Console.WriteLine($"native program, {Environment.ProcessorCount} cores, medians of rounds of {seconds} s");
        foreach (var part in arguments.Length > 1 ? arguments[1..] : [.. Parts.Keys])
        {
            Console.WriteLine();
            await Parts[part](TimeSpan.FromSeconds(seconds));
        }

        return 0;
    }
}
