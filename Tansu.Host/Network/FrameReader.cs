using System.Buffers;
using System.Buffers.Binary;
using System.Runtime.CompilerServices;
using Tansu.Codec;

namespace Tansu.Host.Network;

/// <summary>
/// Cuts the bytes of one socket into requests. Small ones are copied out of a buffer, many of them for one system call; the rest of a large one is
/// received straight into its own memory. The buffer is a small one, except while much comes. Used by one loop at a time.
/// </summary>
internal sealed class FrameReader : IDisposable
{
    private const int LengthBytes = 4;
    private const int ApiBytes = 4;
    private const int BufferBytes = 4096;
    private const int LargeBufferBytes = 64 * 1024;

    /// <summary>
    /// How many connections may have a large buffer at once: nobody counts their memory, and a client can keep one by stopping within a request. The others
    /// get by with the small one, for a system call more.
    /// </summary>
    private const int MaxLargeBuffers = 64;

    private static int largeBuffers;

    private readonly Receiver _receiver;
    private readonly int _maxRequestBytes;
    private readonly RequestBudget _budget;
    private readonly Action _onActivity;
    private readonly Action _onProgress;
    private byte[] _buffer = ArrayPool<byte>.Shared.Rent(BufferBytes);
    private int _start;
    private int _end;
    private int _sinceProgress;
    private bool _isLarge;
    private volatile bool _isStarved;

    /// <summary>A reader that has read nothing.</summary>
    /// <param name="receiver">Where to read.</param>
    /// <param name="maxRequestBytes">The largest request.</param>
    /// <param name="budget">Where requests take their memory from.</param>
    /// <param name="onActivity">Called when anything has come.</param>
    /// <param name="onProgress">Called when a request begins, and when much of it has come.</param>
    public FrameReader(Receiver receiver, int maxRequestBytes, RequestBudget budget, Action onActivity, Action onProgress)
    {
        _receiver = receiver;
        _maxRequestBytes = maxRequestBytes;
        _budget = budget;
        _onActivity = onActivity;
        _onProgress = onProgress;
    }

    /// <summary>Whether a request has begun to arrive and the client owes the rest of it.</summary>
    public bool IsStarved => _isStarved;

    /// <summary>Whether all of the next request is buffered.</summary>
    public bool HasRequest =>
        _end - _start >= LengthBytes && (uint)BinaryPrimitives.ReadInt32BigEndian(_buffer.AsSpan(_start)) <= _end - _start - LengthBytes;

    /// <summary>The length of the next request, checked; null if the client has closed the connection.</summary>
    /// <exception cref="KafkaFormatException">No request can have that length.</exception>
    /// <exception cref="EndOfStreamException">The client closed the connection within the length.</exception>
    [AsyncMethodBuilder(typeof(PoolingAsyncValueTaskMethodBuilder<>))]
    public async ValueTask<int?> ReadLengthAsync()
    {
        if (!await FillAsync(LengthBytes, isWithin: false).ConfigureAwait(false))
        {
            return null;
        }

        var length = BinaryPrimitives.ReadInt32BigEndian(_buffer.AsSpan(_start));
        _start += LengthBytes;
        if (length < NetworkOptions.MinRequestBytes || length > _maxRequestBytes)
        {
            throw new KafkaFormatException(
                $"a request of {length} bytes; {NetworkOptions.MinRequestBytes} to {_maxRequestBytes} are allowed{Guess(length)}");
        }

        return length;
    }

    /// <summary>The API and version of the request that follows a length; they are still part of it.</summary>
    /// <exception cref="EndOfStreamException">The client closed the connection before they had come.</exception>
    public async ValueTask<(short ApiKey, short Version)> PeekApiAsync()
    {
        await FillAsync(ApiBytes, isWithin: true).ConfigureAwait(false);
        var bytes = _buffer.AsSpan(_start);
        return (BinaryPrimitives.ReadInt16BigEndian(bytes), BinaryPrimitives.ReadInt16BigEndian(bytes[2..]));
    }

    /// <summary>The request that follows a length.</summary>
    /// <exception cref="EndOfStreamException">The client closed the connection before the request was complete.</exception>
    public async ValueTask<FrameBuffer> ReadFrameAsync(int length, CancellationToken cancellationToken)
    {
        var frame = await FrameBuffer.RentAsync(_budget, length, cancellationToken).ConfigureAwait(false);
        try
        {
            var buffered = Math.Min(_end - _start, length);
            _buffer.AsSpan(_start, buffered).CopyTo(frame.Free.Span);
            _start += buffered;
            frame.Advance(buffered);
            // Waiting for memory is not the client's fault: its time to send begins now.
            Progress();
            while (!frame.IsComplete)
            {
                if (frame.NeedsGrowth)
                {
                    await frame.GrowAsync(cancellationToken).ConfigureAwait(false);
                    Progress();
                }

                // The buffer is empty here.
                var free = frame.Free;
                var usesBuffer = length <= LargeBufferBytes / 2 && TryEnlarge();
                var received = await ReceiveAsync(usesBuffer ? _buffer : free, isWithin: true).ConfigureAwait(false);
                if (received == 0)
                {
                    throw new EndOfStreamException();
                }

                if (usesBuffer)
                {
                    _end = received;
                    _start = received = Math.Min(received, free.Length);
                    _buffer.AsSpan(0, received).CopyTo(free.Span);
                }

                frame.Advance(received);
            }

            return frame;
        }
        catch
        {
            frame.Dispose();
            throw;
        }
    }

    public void Dispose()
    {
        if (_buffer.Length != 0)
        {
            Shrink();
            ArrayPool<byte>.Shared.Return(_buffer);
            _buffer = [];
        }
    }

    /// <summary>Takes a large buffer for the empty small one, if there is one to be had. Whether there is one.</summary>
    private bool TryEnlarge()
    {
        if (_isLarge)
        {
            return true;
        }

        if (Interlocked.Increment(ref largeBuffers) > MaxLargeBuffers)
        {
            Interlocked.Decrement(ref largeBuffers);
            return false;
        }

        _isLarge = true;
        ArrayPool<byte>.Shared.Return(_buffer);
        _buffer = ArrayPool<byte>.Shared.Rent(LargeBufferBytes);
        return true;
    }

    /// <summary>Goes back to a small buffer from an empty large one.</summary>
    private void Shrink()
    {
        if (_isLarge)
        {
            _isLarge = false;
            ArrayPool<byte>.Shared.Return(_buffer);
            _buffer = ArrayPool<byte>.Shared.Rent(BufferBytes);
            Interlocked.Decrement(ref largeBuffers);
        }
    }

    /// <summary>Receives until that many bytes are buffered, all in one piece. False if the client has closed the connection where it may.</summary>
    [AsyncMethodBuilder(typeof(PoolingAsyncValueTaskMethodBuilder<>))]
    private async ValueTask<bool> FillAsync(int count, bool isWithin)
    {
        while (_end - _start < count)
        {
            if (_start == _end)
            {
                // Whoever has sent all of it may send nothing for long.
                _start = _end = 0;
                Shrink();
            }
            else if (_buffer.Length - _start < count)
            {
                _buffer.AsSpan(_start, _end - _start).CopyTo(_buffer);
                _end -= _start;
                _start = 0;
            }

            isWithin |= _end > _start;
            var received = await ReceiveAsync(_buffer.AsMemory(_end), isWithin).ConfigureAwait(false);
            if (received == 0)
            {
                return isWithin ? throw new EndOfStreamException() : false;
            }

            _end += received;
        }

        return true;
    }

    private void Progress()
    {
        _sinceProgress = 0;
        _onActivity();
        _onProgress();
    }

    [AsyncMethodBuilder(typeof(PoolingAsyncValueTaskMethodBuilder<>))]
    private async ValueTask<int> ReceiveAsync(Memory<byte> destination, bool isWithin)
    {
        _isStarved = isWithin;
        var received = await _receiver.ReceiveAsync(destination).ConfigureAwait(false);
        _isStarved = false;
        _sinceProgress += received;
        if (!isWithin || _sinceProgress >= FrameBuffer.FirstBytes)
        {
            Progress();
        }
        else
        {
            _onActivity();
        }

        return received;
    }

    // The first four bytes of what is often sent to a wrong port.
    private static string Guess(int length) => (uint)length switch
    {
        0x47455420 or 0x504f5354 or 0x48454144 or 0x50555420 => " (this looks like HTTP)",
        >= 0x16030000 and <= 0x160304ff => " (this looks like TLS, which this listener does not speak)",
        _ => "",
    };
}
