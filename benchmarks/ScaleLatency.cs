using System.Diagnostics;
using System.Globalization;
using System.Net;
using System.Net.Sockets;

namespace Tansu.Benchmarks;

/// <summary>
/// From a producer to a consumer at 1,000 records a second, each a request of its own; the consumer has one fetch waiting all the time. Beside the time of a commit: what the
/// broker itself says on average, and what the store needs without a broker (<see cref="GroupedFloor"/>): an append and an fdatasync, a row, or an object for all records that wait.
/// </summary>
internal static class ScaleLatency
{
    private const int PerSecond = 1_000;
    private const int RecordBytes = 1024;
    private const int FetchBytes = 1024 * 1024;

    /// <summary>A mean commit below this makes nothing durable.</summary>
    private const double NothingMs = 0.01;

    private static readonly byte[] Frame = BrokerUnderTest.NamedFrame(BrokerUnderTest.TopicName, [0], RecordBytes, RecordBytes);
    private static readonly (string Store, Func<double, Task> Run)[] Rows = [("file", FileAsync), ("null", NullAsync), ("postgres", PostgresAsync), ("s3", S3Async)];

    /// <param name="seconds">How long a round is.</param>
    /// <param name="only">The beginning of a store's name; empty for all.</param>
    public static async Task RunAsync(double seconds, string only)
    {
        Console.WriteLine($"{PerSecond} records of {RecordBytes} bytes a second, medians of {ScaleBenchmark.Rounds} rounds of {seconds} s");
        Console.WriteLine();
        Console.WriteLine("| store | produced: p50 | p99 | consumed: p50 | p99 | broker's commit, mean | consumed p99 in commits | the store alone: p50 | p99 | its commit, mean | its p99 in commits | consumed p99 / the store's p99 | broker CPU a record |");
        Console.WriteLine("|---|---|---|---|---|---|---|---|---|---|---|---|---|");
        foreach (var (store, row) in Rows)
        {
            if (store.StartsWith(only, StringComparison.Ordinal))
            {
                await row(seconds);
            }
        }
    }

    private static Task FileAsync(double seconds) => RowAsync(
        "file",
        seconds,
        static directory => Task.FromResult($"file://{directory}/store"),
        static directory => Task.FromResult(FileFloor.Grouped(directory, Frame.Length, RecordBytes)));

    private static Task NullAsync(double seconds) => RowAsync("null", seconds, static _ => Task.FromResult("null://"), static _ => Task.FromResult(GroupedFloor.Start(Frame.Length, static _ => { })));

    private static async Task PostgresAsync(double seconds)
    {
        using var server = PostgresServer.Start();
        var databases = 0;
        await RowAsync(
            "postgres",
            seconds,
            async _ =>
            {
                var database = $"latency{++databases}";
                await server.CreateAsync(database);
                return server.Url(database);
            },
            _ => server.GroupedAsync($"latency{databases}", Frame.Length, RecordBytes));
    }

    private static async Task S3Async(double seconds)
    {
        using var server = SlowS3.Start();
        await RowAsync(
            $"s3, {SlowS3.DelayMs} ms more for each request",
            seconds,
            static directory => Task.FromResult($"s3://test/{Path.GetFileName(directory)}"),
            static _ => Task.FromResult(S3Floor.Grouped(Frame.Length, RecordBytes)));
    }

    /// <param name="store">What the row is called.</param>
    /// <param name="seconds">For how long.</param>
    /// <param name="storageEngine">Makes a store; what is given is a directory.</param>
    /// <param name="floor">The store with next to nothing before it, in that directory.</param>
    private static async Task RowAsync(string store, double seconds, Func<string, Task<string>> storageEngine, Func<string, Task<GroupedFloor>> floor)
    {
        var rounds = new List<Result>();
        for (var round = 0; round < ScaleBenchmark.Rounds; round++)
        {
            rounds.Add(await MeasureAsync(storageEngine, floor, (int)(PerSecond * seconds)));
        }

        string Median(Func<Result, double> figure) => Medians.Of(rounds, figure).ToString("F2", CultureInfo.InvariantCulture);
        var isNothing = rounds[0].FloorCommitMs < NothingMs;
        Console.WriteLine(
            $"| {store} | {Median(static round => Medians.At(round.Produced, 0.5))} ms | {Median(static round => Medians.At(round.Produced, 0.99))} ms "
            + $"| {Median(static round => Medians.At(round.Consumed, 0.5))} ms | {Median(static round => Medians.At(round.Consumed, 0.99))} ms "
            + $"| {Median(static round => round.CommitMs)} ms "
            + $"| {Median(static round => Medians.At(round.Consumed, 0.99) / round.CommitMs)} "
            + $"| {Median(static round => Medians.At(round.Floor, 0.5))} ms | {Median(static round => Medians.At(round.Floor, 0.99))} ms "
            + $"| {(isNothing ? "-" : Median(static round => round.FloorCommitMs) + " ms")} "
            + $"| {(isNothing ? "-" : Median(static round => Medians.At(round.Floor, 0.99) / round.FloorCommitMs))} "
            + $"| {Median(static round => Medians.At(round.Consumed, 0.99) / Medians.At(round.Floor, 0.99))} "
            + $"| {Medians.Of(rounds, static round => round.CpuMs):F3} ms |");
    }

    private static Task<Result> MeasureAsync(
        Func<string, Task<string>> storageEngine,
        Func<string, Task<GroupedFloor>> floor,
        int records) => ScaleBenchmark.InDirectoryAsync(async directory =>
    {
        var store = await storageEngine(directory);
        using var broker = await ScaleBenchmark.BrokerAsync(store, 1);

        // Until the broker is warm.
        var first = PerSecond;
        Exchange(broker.Port, 0, first);
        var (cpu, sum, count) = await SnapshotAsync(broker);
        var (produced, consumed) = Exchange(broker.Port, first, records);
        var (cpuAfter, sumAfter, countAfter) = await SnapshotAsync(broker);
        using var alone = await floor(directory);
        Produce(alone.Port, new long[first]);
        alone.TakeCommitMs();
        return new Result(
            produced,
            consumed,
            Produce(alone.Port, new long[records]),
            alone.TakeCommitMs(),
            (sumAfter - sum) * 1000 / (countAfter - count),
            (cpuAfter - cpu) * 1000 / records);
    });

    private static async Task<(double Cpu, double CommitSeconds, double Commits)> SnapshotAsync(OtherProcess broker) => (
        broker.ProcessorSeconds,
        await broker.MetricAsync("tansu_commit_seconds_sum{log=\"shard-0\"}"),
        await broker.MetricAsync("tansu_commit_seconds_count{log=\"shard-0\"}"));

    /// <summary>The milliseconds from sending each record to its acknowledgement and to its arrival at the consumer, sorted.</summary>
    private static (double[] Produced, double[] Consumed) Exchange(int port, int first, int records)
    {
        var sentAt = new long[records];
        var consumed = new double[records];
        var consuming = new Thread(() => Consume(port, first, sentAt, consumed));
        consuming.Start();
        var produced = Produce(port, sentAt);
        consuming.Join();
        Array.Sort(consumed);
        return (produced, consumed);
    }

    /// <summary>Sends records, and notes when it has sent each.</summary>
    /// <returns>The milliseconds from then to the acknowledgement of each, sorted.</returns>
    private static double[] Produce(int port, long[] sentAt)
    {
        using var socket = new Socket(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp) { NoDelay = true };
        socket.Connect(IPAddress.Loopback, port);
        var produced = new double[sentAt.Length];
        var acknowledging = new Thread(() => Acknowledge(socket, sentAt, produced));
        acknowledging.Start();
        var pace = new Pace(PerSecond);
        for (var record = 0; record < sentAt.Length; record++)
        {
            pace.WaitFor(record);
            Volatile.Write(ref sentAt[record], Stopwatch.GetTimestamp());
            socket.Send(Frame);
        }

        acknowledging.Join();
        Array.Sort(produced);
        return produced;
    }

    private static void Acknowledge(Socket socket, long[] sentAt, double[] produced)
    {
        using var replies = new NetworkStream(socket);
        var reply = new byte[1024];
        for (var record = 0; record < sentAt.Length; record++)
        {
            replies.ReadExactly(reply, 0, 4);
            replies.ReadExactly(reply, 0, System.Buffers.Binary.BinaryPrimitives.ReadInt32BigEndian(reply));
            produced[record] = Stopwatch.GetElapsedTime(Volatile.Read(ref sentAt[record])).TotalMilliseconds;
        }
    }

    private static void Consume(int port, int first, long[] sentAt, double[] consumed)
    {
        using var client = new SerialClient(port);
        for (var next = 0; next < sentAt.Length;)
        {
            var reply = client.Ask(BrokerUnderTest.NamedFetchFrame(BrokerUnderTest.TopicName, 0, first + next, FetchBytes, maxWaitMs: 500));
            var now = Stopwatch.GetTimestamp();
            for (var last = BrokerUnderTest.LastOffset(BrokerUnderTest.NamedFetchReply(reply)) - first; next <= last; next++)
            {
                consumed[next] = Stopwatch.GetElapsedTime(Volatile.Read(ref sentAt[next]), now).TotalMilliseconds;
            }
        }
    }

    private sealed record Result(double[] Produced, double[] Consumed, double[] Floor, double FloorCommitMs, double CommitMs, double CpuMs);
}
