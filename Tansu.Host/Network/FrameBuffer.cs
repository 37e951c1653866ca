using System.Buffers;

namespace Tansu.Host.Network;

/// <summary>
/// The memory of one request: one pooled array that grows as the bytes come in, so that a length without bytes behind it costs next to
/// nothing. It has one owner at a time (the reader, then the pending request), who disposes it once; all slices end then.
/// </summary>
public sealed class FrameBuffer : IDisposable
{
    /// <summary>How much is reserved before the first byte of a large request has been seen. 256 KiB.</summary>
    public const int FirstBytes = 256 * 1024;

    // Each step copies what is there: with a factor of 4 at most a third of the request is copied once more.
    private const int GrowthFactor = 4;

    private readonly RequestBudget _budget;
    private readonly int _length;
    private byte[] _bytes;
    private long _heldSmallBytes;
    private long _heldLargeBytes;
    private int _filled;
    private bool _isAbandoned;

    private FrameBuffer(RequestBudget budget, int length)
    {
        _budget = budget;
        _length = length;
        _heldSmallBytes = Math.Min(length, FirstBytes);
        _bytes = ArrayPool<byte>.Shared.Rent((int)_heldSmallBytes);
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
        await budget.Small.HoldAsync(Math.Min(length, FirstBytes), cancellationToken).ConfigureAwait(false);
        return new FrameBuffer(budget, length);
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
        if (_heldLargeBytes == 0)
        {
            // All of it at once: a request that has its share never waits again, and so always ends.
            await _budget.Large.HoldAsync(_length, cancellationToken).ConfigureAwait(false);
            _heldLargeBytes = _length;
            ReleaseSmall();
        }

        var larger = ArrayPool<byte>.Shared.Rent((int)Math.Min(_length, (long)_bytes.Length * GrowthFactor));
        _bytes.AsSpan(0, _filled).CopyTo(larger);
        ArrayPool<byte>.Shared.Return(_bytes);
        _bytes = larger;
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

        if (!_isAbandoned)
        {
            ArrayPool<byte>.Shared.Return(_bytes);
        }

        _bytes = [];
        _filled = 0;
        ReleaseSmall();
        if (_heldLargeBytes != 0)
        {
            _budget.Large.Release(_heldLargeBytes);
            _heldLargeBytes = 0;
        }
    }

    private void ReleaseSmall()
    {
        if (_heldSmallBytes != 0)
        {
            _budget.Small.Release(_heldSmallBytes);
            _heldSmallBytes = 0;
        }
    }
}
