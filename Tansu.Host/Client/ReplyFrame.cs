using System.Buffers;

namespace Tansu.Host.Client;

/// <summary>The bytes of one reply, without their length. Has one owner, who disposes it once when nothing reads them any more.</summary>
internal sealed class ReplyFrame : IDisposable
{
    private byte[]? _rented;

    /// <summary>Takes an array from the pool.</summary>
    public ReplyFrame(int length)
    {
        _rented = ArrayPool<byte>.Shared.Rent(length);
        Bytes = _rented.AsMemory(0, length);
    }

    /// <summary>The bytes.</summary>
    public Memory<byte> Bytes { get; private set; }

    /// <summary>Gives the array back to the pool.</summary>
    public void Dispose()
    {
        if (Interlocked.Exchange(ref _rented, null) is { } rented)
        {
            Bytes = default;
            ArrayPool<byte>.Shared.Return(rented);
        }
    }
}

/// <summary>A reply whose bytes and records are slices of pooled memory: they are good until it is disposed.</summary>
/// <typeparam name="TResponse">The generated message.</typeparam>
internal readonly struct KafkaReply<TResponse>(TResponse message, ReplyFrame frame) : IDisposable
{
    /// <summary>The message.</summary>
    public TResponse Message { get; } = message;

    /// <summary>Gives the memory back.</summary>
    public void Dispose() => frame?.Dispose();
}
