namespace Tansu.Host.Network;

/// <summary>
/// Counts the requests of one connection that were started and those that were answered. Replies leave in the order of the requests, so one that is
/// ready early lies there for as long as an earlier request takes; who would hold much meanwhile waits here for its turn.
/// One thread starts, one answers, any may wait.
/// </summary>
internal sealed class AnswerOrder
{
    private readonly Lock _lock = new();
    private readonly List<Waiter> _waiters = [];
    private long _started;
    private long _answered;

    /// <summary>The number of the newest request; 0 before the first.</summary>
    public long Newest => Volatile.Read(ref _started);

    /// <summary>Numbers one more request.</summary>
    public void Start() => Volatile.Write(ref _started, _started + 1);

    /// <summary>The oldest unanswered request has its reply, or is not answered any more.</summary>
    public void Answer()
    {
        List<Waiter>? due = null;
        lock (_lock)
        {
            _answered++;
            for (var index = _waiters.Count - 1; index >= 0; index--)
            {
                if (IsInTurn(_waiters[index].Number))
                {
                    (due ??= []).Add(_waiters[index]);
                    _waiters.RemoveAt(index);
                }
            }
        }

        due?.ForEach(static waiter => waiter.SetResult());
    }

    /// <summary>Waits until every request before this one has its reply.</summary>
    /// <exception cref="OperationCanceledException">The token was cancelled first.</exception>
    public ValueTask UntilInTurnAsync(long number, CancellationToken cancellationToken)
    {
        Waiter waiter;
        lock (_lock)
        {
            if (IsInTurn(number))
            {
                return ValueTask.CompletedTask;
            }

            waiter = new Waiter(number);
            _waiters.Add(waiter);
        }

        return new ValueTask(waiter.Task.WaitAsync(cancellationToken));
    }

    private bool IsInTurn(long number) => _answered >= number - 1;

    private sealed class Waiter(long number) : TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously)
    {
        public long Number { get; } = number;
    }
}
