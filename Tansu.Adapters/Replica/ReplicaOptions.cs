namespace Tansu.Adapters.Replica;

/// <summary>What a replica may be told; the defaults are right for a broker on a local store.</summary>
public sealed record ReplicaOptions
{
    /// <summary>The least time between the starts of two commits of the log. 0: commit as soon as there is something.</summary>
    public TimeSpan CommitInterval { get; init; } = TimeSpan.Zero;

    /// <summary>The most bytes of record batches that ride inline in one entry.</summary>
    public int InlinePayloadBytes { get; init; } = 8 * 1024 * 1024;

    /// <summary>The most commands that one entry answers.</summary>
    public int MaxCommandsPerEntry { get; init; } = 4096;

    /// <summary>A snapshot is due after this many entries …</summary>
    public int SnapshotEveryEntries { get; init; } = 256;

    /// <summary>… or this many bytes of events.</summary>
    public int SnapshotEveryEventBytes { get; init; } = 4 * 1024 * 1024;

    /// <summary>
    /// … but not before the events since the last one are this fraction of its size, so that writing snapshots of a large
    /// state costs no more than a constant factor of the events themselves.
    /// </summary>
    public double SnapshotLeastShareOfState { get; init; } = 0.25;

    /// <summary>The first wait after a failure of the store or a conflict; doubled up to <see cref="MaxBackoff"/>, with jitter.</summary>
    public TimeSpan FirstBackoff { get; init; } = TimeSpan.FromMilliseconds(5);

    /// <summary>The longest wait between two attempts.</summary>
    public TimeSpan MaxBackoff { get; init; } = TimeSpan.FromSeconds(1);

    /// <summary>The clock.</summary>
    public TimeProvider TimeProvider { get; init; } = TimeProvider.System;

    /// <summary>For the writer's nonce and for jitter; replaced in simulations.</summary>
    public Random Random { get; init; } = Random.Shared;

    /// <summary>
    /// Told, in one line, of what an operator may want to know: the store failing and coming back, an unusable snapshot. Must
    /// not throw.
    /// </summary>
    public Action<string>? OnNotice { get; init; }
}
