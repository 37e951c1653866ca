using Microsoft.Win32.SafeHandles;
using Tansu.Codec.Records;

namespace Tansu.Adapters;

/// <summary>Reads a file more or less front to back through one buffer, for checking it.</summary>
internal sealed class FileWindow(SafeFileHandle handle)
{
    /// <summary>The most bytes that can be looked at together.</summary>
    public const int MaxBytes = 1024 * 1024;

    private readonly byte[] _buffer = GC.AllocateUninitializedArray<byte>(MaxBytes);
    private long _start;
    private int _count;

    /// <summary>The file's length when the window was opened.</summary>
    public long Length { get; } = RandomAccess.GetLength(handle);

    /// <summary>Bytes from <paramref name="position"/>: as many as asked for, or fewer at the file's end. Valid until the next call.</summary>
    public ReadOnlySpan<byte> At(long position, int count)
    {
        var rest = From(position, count);
        return rest[..Math.Min(count, rest.Length)];
    }

    /// <summary>
    /// Bytes from <paramref name="position"/>: at least as many as asked for (fewer at the file's end), and what else is at hand. Valid
    /// until the next call.
    /// </summary>
    public ReadOnlySpan<byte> From(long position, int minCount)
    {
        var end = _start + _count;
        if (position < _start || position > end || (position + minCount > end && end < Length))
        {
            Load(position);
        }

        return _buffer.AsSpan((int)(position - _start).._count);
    }

    /// <summary>Continues a checksum over a range that lies within the file.</summary>
    public uint Crc(uint crc, long position, long count)
    {
        while (count > 0)
        {
            var part = At(position, (int)Math.Min(count, MaxBytes));
            crc = Crc32C.Append(crc, part);
            if (part.IsEmpty)
            {
                // The file got shorter under our hands: the checksum will not match, which is what there is to say.
                return ~crc;
            }

            position += part.Length;
            count -= part.Length;
        }

        return crc;
    }

    /// <summary>Whether all bytes from <paramref name="position"/> to the file's end, if any, are zero.</summary>
    public bool IsZeroFrom(long position)
    {
        while (position < Length)
        {
            var part = From(position, 1);

            // Empty when the file got shorter under our hands: a log that is being trimmed.
            if (part.IsEmpty || part.ContainsAnyExcept((byte)0))
            {
                return false;
            }

            position += part.Length;
        }

        return true;
    }

    private void Load(long position)
    {
        _start = position;
        _count = 0;
        while (_count < MaxBytes)
        {
            var read = RandomAccess.Read(handle, _buffer.AsSpan(_count), position + _count);
            if (read == 0)
            {
                return;
            }

            _count += read;
        }
    }
}
