using Tansu.Codec;
using Tansu.Codec.Messages;
using Tansu.Host.CommandLine;

namespace Tansu.Host.Client;

/// <summary>What one Metadata answer told: the brokers, the controller, and the topics that were asked for.</summary>
internal sealed class ClusterMetadata
{
    private readonly Dictionary<int, Endpoint> _nodes = [];
    private readonly Dictionary<string, MetadataResponse.MetadataResponseTopic> _topics = new(StringComparer.Ordinal);

    /// <summary>Reads an answer.</summary>
    public ClusterMetadata(MetadataResponse response)
    {
        ClusterId = response.ClusterId;
        ControllerId = response.ControllerId;
        foreach (var broker in response.Brokers)
        {
            _nodes[broker.NodeId] = new Endpoint(broker.Host, broker.Port);
        }

        foreach (var topic in response.Topics)
        {
            _topics[topic.Name ?? ""] = topic;
        }
    }

    /// <summary>The name of the cluster; null from a broker that does not tell.</summary>
    public string? ClusterId { get; }

    /// <summary>The broker to send topic administration to; -1 if there is none.</summary>
    public int ControllerId { get; }

    /// <summary>The address of each broker by its id.</summary>
    public IReadOnlyDictionary<int, Endpoint> Nodes => _nodes;

    /// <summary>The topics by name, also those with an error.</summary>
    public IReadOnlyDictionary<string, MetadataResponse.MetadataResponseTopic> Topics => _topics;

    /// <summary>A topic that exists.</summary>
    /// <exception cref="KafkaClientException">It does not, or may not be seen.</exception>
    public MetadataResponse.MetadataResponseTopic Topic(string name)
    {
        if (!_topics.TryGetValue(name, out var topic))
        {
            throw new KafkaClientException(new KafkaError(ErrorCode.UnknownTopicOrPartition));
        }

        KafkaError.ThrowIf(topic.ErrorCode);
        return topic;
    }

    /// <summary>The numbers of a topic's partitions, ascending.</summary>
    /// <exception cref="KafkaClientException">The topic does not exist, or may not be seen.</exception>
    public int[] PartitionsOf(string topic)
    {
        var numbers = Array.ConvertAll(Topic(topic).Partitions, partition => partition.PartitionIndex);
        Array.Sort(numbers);
        return numbers;
    }

    /// <summary>The broker that leads a partition.</summary>
    /// <exception cref="KafkaClientException">The partition does not exist, or has no leader at the moment (retriable).</exception>
    public int LeaderOf(string topic, int partition)
    {
        foreach (var candidate in Topic(topic).Partitions)
        {
            if (candidate.PartitionIndex == partition)
            {
                return candidate.LeaderId >= 0 && _nodes.ContainsKey(candidate.LeaderId)
                    ? candidate.LeaderId
                    : throw new KafkaClientException(new KafkaError(ErrorCode.LeaderNotAvailable));
            }
        }

        throw new KafkaClientException(new KafkaError(ErrorCode.UnknownTopicOrPartition));
    }
}
