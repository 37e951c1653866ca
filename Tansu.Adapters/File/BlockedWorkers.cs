namespace Tansu.Adapters;

/// <summary>
/// The thread pool begins with a thread for each processor and adds more only slowly, so that whoever blocks one says so beforehand: the pool then begins with one
/// more.
/// </summary>
internal static class BlockedWorkers
{
    private static readonly Lock Gate = new();

    /// <summary>From now on until <see cref="ExpectNone"/> one more worker may be blocked at any time.</summary>
    public static void ExpectOne() => Add(1);

    /// <summary>Takes one <see cref="ExpectOne"/> back.</summary>
    public static void ExpectNone() => Add(-1);

    private static void Add(int count)
    {
        lock (Gate)
        {
            ThreadPool.GetMinThreads(out var workers, out var completions);
            ThreadPool.SetMinThreads(workers + count, completions);
        }
    }
}
