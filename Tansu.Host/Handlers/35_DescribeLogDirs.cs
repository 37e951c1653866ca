using Tansu.Codec;
using Tansu.Codec.Messages;
using Tansu.Domain;
using Tansu.Host.Requests;

namespace Tansu.Host.Handlers;

/// <summary>
/// DescribeLogDirs (API key 35, KIP-113). Version 2 is flexible, 3 brought a top-level error, 4 the sizes of the directory (not known
/// here: -1). There is one "directory", the store.
/// </summary>
internal sealed class DescribeLogDirsHandler(Broker broker) : Handler<DescribeLogDirsRequest, DescribeLogDirsResponse>
{
    public override ValueTask<DescribeLogDirsResponse?> HandleAsync(
        RequestContext context,
        DescribeLogDirsRequest request,
        CancellationToken cancellationToken)
    {
        var topics = new List<DescribeLogDirsResponse.DescribeLogDirsTopic>();
        if (request.Topics is null)
        {
            foreach (var topic in broker.Cluster.Catalog.TopicsByName.Values)
            {
                topics.Add(Describe(topic, Enumerable.Range(0, topic.PartitionCount)));
            }
        }
        else
        {
            foreach (var wanted in request.Topics)
            {
                if (broker.FindTopic(false, default, wanted.Topic) is { } topic)
                {
                    topics.Add(Describe(topic, wanted.Partitions.Where(partition => partition >= 0 && partition < topic.PartitionCount)));
                }
            }
        }

        var result = new DescribeLogDirsResponse.DescribeLogDirsResult { LogDir = broker.StoreDescription, Topics = [.. topics] };
        return new ValueTask<DescribeLogDirsResponse?>(new DescribeLogDirsResponse { Results = [result] });
    }

    private DescribeLogDirsResponse.DescribeLogDirsTopic Describe(Topic topic, IEnumerable<int> partitions) => new()
    {
        Name = topic.Name,
        Partitions = [.. partitions.Select(partition => new DescribeLogDirsResponse.DescribeLogDirsPartition
        {
            PartitionIndex = partition,
            PartitionSize = PartitionModule.sizeBytes(broker.Cluster.ShardOf(topic, partition).Partition(new TopicPartition(topic.Id, partition))),
        })],
    };
}
