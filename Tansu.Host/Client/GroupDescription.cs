using Tansu.Host.CommandLine;

namespace Tansu.Host.Client;

/// <summary>What a coordinator says of a group.</summary>
/// <param name="GroupId">The group.</param>
/// <param name="Type">`classic`, or `consumer` for the protocol of KIP-848.</param>
/// <param name="State">Kafka's word, such as Stable or Empty.</param>
/// <param name="ProtocolType">`consumer` for consumers; empty if the group has never had members.</param>
/// <param name="Assignor">How partitions are shared out; empty if nobody has chosen.</param>
/// <param name="Coordinator">The broker that answered.</param>
/// <param name="Members">The members.</param>
internal sealed record GroupDescription(
    string GroupId,
    string Type,
    string State,
    string ProtocolType,
    string Assignor,
    Endpoint Coordinator,
    IReadOnlyList<GroupMember> Members);

/// <summary>A member of a group.</summary>
/// <param name="MemberId">What the coordinator calls it.</param>
/// <param name="InstanceId">Its own name, if it is a static member (KIP-345).</param>
/// <param name="ClientId">What its client calls itself.</param>
/// <param name="Host">Where it connects from.</param>
/// <param name="Assignment">The partitions that it reads.</param>
internal sealed record GroupMember(
    string MemberId, string? InstanceId, string ClientId, string Host, IReadOnlyList<TopicPartition> Assignment);

/// <summary>What a group has committed for a partition.</summary>
/// <param name="Offset">The offset of the next record to read.</param>
/// <param name="LeaderEpoch">The leader epoch of the record before; -1 if not known.</param>
/// <param name="Metadata">What the consumer noted beside it.</param>
internal sealed record CommittedOffset(long Offset, int LeaderEpoch, string Metadata);
