using System.Threading.Tasks.Sources;

namespace Tansu.Adapters.Replica;

/// <summary>
/// Wakes a loop that has nothing to do. Any thread rings, one loop waits. It does not use <c>Task.WaitAsync</c>, which would go
/// through the thread pool and could not be simulated.
/// </summary>
/// <param name="timeProvider">The clock.</param>
internal sealed class Bell(TimeProvider timeProvider) : IValueTaskSource
{
    private readonly Lock _lock = new();
    private ManualResetValueTaskSourceCore<bool> _awaited;
    private bool _isAwaited;

    /// <summary>Rings when the loop has waited long enough. The loop's alone.</summary>
    private ITimer? _alarm;
    private bool _hasRung;

    /// <summary>The thread of whoever rang last and lent it; 0 for none. The loop's alone.</summary>
    private int _lender;

    /// <summary>Whether the loop runs on the thread of whoever woke it, who waits for it to wait for something. The loop's alone.</summary>
    public bool IsOnRingersThread => _lender == Environment.CurrentManagedThreadId;

    /// <summary>Wakes the loop.</summary>
    public void Ring() => Ring(lendsThread: false);

    /// <summary>Wakes the loop.</summary>
    /// <param name="lendsThread">
    /// Whether the loop, if it waits, goes on at once on the calling thread, which saves waking another one. Nothing may be locked, and the caller
    /// must not mind how long it takes until the loop waits for something else.
    /// </param>
    public void Ring(bool lendsThread)
    {
        lock (_lock)
        {
            _hasRung = true;
            if (!_isAwaited)
            {
                return;
            }

            _isAwaited = false;
        }

        _lender = lendsThread ? Environment.CurrentManagedThreadId : 0;
        _awaited.RunContinuationsAsynchronously = !lendsThread;
        _awaited.SetResult(true);
    }

    /// <summary>Called before the loop looks for work: whatever comes from now on rings again.</summary>
    public void Hush()
    {
        lock (_lock)
        {
            _hasRung = false;
        }
    }

    /// <summary>Completes once it has rung since <see cref="Hush"/>, or some time has passed, or for no reason.</summary>
    public ValueTask WaitAsync(TimeSpan atMost)
    {
        _alarm ??= timeProvider.CreateTimer(
            static bell => ((Bell)bell!).Ring(),
            this,
            Timeout.InfiniteTimeSpan,
            Timeout.InfiniteTimeSpan);
        _alarm.Change(atMost, Timeout.InfiniteTimeSpan);
        lock (_lock)
        {
            _lender = 0;
            if (_hasRung)
            {
                return ValueTask.CompletedTask;
            }

            _awaited.Reset();
            _isAwaited = true;
            return new ValueTask(this, _awaited.Version);
        }
    }

    /// <summary>Lets the loop go on elsewhere, if it was lent the thread it runs on.</summary>
    public async ValueTask ReturnThreadAsync()
    {
        if (IsOnRingersThread)
        {
            await Task.Yield();
            _lender = 0;
        }
    }

    void IValueTaskSource.GetResult(short token) => _awaited.GetResult(token);

    ValueTaskSourceStatus IValueTaskSource.GetStatus(short token) => _awaited.GetStatus(token);

    void IValueTaskSource.OnCompleted(Action<object?> continuation, object? state, short token, ValueTaskSourceOnCompletedFlags flags) =>
        _awaited.OnCompleted(continuation, state, token, flags);
}
