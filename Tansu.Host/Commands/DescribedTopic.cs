using System.Text.Json;
using Tansu.Host.Client;
using static Tansu.Host.Commands.TopicCommands;
using Config = Tansu.Codec.Messages.DescribeConfigsResponse.DescribeConfigsResourceResult;
using MetadataTopic = Tansu.Codec.Messages.MetadataResponse.MetadataResponseTopic;
using Offsets = System.Collections.Generic.IReadOnlyDictionary<Tansu.Host.Client.TopicPartition, Tansu.Host.Client.FoundOffset>;

namespace Tansu.Host.Commands;

/// <summary>A topic with all that `tansu topic describe` shows of it.</summary>
/// <param name="topic">Its partitions, in order.</param>
/// <param name="earliest">The offset of the first record of each partition.</param>
/// <param name="latest">The offset after the last one.</param>
/// <param name="configs">What somebody has set.</param>
internal sealed class DescribedTopic(
    MetadataTopic topic, Offsets earliest, Offsets latest, Config[] configs)
{
    /// <summary>For people.</summary>
    public void WriteText(CommandOutput output)
    {
        output.Line($"topic {topic.Name}, id {IdOf(topic.TopicId)}, partitions {topic.Partitions.Length}, replicas {ReplicasOf(topic)}");
        var table = new TextTable("PARTITION", "LEADER", "EPOCH", "REPLICAS", "IN SYNC", "EARLIEST", "LATEST");
        foreach (var partition in topic.Partitions)
        {
            table.Add(
                Number(partition.PartitionIndex),
                Number(partition.LeaderId),
                Number(partition.LeaderEpoch),
                string.Join(',', partition.ReplicaNodes),
                string.Join(',', partition.IsrNodes),
                OffsetText(earliest, partition.PartitionIndex),
                OffsetText(latest, partition.PartitionIndex));
        }

        output.Table(table);
        var set = new TextTable("CONFIG", "VALUE", "SOURCE");
        foreach (var config in configs)
        {
            set.Add(config.Name, config.Value, ConfigWords.Source(config.ConfigSource));
        }

        output.Table(set);
    }

    /// <summary>For programs: the properties of an object.</summary>
    public void WriteJson(Utf8JsonWriter json)
    {
        json.WriteString("name", topic.Name);
        json.WriteString("id", IdOf(topic.TopicId));
        json.WriteBoolean("internal", topic.IsInternal);
        json.WriteNumber("replicationFactor", ReplicasOf(topic));
        json.WriteObjects("partitions", topic.Partitions, partition =>
        {
            json.WriteNumber("partition", partition.PartitionIndex);
            json.WriteNumber("leader", partition.LeaderId);
            json.WriteNumber("leaderEpoch", partition.LeaderEpoch);
            json.WriteNumbers("replicas", partition.ReplicaNodes);
            json.WriteNumbers("inSync", partition.IsrNodes);
            json.WriteNumberOrNull("earliest", OffsetOf(earliest, partition.PartitionIndex));
            json.WriteNumberOrNull("latest", OffsetOf(latest, partition.PartitionIndex));
        });
        json.WriteObjects("configs", configs, config =>
        {
            json.WriteString("name", config.Name);
            json.WriteString("value", config.Value);
            json.WriteString("source", ConfigWords.Source(config.ConfigSource));
        });
    }

    private long? OffsetOf(Offsets offsets, int partition) =>
        offsets.TryGetValue(new TopicPartition(topic.Name ?? "", partition), out var found) && found.Error is null ? found.Offset : null;

    private string? OffsetText(Offsets offsets, int partition) =>
        OffsetOf(offsets, partition) is { } offset ? Number(offset) : null;
}
