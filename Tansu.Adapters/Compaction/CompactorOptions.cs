using Tansu.Domain;

namespace Tansu.Adapters.Compaction;

/// <summary>What a compactor may be told.</summary>
public sealed record CompactorOptions
{
    /// <summary>
    /// The memory that a pass may use (<c>--compaction-memory</c>), in bytes: half of it for records that are merged or for the keys of a partition, a quarter
    /// for what is being written.
    /// </summary>
    public long MemoryBytes { get; init; } = 32 * 1024 * 1024;

    /// <summary>The sizes of chunks and pages.</summary>
    public CompactionLimits Limits { get; init; } = CompactionLimits.Default;

    /// <summary>How long an object stays after the last reference to it has gone (<c>--gc-grace</c>).</summary>
    public TimeSpan Grace { get; init; } = TimeSpan.FromHours(1);

    /// <summary>How long a store keeps entries at most after it was told that they can go: it has to be told again after that.</summary>
    public TimeSpan TrimGrace { get; init; } = TimeSpan.FromHours(1);

    /// <summary>How long another broker's claim to compact the shard counts after it was last renewed.</summary>
    public TimeSpan ClaimLease { get; init; } = TimeSpan.FromMinutes(2);

    /// <summary>After so many bytes of new records the next pass does not wait for its time …</summary>
    public long BacklogBytes { get; init; } = 64 * 1024 * 1024;

    /// <summary>… nor after so many entries.</summary>
    public long BacklogEntries { get; init; } = 4096;

    /// <summary>
    /// How long a pass rests at most, after its jobs, all together: producers notice one that takes all that processors and disk can do.
    /// </summary>
    public TimeSpan MostRest { get; init; } = TimeSpan.FromSeconds(15);

    /// <summary>How many reads go on side by side.</summary>
    public int ParallelReads { get; init; } = 8;

    /// <summary>After moving so many bytes of records out of entries a snapshot is saved, so that the entries can go.</summary>
    public long SnapshotAfterBytes { get; init; } = 64 * 1024 * 1024;

    /// <summary>How long a command may take.</summary>
    public TimeSpan StoreTimeout { get; init; } = TimeSpan.FromSeconds(30);

    /// <summary>The clock.</summary>
    public TimeProvider TimeProvider { get; init; } = TimeProvider.System;

    /// <summary>For the number by which brokers tell each other apart; replaced in simulations.</summary>
    public Random Random { get; init; } = Random.Shared;

    /// <summary>Told, in one line, of what an operator should look at: damaged records. Must not throw.</summary>
    public Action<string>? OnNotice { get; init; }
}
