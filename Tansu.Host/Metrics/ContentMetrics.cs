using Tansu.Adapters;
using Tansu.Domain;

namespace Tansu.Host.Metrics;

/// <summary>What is in the store, as far as this broker knows: topics, groups and how far they are behind, transactions.</summary>
/// <remarks>
/// Every broker knows all of it. So that sums over brokers are right, each tells of those shards only that it leads.
/// </remarks>
internal static class ContentMetrics
{
    /// <summary>The most pairs of group and topic that are told of: beyond them, only how many there are.</summary>
    public const int MaxLags = 2_000;

    /// <summary>Writes them.</summary>
    public static void Write(PrometheusText text, Broker broker)
    {
        var cluster = broker.Cluster;
        var nodes = cluster.Nodes;
        var led = cluster.Shards.Where(shard => nodes.LeaderOf(shard.Index).Id == cluster.Self.Id).ToArray();
        text.Gauge("tansu_brokers", "Brokers that are there, as far as this one knows.").Sample(nodes.All.Count);
        text.Gauge("tansu_topics", "Topics of the cluster.").Sample(cluster.Catalog.TopicsById.Count);
        text.Gauge("tansu_partitions", "Partitions with records, in the shards that this broker leads.")
            .Sample(led.Sum(static shard => shard.Replica.Current.State.Partitions.Count));
        WriteGroups(text, broker, led);
        text.Gauge("tansu_transactional_ids", "Transactional ids, in the shards that this broker leads.")
            .Sample(led.Sum(static shard => shard.Replica.Current.State.Transactions.Count));
        text.Gauge("tansu_transactions_open", "Transactions that have begun and not ended, in the shards that this broker leads.")
            .Sample(led.Sum(static shard => shard.Replica.Current.State.Transactions.Values
                .Count(static transaction => TransactionModule.isOngoing(transaction) || TransactionModule.isPrepared(transaction))));
    }

    private static void WriteGroups(PrometheusText text, Broker broker, ClusterShard[] led)
    {
        var states = new SortedDictionary<string, int>(StringComparer.Ordinal);
        var lags = new List<(string Group, string Topic, long Lag)>();
        var members = 0;
        foreach (var shard in led)
        {
            foreach (var (groupId, group) in shard.Replica.Current.State.Groups)
            {
                if (GroupModule.isForgotten(group))
                {
                    continue;
                }

                var state = Groups.StateOf(group);
                states[state] = states.GetValueOrDefault(state) + 1;
                members += group.Members.Count;
                AddLags(broker, groupId, group, lags);
            }
        }

        text.Gauge("tansu_groups", "Consumer groups by state, in the shards that this broker leads.");
        foreach (var (state, count) in states)
        {
            text.Sample(count, ("state", state));
        }

        text.Gauge("tansu_group_members", "Members of these groups.").Sample(members);
        text.Gauge("tansu_group_lag", $"Records between a group's committed offsets and the ends of a topic's partitions; at most {MaxLags} are told.");
        foreach (var (group, topic, lag) in lags.Take(MaxLags))
        {
            text.Sample(lag, ("group", group), ("topic", topic));
        }

        text.Gauge("tansu_group_lags", "Pairs of group and topic with committed offsets, told or not.").Sample(lags.Count);
    }

    private static void AddLags(Broker broker, string groupId, Group group, List<(string Group, string Topic, long Lag)> lags)
    {
        foreach (var ofTopic in group.Offsets.GroupBy(static committed => committed.Key.TopicId))
        {
            if (!broker.Cluster.Catalog.TopicsById.TryGetValue(ofTopic.Key, out var topic))
            {
                continue;
            }

            long lag = 0;
            if (lags.Count >= MaxLags)
            {
                lags.Add((groupId, topic.Name, 0));
                continue;
            }

            foreach (var (key, committed) in ofTopic)
            {
                var partition = broker.Cluster.ShardOf(topic, key.Partition).Partition(key);
                lag += Math.Max(0, partition.HighWatermark - Math.Max(committed.Offset, partition.LogStartOffset));
            }

            lags.Add((groupId, topic.Name, lag));
        }
    }
}
