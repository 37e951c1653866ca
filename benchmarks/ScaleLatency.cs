using System.Diagnostics;
using System.Globalization;
using System.Net;
using System.Net.Sockets;

namespace Tansu.Benchmarks;

/// <summary>
/// From a producer to a consumer at 1,000 records a second, each a request of its own; the consumer has one fetch waiting all the time. Beside the time of a commit: what the
/// broker itself says on average, and what the store needs without a broker: an append and an fdatasync for each record, a row, or objects of the sizes and number of the broker's.
/// </summary>
internal static class ScaleLatency
{
    private const int PerSecond = 1_000;
    private const int RecordBytes = 1024;
    private const int FetchBytes = 1024 * 1024;

    public static async Task RunAsync(double seconds)
    {
        Console.WriteLine($"{PerSecond} records of {RecordBytes} bytes a second, medians of {ScaleBenchmark.Rounds} rounds of {seconds} s");
        Console.WriteLine();
        Console.WriteLine("| store | produced: p50 | p99 | consumed: p50 | p99 | broker's commit, mean | the store's alone: p50 | p99 | consumed p99 / commit mean | / the store's p50 | / the store's p99 | broker CPU a record |");
        Console.WriteLine("|---|---|---|---|---|---|---|---|---|---|---|---|");
        await RowAsync(
            "file",
            seconds,
            static directory => Task.FromResult($"file://{directory}/store"),
            static (directory, records, _) => Task.FromResult(FileFloor.Times(directory, RecordBytes, PerSecond, records)));
        await RowAsync("null", seconds, static _ => Task.FromResult("null://"), static (_, _, _) => Task.FromResult<double[]>([]));
        using (var server = PostgresServer.Start())
        {
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
                (_, records, _) => server.TimesAsync($"latency{databases}", RecordBytes, PerSecond, records));
        }

        using (SlowS3.Start())
        {
            await RowAsync(
                $"s3, {SlowS3.DelayMs} ms more for each request",
                seconds,
                static directory => Task.FromResult($"s3://test/{Path.GetFileName(directory)}"),
                static async (_, records, commits) => (await S3Floor.MeasureAsync([(commits, (double)records * RecordBytes)], 1)).Times);
        }
    }

    /// <param name="store">What the row is called.</param>
    /// <param name="seconds">For how long.</param>
    /// <param name="storageEngine">Makes a store; what is given is a directory.</param>
    /// <param name="floor">The milliseconds of the store's own commits, sorted, in that directory: for so many records, in so many commits.</param>
    private static async Task RowAsync(string store, double seconds, Func<string, Task<string>> storageEngine, Func<string, int, int, Task<double[]>> floor)
    {
        var rounds = new List<Result>();
        for (var round = 0; round < ScaleBenchmark.Rounds; round++)
        {
            rounds.Add(await MeasureAsync(storageEngine, floor, (int)(PerSecond * seconds)));
        }

        string Median(Func<Result, double> figure) => Medians.Of(rounds, figure).ToString("F2", CultureInfo.InvariantCulture);
        string Floor(Func<Result, double> figure, string unit = "") => rounds[0].Floor.Length > 0 ? Median(figure) + unit : "-";
        Console.WriteLine(
            $"| {store} | {Median(static round => Medians.At(round.Produced, 0.5))} ms | {Median(static round => Medians.At(round.Produced, 0.99))} ms "
            + $"| {Median(static round => Medians.At(round.Consumed, 0.5))} ms | {Median(static round => Medians.At(round.Consumed, 0.99))} ms "
            + $"| {Median(static round => round.CommitMs)} ms "
            + $"| {Floor(static round => Medians.At(round.Floor, 0.5), " ms")} | {Floor(static round => Medians.At(round.Floor, 0.99), " ms")} "
            + $"| {Median(static round => Medians.At(round.Consumed, 0.99) / round.CommitMs)} "
            + $"| {Floor(static round => Medians.At(round.Consumed, 0.99) / Medians.At(round.Floor, 0.5))} "
            + $"| {Floor(static round => Medians.At(round.Consumed, 0.99) / Medians.At(round.Floor, 0.99))} "
            + $"| {Medians.Of(rounds, static round => round.CpuMs):F3} ms |");
    }

    private static Task<Result> MeasureAsync(
        Func<string, Task<string>> storageEngine,
        Func<string, int, int, Task<double[]>> floor,
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
        var commits = (int)(countAfter - count);
        return new Result(
            produced,
            consumed,
            await floor(directory, records, commits),
            (sumAfter - sum) * 1000 / commits,
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
        var produced = new double[records];
        var consumed = new double[records];
        var consuming = new Thread(() => Consume(port, first, sentAt, consumed));
        consuming.Start();
        using var socket = new Socket(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp) { NoDelay = true };
        socket.Connect(IPAddress.Loopback, port);
        var acknowledging = new Thread(() => Acknowledge(socket, sentAt, produced));
        acknowledging.Start();
        var frame = BrokerUnderTest.NamedFrame(BrokerUnderTest.TopicName, [0], RecordBytes, RecordBytes);
        var pace = new Pace(PerSecond);
        for (var record = 0; record < records; record++)
        {
            pace.WaitFor(record);
            Volatile.Write(ref sentAt[record], Stopwatch.GetTimestamp());
            socket.Send(frame);
        }

        acknowledging.Join();
        consuming.Join();
        Array.Sort(produced);
        Array.Sort(consumed);
        return (produced, consumed);
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

    private sealed record Result(double[] Produced, double[] Consumed, double[] Floor, double CommitMs, double CpuMs);
}
