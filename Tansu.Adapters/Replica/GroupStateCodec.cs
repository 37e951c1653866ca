using System.Collections.Immutable;
using Microsoft.FSharp.Collections;
using Tansu.Codec;
using Tansu.Codec.Storage;
using Tansu.Domain;

namespace Tansu.Adapters.Replica;

/// <summary>Groups as a shard's snapshot holds them, in an order that depends only on the state.</summary>
internal static class GroupStateCodec
{
    public static ShardSnapshot.Group[] ToStored(ImmutableDictionary<string, Group> groups)
    {
        var stored = new List<ShardSnapshot.Group>(groups.Count);
        foreach (var (groupId, group) in groups)
        {
            stored.Add(ToStored(groupId, group));
        }

        stored.Sort(static (left, right) => string.CompareOrdinal(left.GroupId, right.GroupId));
        return [.. stored];
    }

    private static ShardSnapshot.Group ToStored(string groupId, Group group) => new()
    {
        GroupId = groupId,
        ProtocolType = group.ProtocolType,
        Phase = ToStored(group.Phase),
        PhaseEntry = group.PhaseEntry,
        LastJoinEntry = group.LastJoinEntry,
        Generation = group.Generation,
        ProtocolName = group.ProtocolName,
        Leader = group.Leader,
        EmptySinceMs = group.EmptySinceMs,
        Members = [.. group.Members.Values.Select(ToStored)],
        Offsets = ToStored(group.Offsets),
        Transactions = TransactionStateCodec.ToStored(group.Transactions),
    };

    public static Group FromStored(ShardSnapshot.Group stored)
    {
        return new Group(
            stored.ProtocolType,
            PhaseOf(stored.Phase),
            stored.PhaseEntry,
            stored.LastJoinEntry,
            stored.Generation,
            stored.ProtocolName,
            stored.Leader,
            new FSharpMap<string, GroupMember>(stored.Members.Select(static member => Tuple.Create(member.MemberId, FromStored(member)))),
            FromStored(stored.Offsets),
            stored.EmptySinceMs,
            TransactionStateCodec.FromStored(stored.Transactions));
    }

    private static sbyte ToStored(GroupPhase phase) => phase.Tag switch
    {
        GroupPhase.Tags.Empty => 0,
        GroupPhase.Tags.PreparingRebalance => (sbyte)(phase.isInitial ? 1 : 2),
        GroupPhase.Tags.CompletingRebalance => 3,
        GroupPhase.Tags.Stable => 4,
        _ => throw new InvalidOperationException($"no stored form for phase {phase.Tag}"),
    };

    private static GroupPhase PhaseOf(sbyte stored) => stored switch
    {
        0 => GroupPhase.Empty,
        1 => GroupPhase.NewPreparingRebalance(true),
        2 => GroupPhase.NewPreparingRebalance(false),
        3 => GroupPhase.CompletingRebalance,
        4 => GroupPhase.Stable,
        _ => throw new KafkaFormatException($"a group is in unknown phase {stored}"),
    };

    private static ShardSnapshot.Member ToStored(GroupMember member) => new()
    {
        MemberId = member.MemberId,
        InstanceId = member.InstanceId,
        ClientId = member.ClientId,
        ClientHost = member.ClientHost,
        SessionTimeoutMs = member.SessionTimeoutMs,
        RebalanceTimeoutMs = member.RebalanceTimeoutMs,
        Protocols = Array.ConvertAll(
            member.Protocols,
            static protocol => new ShardSnapshot.MemberProtocol { Name = protocol.Name, Metadata = protocol.Metadata }),
        Assignment = member.Assignment,
        HasJoined = member.HasJoined,
        SeenAtEntry = member.SeenAtEntry,
        CommitEntry = member.CommitEntry,
        CommitBroker = member.CommitBroker,
    };

    private static GroupMember FromStored(ShardSnapshot.Member stored) => new(
        stored.MemberId,
        stored.InstanceId,
        stored.ClientId,
        stored.ClientHost,
        stored.SessionTimeoutMs,
        stored.RebalanceTimeoutMs,
        Array.ConvertAll(stored.Protocols, static protocol => new GroupProtocol(protocol.Name, protocol.Metadata.ToArray())),
        stored.Assignment.ToArray(),
        stored.HasJoined,
        stored.SeenAtEntry,
        stored.CommitEntry,
        stored.CommitBroker);

    /// <summary>Offsets of partitions, committed or waiting for their transaction.</summary>
    public static ImmutableDictionary<TopicPartition, CommittedOffset> FromStored(ShardSnapshot.GroupOffset[] stored) =>
        HashTree.Of(Array.ConvertAll(stored, static offset => KeyValuePair.Create(
            ShardCodec.Key(offset.TopicId, offset.Partition),
            new CommittedOffset(offset.Offset, offset.LeaderEpoch, offset.Metadata, offset.CommitTimeMs))));

    /// <summary>The same, ordered by partition.</summary>
    public static ShardSnapshot.GroupOffset[] ToStored(ImmutableDictionary<TopicPartition, CommittedOffset> offsets)
    {
        var stored = new List<ShardSnapshot.GroupOffset>(offsets.Count);
        foreach (var (partition, offset) in offsets)
        {
            stored.Add(new ShardSnapshot.GroupOffset
            {
                TopicId = partition.TopicId.Value,
                Partition = partition.Partition,
                Offset = offset.Offset,
                LeaderEpoch = offset.LeaderEpoch,
                Metadata = offset.Metadata,
                CommitTimeMs = offset.CommitTimeMs,
            });
        }

        stored.Sort(static (left, right) =>
        {
            var byTopic = left.TopicId.CompareTo(right.TopicId);
            return byTopic != 0 ? byTopic : left.Partition.CompareTo(right.Partition);
        });
        return [.. stored];
    }
}
