using System.Diagnostics.CodeAnalysis;
using Tansu.Adapters.Ports;

namespace Tansu.Adapters;

/// <summary>
/// A few threads that do nothing but wait for the disk. <c>fdatasync</c> blocks for milliseconds; on the thread pool, which begins
/// with one thread per core, a handful of logs would starve every connection.
/// </summary>
/// <remarks>Work is begun in the order it came; with one thread it is also done one by one. Threads start when first needed.</remarks>
/// <param name="name">The threads' name, for debuggers.</param>
/// <param name="maxThreads">How many pieces of work may run at once.</param>
/// <param name="start">Starts a thread, which fails where there are too many; only tests have another way.</param>
internal sealed class IoThreads(string name, int maxThreads, Action<Thread>? start = null) : IAsyncDisposable
{
    private readonly Action<Thread> _start = start ?? (static thread => thread.Start());

    // A monitor and not a Lock: idle threads wait on it.
    private readonly object _gate = new();
    private readonly Queue<IWork> _queue = new();
    private readonly TaskCompletionSource _stopped = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private int _threads;
    private int _idle;
    private bool _stopping;

    private interface IWork
    {
        void Execute();
    }

    /// <summary>Runs <paramref name="work"/> on one of the threads. Errors of the file system come out as the port's errors.</summary>
    /// <param name="what">What is being done, for the message of an error.</param>
    /// <param name="work">What to do.</param>
    /// <param name="cancellationToken">Heeded until the work begins.</param>
    /// <param name="continuesHere">Whether what follows runs on the thread: it is brief, or ends in more work for the thread.</param>
    /// <exception cref="StoreUnavailableException">There is no thread, and none can be started: it will not be done.</exception>
    public Task<T> RunAsync<T>(string what, Func<T> work, CancellationToken cancellationToken, bool continuesHere = false)
    {
        var item = new Work<T>(what, work, continuesHere, cancellationToken);
        lock (_gate)
        {
            ObjectDisposedException.ThrowIf(_stopping, this);
            var isShort = _idle <= _queue.Count && _threads < maxThreads;
            if (isShort && !TryStart() && _threads == 0)
            {
                throw new StoreUnavailableException($"{what} failed: no thread can be started for it; raise the limit on threads or on memory.");
            }

            _queue.Enqueue(item);
            Monitor.Pulse(_gate);
        }

        return item.Task;
    }

    /// <summary>Finishes what has been queued and ends the threads.</summary>
    public async ValueTask DisposeAsync()
    {
        lock (_gate)
        {
            _stopping = true;
            Monitor.PulseAll(_gate);
            if (_threads == 0)
            {
                _stopped.TrySetResult();
            }
        }

        await _stopped.Task.ConfigureAwait(false);
    }

    private bool TryStart()
    {
        try
        {
            _start(new Thread(Loop) { Name = name, IsBackground = true });
            _threads++;
            return true;
        }
        catch (Exception error) when (error is OutOfMemoryException or ThreadStartException)
        {
            return false;
        }
    }

    private void Loop()
    {
        while (TryTake(out var item))
        {
            item.Execute();
        }
    }

    private bool TryTake([NotNullWhen(true)] out IWork? item)
    {
        lock (_gate)
        {
            while (!_queue.TryDequeue(out item))
            {
                if (_stopping)
                {
                    if (--_threads == 0)
                    {
                        _stopped.TrySetResult();
                    }

                    return false;
                }

                _idle++;
                Monitor.Wait(_gate);
                _idle--;
            }

            return true;
        }
    }

    // Continuations run on the thread pool unless told otherwise: a caller's code must not hold up the next write.
    private sealed class Work<T>(string what, Func<T> work, bool continuesHere, CancellationToken cancellationToken)
        : TaskCompletionSource<T>(continuesHere ? TaskCreationOptions.None : TaskCreationOptions.RunContinuationsAsynchronously), IWork
    {
        public void Execute()
        {
            if (cancellationToken.IsCancellationRequested)
            {
                SetCanceled(cancellationToken);
                return;
            }

            try
            {
                SetResult(work());
            }
            catch (Exception error)
            {
                // Not swallowed: the awaiting caller gets it.
                SetException(FileErrors.Translate(what, error));
            }
        }
    }
}
