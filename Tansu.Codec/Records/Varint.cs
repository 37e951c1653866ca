using System.Buffers;

namespace Tansu.Codec.Records;

/// <summary>The zigzag varints of records: 7 bits a byte, the least significant first.</summary>
internal static class Varint
{
    private const int MaxIntBytes = 5;
    private const int MaxLongBytes = 10;

    public static bool TryReadInt(ReadOnlySpan<byte> bytes, ref int position, out int value)
    {
        // Nearly all numbers in a record are one byte: deltas, lengths of keys, the count of headers.
        if ((uint)position < (uint)bytes.Length && bytes[position] < 0x80)
        {
            var first = bytes[position++];
            value = (first >> 1) ^ -(first & 1);
            return true;
        }

        var isWhole = TryRead(bytes, ref position, MaxIntBytes, out var raw);
        var bits = (uint)raw;
        value = (int)(bits >> 1) ^ -(int)(bits & 1);
        return isWhole;
    }

    public static bool TryReadLong(ReadOnlySpan<byte> bytes, ref int position, out long value)
    {
        var isWhole = TryRead(bytes, ref position, MaxLongBytes, out var raw);
        value = (long)(raw >> 1) ^ -(long)(raw & 1);
        return isWhole;
    }

    public static void Write(IBufferWriter<byte> output, long value)
    {
        var raw = (ulong)((value << 1) ^ (value >> 63));
        var target = output.GetSpan(MaxLongBytes);
        var count = 0;
        while (raw >= 0x80)
        {
            target[count++] = (byte)(raw | 0x80);
            raw >>= 7;
        }

        target[count++] = (byte)raw;
        output.Advance(count);
    }

    private static bool TryRead(ReadOnlySpan<byte> bytes, ref int position, int maxBytes, out ulong raw)
    {
        raw = 0;
        for (var count = 0; count < maxBytes && position < bytes.Length; count++)
        {
            var next = bytes[position++];
            raw |= (ulong)(next & 0x7F) << (7 * count);
            if (next < 0x80)
            {
                return true;
            }
        }

        return false;
    }
}
