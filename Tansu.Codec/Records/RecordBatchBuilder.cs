using System.Buffers;

namespace Tansu.Codec.Records;

/// <summary>Makes one record batch. Not safe for several threads; one builder makes one batch.</summary>
public sealed class RecordBatchBuilder
{
    private readonly ArrayBufferWriter<byte> _records = new();
    private readonly ArrayBufferWriter<byte> _body = new();
    private long? _baseTimestampMs;
    private long _maxTimestampMs = RecordBatchHeader.NoTimestamp;
    private int _nextOffsetDelta;

    /// <summary>How the records are compressed.</summary>
    public CompressionCodec Codec { get; init; }

    /// <summary>How snappy is wrapped.</summary>
    public SnappyFraming SnappyFraming { get; init; }

    /// <summary>The offset of the first record; 0 in what a client sends.</summary>
    public long BaseOffset { get; init; }

    /// <summary>The epoch of the leader that takes the batch.</summary>
    public int PartitionLeaderEpoch { get; init; } = RecordBatchHeader.NoPartitionLeaderEpoch;

    /// <summary>The id of the idempotent producer, or -1.</summary>
    public long ProducerId { get; init; } = RecordBatchHeader.NoProducerId;

    /// <summary>The epoch of the idempotent producer, or -1.</summary>
    public short ProducerEpoch { get; init; } = RecordBatchHeader.NoProducerEpoch;

    /// <summary>The sequence number of the first record, or -1.</summary>
    public int BaseSequence { get; init; } = RecordBatchHeader.NoSequence;

    /// <summary>Whether the batch is part of a transaction.</summary>
    public bool IsTransactional { get; init; }

    /// <summary>Whether the records are control records.</summary>
    public bool IsControl { get; init; }

    /// <summary>The time of the append in ms since 1970, which then is every record's timestamp; null for CreateTime.</summary>
    public long? LogAppendTimeMs { get; init; }

    /// <summary>The time in ms since 1970 after which tombstones of the batch may be removed (KIP-534); null if not set.</summary>
    public long? DeleteHorizonMs { get; init; }

    /// <summary>
    /// The last offset delta of a batch from which compaction removed records at the end; null for that of the last
    /// record. An idempotent producer's sequence numbers are counted by it.
    /// </summary>
    public int? LastOffsetDelta { get; init; }

    /// <summary>The number of records appended so far.</summary>
    public int RecordCount { get; private set; }

    /// <summary>The length of the records appended so far in bytes, before compression.</summary>
    public int UncompressedBytes => _records.WrittenCount;

    /// <summary>
    /// Appends a record at the next offset. Note that a null array converts to empty bytes, not to null.
    /// </summary>
    /// <param name="timestampMs">In ms since 1970, or -1.</param>
    /// <param name="key">The key, or null.</param>
    /// <param name="value">The value, or null.</param>
    /// <param name="headers">The headers, possibly none.</param>
    public void Append(
        long timestampMs,
        ReadOnlyMemory<byte>? key,
        ReadOnlyMemory<byte>? value,
        ReadOnlySpan<RecordHeader> headers = default)
    {
        BeginBody(timestampMs, _nextOffsetDelta, key, value);
        Varint.Write(_body, headers.Length);
        foreach (var header in headers)
        {
            WriteBytes(header.Key);
            WriteBytes(header.Value);
        }

        EndBody();
    }

    /// <summary>Appends a record of another batch, keeping its offset; what compaction does with those that stay.</summary>
    /// <param name="record">A record whose offset is at least the next one of this batch.</param>
    /// <exception cref="ArgumentException">The offset is before the next one, or too far from the base offset.</exception>
    public void Append(in Record record)
    {
        var offsetDelta = record.Offset - BaseOffset;
        if (offsetDelta < _nextOffsetDelta || offsetDelta >= int.MaxValue)
        {
            throw new ArgumentException($"Offset {record.Offset} does not follow in a batch based at {BaseOffset}.", nameof(record));
        }

        BeginBody(record.TimestampMs, (int)offsetDelta, record.Key, record.Value);
        Varint.Write(_body, record.Headers.Count);
        _body.Write(record.Headers.Bytes.Span);
        EndBody();
    }

    /// <summary>The batch.</summary>
    /// <returns>All its bytes, with length and CRC.</returns>
    public byte[] Build()
    {
        var output = new ArrayBufferWriter<byte>(RecordBatchHeader.Length + UncompressedBytes);
        output.GetSpan(RecordBatchHeader.Length);
        output.Advance(RecordBatchHeader.Length);
        Compression.Compress(Codec, _records.WrittenSpan, output, SnappyFraming);
        var batch = output.WrittenSpan.ToArray();
        new RecordBatchHeader
        {
            BaseOffset = BaseOffset,
            BatchLength = batch.Length - RecordBatchLayout.LengthOverhead,
            PartitionLeaderEpoch = PartitionLeaderEpoch,
            Attributes = MakeAttributes(),
            LastOffsetDelta = LastOffsetDelta ?? Math.Max(0, _nextOffsetDelta - 1),
            BaseTimestamp = DeleteHorizonMs ?? _baseTimestampMs ?? RecordBatchHeader.NoTimestamp,
            MaxTimestamp = LogAppendTimeMs ?? _maxTimestampMs,
            ProducerId = ProducerId,
            ProducerEpoch = ProducerEpoch,
            BaseSequence = BaseSequence,
            RecordCount = RecordCount,
        }.Write(batch);
        RecordBatchEditor.SetCrc(batch);
        return batch;
    }

    private void BeginBody(long timestampMs, int offsetDelta, ReadOnlyMemory<byte>? key, ReadOnlyMemory<byte>? value)
    {
        _baseTimestampMs ??= DeleteHorizonMs ?? timestampMs;
        _maxTimestampMs = Math.Max(_maxTimestampMs, timestampMs);
        _nextOffsetDelta = offsetDelta + 1;
        RecordCount++;

        _body.ResetWrittenCount();
        _body.Write([(byte)0]);
        Varint.Write(_body, timestampMs - _baseTimestampMs.Value);
        Varint.Write(_body, offsetDelta);
        WriteBytes(key);
        WriteBytes(value);
    }

    private void EndBody()
    {
        Varint.Write(_records, _body.WrittenCount);
        _records.Write(_body.WrittenSpan);
    }

    private void WriteBytes(ReadOnlyMemory<byte>? bytes)
    {
        Varint.Write(_body, bytes?.Length ?? -1);
        _body.Write(bytes.GetValueOrDefault().Span);
    }

    private short MakeAttributes()
    {
        var attributes = (int)Codec & RecordBatchLayout.CodecMask;
        attributes |= LogAppendTimeMs is null ? 0 : RecordBatchLayout.LogAppendTimeBit;
        attributes |= IsTransactional ? RecordBatchLayout.TransactionalBit : 0;
        attributes |= IsControl ? RecordBatchLayout.ControlBit : 0;
        attributes |= DeleteHorizonMs is null ? 0 : RecordBatchLayout.DeleteHorizonBit;
        return (short)attributes;
    }
}
