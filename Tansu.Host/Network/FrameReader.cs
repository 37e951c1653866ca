using System.Buffers;
using System.Buffers.Binary;
using System.Runtime.CompilerServices;
using Tansu.Codec;

namespace Tansu.Host.Network;

/// <summary>
/// Cuts the bytes of one socket into requests. Small ones are copied out of a buffer, many of them for one system call; the rest of a large one is
/// received straight into its own memory. It has the buffer only while there is something in it: who waits for the client holds none. Used by one loop at a time.
/// </summary>
internal sealed class FrameReader : IDisposable
{
    private const int LengthBytes = 4;
    private const int ApiBytes = 4;
    private const int BufferBytes = 4096;
    private const int LargeBufferBytes = 64 * 1024;

    /// <summary>
    /// Beyond so many connections that have a buffer at once the others get by with a small one, for a system call more: nobody counts their memory, and a client can
    /// keep one by sending more requests than are served at once.
    /// </summary>
    private const int MaxLargeBuffers = 64;

    private static int buffers;

    private readonly Receiver _receiver;
    private readonly int _maxRequestBytes;
    private readonly RequestBudget _budget;
    private readonly Action _onActivity;
    private readonly Action _onProgress;

    /// <summary>What is left of the buffer during a wait: less than a length and what tells the API.</summary>
    private readonly byte[] _rest = new byte[LengthBytes + ApiBytes];
    private byte[] _buffer;
    private int _start;
    private int _end;
    private int _sinceProgress;
    private bool _isLarge;
    private volatile bool _isStarved;
    private volatile bool _waitsForMemory;

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
        _buffer = _rest;
    }

    /// <summary>How many readers have a buffer now, of whatever size.</summary>
    public static int Buffers => Volatile.Read(ref buffers);

    /// <summary>Whether a request has begun to arrive and the client owes the rest of it.</summary>
    public bool IsStarved => _isStarved;

    /// <summary>Whether it waits for memory for a request, and does not notice meanwhile if the client has gone.</summary>
    public bool WaitsForMemory => _waitsForMemory;

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
        _isLarge = length > LargeBufferBytes / 2;
        var renting = FrameBuffer.RentAsync(_budget, length, cancellationToken);
        ExpectMemory(renting.IsCompleted);
        var frame = await renting.ConfigureAwait(false);
        try
        {
            // Waiting for memory is not the client's fault: its time to send begins now.
            Progress();
            while (true)
            {
                CopyTo(frame);
                if (frame.IsComplete)
                {
                    return frame;
                }

                if (frame.NeedsGrowth)
                {
                    var growing = frame.GrowAsync(cancellationToken);
                    ExpectMemory(growing.IsCompleted);
                    await growing.ConfigureAwait(false);
                    Progress();
                }
                else
                {
                    await ReceiveAsync(frame, isWithin: true).ConfigureAwait(false);
                }
            }
        }
        catch
        {
            frame.Dispose();
            throw;
        }
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        _start = _end;
        LetGoOfBuffer();
    }

    private void CopyTo(FrameBuffer frame)
    {
        var buffered = Math.Min(_end - _start, frame.Free.Length);
        _buffer.AsSpan(_start, buffered).CopyTo(frame.Free.Span);
        _start += buffered;
        frame.Advance(buffered);
    }

    /// <summary>Receives until that many bytes are buffered. False if the client has closed the connection where it may.</summary>
    [AsyncMethodBuilder(typeof(PoolingAsyncValueTaskMethodBuilder<>))]
    private async ValueTask<bool> FillAsync(int count, bool isWithin)
    {
        while (_end - _start < count)
        {
            if (!await ReceiveAsync(null, isWithin || _end > _start).ConfigureAwait(false))
            {
                return false;
            }
        }

        return true;
    }

    /// <summary>Waits for the client, holding no buffer meanwhile, and receives some bytes.</summary>
    /// <param name="frame">What they belong to, if that is known; then nothing is left in the buffer.</param>
    /// <param name="isWithin">Whether a request has begun.</param>
    /// <returns>False if the client has closed the connection where it may.</returns>
    /// <exception cref="EndOfStreamException">The client closed it within a request.</exception>
    [AsyncMethodBuilder(typeof(PoolingAsyncValueTaskMethodBuilder<>))]
    private async ValueTask<bool> ReceiveAsync(FrameBuffer? frame, bool isWithin)
    {
        _isStarved = isWithin;
        int received;
        bool isStraight;
        do
        {
            var waiting = _receiver.WaitAsync();
            if (!waiting.IsCompleted)
            {
                LetGoOfBuffer();
            }

            await waiting.ConfigureAwait(false);
        }
        while (!_receiver.TryReceive(Room(frame, out isStraight), out received));
        _isStarved = false;
        if (received == 0)
        {
            return isWithin ? throw new EndOfStreamException() : false;
        }

        if (isStraight)
        {
            frame!.Advance(received);
        }
        else
        {
            _end += received;
        }

        _sinceProgress += received;
        if (!isWithin || _sinceProgress >= FrameBuffer.FirstBytes)
        {
            Progress();
        }
        else
        {
            _onActivity();
        }

        return true;
    }

    /// <summary>Where to receive: into a large request itself, or into the buffer, where what follows a small one comes with the same system call.</summary>
    private Span<byte> Room(FrameBuffer? frame, out bool isStraight)
    {
        if (frame is not null && _isLarge)
        {
            isStraight = true;
            return frame.Free.Span;
        }

        var left = _buffer.AsSpan(_start, _end - _start);
        if (_buffer == _rest)
        {
            // Two that come at once may both get a large one, or both none.
            _buffer = ArrayPool<byte>.Shared.Rent(Volatile.Read(ref buffers) < MaxLargeBuffers ? LargeBufferBytes : BufferBytes);
            Interlocked.Increment(ref buffers);
        }

        left.CopyTo(_buffer);
        _start = 0;
        _end = left.Length;
        isStraight = frame is not null && _buffer.Length < LargeBufferBytes;

        // Behind a large request comes another, probably, which had better not come into the buffer and be copied.
        return isStraight ? frame!.Free.Span : _buffer.AsSpan(_end, (_isLarge ? BufferBytes : _buffer.Length) - _end);
    }

    /// <summary>Keeps only what is left in it, which is little.</summary>
    private void LetGoOfBuffer()
    {
        if (_buffer != _rest)
        {
            _buffer.AsSpan(_start, _end - _start).CopyTo(_rest);
            ArrayPool<byte>.Shared.Return(_buffer);
            Interlocked.Decrement(ref buffers);
            _buffer = _rest;
            _end -= _start;
            _start = 0;
        }
    }

    /// <summary>Memory is waited for, unless it is there: from now on, however long nothing has come before, until there is progress.</summary>
    private void ExpectMemory(bool isThere)
    {
        if (!isThere)
        {
            Progress();
            _waitsForMemory = true;
        }
    }

    private void Progress()
    {
        _sinceProgress = 0;
        _waitsForMemory = false;
        _onActivity();
        _onProgress();
    }

    // The first four bytes of what is often sent to a wrong port.
    private static string Guess(int length) => (uint)length switch
    {
        0x47455420 or 0x504f5354 or 0x48454144 or 0x50555420 => " (this looks like HTTP)",
        >= 0x16030000 and <= 0x160304ff => " (this looks like TLS, which this listener does not speak)",
        _ => "",
    };
}
