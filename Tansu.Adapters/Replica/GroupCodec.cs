using System.Runtime.InteropServices;
using Tansu.Codec;
using Tansu.Codec.Storage;
using Tansu.Domain;

namespace Tansu.Adapters.Replica;

/// <summary>Events of groups, written down with the messages of <c>spec/storage</c>. Their types are numbered among the shard's.</summary>
internal static class GroupCodec
{
    /// <summary>First byte of an event. A number is never used again for another event.</summary>
    internal enum EventType : sbyte
    {
        MemberJoined = 16,
        RebalanceStarted = 17,
        GenerationStarted = 18,
        MembersAssigned = 19,
        MembersRemoved = 20,
        MembersSeen = 21,
        OffsetsCommitted = 22,
        OffsetsDeleted = 23,
        GroupDeleted = 24,
    }

    public static void WriteEvent(KafkaWriter writer, string groupId, GroupEvent value)
    {
        switch (value)
        {
            case GroupEvent.MemberJoined joined:
                Write(writer, EventType.MemberJoined, ToStored(groupId, joined));
                break;
            case GroupEvent.RebalanceStarted started:
                Write(writer, EventType.RebalanceStarted, new GroupRebalanceStartedEvent { GroupId = groupId, IsInitial = started.isInitial });
                break;
            case GroupEvent.GenerationStarted started:
                Write(writer, EventType.GenerationStarted, new GroupGenerationStartedEvent
                {
                    GroupId = groupId,
                    Generation = started.generation,
                    Leader = started.leader,
                    ProtocolName = started.protocolName,
                    Removed = started.removed,
                });
                break;
            case GroupEvent.MembersAssigned assigned:
                Write(writer, EventType.MembersAssigned, new GroupMembersAssignedEvent
                {
                    GroupId = groupId,
                    Assignments = Array.ConvertAll(
                        assigned.assignments,
                        static given => new GroupMembersAssignedEvent.Assignment { MemberId = given.Item1, Bytes = given.Item2 }),
                });
                break;
            case GroupEvent.MembersRemoved removed:
                Write(writer, EventType.MembersRemoved, new GroupMembersRemovedEvent { GroupId = groupId, MemberIds = removed.memberIds });
                break;
            case GroupEvent.MembersSeen seen:
                Write(writer, EventType.MembersSeen, new GroupMembersSeenEvent { GroupId = groupId, MemberIds = seen.memberIds });
                break;
            case GroupEvent.OffsetsCommitted committed:
                Write(writer, EventType.OffsetsCommitted, ToStored(groupId, committed));
                break;
            case GroupEvent.OffsetsDeleted deleted:
                Write(writer, EventType.OffsetsDeleted, new OffsetsDeletedEvent
                {
                    GroupId = groupId,
                    Partitions = Array.ConvertAll(deleted.partitions, static partition => new OffsetsDeletedEvent.DeletedOffset
                    {
                        TopicId = partition.TopicId.Value,
                        Partition = partition.Partition,
                    }),
                });
                break;
            default:
                if (TransactionCodec.TryWriteGroupEvent(writer, groupId, value))
                {
                    break;
                }

                if (!value.IsGroupDeleted)
                {
                    throw new InvalidOperationException($"no stored form for group event {value.Tag}");
                }

                Write(writer, EventType.GroupDeleted, new GroupDeletedEvent { GroupId = groupId });
                break;
        }
    }

    /// <exception cref="KafkaFormatException">It is no group event that is known, or it is damaged.</exception>
    public static ShardEvent ReadEvent(sbyte type, ref KafkaReader reader)
    {
        switch ((EventType)type)
        {
            case EventType.MemberJoined:
                return FromStored(EventFrame.Read<GroupMemberJoinedEvent>(ref reader));
            case EventType.RebalanceStarted:
                var rebalance = EventFrame.Read<GroupRebalanceStartedEvent>(ref reader);
                return ShardEvent.NewGroupChanged(rebalance.GroupId, GroupEvent.NewRebalanceStarted(rebalance.IsInitial));
            case EventType.GenerationStarted:
                var generation = EventFrame.Read<GroupGenerationStartedEvent>(ref reader);
                return ShardEvent.NewGroupChanged(
                    generation.GroupId,
                    GroupEvent.NewGenerationStarted(generation.Generation, generation.Leader, generation.ProtocolName, generation.Removed));
            case EventType.MembersAssigned:
                var assigned = EventFrame.Read<GroupMembersAssignedEvent>(ref reader);
                return ShardEvent.NewGroupChanged(assigned.GroupId, GroupEvent.NewMembersAssigned(Array.ConvertAll(
                    assigned.Assignments,
                    static given => (given.MemberId, given.Bytes.ToArray()))));
            case EventType.MembersRemoved:
                var removed = EventFrame.Read<GroupMembersRemovedEvent>(ref reader);
                return ShardEvent.NewGroupChanged(removed.GroupId, GroupEvent.NewMembersRemoved(removed.MemberIds));
            case EventType.MembersSeen:
                var seen = EventFrame.Read<GroupMembersSeenEvent>(ref reader);
                return ShardEvent.NewGroupChanged(seen.GroupId, GroupEvent.NewMembersSeen(seen.MemberIds));
            case EventType.OffsetsCommitted:
                return FromStored(EventFrame.Read<OffsetsCommittedEvent>(ref reader));
            case EventType.OffsetsDeleted:
                var deleted = EventFrame.Read<OffsetsDeletedEvent>(ref reader);
                return ShardEvent.NewGroupChanged(deleted.GroupId, GroupEvent.NewOffsetsDeleted(Array.ConvertAll(
                    deleted.Partitions,
                    static partition => ShardCodec.Key(partition.TopicId, partition.Partition))));
            case EventType.GroupDeleted:
                return ShardEvent.NewGroupChanged(EventFrame.Read<GroupDeletedEvent>(ref reader).GroupId, GroupEvent.GroupDeleted);
            default:
                throw new KafkaFormatException($"it holds an event of unknown type {type}");
        }
    }

    private static void Write<T>(KafkaWriter writer, EventType type, T message)
        where T : IMessage<T> => EventFrame.Write(writer, (sbyte)type, message);

    private static GroupMemberJoinedEvent ToStored(string groupId, GroupEvent.MemberJoined joined) => new()
    {
        GroupId = groupId,
        ProtocolType = joined.protocolType,
        Replaces = joined.replaces,
        MemberId = joined.joined.MemberId,
        InstanceId = joined.joined.InstanceId,
        ClientId = joined.joined.ClientId,
        ClientHost = joined.joined.ClientHost,
        SessionTimeoutMs = joined.joined.SessionTimeoutMs,
        RebalanceTimeoutMs = joined.joined.RebalanceTimeoutMs,
        Protocols = Array.ConvertAll(
            joined.joined.Protocols,
            static protocol => new GroupMemberJoinedEvent.Protocol { Name = protocol.Name, Metadata = protocol.Metadata }),
    };

    private static ShardEvent FromStored(GroupMemberJoinedEvent stored) => ShardEvent.NewGroupChanged(
        stored.GroupId,
        GroupEvent.NewMemberJoined(
            stored.ProtocolType,
            stored.Replaces,
            new GroupMember(
                stored.MemberId,
                stored.InstanceId,
                stored.ClientId,
                stored.ClientHost,
                stored.SessionTimeoutMs,
                stored.RebalanceTimeoutMs,
                Array.ConvertAll(stored.Protocols, static protocol => new GroupProtocol(protocol.Name, protocol.Metadata.ToArray())),
                [],
                hasJoined: false,
                seenAtEntry: 0,
                commitEntry: 0,
                commitBroker: 0)));

    private static OffsetsCommittedEvent ToStored(string groupId, GroupEvent.OffsetsCommitted committed) => new()
    {
        GroupId = groupId,
        MemberId = committed.memberId,
        Broker = committed.broker,
        Offsets = Array.ConvertAll(committed.offsets, static offset => new OffsetsCommittedEvent.CommittedOffset
        {
            TopicId = offset.Partition.TopicId.Value,
            Partition = offset.Partition.Partition,
            Offset = offset.Offset,
            LeaderEpoch = offset.LeaderEpoch,
            Metadata = offset.Metadata,
        }),
    };

    private static ShardEvent FromStored(OffsetsCommittedEvent stored) => ShardEvent.NewGroupChanged(
        stored.GroupId,
        GroupEvent.NewOffsetsCommitted(stored.MemberId, stored.Broker, Array.ConvertAll(stored.Offsets, static offset => new OffsetToCommit(
            ShardCodec.Key(offset.TopicId, offset.Partition),
            offset.Offset,
            offset.LeaderEpoch,
            offset.Metadata))));
}
