using System.Buffers;
using Tansu.Adapters.Measuring;
using Tansu.Adapters.Ports;
using Tansu.Domain;

namespace Tansu.Adapters.Replica;

/// <summary>
/// One broker's copy of one log: runs decide → append → evolve. One loop takes every queued command, threads the state
/// through <c>decide</c>, writes one entry, and only then publishes the new state and releases the replies. While an
/// append is in flight the next commands gather, and what does not fit into an entry is uploaded ahead of it.
/// </summary>
/// <remarks>
/// <para><see cref="SubmitAsync"/>, <see cref="CatchUpAsync(TimeSpan)"/>, <see cref="Follow"/> and <see cref="Current"/> may be used
/// from any thread; commands of one thread are decided in the order they were submitted. Nothing here uses the thread pool by name,
/// so that a simulation can run many replicas on a scheduler of its own; hence no <c>ConfigureAwait(false)</c>.</para>
/// <para>The loop ends when the replica is stopped, or for good with <see cref="StoreRefusedException"/>: see
/// <see cref="Completion"/>.</para>
/// </remarks>
public sealed class Replica<TState, TCommand, TEvent, TReply> : IAsyncDisposable
    where TState : class
{
    private readonly IEventLog _log;
    private readonly IDecider<TState, TCommand, TEvent, TReply> _decider;
    private readonly ReplicaOptions _options;
    private readonly EntryCodec<TState, TEvent> _codec;
    private readonly LogFold<TState, TCommand, TEvent, TReply> _fold;
    private readonly DataObjectUploader _uploader;
    private readonly CommandQueue<TCommand, TReply> _queue;
    private readonly ICommitObserver<TEvent> _observer;
    private readonly Followers _followers;
    private readonly CancellationTokenSource _stopping;
    private readonly Guid _writerNonce;
    private long _commitNumber;
    private int _commitsInARow;
    private TimeSpan _lastCommitTook;
    private bool _isDisposed;

    private Replica(
        IEventLog log,
        IBlobStore blobs,
        IDecider<TState, TCommand, TEvent, TReply> decider,
        ILogCodec<TState, TEvent> codec,
        ICommitObserver<TEvent> observer,
        ReplicaOptions options)
    {
        _log = log;
        _decider = decider;
        _observer = observer;
        _options = options;
        _stopping = new CancellationTokenSource(Timeout.InfiniteTimeSpan, options.TimeProvider);
        _codec = new EntryCodec<TState, TEvent>(codec, log.Name);
        _fold = new LogFold<TState, TCommand, TEvent, TReply>(log, decider, observer, _codec, options);
        Span<byte> nonce = stackalloc byte[16];
        options.Random.NextBytes(nonce);
        _writerNonce = new Guid(nonce);
        _uploader = new DataObjectUploader(blobs, log.Name, _writerNonce, EarliestObjectMs, options, _stopping.Token);
        _queue = new CommandQueue<TCommand, TReply>(options, _uploader);
        _stopping.Token.Register(_queue.Ring);
        _followers = new Followers(options, _queue.Ring);
    }

    /// <summary>The newest state that this replica knows the store to hold.</summary>
    public Published<TState> Current => _fold.Current;

    /// <summary>
    /// Ends when the replica has stopped; faulted when the store refuses for good (<see cref="StoreRefusedException"/>) or on a
    /// bug. Commands that were waiting then fail with the same exception.
    /// </summary>
    public Task Completion { get; private set; } = Task.CompletedTask;

    /// <summary>The time by which commands are decided: this broker's clock, and never before the newest entry, whose writer's clock may be ahead.</summary>
    public long NowMs => Math.Max(_options.TimeProvider.GetUtcNow().ToUnixTimeMilliseconds(), Current.TimeMs);

    /// <summary>What this replica has committed.</summary>
    public CommitMeasures Measures { get; } = new();

    /// <summary>How long ago <see cref="Current"/> was last known to be all that was in the log.</summary>
    public TimeSpan Age => _options.TimeProvider.GetElapsedTime(_fold.EndSeenAt);

    /// <summary>Completes when no snapshot is being saved.</summary>
    internal Task LastSave => _fold.LastSave;

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
        await replica._fold.OpenAsync(cancellationToken);
        replica.Completion = replica.RunAsync();
        return replica;
    }

    /// <summary>Queues a command. Its place among the commands of this log is taken before this returns.</summary>
    /// <param name="command">What to decide.</param>
    /// <param name="payload">The record batches it brings; its slices must stay valid until the task has completed.</param>
    /// <param name="timeout">After this the task fails; <see cref="Timeout.InfiniteTimeSpan"/> for never.</param>
    /// <param name="chain">The commands that it must not overtake, if any.</param>
    /// <param name="isBrief">
    /// Whether no other thread has to be woken for it: the loop may run inside of this call, as far as its first wait, and what awaits the
    /// task may run inside of the loop. The caller holds no lock then, and what it does with the reply is brief.
    /// </param>
    /// <returns>
    /// The reply, once what it says is in the store. Fails with <see cref="TimeoutException"/> when the outcome is not known in
    /// time: the command may then still take effect, and the payload's memory must never be reused. Fails with
    /// <see cref="EntryTooLargeException"/> when its events are too large for an entry.
    /// </returns>
    public Task<TReply> SubmitAsync(TCommand command, Payload payload, TimeSpan timeout, CommandChain? chain = null, bool isBrief = false)
    {
        var pending = new PendingCommand<TCommand, TReply>(command, payload, chain, isBrief, _options.TimeProvider.GetTimestamp());
        _queue.Enqueue(pending);
        pending.SetDeadline(timeout, _options.TimeProvider);
        return pending.Task;
    }

    /// <summary>
    /// Reads what other brokers have appended: afterwards <see cref="Current"/> holds at least everything that was in the log when this
    /// was called. Those who ask at the same time share one read.
    /// </summary>
    /// <exception cref="TimeoutException">The store did not answer in time.</exception>
    public Task CatchUpAsync(TimeSpan timeout) =>
        _options.IsShared ? _queue.EnqueueCatchUp(timeout) : Task.CompletedTask;

    /// <summary>
    /// The same, unless <see cref="Current"/> was all there was within the last <paramref name="maxAge"/>: for answers that may be
    /// that old.
    /// </summary>
    /// <exception cref="TimeoutException">The store did not answer in time.</exception>
    public Task CatchUpAsync(TimeSpan maxAge, TimeSpan timeout) =>
        _options.TimeProvider.GetElapsedTime(_fold.ConfirmedAt) <= maxAge ? Task.CompletedTask : CatchUpAsync(timeout);

    /// <summary>
    /// As long as somebody follows, other brokers' entries are read soon after they were appended. Dispose what is returned to
    /// stop following.
    /// </summary>
    public IDisposable Follow() => _followers.Add();

    /// <summary>Entries below this number are superfluous, as far as this replica has found when it saved snapshots.</summary>
    public long TrimBelow => _fold.TrimBelow;

    /// <summary>
    /// The next entry that this replica appends brings a snapshot, so that entries whose records are no longer needed can go.
    /// </summary>
    public void WantSnapshot() => _fold.WantSnapshot();

    /// <summary>
    /// Deletes what was found superfluous before, where the store does so only some time after it was told
    /// (<see cref="IEventLog.TrimAsync"/>).
    /// </summary>
    public Task TrimAsync(CancellationToken cancellationToken) => _fold.TrimAsync(cancellationToken);

    /// <summary>A hint that another broker may have appended: whoever follows learns of it at once.</summary>
    public void Poke() => _followers.Poke();

    /// <summary>Takes no more commands, finishes those it has, and ends the loop; after <paramref name="grace"/> without finishing them.</summary>
    public async Task StopAsync(TimeSpan grace)
    {
        _queue.Close();
        if (!Completion.IsCompleted)
        {
            _stopping.CancelAfter(grace);
        }

        await Completion.Settled();
        await _fold.LastSave;
    }

    /// <inheritdoc/>
    public async ValueTask DisposeAsync()
    {
        if (_isDisposed)
        {
            return;
        }

        _isDisposed = true;
        await StopAsync(TimeSpan.Zero);
        _stopping.Dispose();
    }

    private long EarliestObjectMs() => Math.Max(Current.TimeMs, _decider.ObjectsSinceMs(Current.State));

    private async Task RunAsync()
    {
        // The opener goes on at once; the loop runs wherever its scheduler is.
        await Task.Yield();
        Round<TState, TCommand, TEvent, TReply>? round = null;
        List<Pending<bool>>? catchUps = null;
        var clock = _options.TimeProvider;
        long? lastCommit = null;
        var gaveWayAt = clock.GetTimestamp();
        try
        {
            while (true)
            {
                // First of all, so that closing and cancelling, which ring, are not missed.
                _queue.Hush();
                if (_queue.IsDrained)
                {
                    return;
                }

                _stopping.Token.ThrowIfCancellationRequested();
                catchUps = _queue.TakeCatchUps();
                if (catchUps is not null)
                {
                    await _fold.CatchUpAsync(_stopping.Token);
                    catchUps.ForEach(static caughtUp => caughtUp.Succeed(true));
                    catchUps = null;
                }

                if (IsTimeToGiveWay(gaveWayAt) && _queue.HasCommands)
                {
                    _commitsInARow = 0;
                    gaveWayAt = clock.GetTimestamp();
                    await Task.Delay(_lastCommitTook * 2, clock, _stopping.Token);
                    continue;
                }

                var rest = lastCommit is { } last ? _options.CommitInterval - clock.GetElapsedTime(last) : TimeSpan.Zero;
                if (rest <= TimeSpan.Zero && _queue.Take() is { Count: > 0 } commands)
                {
                    lastCommit = clock.GetTimestamp();
                    round = new Round<TState, TCommand, TEvent, TReply>(_decider, commands);
                    await CommitAsync(round);
                    round = null;
                    if (_queue.HasCommands)
                    {
                        // It was lent for one commit.
                        await _queue.ReturnThreadAsync();
                    }

                    continue;
                }

                // An append tells as much as a poll, so whoever is about to commit need not poll.
                var hasCommands = _queue.HasCommands;
                var poll = hasCommands ? Timeout.InfiniteTimeSpan : _followers.UntilPoll(_fold.ConfirmedAt);
                if (poll == TimeSpan.Zero)
                {
                    await PollAsync();
                    continue;
                }

                var wait = hasCommands && rest > TimeSpan.Zero ? rest : poll;
                await _queue.WaitForBell(wait);
            }
        }
        catch (Exception failure)
        {
            // Nobody may wait for a loop that has ended. What it was doing is in doubt, so nothing gets a definite answer.
            var stopped = failure is OperationCanceledException && _stopping.IsCancellationRequested;
            var reason = stopped ? new TimeoutException($"The broker stopped before the outcome in log {_log.Name} was known.") : failure;
            round?.Fail(reason);
            catchUps?.ForEach(caughtUp => caughtUp.Fail(reason));
            _queue.Fail(reason);
            if (!stopped)
            {
                throw;
            }
        }
    }

    /// <summary>Whether this broker has had the log to itself for long enough.</summary>
    /// <param name="gaveWayAt">When it last gave way, a timestamp.</param>
    private bool IsTimeToGiveWay(long gaveWayAt) =>
        _options.IsShared
        && _commitsInARow >= _options.CommitsInARow
        && (Current.EntryNumber - _fold.LastOfOthers < _options.CompanyEntries
            || _options.TimeProvider.GetElapsedTime(gaveWayAt) >= _options.GiveWayAloneEvery);

    private async Task PollAsync()
    {
        try
        {
            _followers.Polled((await _fold.ReadOnceAsync(_stopping.Token)).Moved > 0);
        }
        catch (StoreUnavailableException unavailable)
        {
            _options.OnNotice?.Invoke($"cannot read log {_log.Name}: {unavailable.Message}; trying again");
            _fold.Postpone(_options.TimeProvider.GetTimestamp());
            _followers.Polled(foundSomething: false);
        }
    }

    /// <summary>Decides the round on the newest state until one attempt is the log's next entry.</summary>
    private async Task CommitAsync(Round<TState, TCommand, TEvent, TReply> round)
    {
        var backoff = new Backoff(_options, _options.MaxConflictBackoff);
        var isAtEnd = !_options.IsShared;
        foreach (var content in round.DataObjects)
        {
            // It has ended; this only tells of a store that refuses for good.
            await content.Upload;
        }

        while (true)
        {
            var known = Current;
            await RenewObjectsAsync(round, known);
            var nowMs = NowMs;
            round.Decide(known.State, known.EntryNumber + 1, nowMs);
            if (round.Events.Count == 0)
            {
                // A refusal is true only at what was the log's end at a moment since the commands came: look once before saying it. Once is
                // enough, however much others append meanwhile.
                if (!isAtEnd)
                {
                    isAtEnd = true;
                    if (await _fold.CatchUpAsync(_stopping.Token))
                    {
                        continue;
                    }
                }

                round.Release(isHere: _queue.IsOnLentThread);
                return;
            }

            var commitId = new CommitId(_writerNonce, ++_commitNumber);
            var head = _codec.EncodeEntry(commitId, nowMs, round.Events);
            if (head.Length > _options.MaxHeadBytes)
            {
                if (round.TryHalve(out var first, out var second))
                {
                    await CommitAsync(first);
                    await CommitAsync(second);
                }
                else
                {
                    round.Fail(new EntryTooLargeException(head.Length, _options.MaxHeadBytes));
                }

                return;
            }

            var begun = _options.TimeProvider.GetTimestamp();
            var written = round.Written();
            switch (await AppendAsync(known.EntryNumber + 1, commitId, head, round, written))
            {
                case Attempt.Ours:
                    var published = new Published<TState>(round.State, known.EntryNumber + 1, nowMs);
                    _fold.Publish(published, round.Events, head.Length, isOwn: true);
                    _followers.Polled(foundSomething: true);
                    round.Release(isHere: _queue.IsOnLentThread);
                    _commitsInARow++;
                    _lastCommitTook = _options.TimeProvider.GetElapsedTime(begun);
                    Measure(round, head.Length + written.Sum(static payload => (long)payload.Length));
                    return;
                case Attempt.Undecidable:
                    Measures.AddUndecidable();
                    round.Fail(new TimeoutException($"The outcome of entry {known.EntryNumber + 1} of log {_log.Name} can no longer be known."));
                    return;
                default:
                    _commitsInARow = 0;
                    Measures.AddConflict();
                    await backoff.WaitAsync(_stopping.Token);
                    break;
            }
        }
    }

    private void Measure(Round<TState, TCommand, TEvent, TReply> round, long bytes)
    {
        var clock = _options.TimeProvider;
        var now = clock.GetTimestamp();
        Measures.AddCommit(_lastCommitTook, bytes, round.Commands.Count);
        foreach (var pending in round.Commands)
        {
            Measures.Wait.Record(clock.GetElapsedTime(pending.SubmittedAt, now));
        }
    }

    /// <summary>
    /// Objects that the collector may have deleted by now are uploaded again. No clock is trusted: the collector commits how far it goes
    /// before it deletes, so an attempt based on a state that does not say so yet is a conflict.
    /// </summary>
    private async Task RenewObjectsAsync(Round<TState, TCommand, TEvent, TReply> round, Published<TState> known)
    {
        foreach (var content in round.DataObjects)
        {
            if (content.NamedAtMs < _decider.ObjectsSinceMs(known.State))
            {
                _uploader.Start(content);
                await content.Upload;
            }
        }
    }

    /// <summary>
    /// Appends until it is known whether the entry is ours. Every acknowledged write is safe because this says so
    /// only after the store has confirmed the entry, or it was read back with our own commit id.
    /// </summary>
    private async Task<Attempt> AppendAsync(
        long number,
        CommitId commitId,
        ReadOnlyMemory<byte> head,
        Round<TState, TCommand, TEvent, TReply> round,
        List<WrittenPayload> written)
    {
        var payload = round.PayloadSequence();
        var isTold = false;
        var backoff = new Backoff(_options, _options.MaxBackoff);
        var isInDoubt = false;
        while (true)
        {
            try
            {
                var begun = _options.TimeProvider.GetTimestamp();
                var appending = _log.TryAppendAsync(number, new ReadOnlySequence<byte>(head), payload, _stopping.Token);
                if (!isTold)
                {
                    isTold = true;
                    _observer.OnAppending(number, round.Events, written);
                }

                var outcome = await appending;
                if (outcome == AppendOutcome.Appended)
                {
                    _fold.Confirm(begun);
                    return Attempt.Ours;
                }

                // A conflict may be our own earlier try that landed late, so both outcomes ask whose the entry is.
                isInDoubt |= outcome == AppendOutcome.Unknown;
                var heads = await _log.ReadHeadsAsync(number - 1, _options.EntriesAtOnce, _stopping.Token);
                if (heads.Count > 0)
                {
                    if (_codec.DecodeEntry(heads[0]).CommitId == commitId)
                    {
                        return Attempt.Ours;
                    }

                    _fold.Apply(heads);
                    return Attempt.Theirs;
                }

                _options.OnNotice?.Invoke($"the outcome of entry {number} of log {_log.Name} is unknown; trying the same entry again");
            }
            catch (EntryMissingException)
            {
                // Created and trimmed since. If one of our tries may have been it, nobody can tell any more.
                await _fold.CatchUpAsync(_stopping.Token);
                return isInDoubt ? Attempt.Undecidable : Attempt.Theirs;
            }
            catch (StoreUnavailableException unavailable)
            {
                _options.OnNotice?.Invoke($"cannot append entry {number} to log {_log.Name}: {unavailable.Message}; trying again");
            }

            Measures.AddRetry();
            await backoff.WaitAsync(_stopping.Token);
        }
    }

    /// <summary>What became of an attempt to append.</summary>
    private enum Attempt
    {
        /// <summary>The entry is ours and durable.</summary>
        Ours,

        /// <summary>The entry is another's, and has been applied.</summary>
        Theirs,

        /// <summary>The entry is no longer there, and may have been ours.</summary>
        Undecidable,
    }
}
