using System.Buffers.Binary;
using System.Diagnostics;
using System.Security.Cryptography;
using Tansu.Codec.Records;
using Tansu.Host.Client;
using Tansu.Host.CommandLine;
using Tansu.Host.Commands.Records;

namespace Tansu.Host.Commands.Perf;

/// <summary>
/// Writes one record after another to partition 0 and waits for each until it is acknowledged and a consumer has it. Its key says
/// which it is, so that others may write too.
/// </summary>
/// <param name="client">The cluster, for the producer; the consumer has connections of its own.</param>
/// <param name="task">What to do.</param>
internal sealed class LatencyRun(KafkaClient client, PerfTask task)
{
    private const int Partition = 0;
    private const int RunBytes = 8;

    private readonly byte[] _run = RandomNumberGenerator.GetBytes(RunBytes);
    private readonly LatencyHistogram _produced = new();
    private volatile TaskCompletionSource<long> _acknowledged = New();
    private volatile TaskCompletionSource<long> _received = New();
    private long _waitedFor = -1;
    private long _producedTicks;
    private long _endToEndTicks;

    /// <summary>Measures, and answers.</summary>
    /// <exception cref="KafkaClientException">It could not go on.</exception>
    public async Task RunAsync(CommandOutput answer, TextWriter errors, CancellationTokenSource stop)
    {
        var meter = new PerfMeter(errors);
        var codec = Codecs.Named(task.Compression);
        var options = new ProducerOptions { Topic = task.Topic, Codec = codec, InFlight = 1 };
        await using var producer = await RecordProducer.OpenAsync(
            client, options, batch => _acknowledged.TrySetResult(Stopwatch.GetTimestamp()), stop.Token);
        await using var reading = new KafkaClient(client.Options);
        var from = await StartPositions.FindAsync(reading, task.Topic, [Partition], StartPosition.FromEnd, stop.Token);
        using var done = new CancellationTokenSource();
        var consuming = ConsumeAsync(reading, from, done.Token);
        Task telling = Task.CompletedTask;
        try
        {
            using var batch = new ProducerBatch(codec);
            // Opens the connections.
            await MeasureAsync(producer, batch, -1, consuming, stop.Token);
            meter.Start();
            telling = meter.TellAsync(done.Token);
            if (task.DurationMs >= 0)
            {
                stop.CancelAfter(TimeSpan.FromMilliseconds(task.DurationMs));
            }

            await MeasureAllAsync(producer, batch, meter, consuming, stop.Token);
        }
        catch (OperationCanceledException)
        {
            // Time is up, or somebody says stop.
        }
        finally
        {
            await done.CancelAsync();
            await telling;
        }

        meter.Finish();
        answer.Line($"{meter.Records} records, one after another");
        answer.Line($"until it is acknowledged: {PerfMeter.Describe(_produced)}");
        answer.Line($"until a consumer has it:  {PerfMeter.Describe(meter.Latency)}");
        answer.Document(json =>
        {
            json.WriteString("topic", task.Topic);
            json.WriteNumber("records", meter.Records);
            json.WriteNumber("seconds", Math.Round(meter.Seconds, 3));
            PerfCommand.WriteLatency(json, "produceMs", _produced);
            PerfCommand.WriteLatency(json, "endToEndMs", meter.Latency);
        });
    }

    private async Task MeasureAllAsync(
        RecordProducer producer, ProducerBatch batch, PerfMeter meter, Task consuming, CancellationToken cancellationToken)
    {
        var startedAt = Stopwatch.GetTimestamp();
        for (var index = 0L; task.Records < 0 || index < task.Records; index++)
        {
            cancellationToken.ThrowIfCancellationRequested();
            if (task.RecordsPerSecond > 0)
            {
                var wait = TimeSpan.FromSeconds(index / task.RecordsPerSecond) - Stopwatch.GetElapsedTime(startedAt);
                await Task.Delay(wait > TimeSpan.Zero ? wait : TimeSpan.Zero, cancellationToken);
            }

            await MeasureAsync(producer, batch, index, consuming, cancellationToken);
            _produced.Add((long)(_producedTicks * 1e6 / Stopwatch.Frequency), 1);
            meter.Add(1, task.RecordSize, _endToEndTicks);
        }
    }

    private async Task MeasureAsync(
        RecordProducer producer, ProducerBatch batch, long index, Task consuming, CancellationToken cancellationToken)
    {
        var acknowledged = _acknowledged = New();
        var received = _received = New();
        Interlocked.Exchange(ref _waitedFor, index);
        batch.Partition = Partition;
        batch.Writer.Reset();
        batch.Writer.Append(client.Options.TimeProvider.GetUtcNow().ToUnixTimeMilliseconds(), KeyOf(index), new byte[task.RecordSize], []);
        var startedAt = Stopwatch.GetTimestamp();
        await producer.SendAsync(batch, cancellationToken);
        var acknowledgedAt = await acknowledged.Task;
        if (producer.Failure is { } failure)
        {
            throw failure;
        }

        if (await Task.WhenAny(received.Task, consuming, Task.Delay(Timeout.Infinite, cancellationToken)) == consuming)
        {
            await consuming;
            throw new KafkaClientException("the consumer ended early", isRetriable: false);
        }

        cancellationToken.ThrowIfCancellationRequested();
        _producedTicks = acknowledgedAt - startedAt;
        _endToEndTicks = await received.Task - startedAt;
    }

    private async Task ConsumeAsync(KafkaClient reading, IReadOnlyDictionary<int, long> from, CancellationToken cancellationToken)
    {
        var options = new FetcherOptions { Topic = task.Topic, IsReadCommitted = false, Follows = true };
        try
        {
            await foreach (var fetched in new RecordFetcher(reading, options, from).ReadAsync(cancellationToken))
            {
                using (fetched)
                {
                    fetched.Batches.ForEach(Look);
                }
            }
        }
        catch (OperationCanceledException)
        {
            // It is over.
        }
    }

    private void Look(FetchedBatch batch)
    {
        using var records = new RecordReader(batch.Bytes);
        foreach (var record in records)
        {
            if (record.Key is { } key
                && key.Length == RunBytes + sizeof(long)
                && key.Span.StartsWith(_run)
                && BinaryPrimitives.ReadInt64BigEndian(key.Span[RunBytes..]) == Interlocked.Read(ref _waitedFor))
            {
                _received.TrySetResult(Stopwatch.GetTimestamp());
            }
        }
    }

    private byte[] KeyOf(long index)
    {
        var key = new byte[RunBytes + sizeof(long)];
        _run.CopyTo(key, 0);
        BinaryPrimitives.WriteInt64BigEndian(key.AsSpan(RunBytes), index);
        return key;
    }

    private static TaskCompletionSource<long> New() => new(TaskCreationOptions.RunContinuationsAsynchronously);
}
