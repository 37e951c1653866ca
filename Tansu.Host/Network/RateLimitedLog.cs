using Serilog;
using Serilog.Events;

namespace Tansu.Host.Network;

/// <summary>
/// Writes at most <see cref="LinesPerSecond"/> lines a second and then says how many it left out: what a stranger
/// can cause must not fill a disk. May be used from any thread.
/// </summary>
public sealed class RateLimitedLog(ILogger log, TimeProvider timeProvider)
{
    /// <summary>How many lines are written each second.</summary>
    public const int LinesPerSecond = 10;

    private readonly Lock _lock = new();
    private long _secondStart = timeProvider.GetTimestamp();
    private int _written;
    private long _leftOut;

    /// <summary>Writes a line with two values, or counts it as left out.</summary>
    public void Write<T0, T1>(LogEventLevel level, string template, T0 value0, T1 value1)
    {
        if (log.IsEnabled(level) && MayWrite())
        {
            log.Write(level, template, value0, value1);
        }
    }

    /// <summary>Writes a line with an error and one value, or counts it as left out.</summary>
    public void WriteError<T0>(Exception error, string template, T0 value0)
    {
        if (log.IsEnabled(LogEventLevel.Error) && MayWrite())
        {
            log.Error(error, template, value0);
        }
    }

    private bool MayWrite()
    {
        long leftOut;
        lock (_lock)
        {
            if (timeProvider.GetElapsedTime(_secondStart) >= TimeSpan.FromSeconds(1))
            {
                _secondStart = timeProvider.GetTimestamp();
                _written = 0;
            }

            if (_written == LinesPerSecond)
            {
                _leftOut++;
                return false;
            }

            _written++;
            leftOut = _leftOut;
            _leftOut = 0;
        }

        if (leftOut > 0)
        {
            log.Warning("{LeftOut} similar lines were left out", leftOut);
        }

        return true;
    }
}
