namespace Tansu.Host.Network;

/// <content>The clock that closes connections on which nothing happens.</content>
internal sealed partial class Connection
{
    private TimeSpan LookAgain => Shorter(_options.IdleTimeout, Shorter(_options.StallTimeout, _options.ReplyStallTimeout));

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
            LookAgain,
            Timeout.InfiniteTimeSpan);
        return timer;
    }

    /// <summary>How long to wait before looking again; null if the connection is to be closed.</summary>
    private TimeSpan? UntilIdle()
    {
        var quiet = _options.TimeProvider.GetElapsedTime(Volatile.Read(ref _lastActivity));
        TimeSpan allowed;
        if (_sender.IsSending && _processor.IsShortOfMemory)
        {
            allowed = Shorter(_options.IdleTimeout, _options.ReplyStallTimeout);
        }
        else if (_reader.IsStarved)
        {
            allowed = Shorter(_options.IdleTimeout, _options.StallTimeout);
        }
        else if (_inFlight.Requests == 0 || _sender.IsSending)
        {
            allowed = _options.IdleTimeout;
        }
        else
        {
            // The client waits for us.
            return LookAgain;
        }

        return quiet >= allowed ? null : Shorter(allowed - quiet, LookAgain);
    }

    private static TimeSpan Shorter(TimeSpan one, TimeSpan other) => one < other ? one : other;

    private void Touch() => Volatile.Write(ref _lastActivity, _options.TimeProvider.GetTimestamp());
}
