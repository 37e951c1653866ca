using System.Diagnostics;
using Tansu.Codec.Records;
using Tansu.Host.Client;
using Tansu.Host.CommandLine;

namespace Tansu.Host.Commands.Records;

/// <summary>`tansu cat consume`: prints records.</summary>
internal sealed class ConsumeCommand(KafkaClient client, ConsumeTask task, Stream output, TextWriter errors)
{
    private static readonly TimeSpan CommitInterval = TimeSpan.FromSeconds(1);

    private readonly OutputBuffer _buffer = new(output);
    private readonly Dictionary<int, long> _toCommit = [];
    private readonly Dictionary<int, long> _passed = [];
    private RecordPrinter? _printer;
    private long _left = task.Count < 0 ? long.MaxValue : task.Count;

    /// <summary>Prints until the end, or until it is told to stop.</summary>
    /// <exception cref="KafkaClientException">The topic cannot be read.</exception>
    /// <exception cref="IOException">Standard output does not take it.</exception>
    public async Task RunAsync(CancellationToken cancellationToken)
    {
        _printer = new RecordPrinter(task, _buffer);
        try
        {
            if (task.Group is { } group)
            {
                await RunInGroupAsync(group, cancellationToken);
            }
            else
            {
                var partitions = await PartitionsAsync(cancellationToken);
                await PrintAsync(await StartPositions.FindAsync(client, task.Topic, partitions, task.From, cancellationToken), null, cancellationToken);
            }
        }
        catch (OperationCanceledException) when (cancellationToken.IsCancellationRequested)
        {
            // Told to stop.
        }

        await _buffer.FlushAsync(CancellationToken.None);
    }

    private async Task<int[]> PartitionsAsync(CancellationToken cancellationToken)
    {
        var metadata = await client.RetryAsync(token => client.MetadataAsync([task.Topic], token), cancellationToken);
        try
        {
            var known = metadata.PartitionsOf(task.Topic);
            foreach (var partition in task.Partitions)
            {
                if (Array.IndexOf(known, partition) < 0)
                {
                    throw new KafkaClientException($"topic {task.Topic} has no partition {partition}", isRetriable: false);
                }
            }

            return task.Partitions.Length > 0 ? task.Partitions : known;
        }
        catch (KafkaClientException failure) when (failure.Error is { } error)
        {
            throw new KafkaClientException(error with { Message = $"topic {task.Topic}: {error.Message}" });
        }
    }

    private async Task RunInGroupAsync(string group, CancellationToken cancellationToken)
    {
        await PartitionsAsync(cancellationToken);
        await using var member = new ClassicMember(client.Options, group, task.Topic);
        try
        {
            while (true)
            {
                var partitions = await member.JoinAsync(cancellationToken);
                _toCommit.Clear();
                var from = await CommittedOrStartAsync(group, partitions, cancellationToken);
                if (!await PrintGenerationAsync(member, from, cancellationToken))
                {
                    return;
                }
            }
        }
        finally
        {
            await LeaveAsync(member);
        }
    }

    // True if the group rebalances.
    private async Task<bool> PrintGenerationAsync(ClassicMember member, IReadOnlyDictionary<int, long> from, CancellationToken cancellationToken)
    {
        using var generation = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken);
        var beating = BeatAsync(member, generation);
        var isOver = false;
        try
        {
            if (from.Count == 0 && task.Follows)
            {
                await Task.Delay(Timeout.Infinite, generation.Token);
            }

            await PrintAsync(from, member, generation.Token);
        }
        catch (OperationCanceledException) when (generation.IsCancellationRequested && !cancellationToken.IsCancellationRequested)
        {
            isOver = true;
        }
        finally
        {
            await generation.CancelAsync();
            await beating;
        }

        await _buffer.FlushAsync(cancellationToken);
        await CommitAsync(member, cancellationToken);
        return isOver;
    }

    // Cancels the generation when it is over.
    private static async Task BeatAsync(ClassicMember member, CancellationTokenSource generation)
    {
        try
        {
            await member.HeartbeatAsync(generation.Token);
            await generation.CancelAsync();
        }
        catch (OperationCanceledException)
        {
            // It was over already.
        }
        catch (KafkaClientException)
        {
            // Joining again will say why.
            await generation.CancelAsync();
        }
    }

    // What was printed is committed also by one that is told to stop, so that it does not come again.
    private async Task LeaveAsync(ClassicMember member)
    {
        using var limit = new CancellationTokenSource(TimeSpan.FromSeconds(5));
        try
        {
            await _buffer.FlushAsync(limit.Token);
            await CommitAsync(member, limit.Token);
            await member.LeaveAsync(limit.Token);
        }
        catch (Exception failure) when (failure is KafkaClientException or OperationCanceledException)
        {
            await errors.WriteLineAsync($"tansu: group {task.Group}: the last offsets may not be committed: {failure.Message}");
        }
        catch (IOException)
        {
            // Nobody has seen the last records, so they will come again.
        }
    }

    private async Task CommitAsync(ClassicMember member, CancellationToken cancellationToken)
    {
        if (_toCommit.Count > 0 && await member.CommitAsync(_toCommit, cancellationToken))
        {
            _toCommit.Clear();
        }
    }

    private async Task<IReadOnlyDictionary<int, long>> CommittedOrStartAsync(
        string group, IReadOnlyList<int> partitions, CancellationToken cancellationToken)
    {
        var committed = await new KafkaAdmin(client).CommittedOffsetsAsync(group, cancellationToken);
        var others = new List<int>();
        foreach (var partition in partitions)
        {
            if (!committed.ContainsKey(new TopicPartition(task.Topic, partition)))
            {
                others.Add(partition);
            }
        }

        var from = new Dictionary<int, long>(await StartPositions.FindAsync(client, task.Topic, others, task.From, cancellationToken));
        foreach (var partition in partitions)
        {
            if (committed.TryGetValue(new TopicPartition(task.Topic, partition), out var offset))
            {
                from[partition] = offset.Offset;
            }
        }

        // What was printed and could not be committed while the group rebalanced does not come again.
        foreach (var partition in partitions)
        {
            if (_passed.TryGetValue(partition, out var passed) && passed > from[partition])
            {
                from[partition] = _toCommit[partition] = passed;
            }
        }

        return from;
    }

    private async Task PrintAsync(IReadOnlyDictionary<int, long> from, ClassicMember? member, CancellationToken cancellationToken)
    {
        if (_left == 0 || from.Count == 0)
        {
            return;
        }

        var options = new FetcherOptions
        {
            Topic = task.Topic,
            IsReadCommitted = task.IsReadCommitted,
            Follows = task.Follows,
            OnNotice = notice => errors.WriteLine($"tansu: {notice}"),
        };
        var committedAt = Stopwatch.GetTimestamp();
        await foreach (var fetched in new RecordFetcher(client, options, from).ReadAsync(cancellationToken))
        {
            using (fetched)
            {
                foreach (var batch in fetched.Batches)
                {
                    Print(batch);
                    if (_buffer.HasEnough)
                    {
                        await _buffer.FlushAsync(cancellationToken);
                    }

                    if (_left == 0)
                    {
                        return;
                    }
                }

                foreach (var position in fetched.Positions)
                {
                    Pass(position.Partition, position.Offset, from);
                }
            }

            await _buffer.FlushAsync(cancellationToken);
            if (member is not null && Stopwatch.GetElapsedTime(committedAt) >= CommitInterval)
            {
                await CommitAsync(member, cancellationToken);
                committedAt = Stopwatch.GetTimestamp();
            }
        }
    }

    private void Print(FetchedBatch batch)
    {
        try
        {
            using var records = new RecordReader(batch.Bytes);
            foreach (var record in records)
            {
                if (record.Offset < batch.FromOffset)
                {
                    continue;
                }

                _printer!.Print(batch.Partition, record);
                _toCommit[batch.Partition] = _passed[batch.Partition] = record.Offset + 1;
                if (--_left == 0)
                {
                    return;
                }
            }
        }
        catch (RecordFormatException malformed)
        {
            throw new KafkaClientException(
                $"topic {task.Topic}, partition {batch.Partition}, offset {batch.Header.BaseOffset}: {malformed.Message.TrimEnd('.')}", isRetriable: false);
        }
    }

    // Markers and aborted records at the end are behind the reader too.
    private void Pass(int partition, long offset, IReadOnlyDictionary<int, long> from)
    {
        if (offset > from[partition])
        {
            _toCommit[partition] = _passed[partition] = offset;
        }
    }
}
