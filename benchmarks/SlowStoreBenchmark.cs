using System.Diagnostics;
using System.Globalization;
using Confluent.Kafka;

namespace Tansu.Benchmarks;

/// <summary>
/// A broker on a real S3 server to which every request takes 30 ms longer: what producers see, as multiples of one PUT in the same
/// run.
/// </summary>
internal static class SlowStoreBenchmark
{
    private const int RecordBytes = 1024;
    private const int Partitions = 128;
    private const int Producers = 8;

    /// <summary>Until then a producer connects, gets its id and learns of the topic: not what is measured.</summary>
    private static readonly TimeSpan WarmUp = TimeSpan.FromSeconds(3);

    public static async Task<int> RunAsync(string[] arguments)
    {
        var seconds = arguments.Length > 0 ? int.Parse(arguments[0], CultureInfo.InvariantCulture) : 10;
        using var server = SlowS3.Start();
        var put = await SlowS3.PutMsAsync();
        Console.WriteLine($"one PUT of 16 KiB: p50 {put:F1} ms ({SlowS3.DelayMs} ms of them added)");
        foreach (var commitInterval in new[] { 0, 30, 50 })
        {
            Console.WriteLine($"--commit-interval {commitInterval}");
            await using (var single = await BrokerUnderTest.StartAsync($"s3://test/single-{commitInterval}", 1, commitInterval))
            {
                await LatencyAsync("one default idempotent producer, 1,000 records/s", single, 1000, TimeSpan.FromSeconds(seconds), put);
                await LatencyAsync("one default idempotent producer, as fast as it can", single, 0, TimeSpan.FromSeconds(seconds), put);
            }

            await using var broker = await BrokerUnderTest.StartAsync($"s3://test/slow-{commitInterval}", Partitions, commitInterval);
            var commits = broker.Commits;
            var frames = broker.SharedFrames(Producers, 16 * 1024, RecordBytes);
            var (bytes, elapsed) = await LoadGenerator.RunAsync(broker.Port, frames, 5, TimeSpan.FromSeconds(seconds));
            Console.WriteLine(
                $"  {Producers} producers, 5 requests in flight each, {Partitions / Producers} batches of 16 KiB in a request: {bytes / elapsed / 1e6:F0} MB/s, "
                + $"{(broker.Commits - commits) / elapsed:F1} commits/s, {bytes / elapsed / 1e6 * put / 1000:F1} MB in the time of one PUT");
        }

        return 0;
    }

    private static async Task LatencyAsync(string name, BrokerUnderTest broker, int perSecond, TimeSpan time, double put)
    {
        var latencies = new List<double>();
        time += WarmUp;
        var commits = broker.Commits;
        var begun = Stopwatch.GetTimestamp();
        await ProduceAsync(broker.Port, time, perSecond, latencies);
        var elapsed = (Stopwatch.GetElapsedTime(begun) - WarmUp).TotalSeconds;
        latencies.Sort();
        var p50 = latencies[latencies.Count / 2];
        var p99 = latencies[(int)(latencies.Count * 0.99)];
        Console.WriteLine(
            $"  {name}: p50 {p50:F0} ms = {p50 / put:F1} PUTs, p99 {p99:F0} ms = {p99 / put:F1} PUTs, "
            + $"{latencies.Count / elapsed:F0} records/s, {(broker.Commits - commits) / (elapsed + WarmUp.TotalSeconds):F1} commits/s");
    }

    /// <summary>Produces until the time is over and everything is acknowledged. 0 a second: as fast as the client takes them.</summary>
    private static Task<long> ProduceAsync(int port, TimeSpan time, int perSecond, List<double> latencies) => Task.Run(() =>
    {
        var config = new ProducerConfig { BootstrapServers = $"127.0.0.1:{port}", EnableIdempotence = true };
        using var producer = new ProducerBuilder<Null, byte[]>(config).SetLogHandler((_, _) => { }).Build();
        var value = new byte[RecordBytes];
        new Random(1).NextBytes(value);
        var begun = Stopwatch.GetTimestamp();
        long sent = 0;
        long acknowledged = 0;
        while (Stopwatch.GetElapsedTime(begun) is var now && now < time)
        {
            if (perSecond > 0 && sent >= now.TotalSeconds * perSecond)
            {
                producer.Poll(TimeSpan.FromMilliseconds(1));
                continue;
            }

            var sentAt = now;
            try
            {
                var at = Stopwatch.GetTimestamp();
                producer.Produce(
                    "bench",
                    new Message<Null, byte[]> { Value = value },
                    report =>
                    {
                        if (!report.Error.IsError)
                        {
                            Interlocked.Increment(ref acknowledged);
                            if (sentAt > WarmUp)
                            {
                                lock (latencies)
                                {
                                    latencies.Add(Stopwatch.GetElapsedTime(at).TotalMilliseconds);
                                }
                            }
                        }
                    });
                sent++;
            }
            catch (ProduceException<Null, byte[]> full) when (full.Error.Code == ErrorCode.Local_QueueFull)
            {
                producer.Poll(TimeSpan.FromMilliseconds(5));
            }
        }

        producer.Flush(TimeSpan.FromSeconds(60));
        return Interlocked.Read(ref acknowledged);
    });
}
