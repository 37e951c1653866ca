using System.Buffers;

namespace Tansu.Codec.Records;

/// <summary>Compresses and decompresses the records part of a batch with the codecs that Kafka knows.</summary>
public static class Compression
{
    /// <summary>
    /// The most bytes that one batch may become, unless the caller says otherwise: room for a batch of the largest
    /// common size (10 MiB) that compresses well, far from what a decompression bomb would ask for.
    /// </summary>
    public const int DefaultMaxDecompressedBytes = 128 * 1024 * 1024;

    /// <summary>Whether the codec is one that this broker (and Kafka) can decompress.</summary>
    /// <param name="codec">Bits 0-2 of a batch's attributes.</param>
    public static bool IsKnown(CompressionCodec codec) => codec <= CompressionCodec.Zstd;

    /// <summary>Appends the compressed form of <paramref name="bytes"/> to <paramref name="output"/>.</summary>
    /// <param name="codec">A known codec.</param>
    /// <param name="bytes">What to compress.</param>
    /// <param name="output">Takes the result.</param>
    /// <param name="snappyFraming">How snappy is wrapped; the other codecs ignore it.</param>
    /// <exception cref="ArgumentOutOfRangeException">The codec is not known.</exception>
    public static void Compress(
        CompressionCodec codec,
        ReadOnlySpan<byte> bytes,
        IBufferWriter<byte> output,
        SnappyFraming snappyFraming = SnappyFraming.Xerial)
    {
        ArgumentNullException.ThrowIfNull(output);
        switch (codec)
        {
            case CompressionCodec.None:
                output.Write(bytes);
                break;
            case CompressionCodec.Gzip:
                GzipFormat.Compress(bytes, output);
                break;
            case CompressionCodec.Snappy:
                SnappyFormat.Compress(bytes, output, snappyFraming);
                break;
            case CompressionCodec.Lz4:
                Lz4Format.Compress(bytes, output);
                break;
            case CompressionCodec.Zstd:
                ZstdFormat.Compress(bytes, output);
                break;
            default:
                throw new ArgumentOutOfRangeException(nameof(codec));
        }
    }

    /// <summary>Decompresses without raising an exception for anything that is in the bytes.</summary>
    /// <param name="codec">The codec of the batch; an unknown one is <see cref="DecompressionOutcome.Malformed"/>.</param>
    /// <param name="compressed">The records part of a batch.</param>
    /// <param name="maxDecompressedBytes">The most bytes that may come out.</param>
    /// <param name="decompressed">The result, which the caller disposes; null unless the outcome is Done.</param>
    /// <exception cref="ArgumentOutOfRangeException">The limit is negative.</exception>
    public static DecompressionOutcome TryDecompress(
        CompressionCodec codec,
        ReadOnlyMemory<byte> compressed,
        int maxDecompressedBytes,
        out PooledBytes? decompressed)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(maxDecompressedBytes);
        var output = new PooledBytes(InitialCapacity(compressed.Length, maxDecompressedBytes));
        var outcome = DecompressionOutcome.Malformed;
        try
        {
            outcome = codec switch
            {
                CompressionCodec.None => Copy(compressed.Span, output, maxDecompressedBytes),
                CompressionCodec.Gzip => GzipFormat.Decompress(compressed, output, maxDecompressedBytes),
                CompressionCodec.Snappy => SnappyFormat.Decompress(compressed.Span, output, maxDecompressedBytes),
                CompressionCodec.Lz4 => Lz4Format.Decompress(compressed.Span, output, maxDecompressedBytes),
                CompressionCodec.Zstd => ZstdFormat.Decompress(compressed.Span, output, maxDecompressedBytes),
                _ => DecompressionOutcome.Malformed,
            };
        }
        finally
        {
            if (outcome != DecompressionOutcome.Done)
            {
                output.Dispose();
            }
        }

        decompressed = outcome == DecompressionOutcome.Done ? output : null;
        return outcome;
    }

    /// <summary>Decompresses, or says in an exception why that cannot be done.</summary>
    /// <param name="codec">The codec of the batch.</param>
    /// <param name="compressed">The records part of a batch.</param>
    /// <param name="maxDecompressedBytes">The most bytes that may come out.</param>
    /// <returns>The result, which the caller disposes.</returns>
    /// <exception cref="RecordFormatException">The bytes are malformed, or too many come out.</exception>
    public static PooledBytes Decompress(
        CompressionCodec codec,
        ReadOnlyMemory<byte> compressed,
        int maxDecompressedBytes = DefaultMaxDecompressedBytes)
    {
        var outcome = TryDecompress(codec, compressed, maxDecompressedBytes, out var decompressed);
        return outcome switch
        {
            DecompressionOutcome.Done => decompressed!,
            DecompressionOutcome.TooLarge => throw new RecordFormatException(
                $"The records decompress to more than the {maxDecompressedBytes} bytes allowed."),
            _ => throw new RecordFormatException(
                $"The records are not what codec {(int)codec} writes ({compressed.Length} bytes)."),
        };
    }

    /// <summary>A first guess that spares most batches a second rent: records usually shrink to a quarter or more.</summary>
    private static int InitialCapacity(int compressedLength, int maxDecompressedBytes) =>
        (int)Math.Min(maxDecompressedBytes, Math.Max(1024, 4L * compressedLength));

    private static DecompressionOutcome Copy(ReadOnlySpan<byte> bytes, PooledBytes output, int maxDecompressedBytes)
    {
        if (bytes.Length > maxDecompressedBytes)
        {
            return DecompressionOutcome.TooLarge;
        }

        bytes.CopyTo(output.Reserve(bytes.Length));
        output.Advance(bytes.Length);
        return DecompressionOutcome.Done;
    }
}
