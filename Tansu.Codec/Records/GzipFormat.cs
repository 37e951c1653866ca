using System.Buffers;
using System.IO.Compression;
using System.Runtime.InteropServices;

namespace Tansu.Codec.Records;

/// <summary>Gzip (RFC 1952) by the platform's zlib.</summary>
internal static class GzipFormat
{
    private const int ReadAheadBytes = 16 * 1024;

    public static void Compress(ReadOnlySpan<byte> bytes, IBufferWriter<byte> output)
    {
        using var compressed = new MemoryStream();
        using (var gzip = new GZipStream(compressed, CompressionLevel.Optimal, leaveOpen: true))
        {
            gzip.Write(bytes);
        }

        output.Write(compressed.GetBuffer().AsSpan(0, (int)compressed.Length));
    }

    /// <summary>
    /// The platform's stream says nothing when its input ends early; the batch's CRC and the count of its records
    /// find that out.
    /// </summary>
    public static DecompressionOutcome Decompress(ReadOnlyMemory<byte> compressed, PooledBytes output, int maxBytes)
    {
        try
        {
            using var gzip = new GZipStream(AsStream(compressed), CompressionMode.Decompress);
            while (true)
            {
                // One byte beyond the limit is asked for, because only it tells "exactly at the limit" from "more".
                var wanted = (int)Math.Min(ReadAheadBytes, (long)maxBytes - output.Length + 1);
                var count = gzip.Read(output.Reserve(wanted));
                if (count == 0)
                {
                    return DecompressionOutcome.Done;
                }

                output.Advance(count);
                if (output.Length > maxBytes)
                {
                    return DecompressionOutcome.TooLarge;
                }
            }
        }
        catch (InvalidDataException)
        {
            return DecompressionOutcome.Malformed;
        }
        catch (IOException)
        {
            return DecompressionOutcome.Malformed;
        }
    }

    private static MemoryStream AsStream(ReadOnlyMemory<byte> bytes) =>
        MemoryMarshal.TryGetArray(bytes, out var segment) && segment.Array is not null
            ? new MemoryStream(segment.Array, segment.Offset, segment.Count, writable: false)
            : new MemoryStream(bytes.ToArray(), writable: false);
}
