namespace Tansu.Host.Client;

/// <summary>One partition of one topic.</summary>
internal sealed record TopicPartition(string Topic, int Partition);
