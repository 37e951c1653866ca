using System.Collections.Concurrent;
using System.Diagnostics;
using System.Runtime.InteropServices;
using Tansu.Codec.Records;
using Tansu.Host.Client;
using Tansu.Host.CommandLine;

namespace Tansu.Host.Commands.Records;

/// <summary>`tansu cat produce`: a line is a record.</summary>
internal sealed class ProduceCommand(KafkaClient client, ProduceTask task, Stream input, TextWriter errors)
{
    private const int MaxLineBytes = 256 * 1024 * 1024;
    private const int MostMistakesTold = 10;

    private readonly ConcurrentQueue<ProducerBatch> _free = [];
    private readonly Dictionary<int, ProducerBatch> _open = [];
    private readonly CompressionCodec _codec = Codecs.Named(task.Compression);
    private long _oldestOpen;
    private long _mistakes;
    private int _inTurn;

    /// <summary>Writes all lines, and tells how many.</summary>
    /// <returns>Whether all were written.</returns>
    /// <exception cref="KafkaClientException">Nothing was written: there is no such topic, or no broker answers.</exception>
    public async Task<bool> RunAsync(CancellationToken cancellationToken)
    {
        var options = new ProducerOptions { Topic = task.Topic, Acks = (short)task.Acks, Codec = _codec, TransactionalId = task.TransactionalId };
        await using var producer = await RecordProducer.OpenAsync(client, options, Recycle, cancellationToken);
        _inTurn = Random.Shared.Next(producer.PartitionCount);
        if (task.Partition >= producer.PartitionCount)
        {
            throw new KafkaClientException($"topic {task.Topic} has no partition {task.Partition}", isRetriable: false);
        }

        var isWhole = false;
        try
        {
            isWhole = await SendLinesAsync(producer, cancellationToken);
            await SendOpenAsync(producer);
        }
        catch (KafkaClientException)
        {
            // Told below, when it is known what became of the rest.
        }

        await producer.FlushAsync(CancellationToken.None);
        var isWritten = producer.Failure is null && _mistakes == 0;
        if (task.TransactionalId is not null)
        {
            return await EndTransactionAsync(producer, isWritten && isWhole);
        }

        await errors.WriteLineAsync($"{Records(producer.Written)} written");
        if (producer.Failure is { } failure)
        {
            var lost = producer.Lost + _open.Values.Sum(batch => batch.Writer.RecordCount);
            await errors.WriteLineAsync($"tansu: topic {task.Topic}: {failure.Message}; {lost} records and what follows them were not written");
        }

        return isWritten;
    }

    private async Task<bool> EndTransactionAsync(RecordProducer producer, bool isCommit)
    {
        try
        {
            await producer.EndTransactionAsync(isCommit, CancellationToken.None);
        }
        catch (KafkaClientException failure)
        {
            var outcome = isCommit ? "whether the transaction counts is not known" : "the transaction was not written whole, and is aborted when its time is up";
            await errors.WriteLineAsync($"tansu: topic {task.Topic}: {outcome}: {failure.Message}");
            return false;
        }

        await errors.WriteLineAsync(isCommit ? $"{Records(producer.Written)} written in a transaction" : "0 records written: the transaction was aborted");
        if (producer.Failure is { } cause)
        {
            await errors.WriteLineAsync($"tansu: topic {task.Topic}: {cause.Message}");
        }

        return isCommit;
    }

    // False if it was told to stop before the end.
    private async Task<bool> SendLinesAsync(RecordProducer producer, CancellationToken cancellationToken)
    {
        var lines = new LineReader(input, MaxLineBytes);
        var parser = new RecordLines(task);
        var record = new ParsedRecord();
        while (true)
        {
            while (lines.TryNext(out var line))
            {
                try
                {
                    parser.Read(line, record);
                }
                catch (FormatException mistake)
                {
                    Tell($"line {lines.Number}: {mistake.Message}");
                    continue;
                }

                await AppendAsync(producer, record, lines.Number);
            }

            if (lines.IsAtEnd)
            {
                return true;
            }

            try
            {
                if (cancellationToken.IsCancellationRequested || !await FillAsync(producer, lines, cancellationToken))
                {
                    return false;
                }
            }
            catch (InvalidDataException mistake)
            {
                Tell(mistake.Message);
                return false;
            }
            catch (OperationCanceledException)
            {
                return false;
            }
        }
    }

    // What is there is sent when nothing more comes for a while, and when it has waited for long enough.
    private async Task<bool> FillAsync(RecordProducer producer, LineReader lines, CancellationToken cancellationToken)
    {
        var coming = lines.FillAsync(cancellationToken).AsTask();
        if (!coming.IsCompleted)
        {
            if (_open.Count > 0)
            {
                await Task.WhenAny(coming, Task.Delay(task.LingerMs, CancellationToken.None));
            }

            if (!coming.IsCompleted)
            {
                await SendOpenAsync(producer);
                // A read of a terminal cannot be cancelled.
                await Task.WhenAny(coming, Task.Delay(Timeout.Infinite, cancellationToken));
                if (!coming.IsCompleted)
                {
                    return false;
                }
            }
        }

        await coming;
        if (_open.Count > 0 && Stopwatch.GetElapsedTime(_oldestOpen).TotalMilliseconds > task.LingerMs)
        {
            await SendOpenAsync(producer);
        }

        return true;
    }

    private async ValueTask AppendAsync(RecordProducer producer, ParsedRecord record, long lineNumber)
    {
        var partition = PartitionOf(record, producer.PartitionCount);
        if (partition >= producer.PartitionCount)
        {
            Tell($"line {lineNumber}: topic {task.Topic} has no partition {partition}");
            return;
        }

        var bytes = RecordBatchWriter.MostBytesOf(
            record.Key?.Length ?? 0, record.Value?.Length ?? 0, CollectionsMarshal.AsSpan(record.Headers));
        if (_open.TryGetValue(partition, out var batch) && batch.Writer.UncompressedBytes + bytes > task.BatchBytes)
        {
            await SendAsync(producer, batch);
            batch = null;
        }

        batch ??= Open(partition);
        var timestampMs = record.TimestampMs >= 0 ? record.TimestampMs : client.Options.TimeProvider.GetUtcNow().ToUnixTimeMilliseconds();
        batch.Writer.Append(timestampMs, record.Key, record.Value, CollectionsMarshal.AsSpan(record.Headers));
        if (batch.Writer.UncompressedBytes >= task.BatchBytes)
        {
            await SendAsync(producer, batch);
        }
    }

    private int PartitionOf(ParsedRecord record, int partitionCount)
    {
        if (record.Partition >= 0)
        {
            return record.Partition;
        }

        if (task.Partition >= 0)
        {
            return task.Partition;
        }

        return record.Key is { } key ? Murmur2.PartitionOf(key.Span, partitionCount) : _inTurn % partitionCount;
    }

    private ProducerBatch Open(int partition)
    {
        if (!_free.TryDequeue(out var batch))
        {
            batch = new ProducerBatch(_codec);
        }

        if (_open.Count == 0)
        {
            _oldestOpen = Stopwatch.GetTimestamp();
        }

        batch.Partition = partition;
        _open.Add(partition, batch);
        return batch;
    }

    private async ValueTask SendOpenAsync(RecordProducer producer)
    {
        foreach (var batch in _open.Values.ToArray())
        {
            await SendAsync(producer, batch);
        }
    }

    // Not with the caller's token: what was read is written, also when somebody says stop.
    private async ValueTask SendAsync(RecordProducer producer, ProducerBatch batch)
    {
        await producer.SendAsync(batch, CancellationToken.None);
        _open.Remove(batch.Partition);
        // Records without keys go to one partition until a batch is full, then to the next.
        _inTurn = (_inTurn + 1) % producer.PartitionCount;
    }

    private static string Records(long count) => count == 1 ? "1 record" : $"{count} records";

    private void Recycle(ProducerBatch batch)
    {
        batch.Writer.Reset();
        _free.Enqueue(batch);
    }

    private void Tell(string mistake)
    {
        if (++_mistakes <= MostMistakesTold)
        {
            errors.WriteLine($"tansu: {mistake}");
        }
    }
}
