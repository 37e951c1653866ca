using Tansu.Adapters;

namespace Tansu.Host.Network;

/// <summary>
/// The memory of one request: a small pooled array and, once more bytes have come than fit in, one for all of them; so a length without bytes
/// behind it costs next to nothing. It has one owner at a time (the reader, then the pending request), who disposes it once; all slices end then.
/// </summary>
public sealed class FrameBuffer : IDisposable
{
    /// <summary>How much is reserved before the first byte of a large request has been seen. 64 KiB.</summary>
    public const int FirstBytes = 64 * 1024;

    private readonly RequestBudget _budget;
    private readonly int _length;
    private byte[] _bytes;
    private readonly ByteBudget _first;
    private long _heldFirstBytes;
    private long _heldLargeBytes;
    private int _filled;
    private bool _isAbandoned;

    /// <summary>Whether the array has room for all of the request.</summary>
    private bool _isWhole;

    private FrameBuffer(RequestBudget budget, int length)
    {
        _budget = budget;
        _length = length;
        _first = FirstOf(budget, length);
        _heldFirstBytes = Math.Min(length, FirstBytes);
        _bytes = budget.SmallArrays.Rent((int)_heldFirstBytes);
    }

    /// <summary>The length of the whole request in bytes.</summary>
    public int Length => _length;

    /// <summary>Whether all bytes have arrived.</summary>
    public bool IsComplete => _filled == _length;

    /// <summary>The request; valid until the buffer is disposed.</summary>
    public ReadOnlyMemory<byte> Memory => _bytes.AsMemory(0, _filled);

    /// <summary>Where the next bytes go. Never empty while bytes are missing and <see cref="NeedsGrowth"/> is false.</summary>
    public Memory<byte> Free => _bytes.AsMemory(_filled, Math.Min(_bytes.Length, _length) - _filled);

    /// <summary>Whether bytes are missing that have no place yet.</summary>
    public bool NeedsGrowth => _filled == _bytes.Length && _filled < _length;

    /// <summary>Waits for memory for the beginning of a request.</summary>
    public static async ValueTask<FrameBuffer> RentAsync(RequestBudget budget, int length, CancellationToken cancellationToken)
    {
        ArgumentNullException.ThrowIfNull(budget);
        var bytes = Math.Min(length, FirstBytes);
        await FirstOf(budget, length).HoldAsync(bytes, cancellationToken).ConfigureAwait(false);
        try
        {
            return new FrameBuffer(budget, length);
        }
        catch
        {
            FirstOf(budget, length).Release(bytes);
            throw;
        }
    }

    /// <summary>Says that bytes were put into <see cref="Free"/>.</summary>
    public void Advance(int count)
    {
        ArgumentOutOfRangeException.ThrowIfGreaterThan(count, Free.Length);
        _filled += count;
    }

    /// <summary>Makes room for more bytes, waiting for memory when the request turns out to be a large one.</summary>
    public async ValueTask GrowAsync(CancellationToken cancellationToken)
    {
        // All of it at once: a request that has its share never waits again, and so always ends.
        var wanted = LargeArrays.Rounded(_length);
        await _budget.Large.HoldAsync(wanted, cancellationToken).ConfigureAwait(false);
        _heldLargeBytes = wanted;
        var whole = _budget.LargeArrays.Rent(_length);
        _bytes.AsSpan(0, _filled).CopyTo(whole);
        _budget.SmallArrays.Return(_bytes);
        _bytes = whole;
        _isWhole = true;
        ReleaseFirst();
    }

    /// <summary>
    /// Leaves the memory to the garbage collector when the buffer is disposed, for whoever may still be reading it: a write to the
    /// store that was not waited for any longer.
    /// </summary>
    public void Abandon() => _isAbandoned = true;

    /// <summary>Gives the memory back. A second call does nothing.</summary>
    public void Dispose()
    {
        if (_bytes.Length == 0)
        {
            return;
        }

        var bytes = _bytes;
        _bytes = [];
        _filled = 0;
        if (_isWhole && !_isAbandoned)
        {
            _budget.LargeArrays.Return(bytes);
        }
        else if (!_isAbandoned)
        {
            _budget.SmallArrays.Return(bytes);
        }

        // Both, if there was no memory for all of it after its share had been held.
        ReleaseFirst();
        if (_heldLargeBytes != 0)
        {
            _budget.Large.Release(_heldLargeBytes);
            _heldLargeBytes = 0;
        }
    }

    private static ByteBudget FirstOf(RequestBudget budget, int length) => length <= FirstBytes ? budget.Small : budget.Beginnings;

    private void ReleaseFirst()
    {
        if (_heldFirstBytes != 0)
        {
            _first.Release(_heldFirstBytes);
            _heldFirstBytes = 0;
        }
    }
}
