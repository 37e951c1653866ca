namespace Tansu.Host.Network;

/// <content>The clock that closes connections on which nothing happens.</content>
internal sealed partial class Connection
{
    private ITimer StartIdleTimer()
    {
        ITimer? timer = null;
        timer = _options.TimeProvider.CreateTimer(
            _ =>
            {
                if (UntilIdle() is { } left)
                {
                    // Null while the timer is being created; it cannot be due that early.
                    Volatile.Read(ref timer)?.Change(left, Timeout.InfiniteTimeSpan);
                }
                else
                {
                    _log.Debug("Connection from {RemoteAddress} is idle", _info.RemoteAddress);
                    Abort();
                }
            },
            null,
            Shorter(_options.IdleTimeout, _options.StallTimeout),
            Timeout.InfiniteTimeSpan);
        return timer;
    }

    /// <summary>How long to wait before looking again; null if the connection is to be closed.</summary>
    private TimeSpan? UntilIdle()
    {
        var quiet = _options.TimeProvider.GetElapsedTime(Volatile.Read(ref _lastActivity));
        var longest = Shorter(_options.IdleTimeout, _options.StallTimeout);
        TimeSpan allowed;
        if (_reader.IsStarved || (_sender.IsSending && _processor.IsShortOfMemory))
        {
            allowed = longest;
        }
        else if (_inFlight.Requests == 0 || _sender.IsSending)
        {
            allowed = _options.IdleTimeout;
        }
        else
        {
            // The client waits for us.
            return longest;
        }

        return quiet >= allowed ? null : Shorter(allowed - quiet, longest);
    }

    private static TimeSpan Shorter(TimeSpan one, TimeSpan other) => one < other ? one : other;

    private void Touch() => Volatile.Write(ref _lastActivity, _options.TimeProvider.GetTimestamp());
}
