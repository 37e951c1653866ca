using System.Buffers;
using System.Buffers.Binary;
using System.Numerics;
using System.Runtime.InteropServices;
using System.Runtime.Intrinsics.Arm;
using System.Runtime.Intrinsics.X86;

namespace Tansu.Codec.Records;

/// <summary>
/// CRC-32C (Castagnoli, RFC 3720 appendix B.4), the checksum of record batches: by the processor's instruction where
/// there is one (SSE4.2, ARM CRC32), else by tables.
/// </summary>
public static class Crc32C
{
    /// <summary>The checksum of the bytes.</summary>
    /// <param name="bytes">Any bytes; none give 0.</param>
    public static uint Compute(ReadOnlySpan<byte> bytes) => Append(0, bytes);

    /// <summary>The checksum of all bytes of the sequence.</summary>
    /// <param name="bytes">Any bytes, in any number of segments.</param>
    public static uint Compute(in ReadOnlySequence<byte> bytes)
    {
        var crc = 0u;
        foreach (var segment in bytes)
        {
            crc = Append(crc, segment.Span);
        }

        return crc;
    }

    /// <summary>The checksum of some bytes followed by <paramref name="bytes"/>.</summary>
    /// <param name="crc">The checksum of what comes before; 0 if nothing does.</param>
    /// <param name="bytes">What follows.</param>
    public static uint Append(uint crc, ReadOnlySpan<byte> bytes) =>
        Sse42.X64.IsSupported || Crc32.Arm64.IsSupported ? AppendHardware(crc, bytes) : AppendPortable(crc, bytes);

    /// <summary>The same as <see cref="Append"/>, by tables. Public so that tests can hold the two against each other.</summary>
    /// <param name="crc">The checksum of what comes before; 0 if nothing does.</param>
    /// <param name="bytes">What follows.</param>
    public static uint AppendPortable(uint crc, ReadOnlySpan<byte> bytes)
    {
        var tables = Tables.Values.AsSpan(0, Tables.Count * 256);
        crc = ~crc;
        while (bytes.Length >= sizeof(ulong))
        {
            var word = BinaryPrimitives.ReadUInt64LittleEndian(bytes) ^ crc;
            crc = tables[(7 * 256) + (byte)word]
                ^ tables[(6 * 256) + (byte)(word >> 8)]
                ^ tables[(5 * 256) + (byte)(word >> 16)]
                ^ tables[(4 * 256) + (byte)(word >> 24)]
                ^ tables[(3 * 256) + (byte)(word >> 32)]
                ^ tables[(2 * 256) + (byte)(word >> 40)]
                ^ tables[256 + (byte)(word >> 48)]
                ^ tables[(byte)(word >> 56)];
            bytes = bytes[sizeof(ulong)..];
        }

        foreach (var value in bytes)
        {
            crc = tables[(byte)(crc ^ value)] ^ (crc >> 8);
        }

        return ~crc;
    }

    private static uint AppendHardware(uint crc, ReadOnlySpan<byte> bytes)
    {
        crc = ~crc;
        var words = MemoryMarshal.Cast<byte, ulong>(bytes);
        foreach (var word in words)
        {
            crc = BitOperations.Crc32C(crc, word);
        }

        foreach (var value in bytes[(words.Length * sizeof(ulong))..])
        {
            crc = BitOperations.Crc32C(crc, value);
        }

        return ~crc;
    }

    /// <summary>Apart from the rest, so that the tables are made only where they are needed.</summary>
    private static class Tables
    {
        public const int Count = 8;

        /// <summary>The polynomial 0x1EDC6F41 with its bits reversed.</summary>
        private const uint ReversedPolynomial = 0x82F63B78;

        /// <summary>Table k gives the effect of a byte followed by k zero bytes.</summary>
        public static readonly uint[] Values = Make();

        private static uint[] Make()
        {
            var values = new uint[Count * 256];
            for (var index = 0u; index < 256; index++)
            {
                var crc = index;
                for (var bit = 0; bit < 8; bit++)
                {
                    crc = (crc >> 1) ^ (ReversedPolynomial & (0u - (crc & 1)));
                }

                values[index] = crc;
            }

            for (var index = 256; index < values.Length; index++)
            {
                var crc = values[index - 256];
                values[index] = values[(byte)crc] ^ (crc >> 8);
            }

            return values;
        }
    }
}
