using System.Collections.Immutable;
using Microsoft.FSharp.Collections;
using Tansu.Codec;
using Tansu.Codec.Storage;
using Tansu.Domain;

namespace Tansu.Adapters.Replica;

/// <summary>A shard's state as its snapshot message, in an order that depends only on the state.</summary>
internal static class ShardStateCodec
{
    public static ShardSnapshot ToStored(ShardState state)
    {
        var objects = new ObjectTable();
        var partitions = new List<ShardSnapshot.Partition>(state.Partitions.Count);
        foreach (var (key, partition) in Ordered(state.Partitions))
        {
            partitions.Add(ToStored(key, partition, objects));
        }

        var removed = new List<ShardSnapshot.RemovedTopic>(state.RemovedTopics.Count);
        foreach (var (topicId, removedAtMs) in state.RemovedTopics)
        {
            removed.Add(new ShardSnapshot.RemovedTopic { TopicId = topicId.Value, RemovedAtMs = removedAtMs });
        }

        removed.Sort(static (left, right) => left.TopicId.CompareTo(right.TopicId));
        return new ShardSnapshot
        {
            DataObjects = objects.Names(),
            Partitions = [.. partitions],
            RemovedTopics = [.. removed],
            ObjectsCollectedBeforeMs = state.ObjectsCollectedBeforeMs,
            Groups = GroupStateCodec.ToStored(state.Groups),
            Transactions = TransactionStateCodec.ToStored(state.Transactions),
        };
    }

    public static ShardState FromStored(ShardSnapshot stored)
    {
        var partitions = ImmutableDictionary.CreateBuilder<TopicPartition, Partition>();
        foreach (var partition in stored.Partitions)
        {
            partitions.Add(ShardCodec.Key(partition.TopicId, partition.PartitionIndex), FromStored(partition, stored.DataObjects));
        }

        var removed = ImmutableDictionary.CreateBuilder<TopicId, long>();
        foreach (var topic in stored.RemovedTopics)
        {
            removed.Add(TopicId.NewTopicId(topic.TopicId), topic.RemovedAtMs);
        }

        return new ShardState(
            partitions.ToImmutable(),
            removed.ToImmutable(),
            GroupStateCodec.FromStored(stored.Groups),
            stored.ObjectsCollectedBeforeMs,
            TransactionStateCodec.FromStored(stored.Transactions));
    }

    private static List<KeyValuePair<TopicPartition, Partition>> Ordered(ImmutableDictionary<TopicPartition, Partition> partitions)
    {
        var ordered = new List<KeyValuePair<TopicPartition, Partition>>(partitions);
        ordered.Sort(static (left, right) =>
        {
            var byTopic = left.Key.TopicId.Value.CompareTo(right.Key.TopicId.Value);
            return byTopic != 0 ? byTopic : left.Key.Partition.CompareTo(right.Key.Partition);
        });
        return ordered;
    }

    private static ShardSnapshot.Partition ToStored(TopicPartition key, Partition partition, ObjectTable objects)
    {
        var chunks = new ShardSnapshot.Chunk[partition.Chunks.Count];
        var index = 0;
        foreach (var chunk in partition.Chunks)
        {
            chunks[index++] = new ShardSnapshot.Chunk
            {
                BaseOffset = chunk.BaseOffset,
                LastOffset = chunk.LastOffset,
                EntryNumber = chunk.Source.IsInlineEntry ? chunk.Source.entryNumber : 0,
                DataObjectIndex = chunk.Source.IsInlineEntry ? -1 : objects.IndexOf(chunk.Source.objectName!),
                Position = chunk.Position,
                Length = chunk.Length,
                MaxTimestampMs = chunk.MaxTimestampMs,
            };
        }

        var producers = new List<ShardSnapshot.Producer>(partition.Producers.Count);
        foreach (var (producerId, producer) in partition.Producers)
        {
            producers.Add(ToStored(producerId, producer));
        }

        producers.Sort(static (left, right) => left.ProducerId.CompareTo(right.ProducerId));
        return new ShardSnapshot.Partition
        {
            TopicId = key.TopicId.Value,
            PartitionIndex = key.Partition,
            LogStartOffset = partition.LogStartOffset,
            HighWatermark = partition.HighWatermark,
            Chunks = chunks,
            Producers = [.. producers],
            OpenTransactions = TransactionStateCodec.ToStored(partition.OpenTransactions),
            AbortedTransactions = TransactionStateCodec.ToStored(partition.AbortedTransactions),
        };
    }

    private static ShardSnapshot.Producer ToStored(long producerId, Producer producer)
    {
        var batches = new List<ShardSnapshot.ProducerBatch>();
        foreach (var batch in producer.Batches)
        {
            batches.Add(new ShardSnapshot.ProducerBatch
            {
                BaseSequence = batch.BaseSequence,
                LastSequence = batch.LastSequence,
                BaseOffset = batch.BaseOffset,
            });
        }

        return new ShardSnapshot.Producer
        {
            ProducerId = producerId,
            ProducerEpoch = producer.Epoch,
            LastTimeMs = producer.LastTimeMs,
            EndedTransaction = producer.EndedTransaction,
            Batches = [.. batches],
        };
    }

    private static Partition FromStored(ShardSnapshot.Partition stored, string[] objects)
    {
        var chunks = ImmutableList.CreateBuilder<Chunk>();
        foreach (var chunk in stored.Chunks)
        {
            chunks.Add(new Chunk(
                chunk.BaseOffset,
                chunk.LastOffset,
                Source(chunk, objects),
                chunk.Position,
                chunk.Length,
                chunk.MaxTimestampMs));
        }

        var producers = ImmutableDictionary.CreateBuilder<long, Producer>();
        foreach (var producer in stored.Producers)
        {
            var batches = new List<ProducerBatch>(producer.Batches.Length);
            foreach (var batch in producer.Batches)
            {
                batches.Add(new ProducerBatch(batch.BaseSequence, batch.LastSequence, batch.BaseOffset));
            }

            producers.Add(producer.ProducerId, new Producer(
                producer.ProducerEpoch,
                ListModule.OfSeq(batches),
                producer.LastTimeMs,
                producer.EndedTransaction));
        }

        return new Partition(
            stored.LogStartOffset,
            stored.HighWatermark,
            chunks.ToImmutable(),
            producers.ToImmutable(),
            TransactionStateCodec.FromStored(stored.OpenTransactions),
            TransactionStateCodec.FromStored(stored.AbortedTransactions));
    }

    private static ChunkSource Source(ShardSnapshot.Chunk chunk, string[] objects)
    {
        if (chunk.DataObjectIndex < 0)
        {
            return ChunkSource.NewInlineEntry(chunk.EntryNumber);
        }

        return chunk.DataObjectIndex < objects.Length
            ? ChunkSource.NewDataObject(objects[chunk.DataObjectIndex])
            : throw new KafkaFormatException($"a chunk refers to data object {chunk.DataObjectIndex} of {objects.Length}");
    }

    /// <summary>Object names in the order in which they were first met.</summary>
    private sealed class ObjectTable
    {
        private readonly Dictionary<string, int> _indexes = [];

        public int IndexOf(string name)
        {
            if (!_indexes.TryGetValue(name, out var index))
            {
                index = _indexes.Count;
                _indexes.Add(name, index);
            }

            return index;
        }

        public string[] Names()
        {
            var names = new string[_indexes.Count];
            foreach (var (name, index) in _indexes)
            {
                names[index] = name;
            }

            return names;
        }
    }
}
