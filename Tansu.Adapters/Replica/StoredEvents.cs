using Tansu.Codec;
using Tansu.Codec.Storage;

namespace Tansu.Adapters.Replica;

/// <summary>The stored form of every event by its type, for showing what a log holds.</summary>
internal static class StoredEvents
{
    /// <summary>Reads an event of the catalog.</summary>
    /// <exception cref="KafkaFormatException">The type or version is unknown, or the bytes are damaged.</exception>
    public static StoredEvent ReadCatalog(ref KafkaReader reader) => (CatalogCodec.EventType)reader.ReadInt8() switch
    {
        CatalogCodec.EventType.TopicCreated => Read<TopicCreatedEvent>(ref reader),
        CatalogCodec.EventType.TopicDeleted => Read<TopicDeletedEvent>(ref reader),
        CatalogCodec.EventType.TopicRemovalConfirmed => Read<TopicRemovalConfirmedEvent>(ref reader),
        CatalogCodec.EventType.PartitionsAdded => Read<PartitionsAddedEvent>(ref reader),
        CatalogCodec.EventType.TopicConfigsChanged => Read<TopicConfigsChangedEvent>(ref reader),
        CatalogCodec.EventType.ProducerIdsAllocated => Read<ProducerIdsAllocatedEvent>(ref reader),
        CatalogCodec.EventType.NodeRegistered => Read<NodeRegisteredEvent>(ref reader),
        CatalogCodec.EventType.NodeLeaseCut => Read<NodeLeaseCutEvent>(ref reader),
        CatalogCodec.EventType.OwnerConfigsChanged => Read<OwnerConfigsChangedEvent>(ref reader),
        var unknown => throw new KafkaFormatException($"its event of type {(sbyte)unknown} is not known"),
    };

    /// <summary>Reads an event of a shard.</summary>
    /// <exception cref="KafkaFormatException">The type or version is unknown, or the bytes are damaged.</exception>
    public static StoredEvent ReadShard(ref KafkaReader reader)
    {
        var type = reader.ReadInt8();
        return (ShardCodec.EventType)type switch
        {
            ShardCodec.EventType.BatchAppended => Read<BatchAppendedEvent>(ref reader),
            ShardCodec.EventType.LogStartOffsetAdvanced => Read<LogStartOffsetAdvancedEvent>(ref reader),
            ShardCodec.EventType.TopicRemoved => Read<TopicRemovedEvent>(ref reader),
            ShardCodec.EventType.ProducersExpired => Read<ProducersExpiredEvent>(ref reader),
            ShardCodec.EventType.RemovedTopicForgotten => Read<RemovedTopicForgottenEvent>(ref reader),
            ShardCodec.EventType.ObjectsCollected => Read<ObjectsCollectedEvent>(ref reader),
            ShardCodec.EventType.ChunksReplaced => Read<ChunksReplacedEvent>(ref reader),
            ShardCodec.EventType.PageFreed => Read<PageFreedEvent>(ref reader),
            ShardCodec.EventType.GarbageForgotten => Read<GarbageForgottenEvent>(ref reader),
            ShardCodec.EventType.CompactionClaimed => Read<CompactionClaimedEvent>(ref reader),
            _ => type >= TransactionCodec.FirstType ? ReadTransaction(type, ref reader) : ReadGroup(type, ref reader),
        };
    }

    private static StoredEvent ReadGroup(sbyte type, ref KafkaReader reader) => (GroupCodec.EventType)type switch
    {
        GroupCodec.EventType.MemberJoined => Read<GroupMemberJoinedEvent>(ref reader),
        GroupCodec.EventType.RebalanceStarted => Read<GroupRebalanceStartedEvent>(ref reader),
        GroupCodec.EventType.GenerationStarted => Read<GroupGenerationStartedEvent>(ref reader),
        GroupCodec.EventType.MembersAssigned => Read<GroupMembersAssignedEvent>(ref reader),
        GroupCodec.EventType.MembersRemoved => Read<GroupMembersRemovedEvent>(ref reader),
        GroupCodec.EventType.MembersSeen => Read<GroupMembersSeenEvent>(ref reader),
        GroupCodec.EventType.OffsetsCommitted => Read<OffsetsCommittedEvent>(ref reader),
        GroupCodec.EventType.OffsetsDeleted => Read<OffsetsDeletedEvent>(ref reader),
        GroupCodec.EventType.GroupDeleted => Read<GroupDeletedEvent>(ref reader),
        _ => throw new KafkaFormatException($"its event of type {type} is not known"),
    };

    private static StoredEvent ReadTransaction(sbyte type, ref KafkaReader reader) => (TransactionCodec.EventType)type switch
    {
        TransactionCodec.EventType.ProducerInitialized => Read<TransactionProducerInitializedEvent>(ref reader),
        TransactionCodec.EventType.TransactionGrew => Read<TransactionGrewEvent>(ref reader),
        TransactionCodec.EventType.TransactionPrepared => Read<TransactionPreparedEvent>(ref reader),
        TransactionCodec.EventType.TransactionCompleted => Read<TransactionCompletedEvent>(ref reader),
        TransactionCodec.EventType.TransactionalIdExpired => Read<TransactionalIdExpiredEvent>(ref reader),
        TransactionCodec.EventType.MarkerAppended => Read<TransactionMarkerAppendedEvent>(ref reader),
        TransactionCodec.EventType.PendingOffsetsCommitted => Read<GroupPendingOffsetsCommittedEvent>(ref reader),
        TransactionCodec.EventType.PendingOffsetsEnded => Read<GroupPendingOffsetsEndedEvent>(ref reader),
        TransactionCodec.EventType.GroupProducersForgotten => Read<GroupProducersForgottenEvent>(ref reader),
        _ => throw new KafkaFormatException($"its event of type {type} is not known"),
    };

    private static StoredEvent Read<T>(ref KafkaReader reader)
        where T : IMessage<T>, IDescribed => new(typeof(T).Name, EventFrame.Read<T>(ref reader));
}

/// <summary>An event as it is stored.</summary>
/// <param name="name">The name of its stored form, such as <c>TopicCreatedEvent</c>.</param>
/// <param name="fields">What it says.</param>
public sealed class StoredEvent(string name, IDescribed fields)
{
    /// <summary>The name of its stored form, such as <c>TopicCreatedEvent</c>.</summary>
    public string Name { get; } = name;

    /// <summary>What it says.</summary>
    public IDescribed Fields { get; } = fields;
}
