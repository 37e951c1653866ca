using Tansu.Domain;

namespace Tansu.Adapters.Nodes;

/// <summary>The nodes that are there, as one broker sees them at one moment.</summary>
/// <param name="All">Those that clients are told of, by id; this broker's own is always among them.</param>
/// <param name="Candidates">The ids of those that may be named as leader or coordinator; never empty.</param>
/// <param name="ShardCount">How many shards the cluster has.</param>
public sealed record LiveNodes(IReadOnlyList<Node> All, int[] Candidates, int ShardCount)
{
    private readonly Lazy<int[]> _leaders = new(() => Placement.leaders(ShardCount, Candidates));

    /// <summary>
    /// The node that keeps writers of a shard together: the leader of its partitions and the coordinator of its groups. A hint: every
    /// broker accepts every request.
    /// </summary>
    public Node LeaderOf(int shard) => Find(_leaders.Value[shard]);

    /// <summary>The node named as controller: the leader of the catalog.</summary>
    public Node Controller => Find(Placement.controller(Candidates));

    /// <summary>Whether clients are told of this node.</summary>
    public bool Contains(int nodeId) => All.Any(node => node.Id == nodeId);

    private Node Find(int nodeId) => All.First(node => node.Id == nodeId);
}
