using Tansu.Adapters.Compaction;
using Tansu.Adapters.Groups;
using Tansu.Adapters.Reading;
using Tansu.Adapters.Replica;
using Tansu.Domain;

namespace Tansu.Adapters;

/// <summary>One shard of the cluster as this broker sees it: the replica of its log, and the reader of its records.</summary>
/// <param name="Index">The shard's number, from 0.</param>
/// <param name="Replica">Its log.</param>
/// <param name="Reader">Its records.</param>
/// <param name="Groups">Its consumer groups.</param>
/// <param name="Compactor">Keeps its stored form in order.</param>
public sealed record ClusterShard(
    int Index,
    Replica<ShardState, ShardCommand, ShardEvent, ShardReply> Replica,
    RecordsReader Reader,
    GroupCoordinator Groups,
    Compactor Compactor)
{
    /// <summary>The name of a shard's log.</summary>
    /// <param name="index">The shard's number.</param>
    public static string LogName(int index) => $"shard-{index}";

    /// <summary>A partition in the newest published state; empty if nothing was ever written to it.</summary>
    public Partition Partition(TopicPartition key) => Tansu.Domain.Shard.partition(key, Replica.Current.State);
}
