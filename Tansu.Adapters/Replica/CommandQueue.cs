namespace Tansu.Adapters.Replica;

/// <summary>
/// What waits for a replica's loop: commands in the order they came, and requests to catch up. Any thread adds, one loop takes.
/// Batches that will not fit inline are handed to the uploader here, so that uploads run while the loop is busy.
/// </summary>
internal sealed class CommandQueue<TCommand, TReply>(ReplicaOptions options, DataObjectUploader uploader)
{
    /// <summary>So many that were given up do not matter.</summary>
    private const int FewGivenUp = 64;

    private readonly Lock _lock = new();
    private readonly Queue<PendingCommand<TCommand, TReply>> _waiting = new();

    /// <summary>Those in the queue that are in no data object, in order, and what their payloads come to.</summary>
    private readonly List<PendingCommand<TCommand, TReply>> _loose = [];

    /// <summary>The data objects that commands in the queue were put into, in order.</summary>
    private readonly List<DataObject> _sealed = [];
    private readonly List<Pending<bool>> _catchUps = [];
    private readonly Bell _bell = new(options.TimeProvider);

    /// <summary>How many of those the flush under way waits for; 0 if none is under way.</summary>
    private int _awaited;
    private long _looseBytes;

    /// <summary>How many have been given up since those were last removed.</summary>
    private int _givenUp;

    /// <summary>With so many requests to catch up, those that were given up are removed.</summary>
    private int _manyCatchUps = FewGivenUp;

    /// <summary>Whether the loop is busy with what it took last.</summary>
    private bool _isCommitting;
    private bool _isClosed;
    private Exception? _failure;

    /// <summary>Whether there is a command, ready or not.</summary>
    public bool HasCommands
    {
        get
        {
            lock (_lock)
            {
                return _waiting.Count > 0;
            }
        }
    }

    /// <summary>How many commands and requests to catch up are in it.</summary>
    public int Count
    {
        get
        {
            lock (_lock)
            {
                return _waiting.Count + _catchUps.Count;
            }
        }
    }

    /// <summary>Closed, and everything has been taken.</summary>
    public bool IsDrained
    {
        get
        {
            lock (_lock)
            {
                return _isClosed && _waiting.Count == 0 && _catchUps.Count == 0;
            }
        }
    }

    /// <summary>Whether the loop runs on a submitter's thread. The loop's alone.</summary>
    public bool IsOnLentThread => _bell.IsOnRingersThread;

    private bool Bundles => options.DataObjectBytes > 0;

    /// <summary>
    /// Whether the loose payloads are worth a data object before the loop asks for them. While it appends an entry, half of one is: its upload
    /// runs beside the append, instead of after it.
    /// </summary>
    private bool IsWorthAnObject =>
        _looseBytes >= options.DataObjectBytes
        || (_isCommitting && _looseBytes >= options.DataObjectBytes / 2 && _looseBytes > options.InlinePayloadBytes);

    public void Enqueue(PendingCommand<TCommand, TReply> pending)
    {
        lock (_lock)
        {
            if (Refusal() is { } refusal)
            {
                pending.Fail(refusal);
                return;
            }

            pending.Queue = this;
            _waiting.Enqueue(pending);
            if (!Bundles && pending.Payload.Length > options.InlinePayloadBytes)
            {
                Seal([pending]);
            }
            else
            {
                _loose.Add(pending);
                _looseBytes += pending.Payload.Length;
                if (Bundles && IsWorthAnObject)
                {
                    SealLoose();
                }
            }
        }

        if (!pending.IsBrief)
        {
            _bell.Ring();
        }
        else if (!Gathering.RingsLater(_bell))
        {
            _bell.Ring(lendsThread: true);
        }
    }

    /// <summary>Asks the loop to see the log's end; the task completes once it has.</summary>
    public Task EnqueueCatchUp(TimeSpan timeout)
    {
        var caughtUp = new Pending<bool>();
        lock (_lock)
        {
            if (Refusal() is { } refusal)
            {
                caughtUp.SetException(refusal);
                return caughtUp.Task;
            }

            // While the store is away nobody takes them.
            if (_catchUps.Count >= _manyCatchUps)
            {
                _catchUps.RemoveAll(static pending => pending.Task.IsCompleted);
                _manyCatchUps = Math.Max(FewGivenUp, _catchUps.Count * 2);
            }

            _catchUps.Add(caughtUp);
        }

        caughtUp.SetDeadline(timeout, options.TimeProvider);
        Ring();
        return caughtUp.Task;
    }

    /// <summary>The requests to catch up that have come; null if there is none.</summary>
    public List<Pending<bool>>? TakeCatchUps()
    {
        lock (_lock)
        {
            if (_catchUps.Count == 0)
            {
                return null;
            }

            var taken = new List<Pending<bool>>(_catchUps);
            _catchUps.Clear();
            return taken;
        }
    }

    /// <summary>
    /// The commands at the head of the queue that can be committed now, as many as one entry may answer. None as long as a data object
    /// is under way that was begun before the loop first asked: all of them go into one entry. If none was, it waits for what is begun
    /// now. The bell rings when they are there.
    /// </summary>
    public List<PendingCommand<TCommand, TReply>> Take()
    {
        var taken = new List<PendingCommand<TCommand, TReply>>();
        TakeInto(taken, out var dropped);
        dropped?.ForEach(static pending => pending.Drop());
        return taken;
    }

    private void TakeInto(List<PendingCommand<TCommand, TReply>> taken, out List<PendingCommand<TCommand, TReply>>? dropped)
    {
        dropped = null;
        long inlineBytes = 0;
        DataObject? whole = null;
        lock (_lock)
        {
            var begun = _sealed.Count;

            // A flush that does not fit inline goes into data objects as a whole: one request for each, and one for the entry.
            if (Bundles && _looseBytes > options.InlinePayloadBytes)
            {
                SealLoose();
            }

            if (_awaited == 0)
            {
                _awaited = begun > 0 ? begun : _sealed.Count;
            }

            _isCommitting = false;
            for (var index = 0; index < _awaited; index++)
            {
                if (!_sealed[index].Upload.IsCompleted)
                {
                    return;
                }
            }

            _awaited = 0;
            var loose = 0;
            long looseBytes = 0;
            while (_waiting.TryPeek(out var next))
            {
                // Asked once: it may change at any time.
                var isAbandoned = next.IsAbandoned;
                if (next.DataObject is { } needed)
                {
                    // The commands of one object are committed together.
                    var isFull = taken.Count >= options.MaxCommandsPerEntry && needed != whole;
                    if (isFull || !needed.Upload.IsCompleted)
                    {
                        break;
                    }

                    if (needed != whole)
                    {
                        whole = needed;
                        _sealed.RemoveAt(0);
                    }
                }
                else
                {
                    // What is dropped takes no room: it must not keep what is behind it waiting.
                    var added = isAbandoned ? 0 : next.Payload.Length;
                    if (taken.Count >= options.MaxCommandsPerEntry || inlineBytes + added > options.InlinePayloadBytes)
                    {
                        break;
                    }

                    inlineBytes += added;
                    looseBytes += next.Payload.Length;
                    loose++;
                }

                _waiting.Dequeue().Queue = null;
                if (isAbandoned)
                {
                    (dropped ??= []).Add(next);
                }
                else
                {
                    taken.Add(next);
                }
            }

            _loose.RemoveRange(0, loose);
            _looseBytes -= looseBytes;
            _isCommitting = taken.Count > 0;
        }
    }

    /// <summary>
    /// Lets go of the payload of a command that was given up: its place in the queue may be reached late or never while the store is away, and
    /// those who bound the memory of requests no longer count it.
    /// </summary>
    public void Release(PendingCommand<TCommand, TReply> pending)
    {
        List<PendingCommand<TCommand, TReply>>? dropped = null;
        lock (_lock)
        {
            if (pending.Queue is null)
            {
                return;
            }

            if (pending.DataObject is not { } content)
            {
                _looseBytes -= pending.Payload.Length;
            }
            else if (!content.IsWanted)
            {
                content.Slices = [];
            }

            pending.Payload = Payload.None;
            if (++_givenUp >= FewGivenUp && _givenUp * 2 >= _waiting.Count)
            {
                dropped = RemoveGivenUp();
            }
        }

        dropped?.ForEach(static pending => pending.Drop());
    }

    /// <summary>While the store is away those that were given up would fill the memory: what is not in a data object leaves the queue before its turn.</summary>
    private List<PendingCommand<TCommand, TReply>> RemoveGivenUp()
    {
        var removed = new List<PendingCommand<TCommand, TReply>>();
        for (var left = _waiting.Count; left > 0; left--)
        {
            var pending = _waiting.Dequeue();
            if (pending.DataObject is null && pending.IsAbandoned)
            {
                // It may be about to release its payload.
                _looseBytes -= pending.Payload.Length;
                pending.Payload = Payload.None;
                pending.Queue = null;
                removed.Add(pending);
            }
            else
            {
                _waiting.Enqueue(pending);
            }
        }

        _loose.RemoveAll(static pending => pending.Queue is null);
        _givenUp = 0;
        return removed;
    }

    /// <summary>Wakes the loop.</summary>
    public void Ring() => _bell.Ring();

    /// <summary>Lets the loop go on elsewhere, if it runs on a submitter's thread.</summary>
    public ValueTask ReturnThreadAsync() => _bell.ReturnThreadAsync();

    /// <summary>Called before the loop looks for work: whatever comes from now on rings again.</summary>
    public void Hush() => _bell.Hush();

    /// <summary>Completes once something has come since <see cref="Hush"/>, or some time has passed, or for no reason.</summary>
    public ValueTask WaitForBell(TimeSpan atMost) => _bell.WaitAsync(atMost);

    public void Close()
    {
        lock (_lock)
        {
            _isClosed = true;
        }

        Ring();
    }

    public void Fail(Exception reason)
    {
        PendingCommand<TCommand, TReply>[] waiting;
        lock (_lock)
        {
            _failure = reason;
            waiting = [.. _waiting];
            _waiting.Clear();
            _loose.Clear();
        }

        TakeCatchUps()?.ForEach(caughtUp => caughtUp.Fail(reason));
        Array.ForEach(waiting, pending => pending.Fail(reason));
    }

    private Exception? Refusal() => _failure ?? (_isClosed ? new TimeoutException("The broker is stopping.") : null);

    /// <summary>Gives every loose payload a place in a data object of about the right size.</summary>
    private void SealLoose()
    {
        var first = 0;
        long length = 0;
        for (var index = 0; index < _loose.Count; index++)
        {
            var added = _loose[index].Payload.Length;
            if (length > 0 && added > 0 && length + added > options.DataObjectBytes)
            {
                Seal(_loose.GetRange(first, index - first));
                first = index;
                length = 0;
            }

            length += added;
        }

        Seal(_loose.GetRange(first, _loose.Count - first));
        _loose.Clear();
        _looseBytes = 0;
    }

    /// <summary>Starts to upload the commands' payloads as one data object.</summary>
    private void Seal(List<PendingCommand<TCommand, TReply>> commands)
    {
        var content = new DataObject(PayloadLayout.Of(commands), () => commands.Exists(static command => !command.IsAbandoned));
        foreach (var command in commands)
        {
            command.DataObject = content;
        }

        _sealed.Add(content);
        uploader.Start(content);
        _ = RingWhenUploadedAsync(content);
    }

    private async Task RingWhenUploadedAsync(DataObject content)
    {
        await content.Upload.Settled();
        Ring();
    }
}
