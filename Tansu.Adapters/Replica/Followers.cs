namespace Tansu.Adapters.Replica;

/// <summary>
/// Who waits for other brokers' entries, and when the log's end is to be read for them. Any thread adds and pokes; the rest is
/// the loop's.
/// </summary>
/// <param name="options">How often to poll.</param>
/// <param name="ring">Wakes the loop.</param>
internal sealed class Followers(ReplicaOptions options, Action ring)
{
    private int _count;
    private volatile bool _isPoked;
    private TimeSpan _interval = options.FirstPoll;

    public IDisposable Add()
    {
        if (options.IsShared && Interlocked.Increment(ref _count) == 1)
        {
            ring();
        }

        return new Following(this);
    }

    public void Poke()
    {
        if (!_isPoked)
        {
            _isPoked = true;
            if (Volatile.Read(ref _count) > 0)
            {
                ring();
            }
        }
    }

    /// <summary>How long until the next poll; <see cref="Timeout.InfiniteTimeSpan"/> as long as nobody follows.</summary>
    /// <param name="confirmedAt">When the log's end was last seen.</param>
    public TimeSpan UntilPoll(long confirmedAt)
    {
        if (Volatile.Read(ref _count) == 0)
        {
            return Timeout.InfiniteTimeSpan;
        }

        var left = _interval - options.TimeProvider.GetElapsedTime(confirmedAt);
        if (!_isPoked && left > TimeSpan.Zero)
        {
            return left;
        }

        _isPoked = false;
        return TimeSpan.Zero;
    }

    /// <summary>Where something was found, more may follow soon.</summary>
    public void Polled(bool foundSomething)
    {
        var doubled = _interval * 2;
        _interval = foundSomething ? options.FirstPoll : doubled < options.MaxPoll ? doubled : options.MaxPoll;
    }

    private void Remove()
    {
        if (options.IsShared)
        {
            Interlocked.Decrement(ref _count);
        }
    }

    private sealed class Following(Followers owner) : IDisposable
    {
        private int _isDisposed;

        public void Dispose()
        {
            if (Interlocked.Exchange(ref _isDisposed, 1) == 0)
            {
                owner.Remove();
            }
        }
    }
}
