using System.Buffers;
using ZstdSharp;

namespace Tansu.Codec.Records;

/// <summary>Zstandard in one pass, which needs no window buffer however large a window the frame asks for.</summary>
internal static class ZstdFormat
{
    /// <summary>Kafka's default level.</summary>
    private const int Level = 3;

    /// <summary>The least first guess for a frame that does not say its size: one second try covers most batches.</summary>
    private const int SmallestGuessBytes = 256 * 1024;

    private const int GuessedExpansion = 8;

    /// <summary>A context is some 160 KiB of native memory, too much to make for every batch.</summary>
    [ThreadStatic]
    private static Decompressor? s_decompressor;

    public static void Compress(ReadOnlySpan<byte> bytes, IBufferWriter<byte> output)
    {
        using var compressor = new Compressor(Level);
        output.Advance(compressor.Wrap(bytes, output.GetSpan(Compressor.GetCompressBound(bytes.Length))));
    }

    /// <summary>
    /// The frame's own claim of its size is only an upper bound here. Room grows when a try has really filled what
    /// there was, so a small hostile frame cannot make this rent more than a few times what it truly contains.
    /// </summary>
    public static DecompressionOutcome Decompress(ReadOnlySpan<byte> compressed, PooledBytes output, int maxBytes)
    {
        if (compressed.IsEmpty)
        {
            return DecompressionOutcome.Malformed;
        }

        var decompressor = s_decompressor ??= new Decompressor();
        try
        {
            var claimed = Decompressor.GetDecompressedSize(compressed);
            var most = (int)Math.Min(claimed, (ulong)maxBytes);
            var room = (int)Math.Min(most, Math.Max(SmallestGuessBytes, (long)compressed.Length * GuessedExpansion));
            while (true)
            {
                if (decompressor.TryUnwrap(compressed, output.Reserve(room), out var written))
                {
                    output.Advance(written);
                    return DecompressionOutcome.Done;
                }

                if (room == most)
                {
                    return claimed > (ulong)maxBytes ? DecompressionOutcome.TooLarge : DecompressionOutcome.Malformed;
                }

                room = (int)Math.Min(most, 4L * room);
            }
        }
        catch (ZstdException)
        {
            return DecompressionOutcome.Malformed;
        }
    }
}
