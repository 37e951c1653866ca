using System.Buffers;
using System.Buffers.Binary;
using Tansu.Codec.Records;

namespace Tansu.Adapters;

/// <summary>What an object is; part of its frame, so that one kind is not taken for another.</summary>
internal enum S3Kind : ushort
{
    Entry = 1,
    Snapshot = 2,
    Hint = 3,
    Cluster = 4,
}

/// <summary>
/// The 28 bytes that every object but blobs begins with, little-endian: magic (4), format version (2), kind (2), number (8), head length (4),
/// payload length (4), CRC-32C of the 24 bytes before it and the head (4). Head and payload follow; only entries have a payload.
/// </summary>
/// <param name="Version">A later version keeps this layout and the checksum, so that an older broker knows it for what it is.</param>
/// <param name="Kind">What the object is.</param>
/// <param name="Number">Entry: its number. Snapshot and hint: the entry that the snapshot includes last. Else 0.</param>
/// <param name="HeadLength">Bytes of the head.</param>
/// <param name="PayloadLength">Bytes of the payload.</param>
internal readonly record struct S3Frame(ushort Version, S3Kind Kind, long Number, int HeadLength, int PayloadLength)
{
    public const int Size = 28;
    public const ushort CurrentVersion = 1;

    /// <summary>The most that all of an object may have.</summary>
    public const int MaxObjectBytes = 1024 * 1024 * 1024;

    private const int CheckedBytes = Size - sizeof(uint);

    private static ReadOnlySpan<byte> Magic => [0xF1, (byte)'T', (byte)'n', (byte)'S'];

    /// <summary>Bytes of frame, head and payload.</summary>
    public long ObjectBytes => (long)Size + HeadLength + PayloadLength;

    /// <summary>Makes a whole object.</summary>
    /// <exception cref="ArgumentException">It would be larger than <see cref="MaxObjectBytes"/>.</exception>
    public static byte[] Make(S3Kind kind, long number, ReadOnlySequence<byte> head, ReadOnlySequence<byte> payload)
    {
        if (head.Length + payload.Length > MaxObjectBytes - Size)
        {
            throw new ArgumentException($"{head.Length + payload.Length} bytes are more than one object may have.", nameof(payload));
        }

        var bytes = GC.AllocateUninitializedArray<byte>(Size + (int)(head.Length + payload.Length));
        Magic.CopyTo(bytes);
        BinaryPrimitives.WriteUInt16LittleEndian(bytes.AsSpan(4), CurrentVersion);
        BinaryPrimitives.WriteUInt16LittleEndian(bytes.AsSpan(6), (ushort)kind);
        BinaryPrimitives.WriteInt64LittleEndian(bytes.AsSpan(8), number);
        BinaryPrimitives.WriteInt32LittleEndian(bytes.AsSpan(16), (int)head.Length);
        BinaryPrimitives.WriteInt32LittleEndian(bytes.AsSpan(20), (int)payload.Length);
        head.CopyTo(bytes.AsSpan(Size));
        payload.CopyTo(bytes.AsSpan(Size + (int)head.Length));
        BinaryPrimitives.WriteUInt32LittleEndian(bytes.AsSpan(CheckedBytes), Checksum(bytes, (int)head.Length));
        return bytes;
    }

    /// <summary>Reads a frame that is possible. Whether it is whole only <see cref="IsWhole"/> tells.</summary>
    public static bool TryRead(ReadOnlySpan<byte> source, out S3Frame frame)
    {
        frame = default;
        if (source.Length < Size || !source.StartsWith(Magic))
        {
            return false;
        }

        frame = new S3Frame(
            BinaryPrimitives.ReadUInt16LittleEndian(source[4..]),
            (S3Kind)BinaryPrimitives.ReadUInt16LittleEndian(source[6..]),
            BinaryPrimitives.ReadInt64LittleEndian(source[8..]),
            BinaryPrimitives.ReadInt32LittleEndian(source[16..]),
            BinaryPrimitives.ReadInt32LittleEndian(source[20..]));
        return frame is { HeadLength: >= 0, PayloadLength: >= 0, ObjectBytes: <= MaxObjectBytes };
    }

    /// <summary>Whether frame and head, which <paramref name="source"/> begins with, are as they were written.</summary>
    public static bool IsWhole(ReadOnlySpan<byte> source, in S3Frame frame) =>
        source.Length >= Size + frame.HeadLength
        && BinaryPrimitives.ReadUInt32LittleEndian(source[CheckedBytes..]) == Checksum(source, frame.HeadLength);

    /// <summary>The head of a whole object of this kind and number without payload; null when it is damaged or something else.</summary>
    /// <param name="source">The object's bytes.</param>
    /// <param name="kind">What it should be.</param>
    /// <param name="number">The number it should have; null for any.</param>
    public static ReadOnlyMemory<byte>? Open(ReadOnlyMemory<byte> source, S3Kind kind, long? number) =>
        TryRead(source.Span, out var frame)
        && frame.Version == CurrentVersion
        && frame.Kind == kind
        && (number is null || frame.Number == number)
        && frame.ObjectBytes == source.Length
        && IsWhole(source.Span, frame)
            ? source.Slice(Size, frame.HeadLength)
            : (ReadOnlyMemory<byte>?)null; // a plain null would be converted to empty memory

    /// <summary>The version of an undamaged object that a newer Tansu wrote; null when it is something else.</summary>
    /// <param name="source">The object's bytes, with all of the head.</param>
    /// <param name="kind">What it should be.</param>
    public static int? NewerVersion(ReadOnlySpan<byte> source, S3Kind kind) =>
        TryRead(source, out var frame) && frame.Version > CurrentVersion && frame.Kind == kind && IsWhole(source, frame) ? frame.Version : null;

    private static uint Checksum(ReadOnlySpan<byte> source, int headLength) =>
        Crc32C.Append(Crc32C.Append(0, source[..CheckedBytes]), source.Slice(Size, headLength));
}
