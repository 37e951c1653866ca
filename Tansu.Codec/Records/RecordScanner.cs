namespace Tansu.Codec.Records;

/// <summary>
/// Steps over the uncompressed records of a batch and finds where their parts are, without allocating. The one place
/// that knows the layout of a record; validation and reading both stand on it.
/// </summary>
/// <remarks>Source: https://kafka.apache.org/documentation/#record</remarks>
internal ref struct RecordScanner(ReadOnlySpan<byte> records)
{
    private readonly ReadOnlySpan<byte> _records = records;
    private int _position;

    public readonly bool IsAtEnd => _position == _records.Length;

    /// <summary>Goes over the next record. False if the bytes are not one; the scanner is then of no more use.</summary>
    public bool TryNext(out RecordLayout layout)
    {
        layout = default;
        if (!Varint.TryReadInt(_records, ref _position, out var length)
            || length < 1
            || length > _records.Length - _position)
        {
            return false;
        }

        var start = _position;
        _position += length;
        return TryReadBody(_records[.._position], start, out layout);
    }

    private static bool TryReadBody(ReadOnlySpan<byte> bytes, int position, out RecordLayout layout)
    {
        layout = default;

        // The attributes of a record: none is defined, and Kafka ignores what is there.
        position++;
        if (!Varint.TryReadLong(bytes, ref position, out layout.TimestampDelta)
            || !Varint.TryReadInt(bytes, ref position, out layout.OffsetDelta)
            || !TryReadSlice(bytes, ref position, out layout.Key)
            || !TryReadSlice(bytes, ref position, out layout.Value)
            || !Varint.TryReadInt(bytes, ref position, out layout.HeaderCount)
            || layout.HeaderCount < 0
            || layout.HeaderCount > bytes.Length - position)
        {
            return false;
        }

        layout.HeadersStart = position;
        for (var index = 0; index < layout.HeaderCount; index++)
        {
            if (!TryReadHeader(bytes, ref position, out _, out _))
            {
                return false;
            }
        }

        layout.End = position;
        return position == bytes.Length;
    }

    public static bool TryReadHeader(ReadOnlySpan<byte> bytes, ref int position, out Slice key, out Slice value)
    {
        value = default;
        return TryReadSlice(bytes, ref position, out key)
            && !key.IsNull
            && TryReadSlice(bytes, ref position, out value);
    }

    /// <summary>A length and as many bytes; a negative length (clients write -1) means null.</summary>
    private static bool TryReadSlice(ReadOnlySpan<byte> bytes, ref int position, out Slice slice)
    {
        if (!Varint.TryReadInt(bytes, ref position, out var length) || length > bytes.Length - position)
        {
            slice = default;
            return false;
        }

        slice = new Slice(position, length);
        position += Math.Max(length, 0);
        return true;
    }

    /// <summary>A part of the bytes that are scanned.</summary>
    internal readonly struct Slice(int start, int length)
    {
        public bool IsNull => length < 0;

        /// <summary>A plain null would convert to empty memory, by way of a null array.</summary>
        public ReadOnlyMemory<byte>? Of(ReadOnlyMemory<byte> bytes) =>
            IsNull ? default(ReadOnlyMemory<byte>?) : bytes.Slice(start, length);
    }

    /// <summary>Where the parts of one record are.</summary>
    internal struct RecordLayout
    {
        public int OffsetDelta;
        public long TimestampDelta;
        public Slice Key;
        public Slice Value;
        public int HeaderCount;
        public int HeadersStart;
        public int End;
    }
}
