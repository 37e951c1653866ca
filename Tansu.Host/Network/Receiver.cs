using System.Net.Sockets;
using System.Threading.Tasks.Sources;

namespace Tansu.Host.Network;

/// <summary>
/// Receives from one socket. What follows a wait runs on the thread that was woken, one of <see cref="ReceiverThreads"/>. Used by one loop;
/// <see cref="Dispose"/> may be called from anywhere.
/// </summary>
internal sealed class Receiver : IValueTaskSource, IDisposable
{
    /// <summary>
    /// So often one socket may be read without a wait: then others, which a thread may be waiting for, get their turn.
    /// </summary>
    private const int MaxInARow = 4;

    private readonly Socket _socket;
    private readonly ReceiverThreads? _threads;
    private readonly long _tag;
    private ManualResetValueTaskSourceCore<bool> _readable;
    private int _inARow;
    private bool _isEmpty;
    private bool _isArmedBefore;
    private int _isWaiting;
    private volatile bool _isDisposed;

    /// <param name="socket">The socket, whose blocking mode is changed.</param>
    /// <param name="threads">Null: .NET's own way.</param>
    public Receiver(Socket socket, ReceiverThreads? threads)
    {
        _socket = socket;
        _threads = threads;
        socket.Blocking = false;
        if (threads is not null)
        {
            _tag = threads.Add(this);
        }
    }

    /// <summary>Completes when something may have come, at once if more is known to be there.</summary>
    /// <exception cref="SocketException">The connection is broken.</exception>
    /// <exception cref="ObjectDisposedException">It was closed here.</exception>
    public ValueTask WaitAsync()
    {
        if (!_isEmpty && _inARow < MaxInARow)
        {
            return ValueTask.CompletedTask;
        }

        _inARow = 0;
        return _threads is null ? WaitAsDotNetDoesAsync() : WaitAsync(_threads);
    }

    /// <summary>Receives what has come. False if there is nothing after all; 0 bytes when the client has closed the connection.</summary>
    /// <exception cref="SocketException">The connection is broken.</exception>
    /// <exception cref="ObjectDisposedException">It was closed here.</exception>
    public bool TryReceive(Span<byte> destination, out int received)
    {
        _inARow++;
        received = _socket.Receive(destination, SocketFlags.None, out var error);
        if (error is not SocketError.Success and not SocketError.WouldBlock)
        {
            throw new SocketException((int)error);
        }

        // What did not fill the memory was all there was, so that asking again would be in vain.
        _isEmpty = error == SocketError.WouldBlock || received < destination.Length;
        return error == SocketError.Success;
    }

    /// <summary>Called by one of the threads when there is something to read.</summary>
    public void OnReadable() => Continue(isHere: true);

    /// <summary>Ends a wait; the socket is closed before.</summary>
    public void Dispose()
    {
        _isDisposed = true;
        _threads?.Remove(_tag);
        Continue(isHere: false);
    }

    // No token: a token costs a registration for each call, and disposing the socket ends the call as well.
    private async ValueTask WaitAsDotNetDoesAsync() => await _socket.ReceiveAsync(Memory<byte>.Empty, SocketFlags.None).ConfigureAwait(false);

    private ValueTask WaitAsync(ReceiverThreads threads)
    {
        _readable.Reset();

        // The exchange is a fence: either this sees that it is disposed, or whoever disposes it sees that somebody waits.
        Interlocked.Exchange(ref _isWaiting, 1);
        if (_isDisposed)
        {
            Continue(isHere: false);
        }
        else
        {
            Arm(threads);
        }

        return new ValueTask(this, _readable.Version);
    }

    private void Arm(ReceiverThreads threads)
    {
        try
        {
            var isFirst = !_isArmedBefore;
            _isArmedBefore = true;
            threads.Arm(_socket.SafeHandle, _tag, isFirst);
        }
        catch (ObjectDisposedException)
        {
            // Receiving then says the same.
            Continue(isHere: false);
        }
    }

    private void Continue(bool isHere)
    {
        if (Interlocked.Exchange(ref _isWaiting, 0) == 1)
        {
            _readable.RunContinuationsAsynchronously = !isHere;
            _readable.SetResult(true);
        }
    }

    void IValueTaskSource.GetResult(short token) => _readable.GetResult(token);

    ValueTaskSourceStatus IValueTaskSource.GetStatus(short token) => _readable.GetStatus(token);

    void IValueTaskSource.OnCompleted(Action<object?> continuation, object? state, short token, ValueTaskSourceOnCompletedFlags flags) =>
        _readable.OnCompleted(continuation, state, token, flags);
}
