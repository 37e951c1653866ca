using System.Buffers.Binary;

namespace Tansu.Adapters;

/// <summary>Where an entry is in its file.</summary>
/// <param name="Position">Byte position of its frame.</param>
/// <param name="HeadLength">Bytes of its head.</param>
/// <param name="PayloadLength">Bytes of its payload.</param>
internal readonly record struct EntryLocation(long Position, int HeadLength, int PayloadLength)
{
    public long PayloadPosition => Position + EntryFrame.Size + HeadLength;

    public long End => PayloadPosition + PayloadLength;
}

/// <summary>
/// Where the entries of one file are, in the order of their numbers. One thread adds; others may read at the same time what has
/// been published to them.
/// </summary>
/// <param name="start">Where the first entry begins.</param>
internal sealed class EntryIndex(long start = 0)
{
    private const int LocationBytes = 16;

    private EntryLocation[] _locations = new EntryLocation[16];
    private int _count;

    public int Count => Volatile.Read(ref _count);

    /// <summary>Where the last entry ends: the length of a file without a torn end.</summary>
    public long End => _count == 0 ? start : _locations[_count - 1].End;

    public EntryLocation this[int index]
    {
        get
        {
            // The count before the array: an array read later holds at least that many.
            ArgumentOutOfRangeException.ThrowIfGreaterThanOrEqual((uint)index, (uint)Count, nameof(index));
            return Volatile.Read(ref _locations)[index];
        }
    }

    public void Add(EntryLocation location)
    {
        if (_count == _locations.Length)
        {
            var larger = new EntryLocation[_count * 2];
            _locations.AsSpan().CopyTo(larger);
            Volatile.Write(ref _locations, larger);
        }

        _locations[_count] = location;
        Volatile.Write(ref _count, _count + 1);
    }

    /// <summary>How many entries the content of an index file has room for.</summary>
    public static long CountIn(long contentBytes) => contentBytes / LocationBytes;

    /// <summary>The content of an index file: position (8), head length (4), payload length (4) per entry, little-endian.</summary>
    public byte[] ToBytes()
    {
        var bytes = new byte[_count * LocationBytes];
        for (var i = 0; i < _count; i++)
        {
            var destination = bytes.AsSpan(i * LocationBytes);
            BinaryPrimitives.WriteInt64LittleEndian(destination, _locations[i].Position);
            BinaryPrimitives.WriteInt32LittleEndian(destination[8..], _locations[i].HeadLength);
            BinaryPrimitives.WriteInt32LittleEndian(destination[12..], _locations[i].PayloadLength);
        }

        return bytes;
    }

    /// <summary>Reads what <see cref="ToBytes"/> made.</summary>
    public static EntryIndex FromBytes(ReadOnlySpan<byte> bytes)
    {
        var index = new EntryIndex { _locations = new EntryLocation[Math.Max(1, bytes.Length / LocationBytes)] };
        for (; bytes.Length >= LocationBytes; bytes = bytes[LocationBytes..])
        {
            index.Add(new EntryLocation(
                BinaryPrimitives.ReadInt64LittleEndian(bytes),
                BinaryPrimitives.ReadInt32LittleEndian(bytes[8..]),
                BinaryPrimitives.ReadInt32LittleEndian(bytes[12..])));
        }

        return index;
    }
}
