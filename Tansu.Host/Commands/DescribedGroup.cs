using System.Text.Json;
using Tansu.Host.Client;
using static Tansu.Host.Commands.TopicCommands;

namespace Tansu.Host.Commands;

/// <summary>How far a group is in a partition.</summary>
/// <param name="Partition">The partition.</param>
/// <param name="Committed">What is committed; null if nothing is.</param>
/// <param name="End">The offset after the last record; null if the partition does not answer.</param>
/// <param name="Member">Who reads it; null if nobody does.</param>
internal sealed record GroupOffset(TopicPartition Partition, CommittedOffset? Committed, long? End, GroupMember? Member)
{
    /// <summary>How many offsets there are between what is committed and the end; null if one of them is not known.</summary>
    public long? Lag => End - Committed?.Offset is { } lag ? Math.Max(0, lag) : null;
}

/// <summary>A group with all that `tansu group describe` shows of it.</summary>
internal sealed class DescribedGroup(GroupDescription group, GroupOffset[] offsets)
{
    /// <summary>For people.</summary>
    public void WriteText(CommandOutput output)
    {
        var assignor = group.Assignor.Length == 0 ? "" : $", assignor {group.Assignor}";
        output.Line($"group {group.GroupId}, type {group.Type}, state {group.State}{assignor}, "
            + $"coordinator {KafkaConnection.NameOf(group.Coordinator)}");
        var members = new TextTable("MEMBER", "INSTANCE", "CLIENT", "HOST", "PARTITIONS");
        foreach (var member in group.Members)
        {
            members.Add(member.MemberId, member.InstanceId, member.ClientId, member.Host, AssignmentText(member));
        }

        output.Table(members);
        var table = new TextTable("TOPIC", "PARTITION", "COMMITTED", "LATEST", "LAG", "MEMBER");
        foreach (var offset in offsets)
        {
            table.Add(
                offset.Partition.Topic,
                Number(offset.Partition.Partition),
                Text(offset.Committed?.Offset),
                Text(offset.End),
                Text(offset.Lag),
                offset.Member?.MemberId);
        }

        output.Table(table);
    }

    /// <summary>For programs: the properties of an object.</summary>
    public void WriteJson(Utf8JsonWriter json)
    {
        json.WriteString("group", group.GroupId);
        json.WriteString("type", group.Type);
        json.WriteString("state", group.State);
        json.WriteString("protocolType", group.ProtocolType);
        json.WriteString("assignor", group.Assignor);
        json.WriteString("coordinator", KafkaConnection.NameOf(group.Coordinator));
        json.WriteObjects("members", group.Members, member =>
        {
            json.WriteString("memberId", member.MemberId);
            json.WriteString("instanceId", member.InstanceId);
            json.WriteString("clientId", member.ClientId);
            json.WriteString("host", member.Host);
            json.WriteObjects("assignment", ByTopic(member), topic =>
            {
                json.WriteString("topic", topic.Key);
                json.WriteNumbers("partitions", topic.Value);
            });
        });
        json.WriteObjects("offsets", offsets, offset =>
        {
            json.WriteString("topic", offset.Partition.Topic);
            json.WriteNumber("partition", offset.Partition.Partition);
            json.WriteNumberOrNull("committed", offset.Committed?.Offset);
            json.WriteString("metadata", offset.Committed?.Metadata);
            json.WriteNumberOrNull("latest", offset.End);
            json.WriteNumberOrNull("lag", offset.Lag);
            json.WriteString("memberId", offset.Member?.MemberId);
        });
    }

    private static string? Text(long? number) => number is { } value ? Number(value) : null;

    private static SortedDictionary<string, SortedSet<int>> ByTopic(GroupMember member)
    {
        var byTopic = new SortedDictionary<string, SortedSet<int>>(StringComparer.Ordinal);
        foreach (var partition in member.Assignment)
        {
            if (!byTopic.TryGetValue(partition.Topic, out var ofTopic))
            {
                byTopic.Add(partition.Topic, ofTopic = []);
            }

            ofTopic.Add(partition.Partition);
        }

        return byTopic;
    }

    // orders:0,2 clicks:1
    private static string AssignmentText(GroupMember member)
    {
        var texts = new List<string>();
        foreach (var (topic, partitions) in ByTopic(member))
        {
            texts.Add($"{topic}:{string.Join(',', partitions)}");
        }

        return string.Join(' ', texts);
    }
}
