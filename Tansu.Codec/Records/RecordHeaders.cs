namespace Tansu.Codec.Records;

/// <summary>The headers of a record in their order, for <c>foreach</c>. Decoded while they are walked over.</summary>
public readonly struct RecordHeaders
{
    private readonly ReadOnlyMemory<byte> _bytes;

    internal RecordHeaders(int count, ReadOnlyMemory<byte> bytes)
    {
        Count = count;
        _bytes = bytes;
    }

    /// <summary>The number of headers.</summary>
    public int Count { get; }

    /// <summary>The headers as in the batch, without their count: what a copy of the record needs.</summary>
    internal ReadOnlyMemory<byte> Bytes => _bytes;

    /// <summary>Starts at the first header.</summary>
    public Enumerator GetEnumerator() => new(this);

    /// <summary>The headers as an array, which refers to the same bytes.</summary>
    public RecordHeader[] ToArray()
    {
        var headers = new RecordHeader[Count];
        var index = 0;
        foreach (var header in this)
        {
            headers[index++] = header;
        }

        return headers;
    }

    /// <summary>Walks over the headers.</summary>
    public struct Enumerator
    {
        private readonly ReadOnlyMemory<byte> _bytes;
        private int _remaining;
        private int _position;

        internal Enumerator(RecordHeaders headers)
        {
            _bytes = headers._bytes;
            _remaining = headers.Count;
        }

        /// <summary>The header that <see cref="MoveNext"/> came to.</summary>
        public RecordHeader Current { get; private set; }

        /// <summary>Goes to the next header. Never fails: the record was checked when it was read.</summary>
        public bool MoveNext()
        {
            if (_remaining == 0
                || !RecordScanner.TryReadHeader(_bytes.Span, ref _position, out var key, out var value))
            {
                return false;
            }

            _remaining--;
            Current = new RecordHeader(key.Of(_bytes).GetValueOrDefault(), value.Of(_bytes));
            return true;
        }
    }
}
