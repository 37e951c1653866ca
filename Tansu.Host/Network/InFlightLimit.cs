namespace Tansu.Host.Network;

/// <summary>
/// Counts the unanswered requests of one connection and their bytes. The reader waits here while there are too many: what it does not
/// read stays in the client, which is the back-pressure. One waits, one releases.
/// </summary>
internal sealed class InFlightLimit(int maxRequests, long maxBytes)
{
    private readonly Lock _lock = new();
    private TaskCompletionSource? _waiter;
    private int _requests;
    private long _bytes;
    private long _wantedBytes;

    /// <summary>How many requests are unanswered.</summary>
    public int Requests => Volatile.Read(ref _requests);

    /// <summary>Waits until one more request of this length is allowed, and counts it.</summary>
    public ValueTask EnterAsync(int bytes, CancellationToken cancellationToken)
    {
        TaskCompletionSource waiter;
        lock (_lock)
        {
            if (Fits(bytes))
            {
                Count(bytes);
                return ValueTask.CompletedTask;
            }

            _wantedBytes = bytes;
            waiter = _waiter = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        }

        return new ValueTask(waiter.Task.WaitAsync(cancellationToken));
    }

    /// <summary>Says that a request has been answered and its memory given back.</summary>
    public void Leave(int bytes)
    {
        lock (_lock)
        {
            _requests--;
            _bytes -= bytes;
            if (_waiter is { } waiter && Fits(_wantedBytes))
            {
                _waiter = null;
                Count(_wantedBytes);
                waiter.SetResult();
            }
        }
    }

    private bool Fits(long bytes) => _requests == 0 || (_requests < maxRequests && _bytes + bytes <= maxBytes);

    private void Count(long bytes)
    {
        _requests++;
        _bytes += bytes;
    }
}
