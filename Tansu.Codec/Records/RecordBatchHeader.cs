using System.Buffers.Binary;

namespace Tansu.Codec.Records;

/// <summary>The 61 bytes before the records of a batch of magic 2 (KIP-98), as values.</summary>
/// <remarks>Source: https://kafka.apache.org/documentation/#recordbatch</remarks>
public readonly record struct RecordBatchHeader
{
    /// <summary>The length of the header in bytes, from the base offset to the record count.</summary>
    public const int Length = RecordBatchLayout.Records;

    /// <summary>The only magic that Produce 3 and later carry.</summary>
    public const byte CurrentMagic = 2;

    /// <summary>The producer id of a batch whose producer is not idempotent.</summary>
    public const long NoProducerId = -1;

    /// <summary>The producer epoch of a batch whose producer is not idempotent.</summary>
    public const short NoProducerEpoch = -1;

    /// <summary>The base sequence of a batch without sequence numbers: not idempotent, or a transaction marker.</summary>
    public const int NoSequence = -1;

    /// <summary>The timestamp of a record that has none.</summary>
    public const long NoTimestamp = -1;

    /// <summary>The partition leader epoch that clients send.</summary>
    public const int NoPartitionLeaderEpoch = -1;

    /// <summary>The offset of the first record that the batch was made with. Outside the CRC.</summary>
    public long BaseOffset { get; init; }

    /// <summary>The bytes after this field: the whole batch but its first 12 bytes. Outside the CRC.</summary>
    public int BatchLength { get; init; }

    /// <summary>Set by the broker when it takes the batch. Outside the CRC.</summary>
    public int PartitionLeaderEpoch { get; init; }

    /// <summary>The CRC-32C of the bytes from the attributes to the end of the batch.</summary>
    public uint Crc { get; init; }

    /// <summary>Codec (bits 0-2), timestamp type (3), transactional (4), control (5), delete horizon (6).</summary>
    public short Attributes { get; init; }

    /// <summary>The last offset less the base offset; kept by compaction even if that record is removed.</summary>
    public int LastOffsetDelta { get; init; }

    /// <summary>
    /// What the timestamp deltas are added to, in ms since 1970; with a delete horizon, that horizon.
    /// </summary>
    public long BaseTimestamp { get; init; }

    /// <summary>The largest timestamp of the records, or the time of the append (LogAppendTime), in ms since 1970.</summary>
    public long MaxTimestamp { get; init; }

    /// <summary>The id of the idempotent producer, or <see cref="NoProducerId"/>.</summary>
    public long ProducerId { get; init; }

    /// <summary>The epoch of the idempotent producer, or <see cref="NoProducerEpoch"/>.</summary>
    public short ProducerEpoch { get; init; }

    /// <summary>The sequence number of the first record, or <see cref="NoSequence"/>.</summary>
    public int BaseSequence { get; init; }

    /// <summary>The number of records in the batch; 0 only where compaction has removed all.</summary>
    public int RecordCount { get; init; }

    /// <summary>The length of the whole batch in bytes.</summary>
    public int TotalLength => RecordBatchLayout.LengthOverhead + BatchLength;

    /// <summary>How the records are compressed; may be a value that is not known.</summary>
    public CompressionCodec Codec => (CompressionCodec)(Attributes & RecordBatchLayout.CodecMask);

    /// <summary>Whose clock the timestamps come from.</summary>
    public TimestampType TimestampType => (Attributes & RecordBatchLayout.LogAppendTimeBit) == 0
        ? TimestampType.CreateTime
        : TimestampType.LogAppendTime;

    /// <summary>Whether the batch is part of a transaction.</summary>
    public bool IsTransactional => (Attributes & RecordBatchLayout.TransactionalBit) != 0;

    /// <summary>Whether the batch holds a control record (a transaction marker), which clients do not see.</summary>
    public bool IsControl => (Attributes & RecordBatchLayout.ControlBit) != 0;

    /// <summary>Whether <see cref="BaseTimestamp"/> is the time after which tombstones in the batch may go (KIP-534).</summary>
    public bool HasDeleteHorizon => (Attributes & RecordBatchLayout.DeleteHorizonBit) != 0;

    /// <summary>Whether an idempotent or transactional producer made the batch.</summary>
    public bool HasProducerId => ProducerId > NoProducerId;

    /// <summary>The last offset that the batch covers.</summary>
    public long LastOffset => BaseOffset + LastOffsetDelta;

    /// <summary>The sequence number of the last record: sequence numbers go on with 0 after 2^31 - 1.</summary>
    public int LastSequence => BaseSequence < 0
        ? NoSequence
        : (int)(((long)BaseSequence + LastOffsetDelta) & int.MaxValue);

    /// <summary>Reads the header at the start of the bytes.</summary>
    /// <param name="bytes">A batch, or its beginning, or several.</param>
    /// <param name="header">The header, if there is one.</param>
    /// <returns>
    /// False when there are fewer than 61 bytes, the magic is not 2, or the length cannot be that of a batch. The bytes
    /// after the header are not looked at, and need not be there.
    /// </returns>
    public static bool TryRead(ReadOnlySpan<byte> bytes, out RecordBatchHeader header)
    {
        header = default;
        if (bytes.Length < Length || bytes[RecordBatchLayout.Magic] != CurrentMagic)
        {
            return false;
        }

        var batchLength = BinaryPrimitives.ReadInt32BigEndian(bytes[RecordBatchLayout.BatchLength..]);
        if (batchLength is < Length - RecordBatchLayout.LengthOverhead or > int.MaxValue - RecordBatchLayout.LengthOverhead)
        {
            return false;
        }

        header = new RecordBatchHeader
        {
            BaseOffset = BinaryPrimitives.ReadInt64BigEndian(bytes),
            BatchLength = batchLength,
            PartitionLeaderEpoch = BinaryPrimitives.ReadInt32BigEndian(bytes[RecordBatchLayout.PartitionLeaderEpoch..]),
            Crc = BinaryPrimitives.ReadUInt32BigEndian(bytes[RecordBatchLayout.Crc..]),
            Attributes = BinaryPrimitives.ReadInt16BigEndian(bytes[RecordBatchLayout.Attributes..]),
            LastOffsetDelta = BinaryPrimitives.ReadInt32BigEndian(bytes[RecordBatchLayout.LastOffsetDelta..]),
            BaseTimestamp = BinaryPrimitives.ReadInt64BigEndian(bytes[RecordBatchLayout.BaseTimestamp..]),
            MaxTimestamp = BinaryPrimitives.ReadInt64BigEndian(bytes[RecordBatchLayout.MaxTimestamp..]),
            ProducerId = BinaryPrimitives.ReadInt64BigEndian(bytes[RecordBatchLayout.ProducerId..]),
            ProducerEpoch = BinaryPrimitives.ReadInt16BigEndian(bytes[RecordBatchLayout.ProducerEpoch..]),
            BaseSequence = BinaryPrimitives.ReadInt32BigEndian(bytes[RecordBatchLayout.BaseSequence..]),
            RecordCount = BinaryPrimitives.ReadInt32BigEndian(bytes[RecordBatchLayout.RecordCount..]),
        };
        return true;
    }

    /// <summary>Whether the CRC is that of the bytes.</summary>
    /// <param name="batch">The whole batch that the header was read from.</param>
    public bool IsIntact(ReadOnlySpan<byte> batch) => Crc32C.Compute(batch[RecordBatchLayout.Attributes..]) == Crc;

    /// <summary>Writes the header, its CRC as it stands in <see cref="Crc"/>.</summary>
    /// <param name="destination">At least 61 bytes.</param>
    public void Write(Span<byte> destination)
    {
        BinaryPrimitives.WriteInt64BigEndian(destination, BaseOffset);
        BinaryPrimitives.WriteInt32BigEndian(destination[RecordBatchLayout.BatchLength..], BatchLength);
        BinaryPrimitives.WriteInt32BigEndian(destination[RecordBatchLayout.PartitionLeaderEpoch..], PartitionLeaderEpoch);
        destination[RecordBatchLayout.Magic] = CurrentMagic;
        BinaryPrimitives.WriteUInt32BigEndian(destination[RecordBatchLayout.Crc..], Crc);
        BinaryPrimitives.WriteInt16BigEndian(destination[RecordBatchLayout.Attributes..], Attributes);
        BinaryPrimitives.WriteInt32BigEndian(destination[RecordBatchLayout.LastOffsetDelta..], LastOffsetDelta);
        BinaryPrimitives.WriteInt64BigEndian(destination[RecordBatchLayout.BaseTimestamp..], BaseTimestamp);
        BinaryPrimitives.WriteInt64BigEndian(destination[RecordBatchLayout.MaxTimestamp..], MaxTimestamp);
        BinaryPrimitives.WriteInt64BigEndian(destination[RecordBatchLayout.ProducerId..], ProducerId);
        BinaryPrimitives.WriteInt16BigEndian(destination[RecordBatchLayout.ProducerEpoch..], ProducerEpoch);
        BinaryPrimitives.WriteInt32BigEndian(destination[RecordBatchLayout.BaseSequence..], BaseSequence);
        BinaryPrimitives.WriteInt32BigEndian(destination[RecordBatchLayout.RecordCount..], RecordCount);
    }
}
