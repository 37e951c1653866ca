namespace Tansu.Host.Client;

/// <summary>One partition of one topic.</summary>
internal sealed record TopicPartition(string Topic, int Partition)
{
    /// <summary>By the names of the topics, then by the numbers of the partitions.</summary>
    public static readonly IComparer<TopicPartition> InOrder = Comparer<TopicPartition>.Create((one, other) =>
        string.CompareOrdinal(one.Topic, other.Topic) is var byTopic and not 0 ? byTopic : one.Partition.CompareTo(other.Partition));
}
