using Tansu.Adapters.Replica;
using Tansu.Domain;

namespace Tansu.Adapters;

/// <summary>What a broker may be told about the cluster that it joins.</summary>
public sealed record ClusterOptions
{
    /// <summary>The cluster id (<c>--cluster-id</c>) for a cluster that does not exist yet; null for a random one.</summary>
    public string? ClusterId { get; init; }

    /// <summary>K (<c>--shards</c>), for a cluster that does not exist yet.</summary>
    public int ShardCount { get; init; } = 1;

    /// <summary>The advertised host: the address clients are told.</summary>
    public required string AdvertisedHost { get; init; }

    /// <summary>The advertised port.</summary>
    public required int AdvertisedPort { get; init; }

    /// <summary>How long a node is taken for live after its last sign of life (<c>--node-lease-ms</c>).</summary>
    public TimeSpan NodeLease { get; init; } = TimeSpan.FromSeconds(30);

    /// <summary>The least time between two commits of one log (<c>--commit-interval</c>); null for the store's default.</summary>
    public TimeSpan? CommitInterval { get; init; }

    /// <summary>The bound of the record cache (<c>--cache-bytes</c>).</summary>
    public long CacheBytes { get; init; } = 64L * 1024 * 1024;

    /// <summary>
    /// The most bytes of batches in one entry or data object where the store would take more: what is written and cached in one piece, and what
    /// a reply keeps in memory that refers to a part of it. Only a single command may be larger.
    /// </summary>
    public int MaxEntryBytes { get; init; } = int.MaxValue;

    /// <summary>How long the state of an idle producer is kept (<c>producer.id.expiration.ms</c>), in milliseconds.</summary>
    public long ProducerIdExpirationMs { get; init; } = 86_400_000;

    /// <summary>The limits of consumer groups.</summary>
    public GroupSettings Groups { get; init; } = GroupSettings.Default;

    /// <summary>The limits of transactions.</summary>
    public TransactionSettings Transactions { get; init; } = TransactionSettings.Default;

    /// <summary>
    /// How long the first rebalance of an empty group waits for more members after each that joins
    /// (<c>group.initial.rebalance.delay.ms</c>).
    /// </summary>
    public TimeSpan GroupInitialRebalanceDelay { get; init; } = TimeSpan.FromMilliseconds(200);

    /// <summary>The most partitions one topic may have: a bound on what one request can make the catalog do.</summary>
    public int MaxPartitionsPerTopic { get; init; } = 100_000;

    /// <summary>The most bytes of events in one entry of a log (<see cref="ReplicaOptions.MaxHeadBytes"/>).</summary>
    public int MaxHeadBytes { get; init; } = ReplicaOptions.DefaultMaxHeadBytes;

    /// <summary>How many producer ids are taken from the catalog at a time.</summary>
    public int ProducerIdBlockSize { get; init; } = 1000;

    /// <summary>
    /// How often retention is applied, and how long records stay in entries at most before they are moved into segments
    /// (<c>--compaction-interval-ms</c>). More often while much is written.
    /// </summary>
    public TimeSpan CompactionInterval { get; init; } = TimeSpan.FromMinutes(5);

    /// <summary>The memory that compaction may use (<c>--compaction-memory</c>), in bytes.</summary>
    public long CompactionMemoryBytes { get; init; } = 32 * 1024 * 1024;

    /// <summary>Objects are deleted this long after the last reference to them has gone (<c>--gc-grace-ms</c>).</summary>
    public TimeSpan GarbageGrace { get; init; } = TimeSpan.FromHours(1);

    /// <summary>How long the store may take to answer at start, and a catalog command in the background.</summary>
    public TimeSpan StoreTimeout { get; init; } = TimeSpan.FromSeconds(30);

    /// <summary>The clock.</summary>
    public TimeProvider TimeProvider { get; init; } = TimeProvider.System;

    /// <summary>Told, in one line, what was compacted. Must not throw.</summary>
    public Action<string>? OnCompacted { get; init; }

    /// <summary>Told, in one line, what an operator may want to know. Must not throw.</summary>
    public Action<string>? OnNotice { get; init; }

    /// <summary>
    /// Told before a snapshot is made into a state, so that memory can be found for it: its length in bytes, times the number of shards, whose snapshots may all be
    /// read at once. Must not throw.
    /// </summary>
    public Action<long>? OnSnapshot { get; init; }
}
