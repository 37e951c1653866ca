using System.Buffers;
using Tansu.Adapters.Ports;
using Tansu.Domain;

namespace Tansu.Adapters.Replica;

/// <summary>
/// One broker's copy of one log: runs decide → append → evolve. One loop takes every queued command, threads the state
/// through <c>decide</c>, writes one entry, and only then publishes the new state and releases the replies. While an
/// append is in flight the next commands gather.
/// </summary>
/// <remarks>
/// <para><see cref="SubmitAsync"/> and <see cref="Current"/> may be used from any thread; commands of one thread are decided
/// in the order they were submitted. Nothing here uses the thread pool by name, so that a simulation can run
/// many replicas on a scheduler of its own; hence no <c>ConfigureAwait(false)</c>.</para>
/// <para>The loop ends when the replica is stopped, or for good with <see cref="StoreRefusedException"/>: see
/// <see cref="Completion"/>.</para>
/// </remarks>
public sealed class Replica<TState, TCommand, TEvent, TReply> : IAsyncDisposable
    where TState : class
{
    private readonly IEventLog _log;
    private readonly IBlobStore _blobs;
    private readonly IDecider<TState, TCommand, TEvent, TReply> _decider;
    private readonly ICommitObserver<TEvent> _observer;
    private readonly ReplicaOptions _options;
    private readonly EntryCodec<TState, TEvent> _codec;
    private readonly SnapshotKeeper<TState, TEvent> _snapshots;
    private readonly CommandQueue<TCommand, TReply> _queue;
    private readonly CancellationTokenSource _stopping = new();
    private readonly Guid _writerNonce;
    private volatile Published<TState> _current;
    private long _commitNumber;
    private long _objectNumber;

    private Replica(
        IEventLog log,
        IBlobStore blobs,
        IDecider<TState, TCommand, TEvent, TReply> decider,
        ILogCodec<TState, TEvent> codec,
        ICommitObserver<TEvent> observer,
        ReplicaOptions options)
    {
        _log = log;
        _blobs = blobs;
        _decider = decider;
        _observer = observer;
        _options = options;
        _codec = new EntryCodec<TState, TEvent>(codec, log.Name);
        _snapshots = new SnapshotKeeper<TState, TEvent>(log, _codec, options);
        _queue = new CommandQueue<TCommand, TReply>(options);
        _current = new Published<TState>(decider.Initial, 0, 0);
        Span<byte> nonce = stackalloc byte[16];
        options.Random.NextBytes(nonce);
        _writerNonce = new Guid(nonce);
    }

    /// <summary>The newest state that this replica knows the store to hold.</summary>
    public Published<TState> Current => _current;

    /// <summary>
    /// Ends when the replica has stopped; faulted when the store refuses for good (<see cref="StoreRefusedException"/>) or on a
    /// bug. Commands that were waiting then fail with the same exception.
    /// </summary>
    public Task Completion { get; private set; } = Task.CompletedTask;

    /// <summary>Reads the log (snapshot, then what follows it) and starts the loop.</summary>
    /// <exception cref="StoreRefusedException">The log is damaged, or a newer Tansu wrote it.</exception>
    /// <exception cref="StoreUnavailableException">The store cannot be reached now.</exception>
    public static async ValueTask<Replica<TState, TCommand, TEvent, TReply>> OpenAsync(
        IEventLog log,
        IBlobStore blobs,
        IDecider<TState, TCommand, TEvent, TReply> decider,
        ILogCodec<TState, TEvent> codec,
        ICommitObserver<TEvent> observer,
        ReplicaOptions options,
        CancellationToken cancellationToken)
    {
        var replica = new Replica<TState, TCommand, TEvent, TReply>(log, blobs, decider, codec, observer, options);
        await replica.ReloadAsync(cancellationToken);
        replica.Completion = replica.RunAsync();
        return replica;
    }

    /// <summary>Queues a command. Its place among the commands of this log is taken before this returns.</summary>
    /// <param name="command">What to decide.</param>
    /// <param name="payload">The record batches it brings; its slices must stay valid until the task has completed.</param>
    /// <param name="timeout">After this the task fails; <see cref="Timeout.InfiniteTimeSpan"/> for never.</param>
    /// <returns>
    /// The reply, once what it says is in the store. Fails with <see cref="TimeoutException"/> when the outcome is not known in
    /// time: the command may then still take effect, and the payload's memory must never be reused.
    /// </returns>
    public Task<TReply> SubmitAsync(TCommand command, Payload payload, TimeSpan timeout)
    {
        var pending = new PendingCommand<TCommand, TReply>(command, payload, isCatchUp: false);
        _queue.Enqueue(pending);
        return timeout == Timeout.InfiniteTimeSpan ? pending.Task : WithDeadlineAsync(pending, timeout);
    }

    /// <summary>
    /// Reads what other brokers have appended: afterwards <see cref="Current"/> holds at least everything that was in the log when this
    /// was called.
    /// </summary>
    /// <exception cref="TimeoutException">The store did not answer in time.</exception>
    public Task CatchUpAsync(TimeSpan timeout)
    {
        var pending = new PendingCommand<TCommand, TReply>(default!, Payload.None, isCatchUp: true);
        _queue.Enqueue(pending);
        return WithDeadlineAsync(pending, timeout);
    }

    /// <summary>Takes no more commands, finishes those it has, and ends the loop; after <paramref name="grace"/> without finishing them.</summary>
    public async Task StopAsync(TimeSpan grace)
    {
        _queue.Close();
        _stopping.CancelAfter(grace);
        await Completion.ContinueWith(
            static _ => { },
            CancellationToken.None,
            TaskContinuationOptions.ExecuteSynchronously,
            TaskScheduler.Current);
        await _snapshots.LastSave;
    }

    /// <inheritdoc/>
    public async ValueTask DisposeAsync()
    {
        await StopAsync(TimeSpan.Zero);
        _stopping.Dispose();
    }

    private async Task<TReply> WithDeadlineAsync(PendingCommand<TCommand, TReply> pending, TimeSpan timeout)
    {
        try
        {
            return await pending.Task.WaitAsync(timeout, _options.TimeProvider);
        }
        catch (TimeoutException)
        {
            pending.Abandon();
            throw;
        }
    }

    private async Task RunAsync()
    {
        // The opener goes on at once; the loop runs wherever its scheduler is.
        await Task.Yield();
        var lastCommit = _options.TimeProvider.GetTimestamp() - _options.TimeProvider.TimestampFrequency;
        Round<TState, TCommand, TEvent, TReply>? round = null;
        try
        {
            while (await _queue.WaitForCommandsAsync(_stopping.Token))
            {
                var rest = _options.CommitInterval - _options.TimeProvider.GetElapsedTime(lastCommit);
                if (rest > TimeSpan.Zero)
                {
                    await Task.Delay(rest, _options.TimeProvider, _stopping.Token);
                }

                lastCommit = _options.TimeProvider.GetTimestamp();
                round = new Round<TState, TCommand, TEvent, TReply>(_decider, _queue.Take());
                await UploadLargePayloadsAsync(round);
                await CommitAsync(round);
            }
        }
        catch (Exception failure)
        {
            // Nobody may wait for a loop that has ended. What it was doing is in doubt, so nothing gets a definite answer.
            var stopped = failure is OperationCanceledException && _stopping.IsCancellationRequested;
            var reason = stopped ? new TimeoutException($"The broker stopped before the outcome in log {_log.Name} was known.") : failure;
            round?.Fail(reason);
            _queue.Fail(reason);
            if (!stopped)
            {
                throw;
            }
        }
    }

    /// <summary>A payload that no entry can carry inline goes into a data object of its own before it is decided.</summary>
    private async Task UploadLargePayloadsAsync(Round<TState, TCommand, TEvent, TReply> round)
    {
        foreach (var pending in round.Commands)
        {
            if (pending.Payload.Length <= _options.InlinePayloadBytes)
            {
                continue;
            }

            var nowMs = _options.TimeProvider.GetUtcNow().ToUnixTimeMilliseconds();
            var name = $"data/{_log.Name}/{nowMs:D13}-{_writerNonce:N}-{++_objectNumber}";
            var backoff = new Backoff(_options);
            while (!pending.IsAbandoned)
            {
                try
                {
                    await _blobs.PutAsync(name, Sequences.Of(pending.Payload.Slices), _stopping.Token);
                    pending.DataObject = name;
                    break;
                }
                catch (StoreUnavailableException unavailable)
                {
                    Notice($"cannot upload {name}: {unavailable.Message}; trying again");
                    await backoff.WaitAsync(_stopping.Token);
                }
            }
        }
    }

    /// <summary>Decides the round on the newest state until one attempt is the log's next entry.</summary>
    private async Task CommitAsync(Round<TState, TCommand, TEvent, TReply> round)
    {
        var backoff = new Backoff(_options);
        while (true)
        {
            var known = _current;
            var nowMs = Math.Max(_options.TimeProvider.GetUtcNow().ToUnixTimeMilliseconds(), known.TimeMs);
            round.Decide(known.State, known.EntryNumber + 1, nowMs);
            if (round.Events.Count == 0)
            {
                // A refusal is true only at the log's end: look once more before saying it.
                if (await CatchUpAsync(_stopping.Token))
                {
                    continue;
                }

                round.Release();
                return;
            }

            var commitId = new CommitId(_writerNonce, ++_commitNumber);
            var head = _codec.EncodeEntry(commitId, nowMs, round.Events);
            if (await AppendAsync(known.EntryNumber + 1, commitId, head, round.PayloadSequence()))
            {
                Publish(round, known.EntryNumber + 1, nowMs, head.Length);
                return;
            }

            await CatchUpAsync(_stopping.Token);
            await backoff.WaitAsync(_stopping.Token);
        }
    }

    /// <summary>
    /// Appends until it is known whether the entry is ours. Every acknowledged write is safe because this returns true
    /// only after the store has confirmed the entry, or was read back with our own commit id.
    /// </summary>
    private async Task<bool> AppendAsync(long number, CommitId commitId, ReadOnlyMemory<byte> head, ReadOnlySequence<byte> payload)
    {
        var backoff = new Backoff(_options);
        while (true)
        {
            try
            {
                var outcome = await _log.TryAppendAsync(number, new ReadOnlySequence<byte>(head), payload, _stopping.Token);
                if (outcome == AppendOutcome.Appended)
                {
                    return true;
                }

                // A conflict may be our own earlier try that landed late, so both outcomes ask whose the entry is.
                var heads = await _log.ReadHeadsAsync(number - 1, 1, _stopping.Token);
                if (heads.Count > 0)
                {
                    return _codec.DecodeEntry(heads[0]).CommitId == commitId;
                }

                Notice($"the outcome of entry {number} of log {_log.Name} is unknown; trying the same entry again");
            }
            catch (StoreUnavailableException unavailable)
            {
                Notice($"cannot append entry {number} to log {_log.Name}: {unavailable.Message}; trying again");
            }

            await backoff.WaitAsync(_stopping.Token);
        }
    }

    private void Publish(Round<TState, TCommand, TEvent, TReply> round, long number, long nowMs, int headLength)
    {
        _observer.OnCommitted(number, round.Events, round.PayloadSlices, round.PayloadLength);
        _current = new Published<TState>(round.State, number, nowMs);
        _observer.OnPublished(round.Events);
        round.Release();
        _snapshots.Consider(_current, headLength);
    }

    /// <summary>Evolves over entries that others appended. True if there were any.</summary>
    private async Task<bool> CatchUpAsync(CancellationToken cancellationToken)
    {
        var advanced = false;
        var backoff = new Backoff(_options);
        while (true)
        {
            try
            {
                var heads = await _log.ReadHeadsAsync(_current.EntryNumber, _options.SnapshotEveryEntries, cancellationToken);
                if (heads.Count == 0)
                {
                    return advanced;
                }

                advanced = true;
                foreach (var head in heads)
                {
                    Apply(head);
                }
            }
            catch (EntryMissingException)
            {
                await ReloadAsync(cancellationToken);
                return true;
            }
            catch (StoreUnavailableException unavailable)
            {
                Notice($"cannot read log {_log.Name}: {unavailable.Message}; trying again");
                await backoff.WaitAsync(cancellationToken);
            }
        }
    }

    private void Apply(EntryHead head)
    {
        var entry = _codec.DecodeEntry(head);
        var context = new EntryContext(head.Number, entry.TimeMs);
        var state = _current.State;
        foreach (var happened in entry.Events)
        {
            state = _decider.Evolve(state, happened, context);
        }

        _observer.OnCommitted(head.Number, entry.Events, [], 0);
        _current = new Published<TState>(state, head.Number, entry.TimeMs);
        _observer.OnPublished(entry.Events);
        _snapshots.Consider(_current, head.Head.Length);
    }

    /// <summary>Takes the newest usable snapshot (or the beginning) and reads what follows.</summary>
    private async Task ReloadAsync(CancellationToken cancellationToken)
    {
        _current = await _snapshots.LoadAsync(cancellationToken) ?? new Published<TState>(_decider.Initial, 0, 0);
        while (true)
        {
            var heads = await _log.ReadHeadsAsync(_current.EntryNumber, _options.SnapshotEveryEntries, cancellationToken);
            if (heads.Count == 0)
            {
                return;
            }

            foreach (var head in heads)
            {
                Apply(head);
            }
        }
    }

    private void Notice(string text) => _options.OnNotice?.Invoke(text);
}
