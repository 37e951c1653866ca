namespace Tansu.Codec.Records;

/// <summary>
/// Reads the records of one batch, for <c>foreach</c>; as often as wanted. Holds the decompressed records until it is
/// disposed. The CRC is not checked: that is done when a batch comes in.
/// </summary>
public sealed class RecordReader : IDisposable
{
    private readonly PooledBytes? _decompressed;
    private readonly ReadOnlyMemory<byte> _records;
    private readonly RecordBatchHeader _header;

    /// <summary>Opens the batch at the start of the bytes and decompresses its records.</summary>
    /// <param name="batch">A whole batch; bytes after it are ignored.</param>
    /// <param name="maxDecompressedBytes">The most bytes that the records may decompress to.</param>
    /// <exception cref="RecordFormatException">There is no whole batch, or its records cannot be decompressed.</exception>
    public RecordReader(ReadOnlyMemory<byte> batch, int maxDecompressedBytes = Compression.DefaultMaxDecompressedBytes)
    {
        if (!RecordBatchHeader.TryRead(batch.Span, out var header) || header.TotalLength > batch.Length)
        {
            throw new RecordFormatException($"The {batch.Length} bytes do not begin with a whole record batch.");
        }

        _header = header;
        if (header.RecordCount == 0)
        {
            // What compaction leaves of a batch for the sake of its sequence numbers.
            return;
        }

        _records = batch[RecordBatchHeader.Length..header.TotalLength];
        if (header.Codec != CompressionCodec.None)
        {
            _decompressed = Compression.Decompress(header.Codec, _records, maxDecompressedBytes);
            _records = _decompressed.Memory;
        }
    }

    /// <summary>The header of the batch.</summary>
    public RecordBatchHeader Header => _header;

    /// <summary>Starts at the first record.</summary>
    public Enumerator GetEnumerator() => new(this);

    /// <summary>Gives back the decompressed bytes; the records are not to be used any more.</summary>
    public void Dispose() => _decompressed?.Dispose();

    /// <summary>Walks over the records.</summary>
    public ref struct Enumerator
    {
        private readonly RecordReader _reader;
        private RecordScanner _scanner;
        private int _count;

        internal Enumerator(RecordReader reader)
        {
            _reader = reader;
            _scanner = new RecordScanner(reader._records.Span);
        }

        /// <summary>The record that <see cref="MoveNext"/> came to.</summary>
        public Record Current { get; private set; }

        /// <summary>Goes to the next record.</summary>
        /// <exception cref="RecordFormatException">
        /// The next bytes are not a record, or there are fewer or more records than the header says.
        /// </exception>
        public bool MoveNext()
        {
            ref readonly var header = ref _reader._header;
            if (_count == header.RecordCount)
            {
                return _scanner.IsAtEnd
                    ? false
                    : throw new RecordFormatException($"Bytes follow the last of {header.RecordCount} records.");
            }

            if (!_scanner.TryNext(out var layout))
            {
                throw new RecordFormatException($"Record {_count} of {header.RecordCount} is malformed.");
            }

            _count++;
            var bytes = _reader._records;
            Current = new Record(
                header.BaseOffset + layout.OffsetDelta,
                header.TimestampType == TimestampType.LogAppendTime
                    ? header.MaxTimestamp
                    : header.BaseTimestamp + layout.TimestampDelta,
                layout.Key.Of(bytes),
                layout.Value.Of(bytes),
                new RecordHeaders(layout.HeaderCount, bytes[layout.HeadersStart..layout.End]));
            return true;
        }
    }
}
