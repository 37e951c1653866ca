using Tansu.Adapters.Ports;

namespace Tansu.Adapters.Replica;

/// <summary>What a replica may be told; the defaults are right for a broker on a local store.</summary>
public sealed record ReplicaOptions
{
    /// <summary>Half of what the stores take.</summary>
    public const int DefaultMaxHeadBytes = 64 * 1024 * 1024;

    /// <summary>The least time between the starts of two commits of the log. 0: commit as soon as there is something.</summary>
    public TimeSpan CommitInterval { get; init; } = TimeSpan.Zero;

    /// <summary>The most bytes of record batches that ride inline in one entry.</summary>
    public int InlinePayloadBytes { get; init; } = 8 * 1024 * 1024;

    /// <summary>
    /// Batches that do not fit inline are gathered into data objects of about this many bytes, uploaded side by side and ahead of
    /// the commits. 0: they wait for the next entry, and only a payload too large for any entry becomes an object.
    /// </summary>
    public int DataObjectBytes { get; init; }

    /// <summary>
    /// Whether other brokers may append to the log. If not, nothing is ever read after the start, and the polls below do not matter.
    /// </summary>
    public bool IsShared { get; init; } = true;

    /// <summary>While something waits for other brokers' entries, the log's end is read this often at first …</summary>
    public TimeSpan FirstPoll { get; init; } = TimeSpan.FromMilliseconds(50);

    /// <summary>… and ever more rarely up to this, as long as nothing comes.</summary>
    public TimeSpan MaxPoll { get; init; } = TimeSpan.FromMilliseconds(500);

    /// <summary>The most commands that one entry answers.</summary>
    public int MaxCommandsPerEntry { get; init; } = 4096;

    /// <summary>
    /// The most bytes of events in one entry, which the store takes in one piece: commands that come to more together are committed one after another,
    /// and one that does by itself is refused.
    /// </summary>
    public int MaxHeadBytes { get; init; } = DefaultMaxHeadBytes;

    /// <summary>A snapshot is due after this many entries …</summary>
    public int SnapshotEveryEntries { get; init; } = StoreLimits.DefaultSnapshotEveryEntries;

    /// <summary>… or this many bytes of events.</summary>
    public int SnapshotEveryEventBytes { get; init; } = 4 * 1024 * 1024;

    /// <summary>
    /// … but not before the events since the last one are this fraction of its size, so that writing snapshots of a large
    /// state costs no more than a constant factor of the events themselves.
    /// </summary>
    public double SnapshotLeastShareOfState { get; init; } = 0.25;

    /// <summary>How many entries are read at once.</summary>
    internal int EntriesAtOnce => Math.Min(SnapshotEveryEntries, StoredLog.EntriesAtOnce);

    /// <summary>Whether entries below the snapshot before the last, whose payload nothing refers to, may be deleted.</summary>
    public bool Trims { get; init; } = true;

    /// <summary>
    /// After so many commits one after another, with none of another broker's in between, the replica gives way: it leaves the log alone for twice as
    /// long as its last commit took. Whoever has just won is the first to try again, so that others would hardly ever come in under load.
    /// </summary>
    public int CommitsInARow { get; init; } = 32;

    /// <summary>
    /// The least time between two such pauses as long as none of the last <see cref="CompanyEntries"/> entries is another broker's: alone, a pause
    /// only costs latency, and a broker that comes later gets in with the next one.
    /// </summary>
    public TimeSpan GiveWayAloneEvery { get; init; } = TimeSpan.FromSeconds(5);

    /// <summary>How many entries after another broker's last one this broker takes the log for its own.</summary>
    public int CompanyEntries { get; init; } = 1024;

    /// <summary>The first wait after a failure of the store or a conflict; doubled up to <see cref="MaxBackoff"/>, with jitter.</summary>
    public TimeSpan FirstBackoff { get; init; } = TimeSpan.FromMilliseconds(5);

    /// <summary>
    /// The longest wait after a conflict. Short, since whoever won does not wait: a loser that gave way more and more would never win.
    /// </summary>
    public TimeSpan MaxConflictBackoff { get; init; } = TimeSpan.FromMilliseconds(20);

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

    /// <summary>Told of the length of a snapshot, in bytes, before it is made into a state. Must not throw.</summary>
    public Action<long>? OnSnapshot { get; init; }
}
