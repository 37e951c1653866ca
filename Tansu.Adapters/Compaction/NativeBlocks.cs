namespace Tansu.Adapters.Compaction;

/// <summary>
/// Blocks of memory that are used again: for the system to find a page that has not been used before takes longer than to fill it, on some virtual machines many times as long. Those
/// that are not in use take no more than what all of them together have taken at once before. Any thread.
/// </summary>
internal sealed class NativeBlocks : IDisposable
{
    /// <summary>Lengths are multiples of this, so that more of them fit.</summary>
    private const int LengthUnit = 64 * 1024;

    private readonly Lock _lock = new();

    /// <summary>Those that are not in use, the last returned at the end.</summary>
    private readonly List<NativeBlock> _free = [];

    private long _bytesInUse;
    private long _freeBytes;
    private long _mostBytes;
    private bool _isDisposed;

    /// <summary>A block of at least so many bytes, with anything in it.</summary>
    /// <exception cref="OutOfMemoryException">There is none.</exception>
    public NativeBlock Rent(int length)
    {
        lock (_lock)
        {
            ObjectDisposedException.ThrowIf(_isDisposed, this);
            var block = TakeFree(length) ?? new NativeBlock(checked(length + LengthUnit - 1) / LengthUnit * LengthUnit);
            _bytesInUse += block.Length;
            _mostBytes = Math.Max(_mostBytes, _bytesInUse);
            DropSurplus();
            return block;
        }
    }

    /// <summary>Takes a block back, which nobody may use any more.</summary>
    public void Return(NativeBlock block)
    {
        lock (_lock)
        {
            _bytesInUse -= block.Length;
            _freeBytes += block.Length;
            _free.Add(block);
            DropSurplus();
        }
    }

    /// <summary>Gives back what is not in use; the rest when it is returned.</summary>
    public void Dispose()
    {
        lock (_lock)
        {
            _isDisposed = true;
            DropSurplus();
        }
    }

    /// <summary>The shortest that is long enough, unless it is more than half as long again.</summary>
    private NativeBlock? TakeFree(int length)
    {
        var best = -1;
        for (var index = _free.Count - 1; index >= 0; index--)
        {
            var found = _free[index].Length;
            if (found >= length && found <= Math.Max(LengthUnit, length + (length / 2L)) && (best < 0 || found < _free[best].Length))
            {
                best = index;
            }
        }

        return best < 0 ? null : RemoveAt(best);
    }

    private NativeBlock RemoveAt(int index)
    {
        var block = _free[index];
        _free.RemoveAt(index);
        _freeBytes -= block.Length;
        return block;
    }

    private void DropSurplus()
    {
        while (_free.Count > 0 && (_isDisposed || _bytesInUse + _freeBytes > _mostBytes))
        {
            using IDisposable oldest = RemoveAt(0);
        }
    }
}
