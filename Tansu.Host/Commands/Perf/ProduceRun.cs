using System.Diagnostics;
using System.Threading.Channels;
using Tansu.Codec.Records;
using Tansu.Host.Client;
using Tansu.Host.CommandLine;
using Tansu.Host.Commands.Records;

namespace Tansu.Host.Commands.Perf;

/// <summary>
/// Several producers that write as fast as they can, or as they are told. Each fills a few batches once and sends them again and again, with
/// new sequence numbers and timestamps: what is measured is the cluster, and no work for each record.
/// </summary>
/// <param name="options">How to reach the cluster: each producer has connections of its own.</param>
/// <param name="task">What to do.</param>
/// <param name="meter">Counts what was acknowledged.</param>
internal sealed class ProduceRun(ClientOptions options, PerfTask task, PerfMeter meter)
{
    private readonly CompressionCodec _codec = Codecs.Named(task.Compression);

    private double RatePerClient => task.RecordsPerSecond / task.Clients;

    /// <summary>Writes everything.</summary>
    /// <returns>How many records were given up.</returns>
    /// <exception cref="KafkaClientException">A producer has failed for good.</exception>
    public async Task<long> RunAsync(CancellationTokenSource stop)
    {
        var clients = Enumerable.Range(0, task.Clients).Select(_ => new KafkaClient(options)).ToArray();
        try
        {
            var begin = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
            var ready = new CountdownEvent(task.Clients);
            Task<long>[] running = [.. clients.Select((client, index) => Task.Run(() => ProduceAsync(client, index, ready, begin.Task, stop)))];
            await Task.WhenAny(Task.Run(ready.Wait), Task.WhenAll(running));
            meter.Start();
            if (task.DurationMs >= 0)
            {
                stop.CancelAfter(TimeSpan.FromMilliseconds(task.DurationMs));
            }

            begin.SetResult();
            return (await Task.WhenAll(running)).Sum();
        }
        finally
        {
            foreach (var client in clients)
            {
                await client.DisposeAsync();
            }
        }
    }

    private async Task<long> ProduceAsync(KafkaClient client, int index, CountdownEvent ready, Task begin, CancellationTokenSource stop)
    {
        var free = Channel.CreateUnbounded<ProducerBatch>();
        var producerOptions = new ProducerOptions
        {
            Topic = task.Topic,
            Acks = (short)task.Acks,
            Codec = _codec,
            InFlight = task.InFlight,
            TransactionalId = task.TransactionRecords > 0 ? $"tansu-perf-{Guid.NewGuid():N}" : null,
        };
        var isReady = false;
        try
        {
            await using var producer = await RecordProducer.OpenAsync(client, producerOptions, batch => Finish(batch, free.Writer), stop.Token);
            var perBatch = FillBatches(free.Writer);
            ready.Signal();
            isReady = true;
            await begin;
            await SendAllAsync(producer, free.Reader, perBatch, index, stop.Token);
            await producer.EndTransactionAsync(isCommit: true, CancellationToken.None);
            return producer.Failure is null ? producer.Lost : throw producer.Failure;
        }
        catch (KafkaClientException)
        {
            // One is enough to know that it does not work.
            await stop.CancelAsync();
            throw;
        }
        finally
        {
            // The others wait for all to be ready.
            if (!isReady)
            {
                ready.Signal();
            }
        }
    }

    private async Task SendAllAsync(
        RecordProducer producer, ChannelReader<ProducerBatch> free, int perBatch, int index, CancellationToken cancellationToken)
    {
        var share = task.Records < 0 ? long.MaxValue : (task.Records / task.Clients) + (index < task.Records % task.Clients ? 1 : 0);
        var startedAt = Stopwatch.GetTimestamp();
        var partition = index;
        var sent = 0L;
        var inTransaction = 0L;
        try
        {
            while (sent < share)
            {
                cancellationToken.ThrowIfCancellationRequested();
                var dueAt = await WaitUntilDueAsync(startedAt, sent, cancellationToken);
                var count = (int)Math.Min(perBatch, share - sent);
                count = task.TransactionRecords > 0 ? (int)Math.Min(count, task.TransactionRecords - inTransaction) : count;
                var batch = count == perBatch ? await free.ReadAsync(cancellationToken) : Fill(count, Random.Shared);
                batch.Partition = partition++ % producer.PartitionCount;
                batch.StartedAt = dueAt;
                batch.Writer.MoveTo(options.TimeProvider.GetUtcNow().ToUnixTimeMilliseconds());
                await producer.SendAsync(batch, cancellationToken);
                sent += count;
                inTransaction += count;
                if (task.TransactionRecords > 0 && inTransaction == task.TransactionRecords)
                {
                    await producer.EndTransactionAsync(isCommit: true, CancellationToken.None);
                    inTransaction = 0;
                }
            }
        }
        catch (OperationCanceledException)
        {
            // Time is up, or somebody says stop: what was sent is waited for.
        }

        await producer.FlushAsync(CancellationToken.None);
    }

    // When the next batch should go, by the clock of latencies; 0 for at once. A batch that goes late has waited since then.
    private async ValueTask<long> WaitUntilDueAsync(long startedAt, long sent, CancellationToken cancellationToken)
    {
        if (RatePerClient <= 0)
        {
            return 0;
        }

        var dueAt = startedAt + (long)(sent / RatePerClient * Stopwatch.Frequency);
        var wait = Stopwatch.GetElapsedTime(Stopwatch.GetTimestamp(), dueAt);
        if (wait > TimeSpan.Zero)
        {
            await Task.Delay(wait, cancellationToken);
        }

        return Math.Max(1, dueAt);
    }

    private int FillBatches(ChannelWriter<ProducerBatch> free)
    {
        var random = new Random();
        using var sample = Fill(1, random);
        var one = sample.Writer.UncompressedBytes - RecordBatchHeader.Length;
        // Later records have longer offsets.
        var most = Math.Max(1, (task.BatchBytes - RecordBatchHeader.Length) / (one + 2));
        var perBatch = RatePerClient > 0 ? (int)Math.Clamp(RatePerClient * task.LingerMs / 1000, 1, most) : most;
        if (task.TransactionRecords > 0)
        {
            perBatch = (int)Math.Min(perBatch, task.TransactionRecords);
        }

        for (var i = 0; i <= task.InFlight; i++)
        {
            free.TryWrite(Fill(perBatch, random));
        }

        return perBatch;
    }

    // Letters, as Kafka's own tool writes: a codec finds something to do in them.
    private ProducerBatch Fill(int records, Random random)
    {
        var batch = new ProducerBatch(_codec);
        var value = new byte[task.RecordSize];
        for (var i = 0; i < records; i++)
        {
            random.GetItems("ABCDEFGHIJKLMNOPQRSTUVWXYZ"u8, value);
            batch.Writer.Append(0, null, value, []);
        }

        return batch;
    }

    private void Finish(ProducerBatch batch, ChannelWriter<ProducerBatch> free)
    {
        if (!batch.IsLost)
        {
            var from = batch.StartedAt > 0 ? batch.StartedAt : batch.SentAt;
            meter.Add(batch.Writer.RecordCount, (long)batch.Writer.RecordCount * task.RecordSize, Stopwatch.GetTimestamp() - from);
        }

        free.TryWrite(batch);
    }
}
