using System.Collections;
using System.Collections.Immutable;
using Microsoft.FSharp.Core;
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
        var deadPages = ToStored(state.DeadPages, objects);

        // The rest are objects that only pages list.
        foreach (var name in state.Objects.Keys.Order(StringComparer.Ordinal))
        {
            objects.IndexOf(name);
        }

        var names = objects.Names();
        var claim = state.Compactor.IsSome ? state.Compactor.Value : default;
        return new ShardSnapshot
        {
            DataObjects = names,
            ObjectReferences = Array.ConvertAll(names, name => state.Objects.GetValueOrDefault(name)),
            Garbage =
            [
                .. state.Garbage.OrderBy(static item => item.Key, StringComparer.Ordinal)
                    .Select(static item => new ShardSnapshot.GarbageObject { Name = item.Key, SinceMs = item.Value }),
            ],
            DeadPages = deadPages,
            CompactorBroker = claim.Broker,
            CompactorAtMs = claim.AtMs,
            Partitions = [.. partitions],
            RemovedTopics = [.. removed],
            ObjectsCollectedBeforeMs = state.ObjectsCollectedBeforeMs,
            Groups = GroupStateCodec.ToStored(state.Groups),
            Transactions = TransactionStateCodec.ToStored(state.Transactions),
        };
    }

    /// <summary>Reads a snapshot message, of which partitions and groups, most of it, are made one at a time: what they are stored as is dropped at once.</summary>
    /// <exception cref="KafkaFormatException">The version is unknown or the bytes are damaged.</exception>
    public static ShardState Read(ref KafkaReader reader)
    {
        var partitions = new List<KeyValuePair<TopicPartition, Partition>>();
        var groups = new List<KeyValuePair<string, Group>>();
        var stored = ShardSnapshot.Read(
            ref reader,
            reader.ReadInt8(),
            (message, partition) =>
                partitions.Add(KeyValuePair.Create(ShardCodec.Key(partition.TopicId, partition.PartitionIndex), FromStored(partition, message.DataObjects))),
            (_, group) => groups.Add(KeyValuePair.Create(group.GroupId, GroupStateCodec.FromStored(group))));
        return FromStored(stored, PartitionTable.CreateRange(partitions), HashTree.Of(groups.ToArray()));
    }

    private static ShardState FromStored(ShardSnapshot stored, PartitionTable partitions, ImmutableDictionary<string, Group> groups)
    {
        var references = ImmutableDictionary.CreateBuilder<string, int>();
        if (stored.ObjectReferences.Length == 0)
        {
            CountReferences(partitions, references);
        }

        for (var index = 0; index < stored.ObjectReferences.Length; index++)
        {
            references.Add(ObjectTable.NameOf(stored.DataObjects, index), stored.ObjectReferences[index]);
        }

        var garbage = ImmutableDictionary.CreateBuilder<string, long>();
        foreach (var item in stored.Garbage)
        {
            garbage.Add(item.Name, item.SinceMs);
        }

        var removed = ImmutableDictionary.CreateBuilder<TopicId, long>();
        foreach (var topic in stored.RemovedTopics)
        {
            removed.Add(TopicId.NewTopicId(topic.TopicId), topic.RemovedAtMs);
        }

        return new ShardState(
            partitions,
            removed.ToImmutable(),
            groups,
            stored.ObjectsCollectedBeforeMs,
            references.ToImmutable(),
            garbage.ToImmutable(),
            FromStored(stored.DeadPages, stored.DataObjects),
            stored.CompactorAtMs == 0
                ? FSharpValueOption<CompactorClaim>.ValueNone
                : FSharpValueOption<CompactorClaim>.NewValueSome(new CompactorClaim(stored.CompactorBroker, stored.CompactorAtMs)),
            TransactionStateCodec.FromStored(stored.Transactions));
    }

    /// <summary>Snapshots from before version 3 count nothing; there were no pages then.</summary>
    private static void CountReferences(PartitionTable partitions, ImmutableDictionary<string, int>.Builder references)
    {
        foreach (var (_, partition) in partitions)
        {
            foreach (var chunk in partition.Chunks)
            {
                if (chunk.Source.ObjectName is { } name)
                {
                    references[name] = references.GetValueOrDefault(name) + 1;
                }
            }
        }
    }

    private static List<KeyValuePair<TopicPartition, Partition>> Ordered(PartitionTable partitions)
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
        // The names are written before what refers to them.
        foreach (var chunk in partition.Chunks)
        {
            if (chunk.Source.ObjectName is { } name)
            {
                objects.IndexOf(name);
            }
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
            Pages = ToStored(partition.Pages, objects),
            Chunks = new StoredChunks(partition.Chunks, objects),
            Producers = [.. producers],
            CleanedToOffset = partition.CleanedToOffset,
            OpenTransactions = TransactionStateCodec.ToStored(partition.OpenTransactions),
            AbortedTransactions = TransactionStateCodec.ToStored(partition.AbortedTransactions),
        };
    }

    private static ShardSnapshot.Producer ToStored(long producerId, Producer producer) => new()
    {
        ProducerId = producerId,
        ProducerEpoch = producer.Epoch,
        LastTimeMs = producer.LastTimeMs,
        EndedTransaction = producer.EndedTransaction,
        Batches = Array.ConvertAll(producer.Batches, static batch => new ShardSnapshot.ProducerBatch
        {
            BaseSequence = batch.BaseSequence,
            LastSequence = batch.LastSequence,
            BaseOffset = batch.BaseOffset,
        }),
    };

    private static Partition FromStored(ShardSnapshot.Partition stored, string[] objects)
    {
        var chunks = new Chunk[stored.Chunks.Count];
        var index = 0;
        foreach (var chunk in stored.Chunks)
        {
            chunks[index++] = new Chunk(
                chunk.BaseOffset, chunk.LastOffset, Source(chunk, objects), chunk.Position, chunk.Length, chunk.MaxTimestampMs);
        }

        var producers = HashTree.Of(Array.ConvertAll(
            stored.Producers,
            static producer => KeyValuePair.Create(producer.ProducerId, FromStored(producer))));
        return new Partition(
            stored.LogStartOffset,
            stored.HighWatermark,
            FromStored(stored.Pages, objects),
            ChunkList.CreateRange(chunks),
            stored.CleanedToOffset,
            producers,
            TransactionStateCodec.FromStored(stored.OpenTransactions),
            TransactionStateCodec.FromStored(stored.AbortedTransactions));
    }

    private static Producer FromStored(ShardSnapshot.Producer stored)
    {
        var batches = new ProducerBatch[stored.Batches.Count];
        var index = 0;
        foreach (var batch in stored.Batches)
        {
            batches[index++] = new ProducerBatch(batch.BaseSequence, batch.LastSequence, batch.BaseOffset);
        }

        return new Producer(stored.ProducerEpoch, batches, stored.LastTimeMs, stored.EndedTransaction);
    }

    private static ShardSnapshot.Page[] ToStored(ImmutableList<IndexPage> pages, ObjectTable objects)
    {
        var stored = new ShardSnapshot.Page[pages.Count];
        var index = 0;
        foreach (var page in pages)
        {
            stored[index++] = new ShardSnapshot.Page
            {
                BaseOffset = page.BaseOffset,
                LastOffset = page.LastOffset,
                Object = objects.IndexOf(page.ObjectName),
                Position = page.Position,
                Length = page.Length,
                ChunkCount = page.ChunkCount,
                RecordBytes = page.RecordBytes,
                MaxTimestampMs = page.MaxTimestampMs,
            };
        }

        return stored;
    }

    private static ImmutableList<IndexPage> FromStored(ShardSnapshot.Page[] stored, string[] objects)
    {
        var pages = new IndexPage[stored.Length];
        for (var index = 0; index < pages.Length; index++)
        {
            var page = stored[index];
            pages[index] = new IndexPage(
                page.BaseOffset,
                page.LastOffset,
                ObjectTable.NameOf(objects, page.Object),
                page.Position,
                page.Length,
                page.ChunkCount,
                page.RecordBytes,
                page.MaxTimestampMs);
        }

        return [.. pages];
    }

    private static ChunkSource Source(ShardSnapshot.Chunk chunk, string[] objects) => chunk.DataObjectIndex < 0
        ? ChunkSource.NewInlineEntry(chunk.EntryNumber)
        : CompactionCodec.Source(ObjectTable.NameOf(objects, chunk.DataObjectIndex), chunk.IsSegment);

    /// <summary>
    /// Chunks as they are stored, each made when it is written. Of a busy log a snapshot has tens of thousands, several times a minute; as objects, all there
    /// at once, they would live just long enough to end up in the oldest generation.
    /// </summary>
    private sealed class StoredChunks(ChunkList chunks, ObjectTable objects) : IReadOnlyCollection<ShardSnapshot.Chunk>
    {
        public int Count => chunks.Count;

        public IEnumerator<ShardSnapshot.Chunk> GetEnumerator()
        {
            foreach (var chunk in chunks)
            {
                yield return new ShardSnapshot.Chunk
                {
                    BaseOffset = chunk.BaseOffset,
                    LastOffset = chunk.LastOffset,
                    EntryNumber = chunk.Source.IsInlineEntry ? chunk.Source.entryNumber : 0,
                    DataObjectIndex = chunk.Source.ObjectName is { } name ? objects.IndexOf(name) : -1,
                    IsSegment = chunk.Source.IsSegment,
                    Position = chunk.Position,
                    Length = chunk.Length,
                    MaxTimestampMs = chunk.MaxTimestampMs,
                };
            }
        }

        IEnumerator IEnumerable.GetEnumerator() => GetEnumerator();
    }
}
