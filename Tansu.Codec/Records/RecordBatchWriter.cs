using System.Buffers;
using System.Numerics;
using System.Runtime.InteropServices;

namespace Tansu.Codec.Records;

/// <summary>
/// Makes record batches for a producer, one after another in the same pooled memory: records are appended, the batch is sealed with its
/// place in the producer's sequence and sent, and the writer is used again. Where <see cref="RecordBatchBuilder"/> can make any
/// batch, this one allocates nothing per record. Used by one thread at a time.
/// </summary>
public sealed class RecordBatchWriter : IDisposable
{
    private const int FirstBytes = 4096;
    private const int LargestCountBytes = 5;

    private readonly CompressionCodec _codec;
    private byte[] _buffer = ArrayPool<byte>.Shared.Rent(FirstBytes);
    private int _position = RecordBatchLayout.Records;
    private ArrayBufferWriter<byte>? _compressed;
    private long _baseTimestampMs = RecordBatchHeader.NoTimestamp;
    private long _maxTimestampMs = RecordBatchHeader.NoTimestamp;
    private bool _isDisposed;

    /// <summary>Creates an empty writer.</summary>
    /// <param name="codec">How the records are compressed.</param>
    public RecordBatchWriter(CompressionCodec codec) => _codec = codec;

    /// <summary>The number of records appended since the last <see cref="Reset"/>.</summary>
    public int RecordCount { get; private set; }

    /// <summary>The length of the batch in bytes, before compression.</summary>
    public int UncompressedBytes => _position;

    /// <summary>The most bytes that a record can take in a batch.</summary>
    /// <param name="keyBytes">The length of its key.</param>
    /// <param name="valueBytes">The length of its value.</param>
    /// <param name="headers">Its headers.</param>
    public static long MostBytesOf(long keyBytes, long valueBytes, ReadOnlySpan<RecordHeader> headers)
    {
        // The record's length, attributes, the timestamp, the offset, three more lengths.
        var bytes = LargestCountBytes + 1 + 10 + LargestCountBytes + (3 * LargestCountBytes) + keyBytes + valueBytes;
        foreach (var header in headers)
        {
            bytes += (2 * LargestCountBytes) + header.Key.Length + header.Value.GetValueOrDefault().Length;
        }

        return bytes;
    }

    /// <summary>Appends a record. Its bytes are copied.</summary>
    /// <param name="timestampMs">In ms since 1970.</param>
    /// <param name="key">The key, or null.</param>
    /// <param name="value">The value, or null (a tombstone in a compacted topic).</param>
    /// <param name="headers">The headers, possibly none.</param>
    public void Append(
        long timestampMs, ReadOnlyMemory<byte>? key, ReadOnlyMemory<byte>? value, ReadOnlySpan<RecordHeader> headers)
    {
        if (RecordCount == 0)
        {
            _baseTimestampMs = timestampMs;
        }

        _maxTimestampMs = Math.Max(_maxTimestampMs, timestampMs);
        var delta = timestampMs - _baseTimestampMs;
        var body = 1 + Size(delta) + Size(RecordCount) + SizeOf(key) + SizeOf(value) + Size(headers.Length);
        foreach (var header in headers)
        {
            body += SizeOf(header.Key) + SizeOf(header.Value);
        }

        Reserve(checked(body + LargestCountBytes));
        Write(body);
        _buffer[_position++] = 0;
        Write(delta);
        Write(RecordCount);
        Write(key);
        Write(value);
        Write(headers.Length);
        foreach (var header in headers)
        {
            Write(header.Key);
            Write(header.Value);
        }

        RecordCount++;
        _compressed = null;
    }

    /// <summary>Gives the batch, which may be sealed again with other numbers once nobody reads its bytes any more.</summary>
    /// <param name="producerId">The id of the idempotent producer, or -1.</param>
    /// <param name="producerEpoch">Its epoch, or -1.</param>
    /// <param name="baseSequence">The sequence number of the first record, or -1.</param>
    /// <param name="isTransactional">Whether the batch is part of a transaction.</param>
    /// <returns>All its bytes, good until <see cref="Append"/>, <see cref="Reset"/> or <see cref="Dispose"/>.</returns>
    public ReadOnlyMemory<byte> Seal(long producerId, short producerEpoch, int baseSequence, bool isTransactional)
    {
        var batch = Whole();
        new RecordBatchHeader
        {
            BatchLength = batch.Length - RecordBatchLayout.LengthOverhead,
            PartitionLeaderEpoch = RecordBatchHeader.NoPartitionLeaderEpoch,
            Attributes = (short)((int)_codec | (isTransactional ? RecordBatchLayout.TransactionalBit : 0)),
            LastOffsetDelta = Math.Max(0, RecordCount - 1),
            BaseTimestamp = _baseTimestampMs,
            MaxTimestamp = _maxTimestampMs,
            ProducerId = producerId,
            ProducerEpoch = producerEpoch,
            BaseSequence = baseSequence,
            RecordCount = RecordCount,
        }.Write(batch.Span);
        RecordBatchEditor.SetCrc(batch.Span);
        return batch;
    }

    /// <summary>Moves all timestamps, so that the first record has this one.</summary>
    /// <param name="timestampMs">In ms since 1970.</param>
    public void MoveTo(long timestampMs)
    {
        _maxTimestampMs += timestampMs - _baseTimestampMs;
        _baseTimestampMs = timestampMs;
    }

    /// <summary>Forgets the records.</summary>
    public void Reset()
    {
        _position = RecordBatchLayout.Records;
        _compressed = null;
        _maxTimestampMs = RecordBatchHeader.NoTimestamp;
        RecordCount = 0;
    }

    /// <summary>Gives the memory back. A second call does nothing.</summary>
    public void Dispose()
    {
        if (!_isDisposed)
        {
            _isDisposed = true;
            ArrayPool<byte>.Shared.Return(_buffer);
            _buffer = [];
        }
    }

    private Memory<byte> Whole()
    {
        ObjectDisposedException.ThrowIf(_isDisposed, this);
        if (_codec == CompressionCodec.None)
        {
            return _buffer.AsMemory(0, _position);
        }

        if (_compressed is null)
        {
            _compressed = new ArrayBufferWriter<byte>(RecordBatchLayout.Records + (_position / 2));
            _compressed.GetSpan(RecordBatchLayout.Records);
            _compressed.Advance(RecordBatchLayout.Records);
            Compression.Compress(_codec, _buffer.AsSpan(RecordBatchLayout.Records, _position - RecordBatchLayout.Records), _compressed);
        }

        return MemoryMarshal.AsMemory(_compressed.WrittenMemory);
    }

    private void Reserve(int bytes)
    {
        ObjectDisposedException.ThrowIf(_isDisposed, this);
        if (_buffer.Length - _position >= bytes)
        {
            return;
        }

        var grown = ArrayPool<byte>.Shared.Rent(Math.Max(checked(_position + bytes), (int)Math.Min(2L * _buffer.Length, Array.MaxLength)));
        _buffer.AsSpan(0, _position).CopyTo(grown);
        ArrayPool<byte>.Shared.Return(_buffer);
        _buffer = grown;
    }

    private void Write(ReadOnlyMemory<byte>? bytes)
    {
        if (bytes is not { } some)
        {
            Write(-1);
            return;
        }

        Write(some.Length);
        some.Span.CopyTo(_buffer.AsSpan(_position));
        _position += some.Length;
    }

    private void Write(long value)
    {
        var rest = (ulong)((value << 1) ^ (value >> 63));
        while (rest >= 0x80)
        {
            _buffer[_position++] = (byte)(rest | 0x80);
            rest >>= 7;
        }

        _buffer[_position++] = (byte)rest;
    }

    private static int SizeOf(ReadOnlyMemory<byte>? bytes) =>
        bytes is { } some ? checked(Size(some.Length) + some.Length) : 1;

    // Groups of seven bits of the zigzag form.
    private static int Size(long value)
    {
        var raw = (ulong)((value << 1) ^ (value >> 63)) | 1;
        return (BitOperations.Log2(raw) / 7) + 1;
    }
}
