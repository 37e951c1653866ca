using Tansu.Codec.Records;

namespace Tansu.Adapters.Compaction;

/// <summary>
/// Compacts record batches, one at a time (<c>cleanup.policy=compact</c>): of the records with one key the newest stays, and
/// a tombstone in its place until its time is over. What stays keeps its offset, headers and timestamp. Knows of no store.
/// Not safe for several threads; one cleaner serves any number of batches and keeps little memory between them.
/// </summary>
/// <remarks>
/// The same as Kafka's log cleaner does with batches of magic 2, delete horizons after KIP-534. One thing differs: a batch of
/// which only a part was indexed gets no delete horizon yet, because time would run for tombstones before their keys are
/// clean; a consumer could then read the value and miss the tombstone.
/// </remarks>
public sealed class BatchCleaner
{
    /// <summary>For each record of the batch at hand whether it stays.</summary>
    private readonly List<bool> _isKept = [];

    private enum Verdict
    {
        Keep,
        Drop,
        DropTombstone,
    }

    /// <summary>
    /// Notes in the map where each key of the batch is. Passes over control batches, batches of aborted transactions,
    /// records without a key, and those that the rule excludes.
    /// </summary>
    /// <param name="batch">A whole batch as it is stored, with its base offset in place.</param>
    /// <param name="newestOffsets">Takes the offsets.</param>
    /// <param name="rule">What applies to the pass.</param>
    /// <param name="indexedTo">
    /// The offset before which everything is in the map: that of the first record that found no room, else the one after
    /// the batch. What is cleaned by this map has to end here.
    /// </param>
    /// <returns>False if the map is full.</returns>
    /// <exception cref="RecordFormatException">The batch is damaged. A part of its records may be in the map.</exception>
    public static bool Index(ReadOnlyMemory<byte> batch, KeyOffsets newestOffsets, CleaningRule rule, out long indexedTo)
    {
        ArgumentNullException.ThrowIfNull(newestOffsets);
        ArgumentNullException.ThrowIfNull(rule);
        var header = CheckBatch(batch.Span);
        indexedTo = header.LastOffset + 1;
        if (header.IsControl || IsAborted(header, rule))
        {
            return true;
        }

        using var reader = new RecordReader(batch, rule.MaxDecompressedBytes);
        var lastOffset = header.BaseOffset - 1;
        foreach (var record in reader)
        {
            lastOffset = CheckOffset(header, lastOffset, record.Offset);
            if (record.Key is { } key
                && record.Offset >= rule.FirstDirtyOffset
                && record.Offset < rule.EndOffset
                && !newestOffsets.TryAdd(key.Span, record.Offset))
            {
                indexedTo = record.Offset;
                return false;
            }
        }

        return true;
    }

    /// <summary>Gives what stays of a batch.</summary>
    /// <param name="batch">A whole batch as it is stored, with its base offset in place.</param>
    /// <param name="newestOffsets">The newest offset of each key, so far as the pass has indexed the partition.</param>
    /// <param name="rule">What applies to the pass, its end where indexing ended.</param>
    /// <exception cref="RecordFormatException">The batch is damaged: nothing is said about its records.</exception>
    public CleanedBatch Clean(ReadOnlyMemory<byte> batch, KeyOffsets newestOffsets, CleaningRule rule)
    {
        ArgumentNullException.ThrowIfNull(newestOffsets);
        ArgumentNullException.ThrowIfNull(rule);
        var header = CheckBatch(batch.Span);
        if (header.IsControl)
        {
            var isDropped = rule.DropsControlBatch(header) && !Covers(header, rule.AlwaysKeepOffset);
            return isDropped ? Removed(header.RecordCount, 0) : Unchanged(batch, header);
        }

        using var reader = new RecordReader(batch, rule.MaxDecompressedBytes);
        var judged = JudgeAll(reader, newestOffsets, rule);
        if (judged.Kept == 0 && !Covers(header, rule.AlwaysKeepOffset))
        {
            return Removed(header.RecordCount, judged.TombstonesDropped);
        }

        var getsHorizon = judged.KeepsTombstone && !header.HasDeleteHorizon && header.LastOffset < rule.EndOffset;
        if (judged.Kept == header.RecordCount && !getsHorizon)
        {
            return Unchanged(batch, header);
        }

        var rebuilt = judged.Kept == 0
            ? MakeEmpty(header)
            : Rebuild(reader, getsHorizon ? rule.NewDeleteHorizonMs : header.HasDeleteHorizon ? header.BaseTimestamp : null);
        return new CleanedBatch(rebuilt, IsUnchanged: false, header.RecordCount, judged.Kept, judged.TombstonesDropped);
    }

    private static CleanedBatch Unchanged(ReadOnlyMemory<byte> batch, in RecordBatchHeader header) =>
        new(batch, IsUnchanged: true, header.RecordCount, header.RecordCount, TombstonesDropped: 0);

    private static CleanedBatch Removed(int recordCount, int tombstonesDropped) =>
        new(ReadOnlyMemory<byte>.Empty, IsUnchanged: false, recordCount, RecordsKept: 0, tombstonesDropped);

    private static bool Covers(in RecordBatchHeader header, long offset) =>
        offset >= header.BaseOffset && offset <= header.LastOffset;

    private static bool IsAborted(in RecordBatchHeader header, CleaningRule rule) =>
        header.IsTransactional && rule.IsAborted(header);

    /// <summary>Decides about each record, reading all of them before anything is made of it.</summary>
    private Judgement JudgeAll(RecordReader reader, KeyOffsets newestOffsets, CleaningRule rule)
    {
        var header = reader.Header;
        var isAborted = IsAborted(header, rule);
        var judged = default(Judgement);
        var lastOffset = header.BaseOffset - 1;
        _isKept.Clear();
        foreach (var record in reader)
        {
            lastOffset = CheckOffset(header, lastOffset, record.Offset);
            var verdict = Judge(record, header, isAborted, newestOffsets, rule);
            _isKept.Add(verdict == Verdict.Keep);
            switch (verdict)
            {
                case Verdict.Keep:
                    judged.Kept++;
                    judged.KeepsTombstone |= record.Key is not null && record.Value is null;
                    break;
                case Verdict.DropTombstone:
                    judged.TombstonesDropped++;
                    break;
            }
        }

        return judged;
    }

    private static Verdict Judge(
        in Record record, in RecordBatchHeader header, bool isAborted, KeyOffsets newestOffsets, CleaningRule rule)
    {
        if (record.Offset >= rule.EndOffset || record.Offset == rule.AlwaysKeepOffset)
        {
            return Verdict.Keep;
        }

        // Nothing can ever stand against a record without a key: the topic was not always compacted.
        if (isAborted || record.Key is not { } key)
        {
            return Verdict.Drop;
        }

        if (newestOffsets.TryGet(key.Span, out var newestOffset) && record.Offset < newestOffset)
        {
            return Verdict.Drop;
        }

        var isPastHorizon = header.HasDeleteHorizon && rule.NowMs >= header.BaseTimestamp;
        return record.Value is null && isPastHorizon ? Verdict.DropTombstone : Verdict.Keep;
    }

    private byte[] Rebuild(RecordReader reader, long? deleteHorizonMs)
    {
        var builder = BuilderLike(reader.Header, reader.Header.Codec, deleteHorizonMs);
        var index = 0;
        foreach (var record in reader)
        {
            if (_isKept[index++])
            {
                builder.Append(record);
            }
        }

        return builder.Build();
    }

    /// <summary>Only a header, which holds the place of offsets that must not be lost. It says no codec, as Kafka's.</summary>
    private static byte[] MakeEmpty(in RecordBatchHeader header)
    {
        var batch = BuilderLike(header, CompressionCodec.None, deleteHorizonMs: null).Build();
        if (header.TimestampType == TimestampType.CreateTime)
        {
            RecordBatchEditor.SetMaxTimestamp(batch, header.MaxTimestamp);
        }

        return batch;
    }

    /// <summary>
    /// Begins a batch that stands in for another. It covers the same offsets, by which the sequence numbers of an idempotent
    /// producer are counted.
    /// </summary>
    private static RecordBatchBuilder BuilderLike(in RecordBatchHeader header, CompressionCodec codec, long? deleteHorizonMs) =>
        new()
        {
            Codec = codec,
            BaseOffset = header.BaseOffset,
            PartitionLeaderEpoch = header.PartitionLeaderEpoch,
            ProducerId = header.ProducerId,
            ProducerEpoch = header.ProducerEpoch,
            BaseSequence = header.BaseSequence,
            IsTransactional = header.IsTransactional,
            LogAppendTimeMs = header.TimestampType == TimestampType.LogAppendTime ? header.MaxTimestamp : null,
            DeleteHorizonMs = deleteHorizonMs,
            LastOffsetDelta = header.LastOffsetDelta,
        };

    private static RecordBatchHeader CheckBatch(ReadOnlySpan<byte> batch)
    {
        if (!RecordBatchHeader.TryRead(batch, out var header) || header.TotalLength != batch.Length)
        {
            throw new RecordFormatException($"The {batch.Length} bytes are not one whole record batch.");
        }

        if (!header.IsIntact(batch))
        {
            throw new RecordFormatException($"The CRC of the batch at offset {header.BaseOffset} is not that of its bytes.");
        }

        // The base offset is outside the CRC, so this also finds one that is damaged beyond any use.
        if (header.BaseOffset < 0
            || header.LastOffsetDelta is < 0 or int.MaxValue
            || header.BaseOffset > long.MaxValue - int.MaxValue)
        {
            throw new RecordFormatException(
                $"No batch covers {header.LastOffsetDelta} offsets after offset {header.BaseOffset}.");
        }

        if (header.RecordCount == 0 && header.TotalLength != RecordBatchHeader.Length)
        {
            throw new RecordFormatException($"The batch at offset {header.BaseOffset} says it has no records, but it has bytes of some.");
        }

        return header;
    }

    /// <summary>Offsets out of order would make the wrong record of a key the newest.</summary>
    private static long CheckOffset(in RecordBatchHeader header, long lastOffset, long offset) =>
        offset > lastOffset && offset <= header.LastOffset
            ? offset
            : throw new RecordFormatException(
                $"Offset {offset} follows {lastOffset} in a batch of offsets {header.BaseOffset} to {header.LastOffset}.");

    /// <summary>What was decided about the records of one batch, in sum.</summary>
    private struct Judgement
    {
        public int Kept;
        public int TombstonesDropped;
        public bool KeepsTombstone;
    }
}
