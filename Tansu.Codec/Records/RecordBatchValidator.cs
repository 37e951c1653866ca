using System.Buffers.Binary;

namespace Tansu.Codec.Records;

/// <summary>
/// Decides whether the record data that a client sent for one partition may be stored as it came. Raises no exception
/// for anything in the bytes, and allocates only to decompress, if that is asked for or the batch does not say its largest timestamp.
/// </summary>
public static class RecordBatchValidator
{
    private const int NoRecord = -1;
    private const int ShortestBatchLength = RecordBatchHeader.Length - RecordBatchLayout.LengthOverhead;

    /// <summary>Validates the records of one partition of a produce request.</summary>
    /// <param name="records">What the request carries for the partition; empty for null.</param>
    /// <param name="limits">What the topic and the request's version demand.</param>
    public static RecordBatchValidation Validate(ReadOnlyMemory<byte> records, in RecordBatchLimits limits)
    {
        var outcome = CheckFraming(records.Span, out var header);
        if (outcome == RecordBatchOutcome.Valid)
        {
            outcome = CheckBatch(records.Span, header, limits);
        }

        if (outcome != RecordBatchOutcome.Valid)
        {
            return new RecordBatchValidation(outcome, header, NoRecord, header.MaxTimestamp);
        }

        var bytes = records[RecordBatchHeader.Length..];
        if (header.Codec == CompressionCodec.None)
        {
            return CheckRecords(bytes.Span, header, limits);
        }

        // Some clients do not say the largest timestamp of a batch that they compress (Sarama up to 1.45): only its records do.
        return limits.LooksIntoCompressed || limits.RequiresKeys || header.MaxTimestamp < header.BaseTimestamp
            ? CheckCompressedRecords(bytes, header, limits)
            : CheckTimestampsOfHeader(header, limits);
    }

    private static RecordBatchOutcome CheckFraming(ReadOnlySpan<byte> records, out RecordBatchHeader header)
    {
        header = default;
        if (records.IsEmpty)
        {
            return RecordBatchOutcome.Empty;
        }

        if (records.Length <= RecordBatchLayout.Magic)
        {
            return RecordBatchOutcome.Truncated;
        }

        // The length is read before the magic because all formats have it in the same place.
        var magic = records[RecordBatchLayout.Magic];
        var batchLength = BinaryPrimitives.ReadInt32BigEndian(records[RecordBatchLayout.BatchLength..]);
        if (batchLength < 0 || (magic == RecordBatchHeader.CurrentMagic && batchLength < ShortestBatchLength))
        {
            return RecordBatchOutcome.BadLength;
        }

        if (magic != RecordBatchHeader.CurrentMagic)
        {
            return magic < RecordBatchHeader.CurrentMagic ? RecordBatchOutcome.OldMagic : RecordBatchOutcome.UnknownMagic;
        }

        return RecordBatchHeader.TryRead(records, out header) && header.TotalLength <= records.Length
            ? RecordBatchOutcome.Valid
            : RecordBatchOutcome.Truncated;
    }

    private static RecordBatchOutcome CheckBatch(
        ReadOnlySpan<byte> records, in RecordBatchHeader header, in RecordBatchLimits limits)
    {
        if (header.Codec == CompressionCodec.Zstd && !limits.AllowsZstd)
        {
            return RecordBatchOutcome.CodecNotAllowed;
        }

        if (header.TotalLength != records.Length)
        {
            return RecordBatchOutcome.MoreThanOneBatch;
        }

        if (header.BaseOffset != 0)
        {
            return RecordBatchOutcome.BadBaseOffset;
        }

        if (header.TotalLength > limits.MaxBatchBytes)
        {
            return RecordBatchOutcome.TooLarge;
        }

        if (!header.IsIntact(records))
        {
            return RecordBatchOutcome.BadCrc;
        }

        return CheckHeader(header);
    }

    private static RecordBatchOutcome CheckHeader(in RecordBatchHeader header)
    {
        if (!Compression.IsKnown(header.Codec))
        {
            return RecordBatchOutcome.UnknownCodec;
        }

        if (header.RecordCount <= 0 || header.LastOffsetDelta != header.RecordCount - 1)
        {
            return RecordBatchOutcome.BadCount;
        }

        if (header.IsControl)
        {
            return RecordBatchOutcome.ControlBatchFromClient;
        }

        var isSequenced = header.ProducerEpoch >= 0 && header.BaseSequence >= 0;
        if (header.HasProducerId ? !isSequenced : header.IsTransactional)
        {
            return RecordBatchOutcome.BadSequence;
        }

        return header.TimestampType == TimestampType.LogAppendTime
            ? RecordBatchOutcome.BadTimestamp
            : RecordBatchOutcome.Valid;
    }

    private static RecordBatchValidation CheckCompressedRecords(
        ReadOnlyMemory<byte> compressed, in RecordBatchHeader header, in RecordBatchLimits limits)
    {
        var outcome = Compression.TryDecompress(header.Codec, compressed, limits.MaxDecompressedBytes, out var records);
        if (outcome != DecompressionOutcome.Done)
        {
            var fault = outcome == DecompressionOutcome.TooLarge
                ? RecordBatchOutcome.DecompressedTooLarge
                : RecordBatchOutcome.BadCompression;
            return new RecordBatchValidation(fault, header, NoRecord, header.MaxTimestamp);
        }

        using (records)
        {
            return CheckRecords(records!.Memory.Span, header, limits);
        }
    }

    private static RecordBatchValidation CheckRecords(
        ReadOnlySpan<byte> records, in RecordBatchHeader header, in RecordBatchLimits limits)
    {
        var scanner = new RecordScanner(records);
        var maxTimestampMs = RecordBatchHeader.NoTimestamp;
        for (var index = 0; index < header.RecordCount; index++)
        {
            if (scanner.IsAtEnd)
            {
                return new RecordBatchValidation(RecordBatchOutcome.BadCount, header, NoRecord, maxTimestampMs);
            }

            if (!scanner.TryNext(out var layout) || layout.OffsetDelta != index)
            {
                return new RecordBatchValidation(RecordBatchOutcome.BadRecord, header, index, maxTimestampMs);
            }

            if (limits.RequiresKeys && layout.Key.IsNull)
            {
                return new RecordBatchValidation(RecordBatchOutcome.MissingKey, header, index, maxTimestampMs);
            }

            var timestampMs = header.BaseTimestamp + layout.TimestampDelta;
            if (!IsAllowed(timestampMs, limits))
            {
                return new RecordBatchValidation(RecordBatchOutcome.BadTimestamp, header, index, maxTimestampMs);
            }

            maxTimestampMs = Math.Max(maxTimestampMs, timestampMs);
        }

        var outcome = scanner.IsAtEnd ? RecordBatchOutcome.Valid : RecordBatchOutcome.BadCount;
        return new RecordBatchValidation(outcome, header, NoRecord, maxTimestampMs);
    }

    /// <summary>
    /// Without looking into the records: the first has the base timestamp and none has more than the maximum, if the
    /// client is honest.
    /// </summary>
    private static RecordBatchValidation CheckTimestampsOfHeader(in RecordBatchHeader header, in RecordBatchLimits limits)
    {
        var isAllowed = IsAllowed(header.BaseTimestamp, limits) && IsAllowed(header.MaxTimestamp, limits);
        var outcome = isAllowed ? RecordBatchOutcome.Valid : RecordBatchOutcome.BadTimestamp;
        return new RecordBatchValidation(outcome, header, NoRecord, header.MaxTimestamp);
    }

    private static bool IsAllowed(long timestampMs, in RecordBatchLimits limits) =>
        timestampMs == RecordBatchHeader.NoTimestamp
        || (timestampMs >= limits.EarliestTimestampMs && timestampMs <= limits.LatestTimestampMs);
}
