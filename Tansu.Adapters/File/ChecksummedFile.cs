using System.Buffers;
using System.Buffers.Binary;
using Microsoft.Win32.SafeHandles;
using Tansu.Codec.Records;

namespace Tansu.Adapters;

/// <summary>What a <see cref="ChecksummedFile"/> is; part of its header, so that one kind is not taken for another.</summary>
internal enum FileKind : ushort
{
    Index = 1,
    Snapshot = 2,
    Cluster = 3,
}

/// <summary>The header of a <see cref="ChecksummedFile"/>.</summary>
/// <param name="Number">Index: number of the first entry. Snapshot: number of the last entry it includes. Else 0.</param>
/// <param name="Covers">Index: length of the log file in bytes. Else 0.</param>
/// <param name="ContentLength">Bytes that follow the header.</param>
/// <param name="ContentCrc">CRC-32C of the content.</param>
internal readonly record struct FileHeader(long Number, long Covers, long ContentLength, uint ContentCrc);

/// <summary>
/// A small file that is written whole and never changed: 40 bytes of header, then the content. Header, little-endian: magic (4), format
/// version (2), kind (2), number (8), covers (8), content length (8), CRC-32C of the content (4), CRC-32C of the header (4).
/// </summary>
internal static class ChecksummedFile
{
    public const int HeaderSize = 40;
    private const ushort Version = 1;
    private const int CheckedBytes = HeaderSize - sizeof(uint);

    private static ReadOnlySpan<byte> Magic => [0xF1, (byte)'T', (byte)'n', (byte)'F'];

    public static void Write(
        string temporaryDirectory,
        string path,
        FileKind kind,
        long number,
        long covers,
        ReadOnlySequence<byte> content)
    {
        var header = new byte[HeaderSize];
        Magic.CopyTo(header);
        BinaryPrimitives.WriteUInt16LittleEndian(header.AsSpan(4), Version);
        BinaryPrimitives.WriteUInt16LittleEndian(header.AsSpan(6), (ushort)kind);
        BinaryPrimitives.WriteInt64LittleEndian(header.AsSpan(8), number);
        BinaryPrimitives.WriteInt64LittleEndian(header.AsSpan(16), covers);
        BinaryPrimitives.WriteInt64LittleEndian(header.AsSpan(24), content.Length);
        var crc = 0u;
        foreach (var part in content)
        {
            crc = Crc32C.Append(crc, part.Span);
        }

        BinaryPrimitives.WriteUInt32LittleEndian(header.AsSpan(32), crc);
        BinaryPrimitives.WriteUInt32LittleEndian(header.AsSpan(CheckedBytes), Crc32C.Append(0, header.AsSpan(0, CheckedBytes)));
        DurableFile.Replace(temporaryDirectory, path, header, content);
    }

    /// <summary>Reads and checks the header, and that the file has the length it says. Null: no such file, or damaged.</summary>
    public static FileHeader? ReadHeader(string path, FileKind kind)
    {
        using var handle = TryOpen(path);
        return handle is null ? null : ReadHeader(handle, kind);
    }

    /// <summary>Reads and checks all of it. Null: no such file, or damaged.</summary>
    public static (FileHeader Header, byte[] Content)? Read(string path, FileKind kind)
    {
        using var handle = TryOpen(path);
        if (handle is null || ReadHeader(handle, kind) is not { } header || header.ContentLength > Array.MaxLength)
        {
            return null;
        }

        // Not larger than the file: the header was compared with it.
        var content = new byte[header.ContentLength];
        var whole = DurableFile.Fill(handle, content, HeaderSize) && Crc32C.Append(0, content) == header.ContentCrc;
        return whole ? (header, content) : null;
    }

    private static SafeFileHandle? TryOpen(string path)
    {
        try
        {
            return File.OpenHandle(path, FileMode.Open, FileAccess.Read, FileShare.ReadWrite | FileShare.Delete);
        }
        catch (FileNotFoundException)
        {
            return null;
        }
    }

    private static FileHeader? ReadHeader(SafeFileHandle handle, FileKind kind)
    {
        Span<byte> header = stackalloc byte[HeaderSize];
        if (!DurableFile.Fill(handle, header, 0)
            || !header.StartsWith(Magic)
            || BinaryPrimitives.ReadUInt16LittleEndian(header[4..]) != Version
            || BinaryPrimitives.ReadUInt16LittleEndian(header[6..]) != (ushort)kind
            || BinaryPrimitives.ReadUInt32LittleEndian(header[CheckedBytes..]) != Crc32C.Append(0, header[..CheckedBytes]))
        {
            return null;
        }

        var read = new FileHeader(
            BinaryPrimitives.ReadInt64LittleEndian(header[8..]),
            BinaryPrimitives.ReadInt64LittleEndian(header[16..]),
            BinaryPrimitives.ReadInt64LittleEndian(header[24..]),
            BinaryPrimitives.ReadUInt32LittleEndian(header[32..]));
        return read.ContentLength == RandomAccess.GetLength(handle) - HeaderSize ? read : null;
    }
}
