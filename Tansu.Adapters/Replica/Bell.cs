namespace Tansu.Adapters.Replica;

/// <summary>
/// Wakes a loop that has nothing to do. Any thread rings, one loop waits. It does not use <c>Task.WaitAsync</c>, which would go
/// through the thread pool and could not be simulated.
/// </summary>
/// <param name="timeProvider">The clock.</param>
internal sealed class Bell(TimeProvider timeProvider)
{
    private readonly Lock _lock = new();
    private TaskCompletionSource? _waiting;

    /// <summary>Rings when the loop has waited long enough. The loop's alone.</summary>
    private ITimer? _alarm;
    private bool _hasRung;

    /// <summary>Wakes the loop.</summary>
    public void Ring()
    {
        TaskCompletionSource? waiting;
        lock (_lock)
        {
            _hasRung = true;
            waiting = _waiting;
            _waiting = null;
        }

        waiting?.TrySetResult();
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
    public Task WaitAsync(TimeSpan atMost)
    {
        _alarm ??= timeProvider.CreateTimer(
            static bell => ((Bell)bell!).Ring(),
            this,
            Timeout.InfiniteTimeSpan,
            Timeout.InfiniteTimeSpan);
        _alarm.Change(atMost, Timeout.InfiniteTimeSpan);
        lock (_lock)
        {
            if (_hasRung)
            {
                return Task.CompletedTask;
            }

            _waiting ??= new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
            return _waiting.Task;
        }
    }
}
