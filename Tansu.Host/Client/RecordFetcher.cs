using System.Diagnostics;
using System.Runtime.CompilerServices;
using System.Runtime.ExceptionServices;
using System.Threading.Channels;
using Tansu.Codec;
using Tansu.Codec.Messages;
using Tansu.Codec.Records;

namespace Tansu.Host.Client;

/// <summary>
/// Reads partitions of one topic, from one loop for each broker that leads some; what one fetch brings waits while the next is under way.
/// Without <see cref="FetcherOptions.Follows"/> a partition is left where its end was when the first answer came.
/// </summary>
internal sealed class RecordFetcher(KafkaClient client, FetcherOptions options, IReadOnlyDictionary<int, long> from)
{
    // From version 13 on, topics are named by their ids.
    private const short HighestVersion = 12;

    private readonly Channel<FetchedBatches> _fetched = Channel.CreateBounded<FetchedBatches>(1);
    private readonly Dictionary<int, long> _positions = new(from);
    private readonly Dictionary<int, long> _ends = [];
    private readonly Dictionary<int, AbortedTransactions> _aborted = [];
    private readonly Lock _lock = new();
    private long _lastProgress = Stopwatch.GetTimestamp();

    /// <summary>What is read, in the order of its coming; each element is disposed by whoever takes it.</summary>
    /// <exception cref="KafkaClientException">A partition cannot be read, or no broker answers for longer than the client's timeout.</exception>
    public async IAsyncEnumerable<FetchedBatches> ReadAsync([EnumeratorCancellation] CancellationToken cancellationToken)
    {
        using var stop = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken);
        var reading = ReadAllAsync(stop.Token);
        try
        {
            await foreach (var fetched in _fetched.Reader.ReadAllAsync(cancellationToken))
            {
                yield return fetched;
            }
        }
        finally
        {
            await stop.CancelAsync();
            while (_fetched.Reader.TryRead(out var left))
            {
                left.Dispose();
            }

            await reading;
        }
    }

    // Never fails: the channel carries what went wrong.
    private async Task ReadAllAsync(CancellationToken cancellationToken)
    {
        try
        {
            var wait = client.Options.Backoff;
            while (Left().Count > 0)
            {
                try
                {
                    await ReadByLeaderAsync(cancellationToken);
                }
                catch (KafkaClientException failure) when (
                    failure.IsRetriable && Stopwatch.GetElapsedTime(Interlocked.Read(ref _lastProgress)) < client.Options.Timeout)
                {
                    await Task.Delay(wait, client.Options.TimeProvider, cancellationToken);
                    wait = wait * 2 < client.Options.MaxBackoff ? wait * 2 : client.Options.MaxBackoff;
                }
            }

            _fetched.Writer.Complete();
        }
        catch (Exception failure)
        {
            _fetched.Writer.Complete(failure);
        }
    }

    private List<int> Left()
    {
        lock (_lock)
        {
            var left = new List<int>();
            foreach (var (partition, position) in _positions)
            {
                if (!IsAtEnd(partition, position))
                {
                    left.Add(partition);
                }
            }

            return left;
        }
    }

    private bool IsAtEnd(int partition, long position) => !options.Follows && _ends.TryGetValue(partition, out var end) && position >= end;

    // Ends when all partitions are at their ends, or when one loop fails: then all begin anew, with the leaders of then.
    private async Task ReadByLeaderAsync(CancellationToken cancellationToken)
    {
        var metadata = await client.MetadataAsync([options.Topic], cancellationToken);
        using var stop = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken);
        var byLeader = new Dictionary<int, List<int>>();
        foreach (var partition in Left())
        {
            var leader = metadata.LeaderOf(options.Topic, partition);
            if (!byLeader.TryGetValue(leader, out var led))
            {
                byLeader.Add(leader, led = []);
            }

            led.Add(partition);
        }

        var loops = new List<Task>();
        foreach (var (leader, led) in byLeader)
        {
            loops.Add(ReadLeaderAsync(leader, led, stop.Token));
        }

        Exception? failure = null;
        while (loops.Count > 0)
        {
            var ended = await Task.WhenAny(loops);
            loops.Remove(ended);
            try
            {
                await ended;
            }
            catch (Exception first)
            {
                failure ??= first;
                await stop.CancelAsync();
            }
        }

        if (failure is not null)
        {
            ExceptionDispatchInfo.Throw(failure);
        }
    }

    private async Task ReadLeaderAsync(int leader, List<int> partitions, CancellationToken cancellationToken)
    {
        while (true)
        {
            var left = new List<FetchRequest.FetchPartition>();
            lock (_lock)
            {
                foreach (var partition in partitions)
                {
                    if (!IsAtEnd(partition, _positions[partition]))
                    {
                        left.Add(new FetchRequest.FetchPartition
                        {
                            Partition = partition,
                            FetchOffset = _positions[partition],
                            PartitionMaxBytes = options.MaxPartitionBytes,
                        });
                    }
                }
            }

            var asked = left.ToArray();
            if (asked.Length == 0)
            {
                return;
            }

            // The first of an answer gets the most: everyone's turn comes.
            Random.Shared.Shuffle(asked);
            var connection = await client.NodeAsync(leader, cancellationToken);
            var request = new FetchRequest
            {
                MaxWaitMs = options.MaxWaitMs,
                MinBytes = 1,
                MaxBytes = options.MaxBytes,
                IsolationLevel = options.IsReadCommitted ? (sbyte)1 : (sbyte)0,
                Topics = [new FetchRequest.FetchTopic { Topic = options.Topic, Partitions = asked }],
            };
            var startedAt = Stopwatch.GetTimestamp();
            var reply = await connection.AskPooledAsync<FetchRequest, FetchResponse>(
                request, connection.VersionOf<FetchRequest>(HighestVersion), cancellationToken);
            var fetched = new FetchedBatches(reply) { Ticks = Stopwatch.GetTimestamp() - startedAt };
            try
            {
                KafkaError.ThrowIf(reply.Message.ErrorCode);
                var failure = Take(reply.Message, fetched);
                Interlocked.Exchange(ref _lastProgress, Stopwatch.GetTimestamp());
                await _fetched.Writer.WriteAsync(fetched, cancellationToken);
                fetched = null;
                if (failure is not null)
                {
                    await RecoverAsync(failure.PartitionIndex, new KafkaError(failure.ErrorCode), cancellationToken);
                }
            }
            finally
            {
                fetched?.Dispose();
            }
        }
    }

    // Null, or one of the partitions that failed; what the others brought is taken.
    private FetchResponse.PartitionData? Take(FetchResponse response, FetchedBatches fetched)
    {
        FetchResponse.PartitionData? failed = null;
        foreach (var topic in response.Responses)
        {
            foreach (var answer in topic.Partitions)
            {
                if (answer.ErrorCode != ErrorCode.None)
                {
                    failed = answer;
                    continue;
                }

                lock (_lock)
                {
                    Take(answer, fetched);
                }
            }
        }

        return failed;
    }

    private void Take(FetchResponse.PartitionData answer, FetchedBatches fetched)
    {
        var partition = answer.PartitionIndex;
        var end = options.IsReadCommitted && answer.LastStableOffset >= 0 ? answer.LastStableOffset : answer.HighWatermark;
        _ends.TryAdd(partition, end);
        if (!_aborted.TryGetValue(partition, out var aborted))
        {
            _aborted.Add(partition, aborted = new AbortedTransactions());
        }

        aborted.Begin(options.IsReadCommitted ? answer.AbortedTransactions : null);
        var from = _positions[partition];
        var records = answer.Records.Joined();
        foreach (var entry in new RecordBatches(records))
        {
            var header = entry.Header;
            if (header.LastOffset < _positions[partition])
            {
                continue;
            }

            var batch = records.Slice(entry.Position, entry.TotalLength);
            fetched.Bytes += batch.Length;
            if (aborted.IsSeen(header, batch) && header.RecordCount > 0 && !IsAtEnd(partition, header.BaseOffset))
            {
                fetched.Batches.Add(new FetchedBatch(partition, header, batch, from));
            }

            _positions[partition] = header.LastOffset + 1;
        }

        fetched.Positions.Add(new FetchPosition(partition, _positions[partition]));
    }

    private async Task RecoverAsync(int partition, KafkaError error, CancellationToken cancellationToken)
    {
        var named = error with { Message = $"topic {options.Topic}, partition {partition}: {error.Message}" };
        if (error.Code != ErrorCode.OffsetOutOfRange)
        {
            throw new KafkaClientException(named);
        }

        // Retention has deleted records, or somebody gave an offset that is not there.
        var key = new TopicPartition(options.Topic, partition);
        var (earliest, failure) = (await new KafkaAdmin(client).ListOffsetsAsync(
            new Dictionary<TopicPartition, long> { [key] = KafkaAdmin.Earliest }, cancellationToken))[key];
        lock (_lock)
        {
            if (failure is not null || earliest <= _positions[partition])
            {
                throw new KafkaClientException(named);
            }

            options.OnNotice?.Invoke(
                $"topic {options.Topic}, partition {partition}: {earliest - _positions[partition]} records before offset {earliest} are gone");
            _positions[partition] = earliest;
        }
    }
}
