namespace Tansu.Host.Client;

/// <summary>Shares out partitions as Kafka's assignor `range` does: of each topic, every member gets some that follow one another.</summary>
internal static class RangeAssignor
{
    /// <summary>Shares out all partitions of the topics that somebody subscribes to.</summary>
    /// <param name="subscriptions">The topics of each member.</param>
    /// <param name="partitionCounts">How many partitions each topic has; others do not exist.</param>
    /// <returns>The partitions of each member, perhaps none.</returns>
    public static IReadOnlyDictionary<string, List<TopicPartition>> Assign(
        IReadOnlyDictionary<string, IReadOnlyList<string>> subscriptions, IReadOnlyDictionary<string, int> partitionCounts)
    {
        var assigned = subscriptions.Keys.ToDictionary(member => member, _ => new List<TopicPartition>(), StringComparer.Ordinal);
        foreach (var (topic, count) in partitionCounts)
        {
            string[] members =
            [
                .. subscriptions.Where(member => member.Value.Contains(topic)).Select(member => member.Key).Order(StringComparer.Ordinal),
            ];
            var next = 0;
            for (var i = 0; i < members.Length; i++)
            {
                // Those that come first get one more if it does not come out even.
                for (var left = (count / members.Length) + (i < count % members.Length ? 1 : 0); left > 0; left--)
                {
                    assigned[members[i]].Add(new TopicPartition(topic, next++));
                }
            }
        }

        return assigned;
    }
}
