namespace Tansu.Adapters.Replica;

/// <summary>
/// What somebody waits for, up to a deadline. The deadline is a timer of its own and not <c>Task.WaitAsync</c>, which would go through
/// the thread pool and could not be simulated.
/// </summary>
/// <param name="isBrief">Whether what follows is brief enough to run on the thread that ends the task, inside of the call that does.</param>
internal class Pending<TResult>(bool isBrief = false)
    : TaskCompletionSource<TResult>(isBrief ? TaskCreationOptions.None : TaskCreationOptions.RunContinuationsAsynchronously)
{
    private ITimer? _deadline;

    /// <summary>Whether what follows runs on the thread that ends the task.</summary>
    public bool IsBrief => (Task.CreationOptions & TaskCreationOptions.RunContinuationsAsynchronously) == 0;

    /// <summary>Fails the task with <see cref="TimeoutException"/> unless it has ended by then.</summary>
    public void SetDeadline(TimeSpan timeout, TimeProvider timeProvider)
    {
        if (timeout == Timeout.InfiniteTimeSpan || Task.IsCompleted)
        {
            return;
        }

        // Stored before it starts, so that whoever ends the task finds it.
        var deadline = timeProvider.CreateTimer(
            static pending => ((Pending<TResult>)pending!).Expire(),
            this,
            Timeout.InfiniteTimeSpan,
            Timeout.InfiniteTimeSpan);
        Volatile.Write(ref _deadline, deadline);
        deadline.Change(timeout, Timeout.InfiniteTimeSpan);
        if (Task.IsCompleted)
        {
            deadline.Dispose();
        }
    }

    /// <summary>Ends the task with a result, unless it has ended before.</summary>
    public void Succeed(TResult result)
    {
        TrySetResult(result);
        Volatile.Read(ref _deadline)?.Dispose();
    }

    /// <summary>Ends the task with a failure, unless it has ended before.</summary>
    public void Fail(Exception reason)
    {
        TrySetException(reason);
        Volatile.Read(ref _deadline)?.Dispose();
    }

    /// <summary>Called when the deadline has passed, after the task has failed: nothing else can end it any more.</summary>
    protected virtual void OnExpired()
    {
    }

    private void Expire()
    {
        if (Task.IsCompleted)
        {
            return;
        }

        Fail(new TimeoutException("The outcome was not known in time."));
        OnExpired();
    }
}
