using System.Buffers;
using System.Buffers.Binary;
using Tansu.Codec.Records;

namespace Tansu.Adapters;

/// <summary>
/// The 40 bytes before each entry in a log file, little-endian: magic (4), format version (2), zero (2), entry number (8), file id
/// (8), head length (4), payload length (4), CRC-32C of the payload (4), CRC-32C of the 36 bytes before it and the head (4).
/// </summary>
/// <param name="Version">A later version keeps this layout and the head's checksum, so that an older broker knows it for what it is.</param>
/// <param name="Number">The entry's number.</param>
/// <param name="FileId">
/// Random, the same in all entries of a file: a record batch that holds the bytes of some log file, torn in the right place, is
/// not taken for an entry of this one.
/// </param>
/// <param name="HeadLength">Bytes of the head, which follows the frame.</param>
/// <param name="PayloadLength">Bytes of the payload, which follows the head.</param>
/// <param name="PayloadCrc">CRC-32C of the payload.</param>
/// <param name="HeadCrc">CRC-32C of the rest of the frame and the head.</param>
internal readonly record struct EntryFrame(
    ushort Version,
    long Number,
    ulong FileId,
    int HeadLength,
    int PayloadLength,
    uint PayloadCrc,
    uint HeadCrc)
{
    public const int Size = 40;
    public const ushort CurrentVersion = 1;

    /// <summary>The version of a frame that is no entry's, and begins a file that is written over: see <see cref="WriteBeginning"/>.</summary>
    public const ushort BeginningVersion = 2;

    /// <summary>The bytes that the beginning of such a file takes: a block, so that the entries after it begin with one.</summary>
    public const int BeginningBytes = 4096;

    /// <summary>The most a head or a payload may have: a frame from the wire (100 MiB) fits.</summary>
    public const int MaxPartBytes = 128 * 1024 * 1024;

    private const int CheckedBytes = Size - sizeof(uint);

    /// <summary>The frame's first four bytes.</summary>
    public static ReadOnlySpan<byte> Magic => [0xF1, (byte)'T', (byte)'n', (byte)'E'];

    /// <summary>Bytes of frame, head and payload.</summary>
    public long EntryBytes => (long)Size + HeadLength + PayloadLength;

    /// <summary>Makes the frame of an entry in <paramref name="destination"/>.</summary>
    public static void Write(
        Span<byte> destination,
        long number,
        ulong fileId,
        ReadOnlySequence<byte> head,
        ReadOnlySequence<byte> payload) =>
        Write(destination, CurrentVersion, number, fileId, head, payload);

    /// <summary>
    /// Makes the beginning of a file that had other entries before: whatever may still be in it, its own entries are those with this file id, which nobody could know when the others
    /// were written.
    /// </summary>
    /// <param name="firstNumber">The number that its first entry will have.</param>
    /// <param name="fileId">Its id.</param>
    public static byte[] WriteBeginning(long firstNumber, ulong fileId)
    {
        var beginning = new byte[BeginningBytes];
        Write(beginning, BeginningVersion, firstNumber, fileId, default, default);
        return beginning;
    }

    /// <summary>Whether bytes are the whole frame of a file's beginning.</summary>
    public static bool IsBeginning(ReadOnlySpan<byte> source, out EntryFrame frame) =>
        TryRead(source, out frame) && frame is { Version: BeginningVersion, HeadLength: 0, PayloadLength: 0 } && BeginHeadCrc(source) == frame.HeadCrc;

    private static void Write(
        Span<byte> destination,
        ushort version,
        long number,
        ulong fileId,
        ReadOnlySequence<byte> head,
        ReadOnlySequence<byte> payload)
    {
        Magic.CopyTo(destination);
        BinaryPrimitives.WriteUInt16LittleEndian(destination[4..], version);
        BinaryPrimitives.WriteUInt16LittleEndian(destination[6..], 0);
        BinaryPrimitives.WriteInt64LittleEndian(destination[8..], number);
        BinaryPrimitives.WriteUInt64LittleEndian(destination[16..], fileId);
        BinaryPrimitives.WriteInt32LittleEndian(destination[24..], (int)head.Length);
        BinaryPrimitives.WriteInt32LittleEndian(destination[28..], (int)payload.Length);
        BinaryPrimitives.WriteUInt32LittleEndian(destination[32..], Append(0, payload));
        var headCrc = Append(Crc32C.Append(0, destination[..CheckedBytes]), head);
        BinaryPrimitives.WriteUInt32LittleEndian(destination[CheckedBytes..], headCrc);
    }

    /// <summary>Reads a frame whose magic, reserved bytes and lengths are possible. Whether it is whole only its checksums tell.</summary>
    public static bool TryRead(ReadOnlySpan<byte> source, out EntryFrame frame)
    {
        frame = default;
        if (source.Length < Size || !source.StartsWith(Magic))
        {
            return false;
        }

        frame = new EntryFrame(
            BinaryPrimitives.ReadUInt16LittleEndian(source[4..]),
            BinaryPrimitives.ReadInt64LittleEndian(source[8..]),
            BinaryPrimitives.ReadUInt64LittleEndian(source[16..]),
            BinaryPrimitives.ReadInt32LittleEndian(source[24..]),
            BinaryPrimitives.ReadInt32LittleEndian(source[28..]),
            BinaryPrimitives.ReadUInt32LittleEndian(source[32..]),
            BinaryPrimitives.ReadUInt32LittleEndian(source[CheckedBytes..]));
        return frame.HeadLength is >= 0 and <= MaxPartBytes && frame.PayloadLength is >= 0 and <= MaxPartBytes;
    }

    /// <summary>The checksum of a frame's own part, to be continued with the head and compared with <see cref="HeadCrc"/>.</summary>
    public static uint BeginHeadCrc(ReadOnlySpan<byte> source) => Crc32C.Append(0, source[..CheckedBytes]);

    private static uint Append(uint crc, ReadOnlySequence<byte> data)
    {
        foreach (var part in data)
        {
            crc = Crc32C.Append(crc, part.Span);
        }

        return crc;
    }
}
