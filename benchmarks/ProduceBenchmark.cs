using System.Diagnostics;
using System.Globalization;

namespace Tansu.Benchmarks;

/// <summary>
/// Produce throughput on Null, Memory and File, beside two floors of the same run: the same bytes appended to a file with
/// the same number of fdatasyncs, and the same frames pushed through a loopback socket into a sink that only reads and replies.
/// </summary>
internal static class ProduceBenchmark
{
    private const int Connections = 4;
    private const int InFlight = 5;
    private const int Rounds = 5;

    public static async Task<int> RunAsync(string[] arguments)
    {
        var seconds = arguments.Length > 0 ? double.Parse(arguments[0], CultureInfo.InvariantCulture) : 3;
        Console.WriteLine(
            $"{Environment.ProcessorCount} cores, {Connections} connections, {InFlight} requests in flight each, acks=all, "
            + $"medians of {Rounds} rounds of {seconds} s");
        Console.WriteLine();
        Console.WriteLine("| store | record | batch | MB/s | records/s | commits/s | of the file floor | of the socket floor |");
        Console.WriteLine("|---|---|---|---|---|---|---|---|");
        foreach (var (recordBytes, batchBytes) in new[] { (1024, 16 * 1024), (1024, 256 * 1024), (100, 16 * 1024) })
        {
            foreach (var store in new[] { "null", "memory", "file" })
            {
                await MeasureAsync(store, recordBytes, batchBytes, TimeSpan.FromSeconds(seconds));
            }
        }

        return 0;
    }

    private static async Task MeasureAsync(string store, int recordBytes, int batchBytes, TimeSpan duration)
    {
        var results = new List<Result>();
        for (var round = 0; round < Rounds; round++)
        {
            results.Add(await RoundAsync(store, recordBytes, batchBytes, duration));
        }

        var bytesPerSecond = Medians.Of(results, static result => result.BytesPerSecond);
        var ofFile = store == "file" ? Medians.Percent(Medians.Of(results, static result => result.BytesPerSecond / result.FileFloor)) : "-";
        Console.WriteLine(
            $"| {store} | {recordBytes} | {batchBytes / 1024} KiB | {bytesPerSecond / 1e6:F0} | {bytesPerSecond / recordBytes:F0} "
            + $"| {Medians.Of(results, static result => result.CommitsPerSecond):F0} | {ofFile} "
            + $"| {Medians.Percent(Medians.Of(results, static result => result.BytesPerSecond / result.SocketFloor))} |");
    }

    private static async Task<Result> RoundAsync(string store, int recordBytes, int batchBytes, TimeSpan duration)
    {
        var directory = Directory.CreateTempSubdirectory("tansu-bench-").FullName;
        try
        {
            double bytesPerSecond;
            long commits;
            double elapsed;
            long bytes;
            await using (var broker = await BrokerUnderTest.StartAsync(store == "file" ? $"file://{directory}/store" : $"{store}://", Connections))
            {
                var frames = broker.Frames(batchBytes, recordBytes);
                var before = broker.Commits;
                (bytes, elapsed) = await LoadGenerator.RunAsync(broker.Port, frames, InFlight, duration);
                commits = broker.Commits - before;
                bytesPerSecond = bytes / elapsed;
            }

            var fileFloor = store == "file" ? bytes / FileFloor.Measure(Path.Combine(directory, "floor"), bytes, commits).TotalSeconds : 0;
            await using var sink = SocketSink.Start();
            var sinkFrames = BrokerUnderTest.FramesFor(Guid.Empty, Connections, batchBytes, recordBytes);
            var (sunk, sinkElapsed) = await LoadGenerator.RunAsync(sink.Port, sinkFrames, InFlight, duration / 2);
            return new Result(bytesPerSecond, commits / elapsed, fileFloor, sunk / sinkElapsed);
        }
        finally
        {
            Directory.Delete(directory, recursive: true);
        }
    }

    private sealed record Result(double BytesPerSecond, double CommitsPerSecond, double FileFloor, double SocketFloor);
}
