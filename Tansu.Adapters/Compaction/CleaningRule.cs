using Tansu.Codec.Records;

namespace Tansu.Adapters.Compaction;

/// <summary>
/// What decides about the records of one pass over a partition, beside the newest offsets of the keys. First the batches
/// from <see cref="FirstDirtyOffset"/> on are indexed, up to <see cref="EndOffset"/> or until the map is full; then all
/// batches of the partition below the end so found are cleaned, the oldest first.
/// </summary>
/// <remarks>
/// The oldest first, because a tombstone may only go after the records that it stands against: a pass that is cut off after
/// the tombstone and before them would bring a deleted key back.
/// </remarks>
public sealed record CleaningRule
{
    /// <summary>The value of <see cref="AlwaysKeepOffset"/> that is no record's offset.</summary>
    public const long NoOffset = -1;

    /// <summary>The time of the pass, in ms since 1970.</summary>
    public required long NowMs { get; init; }

    /// <summary><c>delete.retention.ms</c>: how long a tombstone stays after its first cleaning, in ms; not negative.</summary>
    public required long DeleteRetentionMs { get; init; }

    /// <summary>Where the records begin that no pass has indexed yet; indexing passes over those before.</summary>
    public long FirstDirtyOffset { get; init; }

    /// <summary>
    /// Records from this offset on are neither indexed nor removed: the map was full before it, or they are not to be
    /// compacted yet (<c>min.compaction.lag.ms</c>, an open transaction).
    /// </summary>
    public long EndOffset { get; init; } = long.MaxValue;

    /// <summary>
    /// An offset whose record stays in any case, and whose batch is not removed either; the last one of the partition, so
    /// that its end is not lost. <see cref="NoOffset"/> for none.
    /// </summary>
    public long AlwaysKeepOffset { get; init; } = NoOffset;

    /// <summary>
    /// Whether a control batch may go. Asked once for each that is cleaned, in the order of cleaning. Never, unless the
    /// caller knows better.
    /// </summary>
    public Func<RecordBatchHeader, bool> DropsControlBatch { get; init; } = static _ => false;

    /// <summary>
    /// Whether a transactional batch belongs to a transaction that was aborted: its records count for nothing. Asked once
    /// for each that is indexed or cleaned, in that order; never for batches that are not transactional, nor for control
    /// batches. Never, unless the caller knows better.
    /// </summary>
    public Func<RecordBatchHeader, bool> IsAborted { get; init; } = static _ => false;

    /// <summary>The most bytes that the records of one batch may decompress to.</summary>
    public int MaxDecompressedBytes { get; init; } = Compression.DefaultMaxDecompressedBytes;

    /// <summary>The delete horizon of a batch whose tombstones are cleaned for the first time, in ms since 1970.</summary>
    internal long NewDeleteHorizonMs =>
        NowMs > long.MaxValue - DeleteRetentionMs ? long.MaxValue : NowMs + DeleteRetentionMs;
}
