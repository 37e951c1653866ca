using Tansu.Codec;
using Tansu.Codec.Messages;
using Tansu.Domain;
using Tansu.Host.Requests;

namespace Tansu.Host.Handlers;

/// <summary>
/// DescribeTopicPartitions (API key 75, KIP-966): topics in the order of their names, a bounded number of partitions at a time, with a
/// cursor that says where the next page begins.
/// </summary>
internal sealed class DescribeTopicPartitionsHandler(Broker broker) : Handler<DescribeTopicPartitionsRequest, DescribeTopicPartitionsResponse>
{
    public override async ValueTask<DescribeTopicPartitionsResponse?> HandleAsync(
        RequestContext context,
        DescribeTopicPartitionsRequest request,
        CancellationToken cancellationToken)
    {
        if (Array.Exists(request.Topics, topic => broker.FindTopic(false, default, topic.Name) is null))
        {
            await broker.CatchUpCatalogAsync();
        }

        var names = NamesFrom(request);
        if (request.Cursor is { } cursor && (cursor.PartitionIndex < 0 || (request.Topics.Length > 0 && !names.Contains(cursor.TopicName))))
        {
            // The response has no error of its own; Kafka answers every topic named with it.
            return new DescribeTopicPartitionsResponse
            {
                Topics = [.. request.Topics.Select(static topic => Failed(topic.Name, ErrorCode.InvalidRequest))],
            };
        }

        return Describe(request, names);
    }

    private SortedSet<string> NamesFrom(DescribeTopicPartitionsRequest request)
    {
        var from = request.Cursor?.TopicName ?? "";
        var all = request.Topics.Length == 0
            ? broker.Cluster.Catalog.TopicsByName.Keys
            : request.Topics.Select(static topic => topic.Name);
        return new SortedSet<string>(all.Where(name => string.CompareOrdinal(name, from) >= 0), StringComparer.Ordinal);
    }

    private DescribeTopicPartitionsResponse Describe(DescribeTopicPartitionsRequest request, SortedSet<string> names)
    {
        var leaders = new PartitionLeaders(broker.Cluster, broker.Cluster.Nodes);
        var left = Math.Clamp(request.ResponsePartitionLimit, 1, broker.Settings.MaxDescribedPartitions);
        var topics = new List<DescribeTopicPartitionsResponse.DescribeTopicPartitionsResponseTopic>();
        foreach (var name in names)
        {
            if (broker.FindTopic(false, default, name) is not { } topic)
            {
                var error = TopicName.validate(name).IsOk ? ErrorCode.UnknownTopicOrPartition : ErrorCode.InvalidTopicException;
                topics.Add(Failed(name, error));
                continue;
            }

            var first = request.Cursor is { } cursor && cursor.TopicName == name ? cursor.PartitionIndex : 0;
            if (left == 0)
            {
                return Page(topics, name, first);
            }

            var count = Math.Clamp(topic.PartitionCount - first, 0, left);
            topics.Add(Describe(topic, first, count, leaders));
            left -= count;
            if (first + count < topic.PartitionCount)
            {
                return Page(topics, name, first + count);
            }
        }

        return new DescribeTopicPartitionsResponse { Topics = [.. topics] };
    }

    private static DescribeTopicPartitionsResponse Page(
        List<DescribeTopicPartitionsResponse.DescribeTopicPartitionsResponseTopic> topics,
        string nextTopic,
        int nextPartition) => new()
        {
            Topics = [.. topics],
            NextCursor = new DescribeTopicPartitionsResponse.CursorData { TopicName = nextTopic, PartitionIndex = nextPartition },
        };

    private static DescribeTopicPartitionsResponse.DescribeTopicPartitionsResponseTopic Failed(string name, ErrorCode error) =>
        new() { Name = name, ErrorCode = error };

    private static DescribeTopicPartitionsResponse.DescribeTopicPartitionsResponseTopic Describe(
        Topic topic,
        int first,
        int count,
        PartitionLeaders leaders)
    {
        var partitions = new DescribeTopicPartitionsResponse.DescribeTopicPartitionsResponsePartition[count];
        for (var index = 0; index < count; index++)
        {
            var leader = leaders.Of(topic, first + index);
            partitions[index] = new DescribeTopicPartitionsResponse.DescribeTopicPartitionsResponsePartition
            {
                PartitionIndex = first + index,
                LeaderId = leader[0],
                LeaderEpoch = LeaderEpochs.Current,
                ReplicaNodes = leader,
                IsrNodes = leader,
                EligibleLeaderReplicas = [],
                LastKnownElr = [],
            };
        }

        return new DescribeTopicPartitionsResponse.DescribeTopicPartitionsResponseTopic
        {
            Name = topic.Name,
            TopicId = topic.Id.Value,
            TopicAuthorizedOperations = AuthorizedOperations.Topic,
            Partitions = partitions,
        };
    }
}
