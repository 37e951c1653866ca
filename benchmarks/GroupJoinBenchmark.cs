using System.Diagnostics;
using System.Globalization;
using Confluent.Kafka;

namespace Tansu.Benchmarks;

/// <summary>
/// How long a consumer takes from asking for the first time to its first record: in a group, and without one in the same run, which is the
/// floor, since it connects, looks up offsets and fetches all the same.
/// </summary>
internal static class GroupJoinBenchmark
{
    private const string Topic = "bench";

    public static async Task<int> RunAsync(string[] arguments)
    {
        var rounds = arguments.Length > 0 ? int.Parse(arguments[0], CultureInfo.InvariantCulture) : 5;
        var directory = Path.Combine(Path.GetTempPath(), "tansu-group-" + Guid.NewGuid().ToString("N"));
        try
        {
            await MeasureAsync("file", $"file://{directory}", -1, rounds);
        }
        finally
        {
            Directory.Delete(directory, recursive: true);
        }

        using var server = SlowS3.Start();
        Console.WriteLine($"one PUT of 16 KiB: p50 {await SlowS3.PutMsAsync():F1} ms ({SlowS3.DelayMs} ms of every request added)");
        await MeasureAsync("s3", "s3://test/group-join", 50, rounds);
        return 0;
    }

    private static async Task MeasureAsync(string name, string storageEngine, int commitInterval, int rounds)
    {
        await using var broker = await BrokerUnderTest.StartAsync(storageEngine, 3, commitInterval);
        Produce(broker.Port);
        // What the first client of a process loads, and the broker compiles, is not what is measured.
        Consume(broker.Port, "warm-up", inGroup: true);
        var alone = new List<double>();
        var first = new List<double>();
        var again = new List<double>();
        for (var round = 0; round < rounds; round++)
        {
            alone.Add(Consume(broker.Port, "nobody", inGroup: false));
            first.Add(Consume(broker.Port, $"group-{round}", inGroup: true));
            again.Add(Consume(broker.Port, $"group-{round}", inGroup: true));
        }

        Console.WriteLine(
            $"{name}: to the first record: without a group {Medians.Of(alone):F0} ms; a new group {Medians.Of(first):F0} ms = {Medians.Of(first) / Medians.Of(alone):F1} times that "
            + $"(at most {first.Max():F0} ms); an empty group that comes back {Medians.Of(again):F0} ms = {Medians.Of(again) / Medians.Of(alone):F1} times");
    }

    private static void Produce(int port)
    {
        using var producer = new ProducerBuilder<Null, byte[]>(new ProducerConfig { BootstrapServers = $"127.0.0.1:{port}" }).SetLogHandler((_, _) => { }).Build();
        for (var index = 0; index < 3; index++)
        {
            producer.Produce(new TopicPartition(Topic, index), new Message<Null, byte[]> { Value = [1] });
        }

        producer.Flush(TimeSpan.FromSeconds(30));
    }

    /// <summary>Milliseconds from the consumer's first request to its first record. It commits nothing, and leaves.</summary>
    private static double Consume(int port, string group, bool inGroup)
    {
        var config = new ConsumerConfig
        {
            BootstrapServers = $"127.0.0.1:{port}",
            GroupId = group,
            AutoOffsetReset = AutoOffsetReset.Earliest,
            EnableAutoCommit = false,
        };
        using var consumer = new ConsumerBuilder<Ignore, byte[]>(config).SetLogHandler((_, _) => { }).Build();
        var begun = Stopwatch.GetTimestamp();
        if (inGroup)
        {
            consumer.Subscribe(Topic);
        }
        else
        {
            consumer.Assign(Enumerable.Range(0, 3).Select(static partition => new TopicPartitionOffset(Topic, partition, Offset.Beginning)));
        }

        if (consumer.Consume(TimeSpan.FromSeconds(60)) is null)
        {
            throw new InvalidOperationException($"no record came in group {group}");
        }

        var elapsed = Stopwatch.GetElapsedTime(begun).TotalMilliseconds;
        consumer.Close();
        return elapsed;
    }
}
