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
        Sse42.X64.IsSupported ? AppendHardware<X64>(crc, bytes)
        : Crc32.Arm64.IsSupported ? AppendHardware<Arm64>(crc, bytes)
        : AppendPortable(crc, bytes);

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

    private static uint AppendHardware<TProcessor>(uint crc, ReadOnlySpan<byte> bytes)
        where TProcessor : IProcessor
    {
        crc = ~crc;
        while (bytes.Length >= 3 * Lane.Bytes)
        {
            crc = AppendLanes<TProcessor>(crc, MemoryMarshal.Cast<byte, ulong>(bytes[..(3 * Lane.Bytes)]));
            bytes = bytes[(3 * Lane.Bytes)..];
        }

        var words = MemoryMarshal.Cast<byte, ulong>(bytes);
        foreach (var word in words)
        {
            crc = TProcessor.Crc32C(crc, word);
        }

        foreach (var value in bytes[(words.Length * sizeof(ulong))..])
        {
            crc = BitOperations.Crc32C(crc, value);
        }

        return ~crc;
    }

    /// <summary>
    /// Three lanes side by side: the instruction takes three cycles, and the next one of the same lane has to wait for it. What one lane comes to
    /// is then brought past the bytes of the next.
    /// </summary>
    private static uint AppendLanes<TProcessor>(uint crc, ReadOnlySpan<ulong> words)
        where TProcessor : IProcessor
    {
        var first = words[..Lane.Words];
        var second = words.Slice(Lane.Words, Lane.Words);
        var third = words.Slice(2 * Lane.Words, Lane.Words);
        var (secondCrc, thirdCrc) = (0u, 0u);
        for (var index = 0; index < Lane.Words; index++)
        {
            crc = TProcessor.Crc32C(crc, first[index]);
            secondCrc = TProcessor.Crc32C(secondCrc, second[index]);
            thirdCrc = TProcessor.Crc32C(thirdCrc, third[index]);
        }

        return Lane.Pass(Lane.Pass(crc) ^ secondCrc) ^ thirdCrc;
    }

    /// <summary>The instruction itself: <see cref="BitOperations"/> asks each time whether the processor has it.</summary>
    private interface IProcessor
    {
        static abstract uint Crc32C(uint crc, ulong word);
    }

    private readonly struct X64 : IProcessor
    {
        public static uint Crc32C(uint crc, ulong word) => (uint)Sse42.X64.Crc32(crc, word);
    }

    private readonly struct Arm64 : IProcessor
    {
        public static uint Crc32C(uint crc, ulong word) => Crc32.Arm64.ComputeCrc32C(crc, word);
    }

    /// <summary>The part of a lane in a round of <see cref="AppendLanes"/>.</summary>
    private static class Lane
    {
        public const int Bytes = 1024;
        public const int Words = Bytes / sizeof(ulong);

        /// <summary>What each value of each byte of a register comes to behind as many zero bytes as a lane has: the least significant byte first.</summary>
        private static readonly uint[] Values = Make();

        /// <summary>The register behind as many zero bytes as a lane has. Registers add up (by xor), so that the other bytes may come in later.</summary>
        public static uint Pass(uint crc)
        {
            var values = Values.AsSpan(0, 4 * 256);
            return values[(byte)crc] ^ values[256 + (byte)(crc >> 8)] ^ values[(2 * 256) + (byte)(crc >> 16)] ^ values[(3 * 256) + (byte)(crc >> 24)];
        }

        private static uint[] Make()
        {
            var values = new uint[4 * 256];
            for (var bit = 0; bit < 32; bit++)
            {
                var passed = 1u << bit;
                for (var word = 0; word < Words; word++)
                {
                    passed = BitOperations.Crc32C(passed, 0UL);
                }

                // All values with this bit as their highest: those without it are there.
                var highest = 1 << (bit % 8);
                var table = values.AsSpan(bit / 8 * 256, 256);
                for (var lower = 0; lower < highest; lower++)
                {
                    table[highest + lower] = table[lower] ^ passed;
                }
            }

            return values;
        }
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
