using System.Diagnostics;
using System.Globalization;

namespace Tansu.Benchmarks;

/// <summary>
/// Produce throughput with records of 1 KiB on File and Memory, beside two floors of the same run: the same bytes appended to a file with
/// the same number of fdatasyncs, and the same frames pushed through a loopback socket into a sink that only reads and replies.
/// </summary>
internal static class ProduceBenchmark
{
    private const int RecordBytes = 1024;
    private const int Connections = 4;
    private const int InFlight = 5;
    private const int Rounds = 5;

    public static async Task<int> RunAsync(string[] arguments)
    {
        var seconds = arguments.Length > 0 ? double.Parse(arguments[0], CultureInfo.InvariantCulture) : 3;
        Console.WriteLine(
            $"{Environment.ProcessorCount} cores, {Connections} connections, {InFlight} requests in flight each, records of {RecordBytes} bytes, acks=all, "
            + $"medians of {Rounds} rounds of {seconds} s");
        Console.WriteLine();
        Console.WriteLine("| store | batch | MB/s | records/s | commits/s | of the file floor | of the socket floor |");
        Console.WriteLine("|---|---|---|---|---|---|---|");
        foreach (var batchBytes in new[] { 16 * 1024, 256 * 1024 })
        {
            foreach (var store in new[] { "file", "memory" })
            {
                await MeasureAsync(store, batchBytes, TimeSpan.FromSeconds(seconds));
            }
        }

        return 0;
    }

    private static async Task MeasureAsync(string store, int batchBytes, TimeSpan duration)
    {
        var results = new List<Result>();
        for (var round = 0; round < Rounds; round++)
        {
            results.Add(await RoundAsync(store, batchBytes, duration));
        }

        var bytesPerSecond = Median(results, static result => result.BytesPerSecond);
        var ofFile = store == "file" ? Percent(Median(results, static result => result.BytesPerSecond / result.FileFloor)) : "-";
        Console.WriteLine(
            $"| {store} | {batchBytes / 1024} KiB | {bytesPerSecond / 1e6:F0} | {bytesPerSecond / RecordBytes:F0} "
            + $"| {Median(results, static result => result.CommitsPerSecond):F0} | {ofFile} "
            + $"| {Percent(Median(results, static result => result.BytesPerSecond / result.SocketFloor))} |");
    }

    private static async Task<Result> RoundAsync(string store, int batchBytes, TimeSpan duration)
    {
        var directory = Directory.CreateTempSubdirectory("tansu-bench-").FullName;
        try
        {
            double bytesPerSecond;
            long commits;
            double elapsed;
            long bytes;
            await using (var broker = await BrokerUnderTest.StartAsync(store == "file" ? $"file://{directory}/store" : "memory://", Connections))
            {
                var frames = broker.Frames(batchBytes, RecordBytes);
                var before = broker.Commits;
                (bytes, elapsed) = await LoadGenerator.RunAsync(broker.Port, frames, InFlight, duration);
                commits = broker.Commits - before;
                bytesPerSecond = bytes / elapsed;
            }

            var fileFloor = store == "file" ? FileFloor.Measure(directory, bytes, commits) : 0;
            await using var sink = SocketSink.Start();
            var sinkFrames = BrokerUnderTest.FramesFor(Guid.Empty, Connections, batchBytes, RecordBytes);
            var (sunk, sinkElapsed) = await LoadGenerator.RunAsync(sink.Port, sinkFrames, InFlight, duration / 2);
            return new Result(bytesPerSecond, commits / elapsed, fileFloor, sunk / sinkElapsed);
        }
        finally
        {
            Directory.Delete(directory, recursive: true);
        }
    }

    private static double Median(List<Result> results, Func<Result, double> figure)
    {
        var ordered = results.Select(figure).Order().ToList();
        return ordered[ordered.Count / 2];
    }

    private static string Percent(double ratio) => ratio.ToString("P0", CultureInfo.InvariantCulture);

    private sealed record Result(double BytesPerSecond, double CommitsPerSecond, double FileFloor, double SocketFloor);
}
