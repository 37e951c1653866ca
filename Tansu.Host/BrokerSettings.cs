namespace Tansu.Host;

/// <summary>Limits and defaults of one broker, all configurable; the names in brackets are Kafka's or the command line's.</summary>
internal sealed record BrokerSettings
{
    /// <summary>Whether Metadata and other requests create topics (<c>auto.create.topics.enable</c>, <c>--auto-create-topics</c>).</summary>
    public bool AutoCreateTopics { get; init; } = true;

    /// <summary>Partitions of a topic that does not say how many (<c>num.partitions</c>, <c>--default-partitions</c>).</summary>
    public int DefaultPartitions { get; init; } = 1;

    /// <summary>The most bytes one fetch answers (<c>fetch.max.bytes</c>).</summary>
    public int FetchMaxBytes { get; init; } = 55 * 1024 * 1024;

    /// <summary>How many incremental fetch sessions are kept (<c>max.incremental.fetch.session.cache.slots</c>).</summary>
    public int MaxFetchSessions { get; init; } = 1000;

    /// <summary>The most partitions one DescribeTopicPartitions answers (<c>max.request.partition.size.limit</c>).</summary>
    public int MaxDescribedPartitions { get; init; } = 2000;

    /// <summary>How long a request waits for the catalog to catch up with other brokers.</summary>
    public TimeSpan CatchUpTimeout { get; init; } = TimeSpan.FromSeconds(5);

    /// <summary>How long an administrative request without a timeout of its own waits for the store.</summary>
    public TimeSpan AdminTimeout { get; init; } = TimeSpan.FromSeconds(30);
}
