namespace Tansu.Codec;

/// <summary>
/// Record batches as they are on the wire: null, one piece, or several pieces that follow one another (batches that lie
/// in different places and are sent without being joined). The pieces are borrowed, never copied: whoever fills a
/// message keeps their memory alive and unchanged for as long as the message, or a writer that took it, is used.
/// </summary>
public readonly struct RecordBytes
{
    private readonly ReadOnlyMemory<byte> _first;
    private readonly ReadOnlyMemory<byte>[]? _slices;

    /// <summary>Records in one piece.</summary>
    public RecordBytes(ReadOnlyMemory<byte> slice)
    {
        _first = slice;
        Count = 1;
        Length = slice.Length;
    }

    /// <summary>Records in the first <paramref name="count"/> elements of an array, which is kept, not copied.</summary>
    /// <exception cref="ArgumentOutOfRangeException">The array has fewer elements than <paramref name="count"/>.</exception>
    /// <exception cref="OverflowException">All pieces together are longer than a frame can be.</exception>
    public RecordBytes(ReadOnlyMemory<byte>[] slices, int count)
    {
        ArgumentNullException.ThrowIfNull(slices);
        ArgumentOutOfRangeException.ThrowIfNegative(count);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(count, slices.Length);
        var length = 0;
        for (var i = 0; i < count; i++)
        {
            length = checked(length + slices[i].Length);
        }

        Length = length;
        if (count > 1)
        {
            _slices = slices;
            Count = count;
        }
        else
        {
            // No piece at all still means empty, not null: null has no way to be asked for here.
            _first = count == 1 ? slices[0] : ReadOnlyMemory<byte>.Empty;
            Count = 1;
        }
    }

    /// <summary>No records, said as null. The default value.</summary>
    public static RecordBytes Null => default;

    /// <summary>No records, said as zero bytes.</summary>
    public static RecordBytes Empty => new(ReadOnlyMemory<byte>.Empty);

    /// <summary>Whether the field is null on the wire.</summary>
    public bool IsNull => Count == 0;

    /// <summary>The number of bytes in all pieces; 0 if null.</summary>
    public int Length { get; }

    /// <summary>The number of pieces; 0 if null.</summary>
    public int Count { get; }

    /// <summary>The piece at <paramref name="index"/>, in wire order.</summary>
    /// <exception cref="ArgumentOutOfRangeException">There is no such piece.</exception>
    public ReadOnlyMemory<byte> this[int index]
    {
        get
        {
            ArgumentOutOfRangeException.ThrowIfNegative(index);
            ArgumentOutOfRangeException.ThrowIfGreaterThanOrEqual(index, Count);
            return _slices is null ? _first : _slices[index];
        }
    }

    /// <summary>All bytes in one piece; copies only if there are several pieces. Null becomes empty.</summary>
    public ReadOnlyMemory<byte> Joined()
    {
        if (_slices is null)
        {
            return _first;
        }

        var joined = new byte[Length];
        var position = 0;
        for (var i = 0; i < Count; i++)
        {
            _slices[i].Span.CopyTo(joined.AsSpan(position));
            position += _slices[i].Length;
        }

        return joined;
    }
}
