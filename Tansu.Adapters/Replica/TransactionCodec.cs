using Tansu.Codec;
using Tansu.Codec.Storage;
using Tansu.Domain;

namespace Tansu.Adapters.Replica;

/// <summary>
/// Events of transactions, written down with the messages of <c>spec/storage</c>: those of transactional ids, markers, and what groups
/// learn of transactions. Their types are numbered among the shard's.
/// </summary>
internal static class TransactionCodec
{
    /// <summary>The types from here on are this codec's.</summary>
    public const sbyte FirstType = (sbyte)EventType.ProducerInitialized;

    /// <summary>First byte of an event. A number is never used again for another event.</summary>
    internal enum EventType : sbyte
    {
        ProducerInitialized = 32,
        TransactionGrew = 33,
        TransactionPrepared = 34,
        TransactionCompleted = 35,
        TransactionalIdExpired = 36,
        MarkerAppended = 37,
        PendingOffsetsCommitted = 38,
        PendingOffsetsEnded = 39,
        GroupProducersForgotten = 40,
    }

    public static void WriteEvent(KafkaWriter writer, string transactionalId, TransactionEvent value)
    {
        switch (value)
        {
            case TransactionEvent.ProducerInitialized initialized:
                Write(writer, EventType.ProducerInitialized, new TransactionProducerInitializedEvent
                {
                    TransactionalId = transactionalId,
                    ProducerId = initialized.producer.ProducerId,
                    ProducerEpoch = initialized.producer.ProducerEpoch,
                    LastProducerId = initialized.producer.LastProducerId,
                    LastProducerEpoch = initialized.producer.LastProducerEpoch,
                    TimeoutMs = initialized.producer.TimeoutMs,
                });
                break;
            case TransactionEvent.TransactionGrew grew:
                Write(writer, EventType.TransactionGrew, ToStored(transactionalId, grew.added));
                break;
            case TransactionEvent.TransactionPrepared prepared:
                Write(writer, EventType.TransactionPrepared, new TransactionPreparedEvent
                {
                    TransactionalId = transactionalId,
                    IsCommit = prepared.prepared.IsCommit,
                    BumpsEpoch = prepared.prepared.BumpsEpoch,
                    ProducerEpoch = prepared.prepared.ProducerEpoch,
                    LastProducerEpoch = prepared.prepared.LastProducerEpoch,
                    NextProducerId = prepared.prepared.NextProducerId,
                });
                break;
            default:
                if (value.IsTransactionCompleted)
                {
                    Write(writer, EventType.TransactionCompleted, new TransactionCompletedEvent { TransactionalId = transactionalId });
                }
                else if (value.IsTransactionalIdExpired)
                {
                    Write(writer, EventType.TransactionalIdExpired, new TransactionalIdExpiredEvent { TransactionalId = transactionalId });
                }
                else
                {
                    throw new InvalidOperationException($"no stored form for transaction event {value.Tag}");
                }

                break;
        }
    }

    public static void WriteMarker(KafkaWriter writer, TransactionMarker marker) =>
        Write(writer, EventType.MarkerAppended, new TransactionMarkerAppendedEvent
        {
            TopicId = marker.Partition.TopicId.Value,
            Partition = marker.Partition.Partition,
            Offset = marker.Offset,
            DataObject = marker.DataObject,
            Position = marker.Position,
            Length = marker.Length,
            TimestampMs = marker.TimestampMs,
            ProducerId = marker.ProducerId,
            ProducerEpoch = marker.ProducerEpoch,
            Number = marker.Number,
            IsCommit = marker.IsCommit,
        });

    /// <summary>Writes an event of a group that is about a transaction; false if it is another one.</summary>
    public static bool TryWriteGroupEvent(KafkaWriter writer, string groupId, GroupEvent value)
    {
        switch (value)
        {
            case GroupEvent.PendingOffsetsCommitted committed:
                Write(writer, EventType.PendingOffsetsCommitted, ToStored(groupId, committed));
                return true;
            case GroupEvent.PendingOffsetsEnded ended:
                Write(writer, EventType.PendingOffsetsEnded, new GroupPendingOffsetsEndedEvent
                {
                    GroupId = groupId,
                    ProducerId = ended.producerId,
                    ProducerEpoch = ended.producerEpoch,
                    Number = ended.number,
                    IsCommit = ended.isCommit,
                });
                return true;
            case GroupEvent.GroupProducersForgotten forgotten:
                Write(writer, EventType.GroupProducersForgotten, new GroupProducersForgottenEvent
                {
                    GroupId = groupId,
                    ProducerIds = forgotten.producerIds,
                });
                return true;
            default:
                return false;
        }
    }

    /// <exception cref="KafkaFormatException">It is no event of transactions that is known, or it is damaged.</exception>
    public static ShardEvent ReadEvent(sbyte type, ref KafkaReader reader)
    {
        switch ((EventType)type)
        {
            case EventType.ProducerInitialized:
                var initialized = EventFrame.Read<TransactionProducerInitializedEvent>(ref reader);
                return Changed(initialized.TransactionalId, TransactionEvent.NewProducerInitialized(new InitializedProducer(
                    initialized.ProducerId,
                    initialized.ProducerEpoch,
                    initialized.LastProducerId,
                    initialized.LastProducerEpoch,
                    initialized.TimeoutMs)));
            case EventType.TransactionGrew:
                return FromStored(EventFrame.Read<TransactionGrewEvent>(ref reader));
            case EventType.TransactionPrepared:
                var prepared = EventFrame.Read<TransactionPreparedEvent>(ref reader);
                return Changed(prepared.TransactionalId, TransactionEvent.NewTransactionPrepared(new PreparedTransaction(
                    prepared.IsCommit,
                    prepared.BumpsEpoch,
                    prepared.ProducerEpoch,
                    prepared.LastProducerEpoch,
                    prepared.NextProducerId)));
            case EventType.TransactionCompleted:
                return Changed(EventFrame.Read<TransactionCompletedEvent>(ref reader).TransactionalId, TransactionEvent.TransactionCompleted);
            case EventType.TransactionalIdExpired:
                return Changed(EventFrame.Read<TransactionalIdExpiredEvent>(ref reader).TransactionalId, TransactionEvent.TransactionalIdExpired);
            case EventType.MarkerAppended:
                return FromStored(EventFrame.Read<TransactionMarkerAppendedEvent>(ref reader));
            case EventType.PendingOffsetsCommitted:
                return FromStored(EventFrame.Read<GroupPendingOffsetsCommittedEvent>(ref reader));
            case EventType.PendingOffsetsEnded:
                var ended = EventFrame.Read<GroupPendingOffsetsEndedEvent>(ref reader);
                return ShardEvent.NewGroupChanged(
                    ended.GroupId,
                    GroupEvent.NewPendingOffsetsEnded(ended.ProducerId, ended.ProducerEpoch, ended.Number, ended.IsCommit));
            case EventType.GroupProducersForgotten:
                var forgotten = EventFrame.Read<GroupProducersForgottenEvent>(ref reader);
                return ShardEvent.NewGroupChanged(forgotten.GroupId, GroupEvent.NewGroupProducersForgotten(forgotten.ProducerIds));
            default:
                throw new KafkaFormatException($"it holds an event of unknown type {type}");
        }
    }

    private static void Write<T>(KafkaWriter writer, EventType type, T message)
        where T : IMessage<T> => EventFrame.Write(writer, (sbyte)type, message);

    private static ShardEvent Changed(string transactionalId, TransactionEvent value) => ShardEvent.NewTransactionChanged(transactionalId, value);

    private static TransactionGrewEvent ToStored(string transactionalId, AddedToTransaction added) => new()
    {
        TransactionalId = transactionalId,
        Number = added.Number,
        BumpsEpoch = added.BumpsEpoch,
        Partitions = Array.ConvertAll(added.Partitions, static placed => new TransactionGrewEvent.AddedPartition
        {
            TopicId = placed.Item1.TopicId.Value,
            Partition = placed.Item1.Partition,
            Shard = placed.Item2,
        }),
        Groups = Array.ConvertAll(added.Groups, static placed => new TransactionGrewEvent.AddedGroup { GroupId = placed.Item1, Shard = placed.Item2 }),
    };

    private static ShardEvent FromStored(TransactionGrewEvent stored) => Changed(
        stored.TransactionalId,
        TransactionEvent.NewTransactionGrew(new AddedToTransaction(
            stored.Number,
            stored.BumpsEpoch,
            Array.ConvertAll(stored.Partitions, static added => (ShardCodec.Key(added.TopicId, added.Partition), added.Shard)),
            Array.ConvertAll(stored.Groups, static added => (added.GroupId, added.Shard)))));

    private static ShardEvent FromStored(TransactionMarkerAppendedEvent stored) => ShardEvent.NewMarkerAppended(new TransactionMarker(
        ShardCodec.Key(stored.TopicId, stored.Partition),
        stored.Offset,
        stored.DataObject,
        stored.Position,
        stored.Length,
        stored.TimestampMs,
        stored.ProducerId,
        stored.ProducerEpoch,
        stored.Number,
        stored.IsCommit));

    private static GroupPendingOffsetsCommittedEvent ToStored(string groupId, GroupEvent.PendingOffsetsCommitted committed) => new()
    {
        GroupId = groupId,
        ProducerId = committed.producerId,
        ProducerEpoch = committed.producerEpoch,
        Number = committed.number,
        Offsets = Array.ConvertAll(committed.offsets, static offset => new GroupPendingOffsetsCommittedEvent.PendingOffset
        {
            TopicId = offset.Partition.TopicId.Value,
            Partition = offset.Partition.Partition,
            Offset = offset.Offset,
            LeaderEpoch = offset.LeaderEpoch,
            Metadata = offset.Metadata,
        }),
    };

    private static ShardEvent FromStored(GroupPendingOffsetsCommittedEvent stored) => ShardEvent.NewGroupChanged(
        stored.GroupId,
        GroupEvent.NewPendingOffsetsCommitted(
            stored.ProducerId,
            stored.ProducerEpoch,
            stored.Number,
            Array.ConvertAll(stored.Offsets, static offset => new OffsetToCommit(
                ShardCodec.Key(offset.TopicId, offset.Partition),
                offset.Offset,
                offset.LeaderEpoch,
                offset.Metadata))));
}
