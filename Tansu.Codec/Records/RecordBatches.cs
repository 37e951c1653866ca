namespace Tansu.Codec.Records;

/// <summary>
/// The batches that lie one after another in a range of bytes, for <c>foreach</c>. Reads headers only: neither CRCs nor
/// records. Stops before the first bytes that are not a whole batch; the enumerator says where.
/// </summary>
/// <param name="bytes">Batches back to back; the last may be cut off.</param>
public readonly struct RecordBatches(ReadOnlyMemory<byte> bytes)
{
    private readonly ReadOnlyMemory<byte> _bytes = bytes;

    /// <summary>Starts at the first batch.</summary>
    public Enumerator GetEnumerator() => new(_bytes.Span);

    /// <summary>One batch of the range.</summary>
    /// <param name="Position">Where it starts, in bytes from the start of the range.</param>
    /// <param name="Header">Its header; its base offset is the one in the bytes, which may not be set yet.</param>
    public readonly record struct Entry(int Position, RecordBatchHeader Header)
    {
        /// <summary>The length of the whole batch in bytes.</summary>
        public int TotalLength => Header.TotalLength;
    }

    /// <summary>Walks over the batches.</summary>
    public ref struct Enumerator
    {
        private readonly ReadOnlySpan<byte> _bytes;

        internal Enumerator(ReadOnlySpan<byte> bytes) => _bytes = bytes;

        /// <summary>The batch that <see cref="MoveNext"/> came to.</summary>
        public Entry Current { get; private set; }

        /// <summary>The bytes of all batches so far. When the walk has ended and this is less than the range, the rest is no whole batch.</summary>
        public int ConsumedBytes { get; private set; }

        /// <summary>Goes to the next batch, if the range holds the whole of it.</summary>
        public bool MoveNext()
        {
            var rest = _bytes[ConsumedBytes..];
            if (!RecordBatchHeader.TryRead(rest, out var header) || header.TotalLength > rest.Length)
            {
                return false;
            }

            Current = new Entry(ConsumedBytes, header);
            ConsumedBytes += header.TotalLength;
            return true;
        }
    }
}
