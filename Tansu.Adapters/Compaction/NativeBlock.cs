using System.Buffers;
using System.Runtime.InteropServices;

namespace Tansu.Adapters.Compaction;

/// <summary>
/// Memory beside the garbage collector's: what comes and goes by the megabyte would have it collect its oldest generation again and again. One owner, which
/// disposes it once; nothing may read or write it any more by then.
/// </summary>
internal sealed unsafe class NativeBlock : MemoryManager<byte>
{
    private static long bytesInUse;

    private readonly int _length;
    private byte* _start;

    /// <summary>Takes memory with anything in it.</summary>
    /// <param name="length">How many bytes.</param>
    /// <exception cref="OutOfMemoryException">There is none.</exception>
    public NativeBlock(int length)
    {
        _length = length;
        _start = (byte*)NativeMemory.Alloc((nuint)length);
        Interlocked.Add(ref bytesInUse, length);
    }

    /// <summary>What all blocks of this process take that have not been disposed: nobody else would notice one that was forgotten.</summary>
    public static long BytesInUse => Volatile.Read(ref bytesInUse);

    /// <summary>How many bytes.</summary>
    public int Length => _length;

    /// <inheritdoc/>
    public override Span<byte> GetSpan()
    {
        ObjectDisposedException.ThrowIf(_start is null, this);
        return new Span<byte>(_start, _length);
    }

    /// <inheritdoc/>
    public override MemoryHandle Pin(int elementIndex = 0)
    {
        ObjectDisposedException.ThrowIf(_start is null, this);
        return new MemoryHandle(_start + elementIndex);
    }

    /// <inheritdoc/>
    public override void Unpin()
    {
        // It never moves.
    }

    /// <inheritdoc/>
    protected override void Dispose(bool disposing)
    {
        if (_start is not null)
        {
            NativeMemory.Free(_start);
            _start = null;
            Interlocked.Add(ref bytesInUse, -_length);
        }
    }
}
