using Serilog.Events;

namespace Tansu.Host.Network;

/// <content>The clock that closes connections on which nothing happens.</content>
internal sealed partial class Connection
{
    private TimeSpan LookAgain => Shorter(_options.IdleTimeout, Shorter(_options.StallTimeout, Shorter(_options.SlowClientTimeout, _options.ShortageTimeout)));

    private ITimer StartIdleTimer()
    {
        ITimer? timer = null;
        timer = _options.TimeProvider.CreateTimer(
            _ =>
            {
                if (UntilLate() is { } left)
                {
                    // Null while the timer is being created; it cannot be due that early.
                    Volatile.Read(ref timer)?.Change(left, Timeout.InfiniteTimeSpan);
                }
                else
                {
                    Abort();
                }
            },
            null,
            LookAgain,
            Timeout.InfiniteTimeSpan);
        return timer;
    }

    /// <summary>How long to wait before looking again; null if the connection is to be closed.</summary>
    private TimeSpan? UntilLate()
    {
        var left = LookAgain;
        if (_sender.IsSending)
        {
            var allowed = _processor.IsShortOfMemory ? Shorter(_options.SlowClientTimeout, _options.ShortageTimeout) : _options.SlowClientTimeout;
            left = Shorter(left, allowed - Since(ref _lastTaken));
            if (left <= TimeSpan.Zero)
            {
                IsTooSlow = true;
                _complaints.Write(
                    LogEventLevel.Warning,
                    "Closing the connection from {RemoteAddress}: it does not take its replies ({AllowedMs} ms are allowed)",
                    _info.RemoteAddress,
                    (long)allowed.TotalMilliseconds);
                return null;
            }
        }

        if (_reader.IsStarved)
        {
            var allowed = _budget.HasWaiters ? Shorter(_options.StallTimeout, _options.ShortageTimeout) : _options.StallTimeout;
            left = Shorter(left, allowed - Since(ref _lastProgress));
        }

        if (_reader.WaitsForMemory)
        {
            left = Shorter(left, _options.StallTimeout - Since(ref _lastProgress));
            if (left <= TimeSpan.Zero)
            {
                // Its client has long given the request up, and others wait behind it.
                _complaints.Write(
                    LogEventLevel.Warning,
                    "Closing the connection from {RemoteAddress}: its request has waited for {AllowedMs} ms for memory that others hold",
                    _info.RemoteAddress,
                    (long)_options.StallTimeout.TotalMilliseconds);
                return null;
            }
        }

        // With a request in flight the client waits for us.
        if (_inFlight.Requests == 0 || _sender.IsSending || _reader.IsStarved)
        {
            left = Shorter(left, _options.IdleTimeout - Since(ref _lastActivity));
        }

        if (left > TimeSpan.Zero)
        {
            return left;
        }

        _log.Debug("Connection from {RemoteAddress} is idle", _info.RemoteAddress);
        return null;
    }

    private static TimeSpan Shorter(TimeSpan one, TimeSpan other) => one < other ? one : other;

    private TimeSpan Since(ref long moment) => _options.TimeProvider.GetElapsedTime(Volatile.Read(ref moment));

    private void Touch() => TouchAt(ref _lastActivity);

    private void TouchAt(ref long moment)
    {
        var now = _options.TimeProvider.GetTimestamp();
        Volatile.Write(ref moment, now);
        Volatile.Write(ref _lastActivity, now);
    }
}
