using System.Globalization;

namespace Tansu.Benchmarks;

/// <summary>
/// The native program in a process of its own: bytes per second beside the floor, processor time per byte, allocation per request. The floor is a
/// process that only reads and answers (produce), or only sends (consume), with the same client, frames and connections, in the same round; the processor time
/// of a floor on File is that and what appending or reading the same bytes takes without a broker.
/// </summary>
internal static class SpeedBenchmark
{
    private const int Connections = 4;
    private const int InFlight = 5;
    private const int DefaultRounds = 5;
    private const int FetchBytes = 1024 * 1024;

    /// <summary>How often broker and file floor take turns in a round: the disk may have another speed from one second to the next.</summary>
    private const int Turns = 4;

    public static async Task<int> RunAsync(string[] arguments)
    {
        var seconds = arguments.Length > 0 ? double.Parse(arguments[0], CultureInfo.InvariantCulture) : 3;
        var rounds = arguments.Length > 1 ? int.Parse(arguments[1], CultureInfo.InvariantCulture) : DefaultRounds;
        var only = arguments.Length > 2 ? arguments[2] : "";
        var duration = TimeSpan.FromSeconds(seconds);
        Console.WriteLine($"{OtherProcess.BrokerProgram}, {Environment.ProcessorCount} cores, {Connections} connections, {InFlight} requests in flight each, medians of {rounds} rounds of {seconds} s");
        Console.WriteLine();
        Console.WriteLine("| what | store | record | batch | MB/s | records/s | of the socket floor | of the file floor | broker CPU | floor's CPU | allocated per request | gen-2 collections |");
        Console.WriteLine("|---|---|---|---|---|---|---|---|---|---|---|---|");
        foreach (var (record, batch) in new[] { (1024, 16 * 1024), (1024, 256 * 1024), (100, 16 * 1024) })
        {
            foreach (var store in new[] { "null", "file" })
            {
                await MedianAsync("produce", store, record, batch, rounds, only, () => ProduceAsync(store, record, batch, duration));
            }
        }

        await MedianAsync("produce", "file at work", 1024, 16 * 1024, rounds, only, () => ProduceAsync("file", 1024, 16 * 1024, duration, isAtWork: true));

        await MedianAsync("consume", "cache", 1024, 64 * 1024, rounds, only, () => ConsumeAsync(1024, 64 * 1024, duration));
        await MedianAsync("consume", "file", 1024, 64 * 1024, rounds, only, () => ConsumeFileAsync(1024, 64 * 1024, duration, isCompacted: false));
        await MedianAsync("consume", "file compacted", 1024, 64 * 1024, rounds, only, () => ConsumeFileAsync(1024, 64 * 1024, duration, isCompacted: true));
        return 0;
    }

    private static async Task MedianAsync(string what, string store, int record, int batch, int rounds, string only, Func<Task<Result>> round)
    {
        if (!$"{what} {store} {record} {batch / 1024}".StartsWith(only, StringComparison.Ordinal))
        {
            return;
        }

        var results = new List<Result>();
        for (var number = 0; number < rounds; number++)
        {
            results.Add(await round());
        }

        double Median(Func<Result, double> figure) => Medians.Of(results, figure);
        var ofFile = store.StartsWith("file", StringComparison.Ordinal) ? Medians.Percent(Median(static result => result.BytesPerSecond / result.FileFloor)) : "-";
        Console.WriteLine(string.Create(
            CultureInfo.InvariantCulture,
            $"| {what} | {store} | {record} | {batch / 1024} KiB | {Median(static result => result.BytesPerSecond) / 1e6:F0} | {Median(static result => result.BytesPerSecond) / record:F0} "
            + $"| {Medians.Percent(Median(static result => result.BytesPerSecond / result.SocketFloor))} | {ofFile} "
            + $"| {Median(static result => result.CpuPerByte):F2} ns/byte | {Median(static result => result.FloorCpuPerByte):F2} ns/byte "
            + $"| {Median(static result => result.AllocatedPerRequest):F0} bytes | {Median(static result => result.Gen2):F0} |"));
    }

    /// <remarks>It begins when all memory of the broker's cache has been written to once, which takes as long again for each byte, or much longer, by what the machine needs to find a page.</remarks>
    private static async Task<Result> ProduceAsync(string store, int record, int batch, TimeSpan duration, bool isAtWork = false)
    {
        var directory = Directory.CreateTempSubdirectory("tansu-bench-").FullName;
        try
        {
            var (sent, seconds, floorSeconds, floorCpu) = (0L, 0.0, 0.0, 0.0);
            Snapshot before, after;
            var frames = BrokerUnderTest.NamedFrames(BrokerUnderTest.TopicName, Connections, batch, record);
            if (isAtWork)
            {
                await WorkAsync(directory, frames);
            }

            using (var broker = await OtherProcess.BrokerAsync(store == "file" ? $"file://{directory}/store" : "null://", "--commit-interval", "0"))
            {
                if (!isAtWork)
                {
                    await broker.CreateTopicAsync(Connections);
                }

                await LoadGenerator.RunAsync(broker.Port, frames, InFlight, duration);
                before = after = await SnapshotAsync(broker);
                for (var turn = 0; turn < Turns; turn++)
                {
                    var load = await LoadGenerator.RunAsync(broker.Port, frames, InFlight, duration / Turns);
                    var commits = after.Commits;
                    after = await SnapshotAsync(broker);
                    (sent, seconds) = (sent + load.Bytes, seconds + load.Seconds);
                    if (store == "file")
                    {
                        var path = Path.Combine(directory, $"floor-{turn}");
                        var (took, processor) = Counted(() => FileFloor.Measure(path, load.Bytes, (long)(after.Commits - commits)));
                        (floorSeconds, floorCpu) = (floorSeconds + took.TotalSeconds, floorCpu + processor.TotalSeconds);
                    }
                }
            }

            using var sink = await OtherProcess.PartAsync("sink");
            await LoadGenerator.RunAsync(sink.Port, frames, InFlight, duration / 4);
            var sinkCpu = sink.ProcessorSeconds;
            var (sunk, sinkSeconds) = await LoadGenerator.RunAsync(sink.Port, frames, InFlight, duration / 2);
            return new Result(
                sent / seconds,
                sunk / sinkSeconds,
                sent / floorSeconds,
                (after.Cpu - before.Cpu) * 1e9 / sent,
                ((sink.ProcessorSeconds - sinkCpu) * 1e9 / sunk) + (floorCpu * 1e9 / sent),
                (after.Allocated - before.Allocated) / (after.Requests - before.Requests),
                after.Gen2 - before.Gen2);
        }
        finally
        {
            Directory.Delete(directory, recursive: true);
        }
    }

    /// <summary>
    /// A broker at work for so long that its log goes on in files that have been trimmed: more than are filled while it is measured.
    /// </summary>
    private static async Task WorkAsync(string directory, byte[][] frames)
    {
        const int files = 28;
        const int spares = 20;
        const long fileBytes = 64 * 1024 * 1024;
        using var broker = await OtherProcess.BrokerAsync($"file://{directory}/store", "--commit-interval", "0", "--compaction-interval", "20000");
        await broker.CreateTopicAsync(Connections);
        for (var sent = 0L; sent < files * fileBytes;)
        {
            sent += (await LoadGenerator.RunAsync(broker.Port, frames, InFlight, TimeSpan.FromSeconds(1))).Bytes;
        }

        while (Directory.EnumerateFiles(Path.Combine(directory, "store", "shard-0"), "*.spare").Count() < spares)
        {
            await Task.Delay(TimeSpan.FromSeconds(0.1));
        }
    }

    private static async Task<Result> ConsumeAsync(int record, int batch, TimeSpan duration)
    {
        const int batches = 192;
        using var broker = await OtherProcess.BrokerAsync("memory://", "--cache-bytes", "256MiB", "--commit-interval", "0");
        await FillAsync(broker, record, batch, batches);
        var frames = FetchFrames(record, batch, batches);
        await LoadGenerator.RunAsync(broker.Port, frames, InFlight, duration / 4);
        var before = await SnapshotAsync(broker);
        var load = await LoadGenerator.RunAsync(broker.Port, frames, InFlight, duration);
        return await ConsumedAsync(load, before, await SnapshotAsync(broker), default, duration);
    }

    /// <summary>
    /// All of a store many times larger than the cache, once, from a disk of which the operating system remembers nothing: as it was written, in entries of the log, or from the
    /// segments that a compactor has moved it to.
    /// </summary>
    /// <remarks>
    /// It has all been read before, so that the memory of the broker's cache has been written to. The floor is measured before and after, since the disk may have another speed from
    /// one second to the next.
    /// </remarks>
    private static async Task<Result> ConsumeFileAsync(int record, int batch, TimeSpan duration, bool isCompacted)
    {
        const int batches = 4096;
        var directory = Directory.CreateTempSubdirectory("tansu-bench-").FullName;
        try
        {
            var bytes = (long)Connections * batches * batch;
            using (var writer = await FileBrokerAsync(directory, "--compaction-interval", isCompacted ? "1000" : "86400000"))
            {
                await FillAsync(writer, record, batch, batches);
                var moved = await MovedAsync(writer);
                if (!isCompacted && moved > 0)
                {
                    throw new InvalidOperationException("the disk is too slow: compaction has begun, 15 s after the start");
                }

                for (var last = -1.0; isCompacted && (moved < bytes || moved > last);)
                {
                    last = moved;
                    await Task.Delay(TimeSpan.FromSeconds(2));
                    moved = await MovedAsync(writer);
                }
            }

            // It does not compact as long as it has written nothing itself, not for a minute.
            using var broker = await FileBrokerAsync(directory);
            var paths = isCompacted
                ? Directory.GetFiles(Path.Combine(directory, "store", "objects"), "*", SearchOption.AllDirectories)
                : Directory.GetFiles(Path.Combine(directory, "store", "shard-0"), "*.log");
            var frames = FetchFrames(record, batch, batches);
            await LoadGenerator.RunOnceAsync(broker.Port, frames, InFlight);
            var floorBefore = ReadForgotten(paths, bytes);
            FileFloor.Forget(paths);
            var before = await SnapshotAsync(broker);
            var load = await LoadGenerator.RunOnceAsync(broker.Port, frames, InFlight);
            var after = await SnapshotAsync(broker);
            var floorAfter = ReadForgotten(paths, bytes);
            return await ConsumedAsync(
                load,
                before,
                after,
                (2 / ((1 / floorBefore.BytesPerSecond) + (1 / floorAfter.BytesPerSecond)), (floorBefore.CpuPerByte + floorAfter.CpuPerByte) / 2),
                duration);
        }
        finally
        {
            Directory.Delete(directory, recursive: true);
        }
    }

    /// <summary>Bytes that the compactor has put into segments, and little else.</summary>
    private static Task<double> MovedAsync(OtherProcess broker) => broker.MetricAsync("tansu_store_bytes_total{operation=\"put_object\"}");

    private static Task<OtherProcess> FileBrokerAsync(string directory, params string[] flags) =>
        OtherProcess.BrokerAsync($"file://{directory}/store", ["--cache-bytes", "32MiB", "--commit-interval", "0", .. flags]);

    private static (double BytesPerSecond, double CpuPerByte) ReadForgotten(string[] paths, long bytes)
    {
        FileFloor.Forget(paths);
        var (bytesPerSecond, processor) = Counted(() => FileFloor.MeasureReading(paths));
        return (bytesPerSecond, processor.TotalNanoseconds / bytes);
    }

    /// <summary>A floor that is measured in this process while it does nothing else, and the processor time that it took.</summary>
    private static (T Measured, TimeSpan Processor) Counted<T>(Func<T> floor)
    {
        var before = Environment.CpuUsage.TotalTime;
        var measured = floor();
        return (measured, Environment.CpuUsage.TotalTime - before);
    }

    private static async Task FillAsync(OtherProcess broker, int record, int batch, int batches)
    {
        await broker.CreateTopicAsync(Connections);
        foreach (var frame in BrokerUnderTest.NamedFrames(BrokerUnderTest.TopicName, Connections, batch, record))
        {
            await LoadGenerator.RunOnceAsync(broker.Port, [Enumerable.Repeat(frame, batches).ToArray()], InFlight);
        }
    }

    /// <summary>Requests for all that <see cref="FillAsync"/> wrote, those of one partition for each connection.</summary>
    private static byte[][][] FetchFrames(int record, int batch, int batches)
    {
        var step = batch / record * (FetchBytes / batch);
        return
        [
            .. Enumerable.Range(0, Connections).Select(partition => Enumerable.Range(0, batches * batch / FetchBytes)
                .Select(part => BrokerUnderTest.NamedFetchFrame(BrokerUnderTest.TopicName, partition, (long)part * step, FetchBytes))
                .ToArray()),
        ];
    }

    private static async Task<Result> ConsumedAsync(
        (long Sent, long Received, double Seconds) load, Snapshot before, Snapshot after, (double BytesPerSecond, double CpuPerByte) fileFloor, TimeSpan duration)
    {
        using var source = await OtherProcess.PartAsync("source", $"{FetchBytes}");
        byte[][][] asking = [.. Enumerable.Range(0, Connections).Select(static _ => new[] { new byte[] { 0, 0, 0, 1, 0 } })];
        await LoadGenerator.RunAsync(source.Port, asking, InFlight, duration / 4);
        var sourceCpu = source.ProcessorSeconds;
        var floor = await LoadGenerator.RunAsync(source.Port, asking, InFlight, duration / 2);
        return new Result(
            load.Received / load.Seconds,
            floor.Received / floor.Seconds,
            fileFloor.BytesPerSecond,
            (after.Cpu - before.Cpu) * 1e9 / load.Received,
            ((source.ProcessorSeconds - sourceCpu) * 1e9 / floor.Received) + fileFloor.CpuPerByte,
            (after.Allocated - before.Allocated) / (after.Requests - before.Requests),
            after.Gen2 - before.Gen2);
    }

    private static async Task<Snapshot> SnapshotAsync(OtherProcess broker) => new(
        broker.ProcessorSeconds,
        await broker.MetricAsync("dotnet_gc_allocated_bytes_total"),
        await broker.MetricAsync("dotnet_gc_collections_total{generation=\"2\"}"),
        await broker.MetricAsync("tansu_requests_total"),
        await broker.MetricAsync("tansu_log_entry{log=\"shard-0\"}"));

    private sealed record Snapshot(double Cpu, double Allocated, double Gen2, double Requests, double Commits);

    private sealed record Result(
        double BytesPerSecond, double SocketFloor, double FileFloor, double CpuPerByte, double FloorCpuPerByte, double AllocatedPerRequest, double Gen2);
}
