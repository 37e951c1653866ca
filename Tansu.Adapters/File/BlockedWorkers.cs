namespace Tansu.Adapters;

/// <summary>
/// The thread pool begins with a thread for each processor and adds more only slowly, so that whoever blocks one says so beforehand: the pool then begins with one
/// more.
/// </summary>
internal static class BlockedWorkers
{
    private static readonly Lock Gate = new();

    /// <summary>From now on until what is returned is disposed of, one more worker may be blocked at any time.</summary>
    public static IDisposable Expect()
    {
        Add(1);
        return new Expected();
    }

    private static void Add(int count)
    {
        lock (Gate)
        {
            ThreadPool.GetMinThreads(out var workers, out var completions);
            ThreadPool.SetMinThreads(workers + count, completions);
        }
    }

    private sealed class Expected : IDisposable
    {
        private int _isDisposed;

        public void Dispose()
        {
            if (Interlocked.Exchange(ref _isDisposed, 1) == 0)
            {
                Add(-1);
            }
        }
    }
}
