using System.Buffers;
using System.Runtime.InteropServices;
using Tansu.Adapters.Ports;
using Tansu.Adapters.Replica;
using Tansu.Codec.Records;
using Tansu.Domain;

namespace Tansu.Adapters.Compaction;

/// <summary>
/// Gathers record batches of any number of partitions, one partition after the other, and puts them into the store as one segment. Not safe for
/// several threads.
/// </summary>
/// <param name="blobs">Where segments go.</param>
/// <param name="names">Names for segments; none is used twice.</param>
/// <param name="limits">How large chunks may get.</param>
internal sealed class SegmentWriter(IBlobStore blobs, SegmentNames names, CompactionLimits limits)
{
    private readonly List<ReadOnlyMemory<byte>> _slices = [];
    private readonly List<Chunk> _chunks = [];
    private int _length;

    /// <summary>Where the run that <see cref="Begin"/> began is: its first slice, and its first byte.</summary>
    private int _runSlice;
    private int _runStart;
    private string _name = "";
    private int _chunkStart;
    private int _chunkTarget;
    private long _baseOffset;
    private long _lastOffset;
    private long _maxTimestampMs;

    /// <summary>The bytes gathered so far.</summary>
    public int Length => _length;

    /// <summary>The time in the segment's name, in milliseconds since 1970; that of the next one if nothing has been gathered.</summary>
    public long NamedAtMs { get; private set; } = long.MaxValue;

    /// <summary>Begins the batches of a partition, or of another part of it.</summary>
    /// <param name="expectedBytes">About how many bytes come: they are split evenly.</param>
    public void Begin(long expectedBytes)
    {
        if (_length == 0)
        {
            (_name, NamedAtMs) = names.Next();
        }

        var parts = Math.Max(1, (expectedBytes + limits.MaxChunkBytes - 1) / limits.MaxChunkBytes);
        _chunkTarget = (int)Math.Min(limits.MaxChunkBytes, expectedBytes / parts);
        _chunks.Clear();
        _chunkStart = _length;
        _runSlice = _slices.Count;
        _runStart = _length;
    }

    /// <summary>Adds a batch, which stays the caller's and must not change until <see cref="PutAsync"/> is done.</summary>
    /// <param name="batch">A whole batch with its base offset set.</param>
    /// <param name="header">Its header.</param>
    public void Add(ReadOnlyMemory<byte> batch, in RecordBatchHeader header)
    {
        var inChunk = _length - _chunkStart;
        if (inChunk > 0 && (inChunk >= _chunkTarget || inChunk + batch.Length > limits.MaxChunkBytes))
        {
            CloseChunk();
            inChunk = 0;
        }

        if (inChunk == 0)
        {
            _baseOffset = header.BaseOffset;
            _maxTimestampMs = long.MinValue;
        }

        _lastOffset = header.LastOffset;
        _maxTimestampMs = Math.Max(_maxTimestampMs, header.MaxTimestamp);
        _slices.Add(batch);
        _length = checked(_length + batch.Length);
    }

    /// <summary>Ends what <see cref="Begin"/> began: its chunks, in order.</summary>
    public Chunk[] End()
    {
        if (_length > _chunkStart)
        {
            CloseChunk();
        }

        return [.. _chunks];
    }

    /// <summary>The bytes of a chunk that the last <see cref="End"/> gave.</summary>
    public ReadOnlySequence<byte> BytesOf(Chunk chunk) =>
        Sequences.Of(CollectionsMarshal.AsSpan(_slices)[_runSlice..]).Slice(chunk.Position - _runStart, chunk.Length);

    /// <summary>Puts what was gathered, which is something, into the store and begins anew.</summary>
    public async ValueTask PutAsync(CancellationToken cancellationToken)
    {
        await blobs.PutAsync(_name, Sequences.Of(CollectionsMarshal.AsSpan(_slices)), cancellationToken);
        Forget();
    }

    /// <summary>Forgets what was gathered. To be called when it will not be put into the store: it may lie in memory that is not its owner's any more.</summary>
    public void Forget()
    {
        _slices.Clear();
        _length = 0;
    }

    private void CloseChunk()
    {
        _chunks.Add(new Chunk(_baseOffset, _lastOffset, ChunkSource.NewSegment(_name), _chunkStart, _length - _chunkStart, _maxTimestampMs));
        _chunkStart = _length;
    }
}
