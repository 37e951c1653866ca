using System.Buffers;
using System.Buffers.Binary;
using System.Runtime.InteropServices;

namespace Tansu.Codec;

/// <summary>
/// Writes the primitive types of the Kafka protocol into pooled chunks. Large bytes and records are not copied: they become
/// segments of their own, borrowed from whoever wrote them until <see cref="Reset"/> or <see cref="Dispose"/>.
/// The result is a frame (length prefix and payload) or the payload alone, as a list of segments for a scatter-gather send.
/// </summary>
/// <remarks>
/// A writer is used by one thread at a time. It owns its chunks and returns each to the pool exactly once; segments
/// handed out are valid until Reset or Dispose.
/// </remarks>
public sealed partial class KafkaWriter : IDisposable
{
    /// <summary>Bytes and records at least this long are taken by reference instead of being copied.</summary>
    public const int ByReferenceBytes = 1024;

    private const int PrefixBytes = 4;
    private const int FirstChunkBytes = 1024;
    private const int LargestChunkBytes = 64 * 1024;

    private readonly List<ReadOnlyMemory<byte>> _segments = [];
    private readonly List<byte[]> _fullChunks = [];
    private byte[] _chunk;
    private int _start;
    private int _position = PrefixBytes;
    private int _closedBytes;
    private KafkaWriter? _scratch;

    /// <summary>Creates an empty writer with one small pooled chunk.</summary>
    public KafkaWriter() => _chunk = ArrayPool<byte>.Shared.Rent(FirstChunkBytes);

    /// <summary>How many bytes have been written, without the length prefix.</summary>
    public int Length => _closedBytes + _position - _start - PrefixBytes;

    /// <summary>
    /// The frame: a 32-bit length and the payload. The list belongs to the writer and is valid until something is
    /// written, <see cref="Reset"/> or <see cref="Dispose"/>.
    /// </summary>
    public IReadOnlyList<ReadOnlyMemory<byte>> Frame()
    {
        var length = Length;
        CloseSegment();
        // The first segment is always at least the room left for the prefix.
        var prefix = MemoryMarshal.AsMemory(_segments[0]).Span;
        BinaryPrimitives.WriteInt32BigEndian(prefix, length);
        return _segments;
    }

    /// <summary>
    /// The frame as array segments, the form in which a socket sends several buffers with one call. A borrowed
    /// segment that is not backed by an array is copied.
    /// </summary>
    public IList<ArraySegment<byte>> FrameForSocket()
    {
        var frame = Frame();
        var buffers = new List<ArraySegment<byte>>(frame.Count);
        for (var i = 0; i < frame.Count; i++)
        {
            buffers.Add(MemoryMarshal.TryGetArray(frame[i], out var buffer) ? buffer : new ArraySegment<byte>(frame[i].ToArray()));
        }

        return buffers;
    }

    /// <summary>The payload without the length prefix, as one sequence; valid as long as <see cref="Frame"/> is.</summary>
    public ReadOnlySequence<byte> Payload()
    {
        CloseSegment();
        var first = new PayloadSegment(_segments[0][PrefixBytes..], 0);
        var last = first;
        for (var i = 1; i < _segments.Count; i++)
        {
            last = last.Append(_segments[i]);
        }

        return new ReadOnlySequence<byte>(first, 0, last, last.Memory.Length);
    }

    /// <summary>The payload without the length prefix, copied into an array of its own.</summary>
    public byte[] ToArray()
    {
        var copy = new byte[Length];
        Payload().CopyTo(copy);
        return copy;
    }

    /// <summary>Forgets what was written and keeps one chunk for the next message.</summary>
    public void Reset()
    {
        ObjectDisposedException.ThrowIf(_chunk.Length == 0, this);
        ReturnFullChunks();
        _start = 0;
        _position = PrefixBytes;
        _scratch?.Reset();
    }

    /// <summary>Returns all chunks to the pool. A second call does nothing.</summary>
    public void Dispose()
    {
        if (_chunk.Length == 0)
        {
            return;
        }

        ReturnFullChunks();
        ArrayPool<byte>.Shared.Return(_chunk);
        _chunk = [];
        _start = 0;
        _position = 0;
        _scratch?.Dispose();
    }

    private void ReturnFullChunks()
    {
        foreach (var chunk in _fullChunks)
        {
            ArrayPool<byte>.Shared.Return(chunk);
        }

        _fullChunks.Clear();
        _segments.Clear();
        _closedBytes = 0;
    }

    private Span<byte> Take(int count)
    {
        if (_chunk.Length - _position < count)
        {
            Grow(count);
        }

        var taken = _chunk.AsSpan(_position, count);
        _position += count;
        return taken;
    }

    private void Grow(int atLeast)
    {
        ObjectDisposedException.ThrowIf(_chunk.Length == 0, this);
        CloseSegment();
        var size = Math.Max(atLeast, Math.Min(_chunk.Length * 2, LargestChunkBytes));
        var next = ArrayPool<byte>.Shared.Rent(size);
        _fullChunks.Add(_chunk);
        _chunk = next;
        _start = 0;
        _position = 0;
    }

    private void CloseSegment()
    {
        ObjectDisposedException.ThrowIf(_chunk.Length == 0, this);
        if (_position > _start)
        {
            AddSegment(_chunk.AsMemory(_start, _position - _start));
            _start = _position;
        }
    }

    private void AddSegment(ReadOnlyMemory<byte> segment)
    {
        _closedBytes = checked(_closedBytes + segment.Length);
        _segments.Add(segment);
    }

    private sealed class PayloadSegment : ReadOnlySequenceSegment<byte>
    {
        public PayloadSegment(ReadOnlyMemory<byte> memory, long runningIndex)
        {
            Memory = memory;
            RunningIndex = runningIndex;
        }

        public PayloadSegment Append(ReadOnlyMemory<byte> memory)
        {
            var next = new PayloadSegment(memory, RunningIndex + Memory.Length);
            Next = next;
            return next;
        }
    }
}
