using Tansu.Adapters;
using Tansu.Adapters.Nodes;
using Tansu.Domain;

namespace Tansu.Host;

/// <summary>
/// Whom one response names as the leader of each partition: the node that placement picks for the partition's shard among the nodes
/// that were live when the response was begun.
/// </summary>
internal sealed class PartitionLeaders(Cluster cluster, LiveNodes nodes)
{
    private readonly int[]?[] _byShard = new int[cluster.Shards.Count][];

    /// <summary>The leader's id alone in an array, which also is what replicas and in-sync replicas are named. Shared: not to be changed.</summary>
    public int[] Of(Topic topic, int partition)
    {
        var shard = cluster.ShardOf(topic, partition).Index;
        return _byShard[shard] ??= [nodes.LeaderOf(shard).Id];
    }
}
