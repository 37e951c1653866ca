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
        var topics = names.Select(name => new CreateTopicsRequest.CreatableTopic
        {
            Name = name,
            NumPartitions = settings.Partitions,
            ReplicationFactor = (short)settings.ReplicationFactor,
            Assignments =
            [
                .. settings.Assignments.Select((brokers, index) =>
                    new CreateTopicsRequest.CreatableReplicaAssignment { PartitionIndex = index, BrokerIds = brokers }),
            ],
            Configs =
            [
                .. settings.Configs.Select(config =>
                    new CreateTopicsRequest.CreatableTopicConfig { Name = config.Name, Value = config.Value }),
            ],
        });
        var outcomes = await _admin.CreateTopicsAsync([.. topics], cancellationToken);
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
        var outcomes = names.ToDictionary(name => name, name => new Outcome<string>(name, null), StringComparer.Ordinal);
        if (partitions > 0)
        {
            foreach (var outcome in await _admin.CreatePartitionsAsync(names, partitions, cancellationToken))
            {
                outcomes[outcome.Key] = outcome;
            }
        }

        if (configs.Length > 0)
        {
            foreach (var name in names.Where(name => outcomes[name].Error is null))
            {
                outcomes[name] = new Outcome<string>(name, await AlterConfigsAsync(name, configs, cancellationToken));
            }
        }

        Report.Write(output, "topic", [.. names.Select(name => outcomes[name])], "altered");
    }

    private async Task<KafkaError?> AlterConfigsAsync(string topic, ConfigChange[] configs, CancellationToken cancellationToken)
    {
        try
        {
            var changes = configs.Select(config => KeyValuePair.Create<string, string?>(config.Name, config.Value));
            await _admin.AlterConfigsAsync(ConfigResource.Topic, topic, changes, cancellationToken);
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
        MetadataTopic[] topics = [.. metadata.Topics.Values.OrderBy(topic => topic.Name, StringComparer.Ordinal)];
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
        foreach (var name in asked ?? [.. metadata.Topics.Keys.Order(StringComparer.Ordinal)])
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
        TopicPartition[] partitions = [.. topic.Partitions.Select(partition => new TopicPartition(name, partition.PartitionIndex))];
        var earliest = await _admin.ListOffsetsAsync(partitions.ToDictionary(key => key, _ => KafkaAdmin.Earliest), cancellationToken);
        var latest = await _admin.ListOffsetsAsync(partitions.ToDictionary(key => key, _ => KafkaAdmin.Latest), cancellationToken);
        foreach (var (partition, (_, error)) in latest)
        {
            if (error is { } failure)
            {
                output.Fail($"topic {name}, partition {partition.Partition}: {failure}");
            }
        }

        var configs = await _admin.DescribeConfigsAsync(ConfigResource.Topic, name, cancellationToken);
        return new DescribedTopic(topic, OffsetsOf(earliest), OffsetsOf(latest), [.. configs.Where(ConfigWords.IsSet)]);
    }

    private static Dictionary<int, long> OffsetsOf(IReadOnlyDictionary<TopicPartition, (long Offset, KafkaError? Error)> offsets) =>
        offsets.Where(offset => offset.Value.Error is null).ToDictionary(offset => offset.Key.Partition, offset => offset.Value.Offset);

    /// <summary>A number, in the same form everywhere.</summary>
    internal static string Number(long number) => number.ToString(CultureInfo.InvariantCulture);

    /// <summary>A topic id as Kafka's tools show it: base64 of its bytes, safe in URLs; empty if there is none.</summary>
    internal static string IdOf(Guid id) => id == Guid.Empty ? "" : Base64Url.EncodeToString(id.ToByteArray(bigEndian: true));

    /// <summary>How many copies its partitions have.</summary>
    internal static int ReplicasOf(MetadataTopic topic) => topic.Partitions.Length == 0 ? 0 : topic.Partitions[0].ReplicaNodes.Length;
}
