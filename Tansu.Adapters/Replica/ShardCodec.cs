using System.Collections.Immutable;
using Microsoft.FSharp.Collections;
using Tansu.Codec;
using Tansu.Codec.Storage;
using Tansu.Domain;

namespace Tansu.Adapters.Replica;

/// <summary>A shard's events, written down with the messages of <c>spec/storage</c>; its state is <see cref="ShardStateCodec"/>'s.</summary>
public sealed class ShardCodec : ILogCodec<ShardState, ShardEvent>
{
    /// <summary>First byte of an event; those of groups are <see cref="GroupCodec"/>'s, those of transactions <see cref="TransactionCodec"/>'s. A number is never used again for another event.</summary>
    internal enum EventType : sbyte
    {
        BatchAppended = 1,
        LogStartOffsetAdvanced = 2,
        TopicRemoved = 3,
        ProducersExpired = 4,
        RemovedTopicForgotten = 5,
        ObjectsCollected = 6,
        ChunksReplaced = 7,
        PageFreed = 8,
        GarbageForgotten = 9,
        CompactionClaimed = 10,
    }

    /// <inheritdoc/>
    public void WriteEvent(KafkaWriter writer, ShardEvent value)
    {
        switch (value)
        {
            case ShardEvent.BatchAppended appended:
                EventFrame.Write(writer, (sbyte)EventType.BatchAppended, ToStored(appended.batch));
                break;
            case ShardEvent.LogStartOffsetAdvanced advanced:
                EventFrame.Write(writer, (sbyte)EventType.LogStartOffsetAdvanced, new LogStartOffsetAdvancedEvent
                {
                    TopicId = advanced.partition.TopicId.Value,
                    Partition = advanced.partition.Partition,
                    LogStartOffset = advanced.logStartOffset,
                });
                break;
            case ShardEvent.TopicRemoved removed:
                EventFrame.Write(writer, (sbyte)EventType.TopicRemoved, new TopicRemovedEvent { TopicId = removed.topicId.Value });
                break;
            case ShardEvent.ProducersExpired expired:
                EventFrame.Write(writer, (sbyte)EventType.ProducersExpired, new ProducersExpiredEvent
                {
                    TopicId = expired.partition.TopicId.Value,
                    Partition = expired.partition.Partition,
                    ProducerIds = expired.producerIds,
                });
                break;
            case ShardEvent.RemovedTopicForgotten forgotten:
                EventFrame.Write(writer, (sbyte)EventType.RemovedTopicForgotten, new RemovedTopicForgottenEvent { TopicId = forgotten.topicId.Value });
                break;
            case ShardEvent.ObjectsCollected collected:
                EventFrame.Write(writer, (sbyte)EventType.ObjectsCollected, new ObjectsCollectedEvent { BeforeMs = collected.beforeMs });
                break;
            case ShardEvent.ChunksReplaced compacted:
                EventFrame.Write(writer, (sbyte)EventType.ChunksReplaced, CompactionCodec.ToStored(compacted.replaced));
                break;
            case ShardEvent.PageFreed page:
                EventFrame.Write(writer, (sbyte)EventType.PageFreed, CompactionCodec.ToStored(page.freed));
                break;
            case ShardEvent.GarbageForgotten garbage:
                EventFrame.Write(writer, (sbyte)EventType.GarbageForgotten, new GarbageForgottenEvent { Objects = garbage.objectNames });
                break;
            case ShardEvent.CompactionClaimed claimed:
                EventFrame.Write(writer, (sbyte)EventType.CompactionClaimed, new CompactionClaimedEvent { Broker = claimed.broker });
                break;
            case ShardEvent.GroupChanged changed:
                GroupCodec.WriteEvent(writer, changed.groupId, changed.@event);
                break;
            case ShardEvent.MarkerAppended marked:
                TransactionCodec.WriteMarker(writer, marked.marker);
                break;
            case ShardEvent.TransactionChanged changed:
                TransactionCodec.WriteEvent(writer, changed.transactionalId, changed.@event);
                break;
            default:
                throw new InvalidOperationException($"no stored form for event {value.Tag}");
        }
    }

    /// <inheritdoc/>
    public ShardEvent ReadEvent(ref KafkaReader reader)
    {
        var type = reader.ReadInt8();
        switch ((EventType)type)
        {
            case EventType.BatchAppended:
                return ShardEvent.NewBatchAppended(FromStored(EventFrame.Read<BatchAppendedEvent>(ref reader)));
            case EventType.LogStartOffsetAdvanced:
                var advanced = EventFrame.Read<LogStartOffsetAdvancedEvent>(ref reader);
                return ShardEvent.NewLogStartOffsetAdvanced(Key(advanced.TopicId, advanced.Partition), advanced.LogStartOffset);
            case EventType.TopicRemoved:
                return ShardEvent.NewTopicRemoved(TopicId.NewTopicId(EventFrame.Read<TopicRemovedEvent>(ref reader).TopicId));
            case EventType.ProducersExpired:
                var expired = EventFrame.Read<ProducersExpiredEvent>(ref reader);
                return ShardEvent.NewProducersExpired(Key(expired.TopicId, expired.Partition), expired.ProducerIds);
            case EventType.RemovedTopicForgotten:
                return ShardEvent.NewRemovedTopicForgotten(TopicId.NewTopicId(EventFrame.Read<RemovedTopicForgottenEvent>(ref reader).TopicId));
            case EventType.ObjectsCollected:
                return ShardEvent.NewObjectsCollected(EventFrame.Read<ObjectsCollectedEvent>(ref reader).BeforeMs);
            case EventType.ChunksReplaced:
                return ShardEvent.NewChunksReplaced(CompactionCodec.FromStored(EventFrame.Read<ChunksReplacedEvent>(ref reader)));
            case EventType.PageFreed:
                return ShardEvent.NewPageFreed(CompactionCodec.FromStored(EventFrame.Read<PageFreedEvent>(ref reader)));
            case EventType.GarbageForgotten:
                return ShardEvent.NewGarbageForgotten(EventFrame.Read<GarbageForgottenEvent>(ref reader).Objects);
            case EventType.CompactionClaimed:
                return ShardEvent.NewCompactionClaimed(EventFrame.Read<CompactionClaimedEvent>(ref reader).Broker);
            case >= (EventType)TransactionCodec.FirstType:
                return TransactionCodec.ReadEvent(type, ref reader);
            default:
                return GroupCodec.ReadEvent(type, ref reader);
        }
    }

    /// <inheritdoc/>
    public void WriteState(KafkaWriter writer, ShardState state) => EventFrame.WriteVersioned(writer, ShardStateCodec.ToStored(state));

    /// <inheritdoc/>
    public ShardState ReadState(ref KafkaReader reader) => ShardStateCodec.Read(ref reader);

    internal static TopicPartition Key(Guid topicId, int partition) => new(TopicId.NewTopicId(topicId), partition);

    private static BatchAppendedEvent ToStored(BatchAppended batch) => new()
    {
        TopicId = batch.Partition.TopicId.Value,
        Partition = batch.Partition.Partition,
        BaseOffset = batch.BaseOffset,
        LastOffsetDelta = batch.LastOffsetDelta,
        DataObject = batch.DataObject,
        Position = batch.Position,
        Length = batch.Length,
        MaxTimestampMs = batch.MaxTimestampMs,
        ProducerId = batch.ProducerId,
        ProducerEpoch = batch.ProducerEpoch,
        BaseSequence = batch.BaseSequence,
        Transaction = batch.Transaction,
    };

    private static BatchAppended FromStored(BatchAppendedEvent stored) => new(
        Key(stored.TopicId, stored.Partition),
        stored.BaseOffset,
        stored.LastOffsetDelta,
        stored.DataObject,
        stored.Position,
        stored.Length,
        stored.MaxTimestampMs,
        stored.ProducerId,
        stored.ProducerEpoch,
        stored.BaseSequence,
        stored.Transaction);
}
