namespace Tansu.Adapters.Reading;

/// <summary>
/// A thread that serves clients goes on itself with a few of those who wait for what it has committed, once it has answered: to wake another thread for that takes
/// longer than most of them do.
/// </summary>
public static class Afterwards
{
    /// <summary>So many; the others go on elsewhere at once, side by side.</summary>
    private const int Most = 4;

    [ThreadStatic]
    private static List<TaskCompletionSource>? waiting;

    [ThreadStatic]
    private static bool isOpen;

    /// <summary>From now on signals on this thread wait for <see cref="Run"/>.</summary>
    public static void Begin() => isOpen = true;

    /// <summary>Goes on with those that were signalled, as far as the first wait of each.</summary>
    public static void Run()
    {
        isOpen = false;
        if (waiting is { Count: > 0 } signals)
        {
            // Nothing is added meanwhile: it is closed.
            signals.ForEach(static signal => signal.SetResult());
            signals.Clear();
        }
    }

    /// <summary>Takes a signal that this thread is to give when it runs, once. False if somebody else has to give it.</summary>
    internal static bool TryAdd(TaskCompletionSource signal)
    {
        if (!isOpen || waiting is { Count: Most })
        {
            return false;
        }

        (waiting ??= []).Add(signal);
        return true;
    }
}
