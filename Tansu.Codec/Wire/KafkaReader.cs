using System.Buffers.Binary;
using System.Text;

namespace Tansu.Codec;

/// <summary>
/// Reads the primitive types of the Kafka protocol (big-endian, <see href="https://kafka.apache.org/protocol.html#protocol_types"/>)
/// from one frame. Every count and length is checked against what is left of the frame before anything is allocated,
/// so that a frame can make the reader allocate only a small multiple of its own size.
/// A reader is used by one thread and must be passed by reference.
/// </summary>
/// <remarks>Every method throws <see cref="KafkaFormatException"/> on malformed bytes, and nothing else.</remarks>
public ref partial struct KafkaReader
{
    /// <summary>How many array elements one frame may hold if the reader is not told otherwise.</summary>
    public const int DefaultMaxElements = 1_000_000;

    /// <summary>The longest string in bytes, in both encodings: Kafka's own limit.</summary>
    public const int MaxStringBytes = short.MaxValue;

    private readonly ReadOnlyMemory<byte> _frame;
    private readonly ReadOnlySpan<byte> _span;
    private int _position;
    private int _elementsLeft;

    /// <summary>Starts at the first byte of a frame (after its length prefix).</summary>
    /// <param name="frame">The frame; bytes and records read from it are slices of it.</param>
    /// <param name="maxElements">How many array elements, of all arrays together, the frame may hold.</param>
    public KafkaReader(ReadOnlyMemory<byte> frame, int maxElements = DefaultMaxElements)
    {
        _frame = frame;
        _span = frame.Span;
        _elementsLeft = maxElements;
    }

    /// <summary>How many bytes have been read.</summary>
    public readonly int Position => _position;

    /// <summary>How many bytes are left.</summary>
    public readonly int Remaining => _span.Length - _position;

    /// <summary>Checks that the whole frame was read: bytes after a message mean that it was not understood.</summary>
    public readonly void RequireEnd()
    {
        if (Remaining != 0)
        {
            throw Malformed($"{Remaining} bytes follow the message");
        }
    }

    /// <summary>Reads one byte: 0 is false, anything else is true.</summary>
    public bool ReadBoolean() => Take(1)[0] != 0;

    /// <summary>Reads a signed byte.</summary>
    public sbyte ReadInt8() => (sbyte)Take(1)[0];

    /// <summary>Reads a signed 16-bit number.</summary>
    public short ReadInt16() => BinaryPrimitives.ReadInt16BigEndian(Take(2));

    /// <summary>Reads an unsigned 16-bit number.</summary>
    public ushort ReadUInt16() => BinaryPrimitives.ReadUInt16BigEndian(Take(2));

    /// <summary>Reads a signed 32-bit number.</summary>
    public int ReadInt32() => BinaryPrimitives.ReadInt32BigEndian(Take(4));

    /// <summary>Reads an unsigned 32-bit number.</summary>
    public uint ReadUInt32() => BinaryPrimitives.ReadUInt32BigEndian(Take(4));

    /// <summary>Reads a signed 64-bit number.</summary>
    public long ReadInt64() => BinaryPrimitives.ReadInt64BigEndian(Take(8));

    /// <summary>Reads a double-precision number.</summary>
    public double ReadFloat64() => BinaryPrimitives.ReadDoubleBigEndian(Take(8));

    /// <summary>Reads a UUID: 16 bytes, the most significant first.</summary>
    public Guid ReadUuid() => new(Take(16), bigEndian: true);

    /// <summary>Reads an unsigned number of at most 32 bits in groups of 7 bits, the lowest first.</summary>
    public uint ReadUnsignedVarint()
    {
        uint value = 0;
        for (var shift = 0; shift < 35; shift += 7)
        {
            var next = Take(1)[0];
            value |= (uint)(next & 0x7f) << shift;
            if (next < 0x80)
            {
                // The fifth byte has room for the four highest bits only.
                return shift < 28 || next <= 0x0f ? value : throw Malformed("a varint has more than 32 bits");
            }
        }

        throw Malformed("a varint is longer than 5 bytes");
    }

    /// <summary>Reads a zigzag-encoded signed number of at most 32 bits.</summary>
    public int ReadVarint()
    {
        var value = ReadUnsignedVarint();
        return (int)(value >> 1) ^ -(int)(value & 1);
    }

    /// <summary>Reads a zigzag-encoded signed number of at most 64 bits.</summary>
    public long ReadVarlong()
    {
        ulong value = 0;
        for (var shift = 0; shift < 70; shift += 7)
        {
            var next = Take(1)[0];
            value |= (ulong)(next & 0x7f) << shift;
            if (next < 0x80)
            {
                return shift < 63 || next <= 1
                    ? (long)(value >> 1) ^ -(long)(value & 1)
                    : throw Malformed("a varlong has more than 64 bits");
            }
        }

        throw Malformed("a varlong is longer than 10 bytes");
    }

    /// <summary>Skips bytes without looking at them.</summary>
    public void Skip(int count) => Take(count);

    private static string Text(ReadOnlySpan<byte> bytes) => bytes.IsEmpty ? "" : Encoding.UTF8.GetString(bytes);

    private ReadOnlySpan<byte> Take(int count)
    {
        if ((uint)count > (uint)(_span.Length - _position))
        {
            throw Malformed($"{count} bytes are needed and {Remaining} are left");
        }

        var taken = _span.Slice(_position, count);
        _position += count;
        return taken;
    }

    private ReadOnlyMemory<byte> TakeMemory(int count)
    {
        var start = _position;
        Take(count);
        return _frame.Slice(start, count);
    }

    private readonly KafkaFormatException Malformed(string what) =>
        new($"Malformed frame at byte {_position} of {_span.Length}: {what}.");
}
