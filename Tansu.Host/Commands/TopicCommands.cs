using System.Buffers.Text;
using System.Globalization;
using Tansu.Codec;
using Tansu.Codec.Messages;
using Tansu.Host.Client;
using Tansu.Host.CommandLine;
using MetadataTopic = Tansu.Codec.Messages.MetadataResponse.MetadataResponseTopic;

namespace Tansu.Host.Commands;

/// <summary>`tansu topic`.</summary>
internal sealed class TopicCommands(KafkaClient client, CommandOutput output)
{
    private readonly KafkaAdmin _admin = new(client);

    /// <summary>Does what is asked.</summary>
    /// <exception cref="KafkaClientException">Nothing of it could be done.</exception>
    public Task RunAsync(TopicTask task, CancellationToken cancellationToken) => task switch
    {
        TopicTask.CreateTopics create => CreateAsync(create.topics, create.settings, cancellationToken),
        TopicTask.DescribeTopics describe => DescribeAsync(describe.topics, cancellationToken),
        TopicTask.AlterTopics alter => AlterAsync(alter.topics, alter.partitions, alter.configs, cancellationToken),
        TopicTask.DeleteTopics delete => DeleteAsync(delete.topics, delete.ifExists, cancellationToken),
        _ => ListAsync(cancellationToken),
    };

    private async Task CreateAsync(string[] names, NewTopicSettings settings, CancellationToken cancellationToken)
    {
        var index = 0;
        var assignments = Array.ConvertAll(settings.Assignments, brokers =>
            new CreateTopicsRequest.CreatableReplicaAssignment { PartitionIndex = index++, BrokerIds = brokers });
        var topics = Array.ConvertAll(names, name => new CreateTopicsRequest.CreatableTopic
        {
            Name = name,
            NumPartitions = settings.Partitions,
            ReplicationFactor = (short)settings.ReplicationFactor,
            Assignments = assignments,
            Configs = Array.ConvertAll(settings.Configs, config =>
                new CreateTopicsRequest.CreatableTopicConfig { Name = config.Name, Value = config.Value }),
        });
        var outcomes = await _admin.CreateTopicsAsync(topics, cancellationToken);
        Report.Write(output, "topic", outcomes, "created", "exists", error =>
            settings.IfNotExists && error.Code == ErrorCode.TopicAlreadyExists);
    }

    private async Task DeleteAsync(string[] names, bool ifExists, CancellationToken cancellationToken)
    {
        var outcomes = await _admin.DeleteTopicsAsync(names, cancellationToken);
        Report.Write(output, "topic", outcomes, "deleted", "missing", error =>
            ifExists && error.Code == ErrorCode.UnknownTopicOrPartition);
    }

    private async Task AlterAsync(string[] names, int partitions, ConfigChange[] configs, CancellationToken cancellationToken)
    {
        var outcomes = partitions > 0
            ? await _admin.CreatePartitionsAsync(names, partitions, cancellationToken)
            : Array.ConvertAll(names, name => new Outcome<string>(name, null));
        for (var i = 0; configs.Length > 0 && i < outcomes.Length; i++)
        {
            if (outcomes[i].Error is null)
            {
                outcomes[i] = new Outcome<string>(names[i], await AlterConfigsAsync(names[i], configs, cancellationToken));
            }
        }

        Report.Write(output, "topic", outcomes, "altered");
    }

    private async Task<KafkaError?> AlterConfigsAsync(string topic, ConfigChange[] configs, CancellationToken cancellationToken)
    {
        try
        {
            await _admin.AlterConfigsAsync(ConfigResource.Topic, topic, configs, cancellationToken);
            return null;
        }
        catch (KafkaClientException failure) when (failure.Code != ErrorCode.NetworkException)
        {
            return failure.Error;
        }
    }

    private async Task ListAsync(CancellationToken cancellationToken)
    {
        var metadata = await client.RetryAsync(token => client.MetadataAsync(null, token), cancellationToken);
        MetadataTopic[] topics = [.. metadata.Topics.Values];
        Array.Sort(topics, (one, other) => string.CompareOrdinal(one.Name, other.Name));
        var table = new TextTable("TOPIC", "PARTITIONS", "REPLICAS", "ID");
        foreach (var topic in topics)
        {
            table.Add(topic.Name, Number(topic.Partitions.Length), Number(ReplicasOf(topic)), IdOf(topic.TopicId));
        }

        output.Table(table);
        output.Document(json => json.WriteObjects("topics", topics, topic =>
        {
            json.WriteString("name", topic.Name);
            json.WriteString("id", IdOf(topic.TopicId));
            json.WriteNumber("partitions", topic.Partitions.Length);
            json.WriteNumber("replicationFactor", ReplicasOf(topic));
            json.WriteBoolean("internal", topic.IsInternal);
        }));
    }

    private async Task DescribeAsync(string[] names, CancellationToken cancellationToken)
    {
        var asked = names.Length == 0 ? null : names;
        var metadata = await client.RetryAsync(token => client.MetadataAsync(asked, token), cancellationToken);
        var described = new List<DescribedTopic>();
        if (asked is null)
        {
            names = [.. metadata.Topics.Keys];
            Array.Sort(names, StringComparer.Ordinal);
        }

        foreach (var name in names)
        {
            try
            {
                described.Add(await DescribeAsync(metadata.Topic(name), cancellationToken));
            }
            catch (KafkaClientException failure) when (failure.Code != ErrorCode.NetworkException)
            {
                output.Fail($"topic {name}: {failure.Message}");
            }
        }

        for (var i = 0; i < described.Count; i++)
        {
            if (i > 0)
            {
                output.Line();
            }

            described[i].WriteText(output);
        }

        output.Document(json => json.WriteObjects("topics", described, topic => topic.WriteJson(json)));
    }

    private async Task<DescribedTopic> DescribeAsync(MetadataTopic topic, CancellationToken cancellationToken)
    {
        var name = topic.Name ?? "";
        var partitions = Array.ConvertAll(topic.Partitions, partition => new TopicPartition(name, partition.PartitionIndex));
        var earliest = await _admin.ListOffsetsAsync(partitions, KafkaAdmin.Earliest, cancellationToken);
        var latest = await _admin.ListOffsetsAsync(partitions, KafkaAdmin.Latest, cancellationToken);
        foreach (var (partition, found) in latest)
        {
            if (found.Error is { } failure)
            {
                output.Fail($"topic {name}, partition {partition.Partition}: {failure}");
            }
        }

        var configs = await _admin.DescribeConfigsAsync(ConfigResource.Topic, name, cancellationToken);
        Array.Sort(topic.Partitions, (one, other) => one.PartitionIndex.CompareTo(other.PartitionIndex));
        return new DescribedTopic(topic, earliest, latest, Array.FindAll(configs, ConfigWords.IsSet));
    }

    /// <summary>A number, in the same form everywhere.</summary>
    internal static string Number(long number) => number.ToString(CultureInfo.InvariantCulture);

    /// <summary>A topic id as Kafka's tools show it: base64 of its bytes, safe in URLs; empty if there is none.</summary>
    internal static string IdOf(Guid id) => id == Guid.Empty ? "" : Base64Url.EncodeToString(id.ToByteArray(bigEndian: true));

    /// <summary>How many copies its partitions have.</summary>
    internal static int ReplicasOf(MetadataTopic topic) => topic.Partitions.Length == 0 ? 0 : topic.Partitions[0].ReplicaNodes.Length;
}
