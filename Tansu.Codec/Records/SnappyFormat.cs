using System.Buffers;
using System.Buffers.Binary;
using Snappier;

namespace Tansu.Codec.Records;

/// <summary>Snappy in the two framings of <see cref="SnappyFraming"/>.</summary>
internal static class SnappyFormat
{
    private const int XerialHeaderLength = 16;
    private const int XerialVersion = 1;

    /// <summary>The block size of snappy-java's stream.</summary>
    private const int XerialBlockBytes = 32 * 1024;

    /// <summary>
    /// A copy of at most 64 bytes takes at least 3 bytes of input, so no honest block claims more than this many times
    /// its own length; checked before anything is rented for the claim.
    /// </summary>
    private const int MaxExpansion = 22;

    private static ReadOnlySpan<byte> XerialMagic => [0x82, (byte)'S', (byte)'N', (byte)'A', (byte)'P', (byte)'P', (byte)'Y', 0];

    public static void Compress(ReadOnlySpan<byte> bytes, IBufferWriter<byte> output, SnappyFraming framing)
    {
        if (framing == SnappyFraming.Raw)
        {
            output.Advance(Snappy.Compress(bytes, output.GetSpan(Snappy.GetMaxCompressedLength(bytes.Length))));
            return;
        }

        var header = output.GetSpan(XerialHeaderLength);
        XerialMagic.CopyTo(header);
        BinaryPrimitives.WriteInt32BigEndian(header[8..], XerialVersion);
        BinaryPrimitives.WriteInt32BigEndian(header[12..], XerialVersion);
        output.Advance(XerialHeaderLength);
        for (var position = 0; position < bytes.Length; position += XerialBlockBytes)
        {
            var block = bytes.Slice(position, Math.Min(XerialBlockBytes, bytes.Length - position));
            var target = output.GetSpan(sizeof(int) + Snappy.GetMaxCompressedLength(block.Length));
            var length = Snappy.Compress(block, target[sizeof(int)..]);
            BinaryPrimitives.WriteInt32BigEndian(target, length);
            output.Advance(sizeof(int) + length);
        }
    }

    public static DecompressionOutcome Decompress(ReadOnlySpan<byte> compressed, PooledBytes output, int maxBytes)
    {
        if (!compressed.StartsWith(XerialMagic))
        {
            return DecompressBlock(compressed, output, maxBytes);
        }

        if (compressed.Length < XerialHeaderLength)
        {
            return DecompressionOutcome.Malformed;
        }

        var rest = compressed[XerialHeaderLength..];
        while (!rest.IsEmpty)
        {
            if (!BinaryPrimitives.TryReadInt32BigEndian(rest, out var length)
                || length < 0
                || length > rest.Length - sizeof(int))
            {
                return DecompressionOutcome.Malformed;
            }

            var outcome = DecompressBlock(rest.Slice(sizeof(int), length), output, maxBytes);
            if (outcome != DecompressionOutcome.Done)
            {
                return outcome;
            }

            rest = rest[(sizeof(int) + length)..];
        }

        return DecompressionOutcome.Done;
    }

    private static DecompressionOutcome DecompressBlock(ReadOnlySpan<byte> block, PooledBytes output, int maxBytes)
    {
        try
        {
            var claimed = Snappy.GetUncompressedLength(block);
            if (claimed < 0 || claimed > (long)block.Length * MaxExpansion)
            {
                return DecompressionOutcome.Malformed;
            }

            if (claimed > maxBytes - output.Length)
            {
                return DecompressionOutcome.TooLarge;
            }

            if (!Snappy.TryDecompress(block, output.Reserve(claimed), out var written) || written != claimed)
            {
                return DecompressionOutcome.Malformed;
            }

            output.Advance(written);
            return DecompressionOutcome.Done;
        }
        catch (InvalidDataException)
        {
            return DecompressionOutcome.Malformed;
        }
        catch (ArgumentException)
        {
            return DecompressionOutcome.Malformed;
        }
    }
}
