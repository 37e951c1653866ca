using Tansu.Domain;
using Tansu.Host.CommandLine;

namespace Tansu.Host;

/// <summary>Limits and defaults of one broker, all configurable; the names in brackets are Kafka's or the command line's.</summary>
internal sealed record BrokerSettings
{
    /// <summary>Where the broker accepts connections (<c>listeners</c>).</summary>
    public Endpoint Listener { get; init; } = new("localhost", 9092);

    /// <summary>Where clients are told to connect (<c>advertised.listeners</c>).</summary>
    public Endpoint AdvertisedListener { get; init; } = new("localhost", 9092);

    /// <summary>The largest request accepted, in bytes (<c>socket.request.max.bytes</c>).</summary>
    public int MaxRequestBytes { get; init; } = 100 * 1024 * 1024;

    /// <summary>A connection on which nothing happened for this long is closed, in milliseconds (<c>connections.max.idle.ms</c>).</summary>
    public int ConnectionIdleMs { get; init; } = 600_000;

    /// <summary>Whether Metadata and other requests create topics (<c>auto.create.topics.enable</c>, <c>--auto-create-topics</c>).</summary>
    public bool AutoCreateTopics { get; init; } = true;

    /// <summary>Partitions of a topic that does not say how many (<c>num.partitions</c>, <c>--default-partitions</c>).</summary>
    public int DefaultPartitions { get; init; } = 1;

    /// <summary>The most bytes one fetch answers (<c>fetch.max.bytes</c>).</summary>
    public int FetchMaxBytes { get; init; } = 55 * 1024 * 1024;

    /// <summary>How many bytes of records all fetches together may hold, from reading them until they have been sent.</summary>
    public long FetchMemoryBytes { get; init; } = 256L * 1024 * 1024;

    /// <summary>How many incremental fetch sessions are kept (<c>max.incremental.fetch.session.cache.slots</c>).</summary>
    public int MaxFetchSessions { get; init; } = 1000;

    /// <summary>How many partitions all of them may have: those of clients that are gone stay until there is no more room.</summary>
    public long MaxFetchSessionPartitions { get; init; } = 1_000_000;

    /// <summary>The most partitions one DescribeTopicPartitions answers (<c>max.request.partition.size.limit</c>).</summary>
    public int MaxDescribedPartitions { get; init; } = 2000;

    /// <summary>How often a client should push its metrics, if any were wanted, in milliseconds (KIP-714).</summary>
    public int TelemetryPushIntervalMs { get; init; } = 300_000;

    /// <summary>The most bytes of metrics that one push may hold (<c>telemetry.max.bytes</c>).</summary>
    public int TelemetryMaxBytes { get; init; } = 1024 * 1024;

    /// <summary>How long a request waits for the catalog to catch up with other brokers.</summary>
    public TimeSpan CatchUpTimeout { get; init; } = TimeSpan.FromSeconds(5);

    /// <summary>How long an administrative request without a timeout of its own waits for the store.</summary>
    public TimeSpan AdminTimeout { get; init; } = TimeSpan.FromSeconds(30);

    /// <summary>The limits of consumer groups.</summary>
    public GroupSettings Groups { get; init; } = GroupSettings.Default;

    /// <summary>The limits of transactions.</summary>
    public TransactionSettings Transactions { get; init; } = TransactionSettings.Default;

    /// <summary>How long the first rebalance of an empty group waits after each member that joins (<c>group.initial.rebalance.delay.ms</c>).</summary>
    public int GroupInitialRebalanceDelayMs { get; init; } = 200;

    /// <summary>What is written to the log (<c>--log-level</c>).</summary>
    public LogLevel LogLevel { get; init; } = LogLevel.Information;

    /// <summary>How long a request about a consumer group waits for the store; less than clients wait for an answer.</summary>
    public TimeSpan CoordinatorTimeout { get; init; } = TimeSpan.FromSeconds(10);

    /// <summary>The settings of a command line.</summary>
    public static BrokerSettings From(BrokerOptions options, MemoryPlan memory, Endpoint listener, Endpoint advertised) => new()
    {
        Listener = listener,
        AdvertisedListener = advertised,
        MaxRequestBytes = memory.MaxRequestBytes,
        FetchMemoryBytes = memory.FetchBytes,
        MaxFetchSessionPartitions = memory.FetchSessionPartitions,
        FetchMaxBytes = (int)Math.Min(55L * 1024 * 1024, memory.FetchBytes),
        ConnectionIdleMs = options.ConnectionIdleMs,
        AutoCreateTopics = options.AutoCreateTopics,
        LogLevel = options.LogLevel,
        DefaultPartitions = options.DefaultPartitions,
        Groups = new GroupSettings(
            options.GroupMinSessionTimeoutMs,
            options.GroupMaxSessionTimeoutMs,
            options.GroupMaxSize,
            options.OffsetMetadataMaxBytes,
            options.OffsetsRetentionMinutes * 60_000L),
        Transactions = new TransactionSettings(options.TransactionalIdExpirationMs, options.TransactionMaxTimeoutMs),
        GroupInitialRebalanceDelayMs = options.GroupInitialRebalanceDelayMs,
    };
}
