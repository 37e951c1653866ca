using System.Buffers.Binary;

namespace Tansu.Codec.Records;

/// <summary>The control record that ends a transaction in a partition (KIP-98).</summary>
/// <param name="Type">Commit or abort.</param>
/// <param name="CoordinatorEpoch">The epoch of the transaction coordinator that wrote it.</param>
public readonly record struct EndTransactionMarker(ControlRecordType Type, int CoordinatorEpoch)
{
    private const short Version = 0;
    private const int KeyLength = 4;
    private const int ValueLength = 6;

    /// <summary>Reads a marker from a record of a control batch.</summary>
    /// <param name="record">The record.</param>
    /// <param name="marker">The marker, if it is one.</param>
    /// <returns>False for other control records and malformed ones. Later versions may have more bytes at the end.</returns>
    public static bool TryRead(in Record record, out EndTransactionMarker marker)
    {
        marker = default;
        var key = record.Key.GetValueOrDefault().Span;
        var value = record.Value.GetValueOrDefault().Span;
        if (key.Length < KeyLength
            || value.Length < ValueLength
            || BinaryPrimitives.ReadInt16BigEndian(key) < 0
            || BinaryPrimitives.ReadInt16BigEndian(value) < 0)
        {
            return false;
        }

        var type = (ControlRecordType)BinaryPrimitives.ReadInt16BigEndian(key[sizeof(short)..]);
        if (type is not (ControlRecordType.Abort or ControlRecordType.Commit))
        {
            return false;
        }

        marker = new EndTransactionMarker(type, BinaryPrimitives.ReadInt32BigEndian(value[sizeof(short)..]));
        return true;
    }

    /// <summary>A control batch with this marker as its only record.</summary>
    /// <param name="producerId">The producer whose transaction ends.</param>
    /// <param name="producerEpoch">Its epoch.</param>
    /// <param name="timestampMs">The time of the end, in ms since 1970.</param>
    public byte[] ToBatch(long producerId, short producerEpoch, long timestampMs)
    {
        var key = new byte[KeyLength];
        BinaryPrimitives.WriteInt16BigEndian(key, Version);
        BinaryPrimitives.WriteInt16BigEndian(key.AsSpan(sizeof(short)), (short)Type);
        var value = new byte[ValueLength];
        BinaryPrimitives.WriteInt16BigEndian(value, Version);
        BinaryPrimitives.WriteInt32BigEndian(value.AsSpan(sizeof(short)), CoordinatorEpoch);

        var builder = new RecordBatchBuilder
        {
            ProducerId = producerId,
            ProducerEpoch = producerEpoch,
            IsTransactional = true,
            IsControl = true,
        };
        builder.Append(timestampMs, key, value);
        return builder.Build();
    }
}
