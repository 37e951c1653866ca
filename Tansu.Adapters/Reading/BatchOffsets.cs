using Tansu.Adapters.Ports;
using Tansu.Codec.Records;

namespace Tansu.Adapters.Reading;

/// <summary>Puts into stored batches what only the broker knows: their offsets. Both fields are outside of the batches' CRC.</summary>
internal static class BatchOffsets
{
    /// <summary>
    /// The leader epoch of every partition: leadership never changes hands, since every broker may write (see docs/compatibility.md).
    /// </summary>
    public const int LeaderEpoch = 0;

    /// <summary>Sets the base offsets of batches that follow one another.</summary>
    /// <param name="bytes">Whole batches, back to back.</param>
    /// <param name="baseOffset">The offset of the first record.</param>
    /// <exception cref="StoreRefusedException">The bytes are not whole batches: the store has lost or changed them.</exception>
    public static void Place(Span<byte> bytes, long baseOffset)
    {
        var next = baseOffset;
        while (!bytes.IsEmpty)
        {
            if (!RecordBatchHeader.TryRead(bytes, out var header) || header.TotalLength > bytes.Length)
            {
                throw new StoreRefusedException($"the stored record batch at offset {next} is damaged");
            }

            RecordBatchEditor.SetBaseOffset(bytes, next);
            RecordBatchEditor.SetPartitionLeaderEpoch(bytes, LeaderEpoch);
            next += header.LastOffsetDelta + 1L;
            bytes = bytes[header.TotalLength..];
        }
    }
}
