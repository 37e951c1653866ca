namespace Tansu.Adapters.Replica;

/// <summary>Commands waiting for the loop, in the order they came. Any thread enqueues, one loop takes.</summary>
internal sealed class CommandQueue<TCommand, TReply>(ReplicaOptions options)
{
    private readonly Lock _lock = new();
    private readonly Queue<PendingCommand<TCommand, TReply>> _waiting = new();
    private TaskCompletionSource? _arrival;
    private bool _isClosed;
    private Exception? _failure;

    public void Enqueue(PendingCommand<TCommand, TReply> pending)
    {
        TaskCompletionSource? arrival;
        lock (_lock)
        {
            if (_isClosed || _failure is not null)
            {
                pending.TrySetException(_failure ?? new TimeoutException("The broker is stopping."));
                return;
            }

            _waiting.Enqueue(pending);
            arrival = _arrival;
            _arrival = null;
        }

        arrival?.TrySetResult();
    }

    /// <summary>True when there is a command; false when the queue is closed and empty.</summary>
    public async ValueTask<bool> WaitForCommandsAsync(CancellationToken cancellationToken)
    {
        while (true)
        {
            Task arrival;
            lock (_lock)
            {
                if (_waiting.Count > 0)
                {
                    return true;
                }

                if (_isClosed)
                {
                    return false;
                }

                _arrival ??= new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
                arrival = _arrival.Task;
            }

            await arrival.WaitAsync(cancellationToken);
        }
    }

    /// <summary>As many commands as one entry may answer: at least one, and no more inline bytes than allowed.</summary>
    public List<PendingCommand<TCommand, TReply>> Take()
    {
        var taken = new List<PendingCommand<TCommand, TReply>>();
        long inlineBytes = 0;
        lock (_lock)
        {
            while (taken.Count < options.MaxCommandsPerEntry && _waiting.TryPeek(out var next))
            {
                if (next.IsAbandoned)
                {
                    _waiting.Dequeue();
                    continue;
                }

                // A larger payload goes into a data object and takes no room in the entry.
                var length = next.Payload.Length <= options.InlinePayloadBytes ? next.Payload.Length : 0;
                if (inlineBytes + length > options.InlinePayloadBytes)
                {
                    break;
                }

                inlineBytes += length;
                taken.Add(_waiting.Dequeue());
            }
        }

        return taken;
    }

    public void Close()
    {
        TaskCompletionSource? arrival;
        lock (_lock)
        {
            _isClosed = true;
            arrival = _arrival;
            _arrival = null;
        }

        arrival?.TrySetResult();
    }

    public void Fail(Exception reason)
    {
        lock (_lock)
        {
            _failure = reason;
            while (_waiting.TryDequeue(out var pending))
            {
                pending.TrySetException(reason);
            }
        }
    }
}
