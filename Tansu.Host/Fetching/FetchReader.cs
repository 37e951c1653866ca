using Tansu.Adapters;
using Tansu.Adapters.Ports;
using Tansu.Adapters.Reading;
using Tansu.Codec;
using Tansu.Codec.Messages;
using Tansu.Codec.Records;
using Tansu.Domain;

namespace Tansu.Host.Fetching;

/// <summary>Judges and reads the partitions of one fetch.</summary>
internal sealed class FetchReader(Broker broker, FetchScope scope, FetchRequest request)
{
    private const sbyte ReadCommitted = 1;

    /// <summary>How many partitions one fetch waits for at a time.</summary>
    private const int MaxPartitionsAtOnce = 64;

    /// <summary>How many of the partitions the client is behind in.</summary>
    private int _partitionsWithRecords;

    /// <summary>A read has failed because of it: what has not been asked for is left for the next fetch.</summary>
    private bool _isStoreAway;

    /// <summary>
    /// The store did not say in time what other brokers appended: an offset beyond the end that is known here may be a good one.
    /// </summary>
    public bool IsEndUnknown { get; set; }

    /// <summary>The most that the request may give.</summary>
    private int MaxBytes => Math.Min(request.MaxBytes, broker.Settings.FetchMaxBytes);

    /// <summary>Keeps what <see cref="ReadAsync(long, CancellationToken)"/> gives as it is; to be disposed when the answer has been sent.</summary>
    public RecordLease Lease { get; } = new();

    /// <summary>Looks the topics up in the newest catalog. False if one is not there.</summary>
    public bool FindTopics()
    {
        var found = true;
        foreach (var partition in scope.Partitions)
        {
            var key = partition.Key;
            partition.Topic = broker.FindTopic(key.TopicName is null, key.TopicId, key.TopicName);
            found &= partition.Topic is not null;
        }

        return found;
    }

    /// <summary>
    /// Whether there is reason to answer now: enough bytes, or an error. Reads nothing but the index, so that it can be asked again
    /// after every commit.
    /// </summary>
    public bool IsReady()
    {
        long readable = 0;
        var enough = Math.Min(request.MinBytes, MaxBytes);
        foreach (var partition in scope.Partitions)
        {
            if (Judge(partition, out var found) != ErrorCode.None)
            {
                return true;
            }

            readable += Readable(found.State, partition, EndOf(found.State));
            if (readable >= enough)
            {
                return true;
            }
        }

        return readable >= enough;
    }

    /// <summary>The shards of partitions that are asked for beyond the end that this broker knows: they may have grown elsewhere.</summary>
    public List<ClusterShard> ShardsBehind()
    {
        var behind = new List<ClusterShard>();
        foreach (var partition in scope.Partitions)
        {
            if (Judge(partition, out var found) == ErrorCode.OffsetOutOfRange
                && partition.FetchOffset > found.State.HighWatermark
                && !behind.Contains(found.Shard))
            {
                behind.Add(found.Shard);
            }
        }

        return behind;
    }

    /// <summary>The shards of all partitions that can be read.</summary>
    public List<ClusterShard> Shards()
    {
        var shards = new List<ClusterShard>();
        foreach (var partition in scope.Partitions)
        {
            if (Judge(partition, out var found) == ErrorCode.None && !shards.Contains(found.Shard))
            {
                shards.Add(found.Shard);
            }
        }

        return shards;
    }

    /// <summary>The partitions that a long poll listens to.</summary>
    public List<TopicPartition> Listened()
    {
        var listened = new List<TopicPartition>(scope.Partitions.Count);
        foreach (var partition in scope.Partitions)
        {
            if (partition.Topic is { } topic)
            {
                listened.Add(new TopicPartition(topic.Id, partition.Key.Partition));
            }
        }

        return listened;
    }

    /// <summary>
    /// How much memory reading will take: chunks are read as a whole, however little of one is wanted.
    /// </summary>
    public long BytesToHold()
    {
        _partitionsWithRecords = 0;
        long bytes = 0;
        foreach (var partition in scope.Partitions)
        {
            if (ChunkBytes(partition) is > 0 and var chunks)
            {
                _partitionsWithRecords++;
                bytes += bytes == 0 || bytes < MaxBytes ? chunks : 0;
            }
        }

        return bytes;
    }

    /// <summary>
    /// Reads every partition within the request's limits, side by side where the store is asked. The first that has records gives at least one
    /// batch (KIP-74).
    /// </summary>
    /// <param name="memoryBytes">What the records may take; 0 for an answer without any.</param>
    /// <param name="cancellationToken">Abandons the read.</param>
    public async ValueTask<FetchResponse> ReadAsync(long memoryBytes, CancellationToken cancellationToken)
    {
        var data = await ReadAllAsync(memoryBytes, cancellationToken);
        var answer = new FetchAnswer(scope);
        for (var index = 0; index < data.Length; index++)
        {
            answer.Add(scope.Partitions[index], data[index]);
        }

        return answer.Build();
    }

    private async ValueTask<FetchResponse.PartitionData[]> ReadAllAsync(long memoryBytes, CancellationToken cancellationToken)
    {
        var data = new FetchResponse.PartitionData[scope.Partitions.Count];
        var left = (int)Math.Min(memoryBytes, MaxBytes);
        long unpromised = left;
        var atLeastOneBatch = memoryBytes > 0;
        var underWay = new Queue<Reading>();
        try
        {
            for (var index = 0; index < data.Length; index++)
            {
                // If all is promised to some that cannot be read, it is for others.
                while (underWay.Count == MaxPartitionsAtOnce || (underWay.Count > 0 && unpromised <= 0 && atLeastOneBatch))
                {
                    await EndOldestAsync();
                }

                unpromised = underWay.Count == 0 ? left : unpromised;
                var limit = (int)Math.Max(0, Math.Min(scope.Partitions[index].MaxBytes, unpromised));
                var reading = ReadAsync(scope.Partitions[index], limit, atLeastOneBatch, cancellationToken);
                if (underWay.Count == 0 && reading.IsCompletedSuccessfully)
                {
                    Take(index, reading.Result);
                    continue;
                }

                var task = reading.AsTask();
                var promised = task.IsCompletedSuccessfully ? task.Result.Records.Length : ChunkBytes(scope.Partitions[index]);
                unpromised -= promised;
                underWay.Enqueue(new Reading(index, limit, promised, task));
            }

            while (underWay.Count > 0)
            {
                await EndOldestAsync();
            }
        }
        finally
        {
            foreach (var reading in underWay)
            {
                await reading.Task.Settled();
            }
        }

        return data;

        async ValueTask EndOldestAsync()
        {
            var (index, limit, promised, task) = underWay.Peek();
            var found = await task;
            underWay.Dequeue();
            if (!atLeastOneBatch && found.Records.Length > Math.Max(0, Math.Min(limit, left)))
            {
                // One batch at least, if those before it had given none. It stays in the cache.
                found.Records = RecordBytes.Empty;
                found.AbortedTransactions = found.AbortedTransactions is null ? null : [];
            }

            if (found.Records.Length == 0)
            {
                unpromised += promised;
            }

            Take(index, found);
        }

        void Take(int index, FetchResponse.PartitionData found)
        {
            data[index] = found;
            left -= found.Records.Length;
            atLeastOneBatch &= found.Records.Length == 0;
        }
    }

    /// <summary>Where reading ends: nothing undecided for those who want only committed records.</summary>
    private long EndOf(Partition state) =>
        request.IsolationLevel == ReadCommitted ? PartitionModule.lastStableOffset(state) : state.HighWatermark;

    /// <summary>What reading a partition takes: chunks are read as a whole, and no more than an index page lists.</summary>
    private long ChunkBytes(FetchPartition partition)
    {
        if (Judge(partition, out var found) != ErrorCode.None)
        {
            return 0;
        }

        var state = found.State;
        var endOffset = EndOf(state);
        if (partition.FetchOffset >= endOffset)
        {
            return 0;
        }

        if (PartitionModule.pagesBefore(partition.FetchOffset, state) is var page && page < state.Pages.Count)
        {
            // What the chunks there are like is not known before the page has been read; compactors make none larger.
            return state.Pages[page].BaseOffset < endOffset
                ? Math.Min(state.Pages[page].RecordBytes, (long)partition.MaxBytes + CompactionLimits.Default.MaxChunkBytes)
                : 0;
        }

        long bytes = 0;
        for (var index = state.Chunks.IndexOf(partition.FetchOffset);
            index < state.Chunks.Count && state.Chunks[index].BaseOffset < endOffset && (bytes == 0 || bytes < partition.MaxBytes);
            index++)
        {
            bytes += state.Chunks[index].Length;
        }

        return bytes;
    }

    private static long Readable(Partition state, FetchPartition partition, long endOffset)
    {
        // A chunk or page may begin before what is decided ends, and hold much that is not decided.
        if (partition.FetchOffset >= endOffset)
        {
            return 0;
        }

        var readable = PagedBytes(state, partition, endOffset);
        for (var index = state.Chunks.IndexOf(partition.FetchOffset);
            index < state.Chunks.Count && state.Chunks[index].BaseOffset < endOffset && readable < partition.MaxBytes;
            index++)
        {
            readable += state.Chunks[index].Length;
        }

        return Math.Min(readable, partition.MaxBytes);
    }

    /// <summary>The bytes in index pages that hold the offset or come after it, and begin before the end.</summary>
    private static long PagedBytes(Partition state, FetchPartition partition, long endOffset)
    {
        long bytes = 0;
        for (var index = PartitionModule.pagesBefore(partition.FetchOffset, state);
            index < state.Pages.Count && state.Pages[index].BaseOffset < endOffset && bytes < partition.MaxBytes;
            index++)
        {
            bytes += state.Pages[index].RecordBytes;
        }

        return bytes;
    }

    private ErrorCode Judge(FetchPartition partition, out Found found)
    {
        found = default;
        if (partition.Topic is not { } topic)
        {
            return partition.Key.TopicName is null ? ErrorCode.UnknownTopicId : ErrorCode.UnknownTopicOrPartition;
        }

        var index = partition.Key.Partition;
        if (!topic.Has(index) || !broker.Cluster.Catalog.TopicsById.ContainsKey(topic.Id))
        {
            return ErrorCode.UnknownTopicOrPartition;
        }

        if (LeaderEpochs.Judge(partition.CurrentLeaderEpoch) is var error and not ErrorCode.None)
        {
            return error;
        }

        var shard = broker.Cluster.ShardOf(topic, index);
        found = new Found(shard, shard.Partition(new TopicPartition(topic.Id, index)));
        if (partition.FetchOffset > found.State.HighWatermark)
        {
            // Out of range would make the consumer skip or repeat records; this makes it ask again.
            return IsEndUnknown ? ErrorCode.KafkaStorageError : ErrorCode.OffsetOutOfRange;
        }

        return partition.FetchOffset < found.State.LogStartOffset ? ErrorCode.OffsetOutOfRange : ErrorCode.None;
    }

    private async ValueTask<FetchResponse.PartitionData> ReadAsync(
        FetchPartition partition,
        int maxBytes,
        bool atLeastOneBatch,
        CancellationToken cancellationToken)
    {
        var error = Judge(partition, out var found);
        if (error != ErrorCode.None)
        {
            return Failed(partition, error);
        }

        try
        {
            var limits = new ReadLimits(maxBytes, atLeastOneBatch) { Partitions = _partitionsWithRecords };
            var records = RecordBytes.Empty;
            if (partition.FetchOffset < EndOf(found.State) && (maxBytes > 0 || atLeastOneBatch) && !_isStoreAway)
            {
                try
                {
                    records = await found.ReadAsync(partition.FetchOffset, EndOf(found.State), limits, Lease, cancellationToken);
                }
                catch (Exception missing) when (missing is EntryMissingException or BlobMissingException)
                {
                    // What an old state refers to may have been collected: the newest state refers to what replaced it.
                    await found.Shard.Replica.CatchUpAsync(broker.Settings.CatchUpTimeout);
                    if (Judge(partition, out found) is var changed and not ErrorCode.None)
                    {
                        return Failed(partition, changed);
                    }

                    records = await found.ReadAsync(partition.FetchOffset, EndOf(found.State), limits, Lease, cancellationToken);
                }
            }

            return new FetchResponse.PartitionData
            {
                PartitionIndex = partition.Key.Partition,
                HighWatermark = found.State.HighWatermark,
                LastStableOffset = PartitionModule.lastStableOffset(found.State),
                LogStartOffset = found.State.LogStartOffset,
                AbortedTransactions = request.IsolationLevel == ReadCommitted ? AbortedOf(found.State, partition, records) : null,
                Records = records,
            };
        }
        catch (Exception failure) when (RecordsReader.IsFailure(failure) || failure is TimeoutException)
        {
            _isStoreAway |= failure is StoreUnavailableException;
            broker.Log.Warning(
                "Cannot read {Topic}-{Partition} at offset {Offset}: {Reason:l}",
                partition.Topic?.Name,
                partition.Key.Partition,
                partition.FetchOffset,
                failure.Message);
            return Failed(partition, ErrorCode.KafkaStorageError);
        }
    }

    /// <summary>The aborted transactions that have records among those that are answered.</summary>
    private static FetchResponse.AbortedTransaction[] AbortedOf(Partition state, FetchPartition partition, RecordBytes records)
    {
        if (records.Length == 0 || state.AbortedTransactions.IsEmpty)
        {
            return [];
        }

        return Array.ConvertAll(
            PartitionModule.abortedBetween(partition.FetchOffset, EndOf(records), state),
            static aborted => new FetchResponse.AbortedTransaction { ProducerId = aborted.ProducerId, FirstOffset = aborted.FirstOffset });
    }

    /// <summary>The offset after the last of these.</summary>
    private static long EndOf(RecordBytes records)
    {
        var end = 0L;
        foreach (var batch in new RecordBatches(records[records.Count - 1]))
        {
            end = batch.Header.LastOffset + 1;
        }

        return end;
    }

    private static FetchResponse.PartitionData Failed(FetchPartition partition, ErrorCode error) => new()
    {
        PartitionIndex = partition.Key.Partition,
        ErrorCode = error,
        HighWatermark = -1,
        LastStableOffset = -1,
        LogStartOffset = -1,
        AbortedTransactions = null,
        Records = RecordBytes.Empty,
    };

    /// <summary>A partition's shard, and its state as first seen: one request sees one state.</summary>
    private readonly record struct Found(ClusterShard Shard, Partition State)
    {
        public ValueTask<RecordBytes> ReadAsync(long offset, long endOffset, ReadLimits limits, RecordLease lease, CancellationToken cancellationToken) =>
            Shard.Reader.ReadAsync(State, offset, endOffset, limits, lease, cancellationToken);
    }

    /// <summary>A partition that is being read: which one of the request's, the most it may give and read, and what it gives.</summary>
    private readonly record struct Reading(int Index, int Limit, long Promised, Task<FetchResponse.PartitionData> Task);
}
