using System.Diagnostics;

namespace Tansu.Adapters.Replica;

/// <summary>
/// While a thread gathers, brief commands that it submits wake nobody; their loops are woken when it ends, side by side, the last of them on this very
/// thread. So what came together is committed and answered together.
/// </summary>
/// <remarks>It belongs to the thread: what goes on elsewhere after a wait does not gather.</remarks>
public readonly ref struct Gathering
{
    /// <summary>What has been gathered for so long waits no longer: what a client asks for may take long.</summary>
    private static readonly TimeSpan Late = TimeSpan.FromMilliseconds(0.5);

    [ThreadStatic]
    private static List<Bell>? toRing;

    /// <summary>When the first of them came, a timestamp.</summary>
    [ThreadStatic]
    private static long since;

    [ThreadStatic]
    private static bool isUnderWay;

    private readonly bool _isOutermost;

    private Gathering(bool isOutermost) => _isOutermost = isOutermost;

    /// <summary>Whether a loop waits for the end.</summary>
    public static bool HasAny => toRing is { Count: > 0 };

    /// <summary>Begins to gather; within another one it changes nothing.</summary>
    /// <returns>Dispose it soon, before this thread waits for anything.</returns>
    public static Gathering Begin()
    {
        var isOutermost = !isUnderWay;
        isUnderWay = true;
        return new Gathering(isOutermost);
    }

    /// <summary>To be called between two things that take some time: wakes the loops, on other threads, that have waited for too long.</summary>
    public static void RingIfLate()
    {
        if (HasAny && Stopwatch.GetElapsedTime(since) > Late)
        {
            RingAll(lendsThread: false);
        }
    }

    /// <summary>Wakes the loops: the last of them goes on inside of this call, as far as its first wait.</summary>
    public void Dispose()
    {
        if (_isOutermost)
        {
            isUnderWay = false;
            RingAll(lendsThread: true);
        }
    }

    /// <summary>Whether the bell will be rung when this thread has gathered.</summary>
    internal static bool RingsLater(Bell bell)
    {
        if (!isUnderWay)
        {
            return false;
        }

        toRing ??= [];
        if (toRing.Count == 0)
        {
            since = Stopwatch.GetTimestamp();
        }

        if (!toRing.Contains(bell))
        {
            toRing.Add(bell);
        }

        return true;
    }

    private static void RingAll(bool lendsThread)
    {
        if (toRing is not { Count: > 0 } gathered)
        {
            return;
        }

        // What a loop does in here may gather in its turn.
        toRing = null;
        for (var index = 0; index < gathered.Count; index++)
        {
            gathered[index].Ring(lendsThread && index == gathered.Count - 1);
        }

        gathered.Clear();
        toRing ??= gathered;
    }
}
