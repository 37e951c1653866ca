using System.Buffers;
using System.Buffers.Binary;
using K4os.Compression.LZ4;

namespace Tansu.Codec.Records;

/// <summary>
/// The LZ4 frame format around the library's block codec. The frame is read here, because its few fields then get
/// their limits before anything is rented, and blocks go straight into the output.
/// </summary>
/// <remarks>
/// Source: https://github.com/lz4/lz4/blob/dev/doc/lz4_Frame_format.md. Checksums are stepped over: the batch's CRC-32C
/// already covers every byte, and old clients are known to write a wrong header checksum.
/// </remarks>
internal static class Lz4Format
{
    private const uint FrameMagic = 0x184D2204;
    private const uint UncompressedBlockBit = 0x80000000;
    private const int BlockBytes = 64 * 1024;
    private const int DictionaryBytes = 64 * 1024;

    /// <summary>One byte of input extends a match by at most 255 bytes.</summary>
    private const int MaxExpansion = 255;

    /// <summary>
    /// Magic; version 1, independent blocks (the only kind that the Java client reads), no checksums, no content size;
    /// blocks of 64 KiB; and the checksum of these two bytes.
    /// </summary>
    private static ReadOnlySpan<byte> FrameHeader => [0x04, 0x22, 0x4D, 0x18, 0x60, 0x40, 0x82];

    public static void Compress(ReadOnlySpan<byte> bytes, IBufferWriter<byte> output)
    {
        output.Write(FrameHeader);
        for (var position = 0; position < bytes.Length; position += BlockBytes)
        {
            var block = bytes.Slice(position, Math.Min(BlockBytes, bytes.Length - position));
            var target = output.GetSpan(sizeof(uint) + LZ4Codec.MaximumOutputSize(block.Length));
            var length = LZ4Codec.Encode(block, target[sizeof(uint)..], LZ4Level.L00_FAST);
            var lengthField = (uint)length;
            if (length <= 0 || length >= block.Length)
            {
                block.CopyTo(target[sizeof(uint)..]);
                length = block.Length;
                lengthField = (uint)length | UncompressedBlockBit;
            }

            BinaryPrimitives.WriteUInt32LittleEndian(target, lengthField);
            output.Advance(sizeof(uint) + length);
        }

        BinaryPrimitives.WriteUInt32LittleEndian(output.GetSpan(sizeof(uint)), 0);
        output.Advance(sizeof(uint));
    }

    public static DecompressionOutcome Decompress(ReadOnlySpan<byte> compressed, PooledBytes output, int maxBytes)
    {
        if (!TryReadFrameHeader(ref compressed, out var flags, out var maxBlockBytes))
        {
            return DecompressionOutcome.Malformed;
        }

        while (BinaryPrimitives.TryReadUInt32LittleEndian(compressed, out var lengthField))
        {
            compressed = compressed[sizeof(uint)..];
            if (lengthField == 0)
            {
                return compressed.Length == (flags.HasContentChecksum ? sizeof(uint) : 0)
                    ? DecompressionOutcome.Done
                    : DecompressionOutcome.Malformed;
            }

            var length = (int)(lengthField & ~UncompressedBlockBit);
            var checksumLength = flags.HasBlockChecksums ? sizeof(uint) : 0;
            if (length > maxBlockBytes || length + checksumLength > compressed.Length)
            {
                return DecompressionOutcome.Malformed;
            }

            var block = compressed[..length];
            var isCompressed = (lengthField & UncompressedBlockBit) == 0;
            var outcome = isCompressed
                ? DecodeBlock(block, output, maxBlockBytes, maxBytes, flags.HasIndependentBlocks)
                : CopyBlock(block, output, maxBytes);
            if (outcome != DecompressionOutcome.Done)
            {
                return outcome;
            }

            compressed = compressed[(length + checksumLength)..];
        }

        return DecompressionOutcome.Malformed;
    }

    private static bool TryReadFrameHeader(ref ReadOnlySpan<byte> bytes, out FrameFlags flags, out int maxBlockBytes)
    {
        flags = default;
        maxBlockBytes = 0;
        if (bytes.Length < FrameHeader.Length || BinaryPrimitives.ReadUInt32LittleEndian(bytes) != FrameMagic)
        {
            return false;
        }

        flags = new FrameFlags(bytes[4]);
        var blockSizeCode = (bytes[5] >> 4) & 7;
        var length = FrameHeader.Length + (flags.HasContentSize ? sizeof(ulong) : 0);
        if (!flags.IsSupported || blockSizeCode < 4 || bytes.Length < length)
        {
            return false;
        }

        // Codes 4 to 7 mean 64 KiB, 256 KiB, 1 MiB and 4 MiB.
        maxBlockBytes = 1 << (8 + (2 * blockSizeCode));
        bytes = bytes[length..];
        return true;
    }

    private static DecompressionOutcome DecodeBlock(
        ReadOnlySpan<byte> block, PooledBytes output, int maxBlockBytes, int maxBytes, bool isIndependent)
    {
        var most = (int)Math.Min(maxBlockBytes, (long)block.Length * MaxExpansion);
        var allowed = Math.Min(most, maxBytes - output.Length);
        var target = output.Reserve(allowed);
        var dictionary = isIndependent ? default : output.Written[Math.Max(0, output.Length - DictionaryBytes)..];
        int written;
        try
        {
            written = dictionary.IsEmpty
                ? LZ4Codec.Decode(block, target)
                : LZ4Codec.Decode(block, target, dictionary);
        }
        catch (ArgumentException)
        {
            return DecompressionOutcome.Malformed;
        }

        if (written < 0)
        {
            // The library does not say whether the block is broken or the room too small.
            return allowed < most ? DecompressionOutcome.TooLarge : DecompressionOutcome.Malformed;
        }

        output.Advance(written);
        return DecompressionOutcome.Done;
    }

    private static DecompressionOutcome CopyBlock(ReadOnlySpan<byte> block, PooledBytes output, int maxBytes)
    {
        if (block.Length > maxBytes - output.Length)
        {
            return DecompressionOutcome.TooLarge;
        }

        block.CopyTo(output.Reserve(block.Length));
        output.Advance(block.Length);
        return DecompressionOutcome.Done;
    }

    /// <summary>The FLG byte of the frame descriptor.</summary>
    private readonly struct FrameFlags(byte flags)
    {
        /// <summary>Version 1, and no dictionary: Kafka has no way to agree on one.</summary>
        public bool IsSupported => flags >> 6 == 1 && (flags & 0x01) == 0;

        public bool HasIndependentBlocks => (flags & 0x20) != 0;

        public bool HasBlockChecksums => (flags & 0x10) != 0;

        public bool HasContentSize => (flags & 0x08) != 0;

        public bool HasContentChecksum => (flags & 0x04) != 0;
    }
}
