using System.Buffers.Binary;

namespace Tansu.Codec.Records;

/// <summary>Changes, in place, the header fields of a batch that are the broker's to set.</summary>
public static class RecordBatchEditor
{
    /// <summary>Sets the base offset, which the CRC does not cover.</summary>
    /// <param name="batch">A batch, or at least its first 8 bytes.</param>
    /// <param name="baseOffset">The offset of the batch's first record.</param>
    public static void SetBaseOffset(Span<byte> batch, long baseOffset) =>
        BinaryPrimitives.WriteInt64BigEndian(batch, baseOffset);

    /// <summary>Sets the partition leader epoch, which the CRC does not cover.</summary>
    /// <param name="batch">A batch, or at least its first 16 bytes.</param>
    /// <param name="partitionLeaderEpoch">The epoch of the leader that took the batch.</param>
    public static void SetPartitionLeaderEpoch(Span<byte> batch, int partitionLeaderEpoch) =>
        BinaryPrimitives.WriteInt32BigEndian(batch[RecordBatchLayout.PartitionLeaderEpoch..], partitionLeaderEpoch);

    /// <summary>
    /// Makes the batch's timestamps those of its append (<c>message.timestamp.type=LogAppendTime</c>): sets the
    /// attribute and the maximum timestamp, and computes the CRC anew. The records stay as they are.
    /// </summary>
    /// <param name="batch">A whole, valid batch.</param>
    /// <param name="timestampMs">The time of the append, in ms since 1970.</param>
    /// <exception cref="ArgumentException">The bytes do not begin with a whole batch.</exception>
    public static void SetLogAppendTime(Span<byte> batch, long timestampMs) =>
        SetTimestamp(batch, TimestampType.LogAppendTime, timestampMs);

    /// <summary>
    /// Sets the maximum timestamp of a batch with the producer's timestamps, for clients that send a wrong one (Kafka
    /// puts it right without a word), and computes the CRC anew if that changed anything.
    /// </summary>
    /// <param name="batch">A whole, valid batch.</param>
    /// <param name="maxTimestampMs">The largest timestamp of the records, in ms since 1970.</param>
    /// <exception cref="ArgumentException">The bytes do not begin with a whole batch.</exception>
    public static void SetMaxTimestamp(Span<byte> batch, long maxTimestampMs) =>
        SetTimestamp(batch, TimestampType.CreateTime, maxTimestampMs);

    private static void SetTimestamp(Span<byte> batch, TimestampType type, long maxTimestampMs)
    {
        if (!RecordBatchHeader.TryRead(batch, out var header) || header.TotalLength > batch.Length)
        {
            throw new ArgumentException("The bytes do not begin with a whole record batch.", nameof(batch));
        }

        if (header.TimestampType == type && header.MaxTimestamp == maxTimestampMs)
        {
            return;
        }

        var attributes = type == TimestampType.LogAppendTime
            ? (short)(header.Attributes | RecordBatchLayout.LogAppendTimeBit)
            : (short)(header.Attributes & ~RecordBatchLayout.LogAppendTimeBit);
        BinaryPrimitives.WriteInt16BigEndian(batch[RecordBatchLayout.Attributes..], attributes);
        BinaryPrimitives.WriteInt64BigEndian(batch[RecordBatchLayout.MaxTimestamp..], maxTimestampMs);
        SetCrc(batch[..header.TotalLength]);
    }

    internal static void SetCrc(Span<byte> batch)
    {
        var crc = Crc32C.Compute(batch[RecordBatchLayout.Attributes..]);
        BinaryPrimitives.WriteUInt32BigEndian(batch[RecordBatchLayout.Crc..], crc);
    }
}
