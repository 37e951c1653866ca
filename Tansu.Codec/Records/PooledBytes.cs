using System.Buffers;

namespace Tansu.Codec.Records;

/// <summary>
/// Bytes in a rented array that grows as it is filled. One owner, which disposes it once; what was read from it must
/// not be used after that. Not safe for several threads.
/// </summary>
public sealed class PooledBytes : IDisposable
{
    private byte[] _array;
    private bool _isDisposed;

    internal PooledBytes(int capacity) => _array = ArrayPool<byte>.Shared.Rent(capacity);

    /// <summary>The number of bytes written so far.</summary>
    public int Length { get; private set; }

    /// <summary>The bytes written so far.</summary>
    public ReadOnlyMemory<byte> Memory
    {
        get
        {
            ObjectDisposedException.ThrowIf(_isDisposed, this);
            return _array.AsMemory(0, Length);
        }
    }

    internal ReadOnlySpan<byte> Written => _array.AsSpan(0, Length);

    /// <summary>Gives the array back to the pool.</summary>
    public void Dispose()
    {
        if (_isDisposed)
        {
            return;
        }

        _isDisposed = true;
        ArrayPool<byte>.Shared.Return(_array);
        _array = [];
        Length = 0;
    }

    /// <summary>Room for exactly <paramref name="count"/> bytes after those written; call <see cref="Advance"/> for those used.</summary>
    internal Span<byte> Reserve(int count)
    {
        if (_array.Length - Length < count)
        {
            var doubled = (int)Math.Min(2L * _array.Length, Array.MaxLength);
            var grown = ArrayPool<byte>.Shared.Rent(Math.Max(doubled, checked(Length + count)));
            Written.CopyTo(grown);
            ArrayPool<byte>.Shared.Return(_array);
            _array = grown;
        }

        return _array.AsSpan(Length, count);
    }

    internal void Advance(int count) => Length += count;

    internal void Clear() => Length = 0;
}
