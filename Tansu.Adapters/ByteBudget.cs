namespace Tansu.Adapters;

/// <summary>
/// Counts bytes that are held and lets those wait, first come first served, who want more than there is. Whoever comes when
/// nothing is held is let through whatever it wants, so that a request larger than the budget is slow and not impossible.
/// May be used from any thread.
/// </summary>
public sealed class ByteBudget
{
    private readonly Lock _lock = new();
    private readonly LinkedList<Waiter> _waiters = new();
    private readonly long _limitBytes;
    private long _heldBytes;

    /// <summary>Creates a budget of which nothing is held.</summary>
    /// <param name="limitBytes">How many bytes may be held at a time.</param>
    public ByteBudget(long limitBytes)
    {
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(limitBytes);
        _limitBytes = limitBytes;
    }

    /// <summary>How many bytes may be held.</summary>
    public long LimitBytes => _limitBytes;

    /// <summary>Whether somebody waits.</summary>
    public bool HasWaiters
    {
        get
        {
            lock (_lock)
            {
                return _waiters.Count > 0;
            }
        }
    }

    /// <summary>How many bytes are held now.</summary>
    public long HeldBytes
    {
        get
        {
            lock (_lock)
            {
                return _heldBytes;
            }
        }
    }

    /// <summary>Waits until the bytes may be held; <see cref="Release"/> gives them back.</summary>
    /// <exception cref="OperationCanceledException">The token was cancelled first; nothing is held.</exception>
    public ValueTask HoldAsync(long bytes, CancellationToken cancellationToken)
    {
        cancellationToken.ThrowIfCancellationRequested();
        Waiter waiter;
        lock (_lock)
        {
            if (TryHoldLocked(bytes))
            {
                return ValueTask.CompletedTask;
            }

            waiter = new Waiter(bytes);
            waiter.Node = _waiters.AddLast(waiter);
        }

        return new ValueTask(WaitAsync(waiter, cancellationToken));
    }

    /// <summary>Holds the bytes if nobody has to wait for that.</summary>
    public bool TryHold(long bytes)
    {
        lock (_lock)
        {
            return TryHoldLocked(bytes);
        }
    }

    /// <summary>Gives back bytes that were held.</summary>
    public void Release(long bytes)
    {
        lock (_lock)
        {
            _heldBytes -= bytes;
            LetThrough();
        }
    }

    private bool TryHoldLocked(long bytes)
    {
        if (_waiters.Count > 0 || !Fits(bytes))
        {
            return false;
        }

        _heldBytes += bytes;
        return true;
    }

    private bool Fits(long bytes) => _heldBytes == 0 || _heldBytes + bytes <= _limitBytes;

    // Completions run elsewhere (RunContinuationsAsynchronously), so completing under the lock is safe.
    private void LetThrough()
    {
        while (_waiters.First is { } first && Fits(first.Value.Bytes))
        {
            _heldBytes += first.Value.Bytes;
            first.Value.Node = null;
            _waiters.RemoveFirst();
            first.Value.SetResult();
        }
    }

    private async Task WaitAsync(Waiter waiter, CancellationToken cancellationToken)
    {
        using var registration = cancellationToken.UnsafeRegister(
            static (state, token) =>
            {
                var (budget, waiter) = ((ByteBudget, Waiter))state!;
                budget.GiveUp(waiter, token);
            },
            (this, waiter));
        await waiter.Task.ConfigureAwait(false);
    }

    private void GiveUp(Waiter waiter, CancellationToken token)
    {
        lock (_lock)
        {
            if (waiter.Node is null)
            {
                // It got its bytes in the same moment; it will release them.
                return;
            }

            _waiters.Remove(waiter.Node);
            waiter.Node = null;
            waiter.SetCanceled(token);
            LetThrough();
        }
    }

    private sealed class Waiter(long bytes) : TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously)
    {
        public long Bytes { get; } = bytes;

        public LinkedListNode<Waiter>? Node { get; set; }
    }
}
