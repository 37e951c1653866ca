using System.Diagnostics;
using System.Runtime.InteropServices;

namespace Tansu.Benchmarks;

/// <summary>A steady rate. <c>Thread.Sleep</c> counts in whole milliseconds, always a little longer, so that whoever catches up does two things at once.</summary>
internal sealed partial class Pace(double perSecond)
{
    private readonly Stopwatch _clock = Stopwatch.StartNew();

    /// <summary>Waits until it is time for the thing of that number, the first being 0.</summary>
    public void WaitFor(long number)
    {
        while (true)
        {
            var microseconds = (number * 1e6 / perSecond) - _clock.Elapsed.TotalMicroseconds;
            if (microseconds <= 0)
            {
                return;
            }

            _ = usleep((uint)microseconds + 1);
        }
    }

    [LibraryImport("libc")]
    private static partial int usleep(uint microseconds);
}
