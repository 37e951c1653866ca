using System.Globalization;

namespace Tansu.Benchmarks;

/// <summary>
/// Fetch throughput with records of 1 KiB, from the cache and, with a cache of nothing, from File, beside two floors of the same run: replies of the same
/// size pushed through loopback sockets by a source that only reads requests, and the store's files read from one end to the other.
/// </summary>
internal static class ConsumeBenchmark
{
    private const int RecordBytes = 1024;
    private const int BatchBytes = 64 * 1024;
    private const int FetchBytes = 1024 * 1024;
    private const int Connections = 4;
    private const int InFlight = 2;
    private const int Rounds = 5;

    public static async Task<int> RunAsync(string[] arguments)
    {
        var seconds = arguments.Length > 0 ? double.Parse(arguments[0], CultureInfo.InvariantCulture) : 3;
        Console.WriteLine(
            $"{Environment.ProcessorCount} cores, {Connections} connections, {InFlight} requests of {FetchBytes / 1024} KiB in flight each, batches of {BatchBytes / 1024} KiB, "
            + $"medians of {Rounds} rounds of {seconds} s");
        Console.WriteLine();
        Console.WriteLine("| from | MB/s | of the socket floor | of reading the file | of both, one after the other |");
        Console.WriteLine("|---|---|---|---|---|");
        await MeasureAsync("cache", "256MiB", 12 * 1024 * 1024, TimeSpan.FromSeconds(seconds));
        await MeasureAsync("file", "0", 64 * 1024 * 1024, TimeSpan.FromSeconds(seconds));
        return 0;
    }

    private static async Task MeasureAsync(string from, string cacheBytes, long partitionBytes, TimeSpan duration)
    {
        var results = new List<Result>();
        for (var round = 0; round < Rounds; round++)
        {
            results.Add(await RoundAsync(cacheBytes, partitionBytes, duration));
        }

        var ofFile = from == "file" ? Medians.Percent(Medians.Of(results, static result => result.BytesPerSecond / result.FileFloor)) : "-";
        var ofBoth = from == "file"
            ? Medians.Percent(Medians.Of(results, static result => result.BytesPerSecond * ((1 / result.SocketFloor) + (1 / result.FileFloor))))
            : "-";
        Console.WriteLine(
            $"| {from} | {Medians.Of(results, static result => result.BytesPerSecond) / 1e6:F0} "
            + $"| {Medians.Percent(Medians.Of(results, static result => result.BytesPerSecond / result.SocketFloor))} | {ofFile} | {ofBoth} |");
    }

    private static async Task<Result> RoundAsync(string cacheBytes, long partitionBytes, TimeSpan duration)
    {
        var directory = Directory.CreateTempSubdirectory("tansu-bench-").FullName;
        try
        {
            double bytesPerSecond;
            await using (var broker = await BrokerUnderTest.StartAsync($"file://{directory}/store", Connections, cacheBytes: cacheBytes))
            {
                var batches = (int)(partitionBytes / BatchBytes);
                await broker.FillAsync(batches, BatchBytes, RecordBytes);
                var step = BatchBytes / RecordBytes * (FetchBytes / BatchBytes);
                var frames = Enumerable.Range(0, Connections)
                    .Select(partition => Enumerable.Range(0, batches * BatchBytes / FetchBytes)
                        .Select(part => broker.FetchFrame(partition, (long)part * step, FetchBytes))
                        .ToArray())
                    .ToArray();
                var load = await LoadGenerator.RunAsync(broker.Port, frames, InFlight, duration);
                bytesPerSecond = load.Received / load.Seconds;
            }

            var fileFloor = FileFloor.MeasureReading(Path.Combine(directory, "store"));
            await using var source = SocketSource.Start(FetchBytes);
            var floor = await LoadGenerator.RunAsync(
                source.Port, [.. Enumerable.Range(0, Connections).Select(static _ => new[] { new byte[] { 0, 0, 0, 1, 0 } })], InFlight, duration / 2);
            return new Result(bytesPerSecond, fileFloor, floor.Received / floor.Seconds);
        }
        finally
        {
            Directory.Delete(directory, recursive: true);
        }
    }

    private sealed record Result(double BytesPerSecond, double FileFloor, double SocketFloor);
}
