using Tansu.Codec.Messages;
using Tansu.Domain;
using Tansu.Host.Requests;

namespace Tansu.Host.Handlers;

/// <summary>
/// DescribeLogDirs (API key 35, KIP-113). Version 2 is flexible, 3 brought a top-level error, 4 the sizes of the directory (not known
/// here: -1). There is one "directory", the store. A broker tells of the partitions that it is named as the leader of: tools ask all brokers and add up.
/// </summary>
internal sealed class DescribeLogDirsHandler(Broker broker) : Handler<DescribeLogDirsRequest, DescribeLogDirsResponse>
{
    public override async ValueTask<DescribeLogDirsResponse?> HandleAsync(
        RequestContext context,
        DescribeLogDirsRequest request,
        CancellationToken cancellationToken)
    {
        if (request.Topics is { } named)
        {
            await broker.CatchUpForAsync(named.Select(static topic => topic.Topic));
        }

        // What cannot be learned now is told as it was last known: sizes are never exact.
        await broker.CatchUpAsync(TimeSpan.Zero, broker.Cluster.Shards);
        IEnumerable<(Topic? Topic, IEnumerable<int> Partitions)> wanted = request.Topics is null
            ? broker.Cluster.Catalog.TopicsByName.Values.Select(static topic => ((Topic?)topic, Enumerable.Range(0, topic.PartitionCount)))
            : request.Topics.Select(topic => (broker.FindTopic(false, default, topic.Topic), topic.Partitions.AsEnumerable()));
        var leaders = new PartitionLeaders(broker.Cluster, broker.Cluster.Nodes);
        var topics = new List<DescribeLogDirsResponse.DescribeLogDirsTopic>();
        foreach (var (topic, partitions) in wanted)
        {
            if (topic is not null && Describe(topic, partitions, leaders) is { Partitions.Length: > 0 } described)
            {
                topics.Add(described);
            }
        }

        var directory = new DescribeLogDirsResponse.DescribeLogDirsResult { LogDir = broker.StoreDescription, Topics = [.. topics] };
        return new DescribeLogDirsResponse { Results = [directory] };
    }

    private DescribeLogDirsResponse.DescribeLogDirsTopic Describe(Topic topic, IEnumerable<int> partitions, PartitionLeaders leaders) => new()
    {
        Name = topic.Name,
        Partitions = [.. partitions
            .Where(partition => topic.Has(partition) && leaders.Of(topic, partition)[0] == broker.Cluster.Self.Id)
            .Select(partition => new DescribeLogDirsResponse.DescribeLogDirsPartition
            {
                PartitionIndex = partition,
                PartitionSize = PartitionModule.sizeBytes(broker.Cluster.ShardOf(topic, partition).Partition(new TopicPartition(topic.Id, partition))),
            })],
    };
}
