using Tansu.Adapters.Ports;
using Tansu.Domain;

namespace Tansu.Adapters.Replica;

/// <summary>
/// The fold of one log, as far as this broker knows it: what the replica's loop reads and appends goes through here into the
/// published state. Only <see cref="Current"/> and <see cref="ConfirmedAt"/> may be used outside of the loop.
/// </summary>
internal sealed class LogFold<TState, TCommand, TEvent, TReply>
    where TState : class
{
    /// <summary>
    /// A read that brings less has come to the log's end, or near enough: on a shared log a state may always be a little behind, and asking again to
    /// be sure would cost every start a round trip.
    /// </summary>
    private const int FullRead = 16;

    /// <summary>How often a snapshot that must exist is looked for before the log counts as damaged.</summary>
    private const int MaxSnapshotLooks = 10;

    private readonly IEventLog _log;
    private readonly IDecider<TState, TCommand, TEvent, TReply> _decider;
    private readonly ICommitObserver<TEvent> _observer;
    private readonly EntryCodec<TState, TEvent> _codec;
    private readonly SnapshotKeeper<TState, TEvent> _snapshots;
    private readonly ReplicaOptions _options;
    private volatile Published<TState> _current;
    private long _confirmedAt;
    private long _endSeenAt;

    public LogFold(
        IEventLog log,
        IDecider<TState, TCommand, TEvent, TReply> decider,
        ICommitObserver<TEvent> observer,
        EntryCodec<TState, TEvent> codec,
        ReplicaOptions options)
    {
        _log = log;
        _decider = decider;
        _observer = observer;
        _codec = codec;
        _options = options;
        _snapshots = new SnapshotKeeper<TState, TEvent>(log, codec, decider.OldestEntry, options);
        _current = new Published<TState>(decider.Initial, 0, 0);
    }

    /// <summary>The newest state that the store is known to hold.</summary>
    public Published<TState> Current => _current;

    /// <summary>
    /// The timestamp of the last moment at which <see cref="Current"/> was known to be all that was in the log.
    /// </summary>
    public long ConfirmedAt => Interlocked.Read(ref _confirmedAt);

    /// <summary>The same, except that a failed look at the log (<see cref="Postpone"/>) does not count.</summary>
    public long EndSeenAt => Interlocked.Read(ref _endSeenAt);

    /// <summary>The number of the last entry that another broker appended since this one opened the log; far below 0 if none has.</summary>
    public long LastOfOthers { get; private set; } = int.MinValue;

    /// <summary>Completes when no snapshot is being saved. Never fails.</summary>
    public Task LastSave => _snapshots.LastSave;

    /// <summary>Entries below this number are superfluous, as far as this broker has found. May be called from any thread.</summary>
    public long TrimBelow => _snapshots.TrimBelow;

    /// <summary>The next entry of this broker brings a snapshot. May be called from any thread.</summary>
    public void WantSnapshot() => _snapshots.Want();

    /// <summary>Trims once more what snapshots have made superfluous. May be called from any thread.</summary>
    public Task TrimAsync(CancellationToken cancellationToken) => _snapshots.TrimAsync(cancellationToken);

    /// <summary>Takes the newest usable snapshot (or the beginning) and reads what follows.</summary>
    /// <exception cref="StoreUnavailableException">The store does not answer now.</exception>
    public async Task OpenAsync(CancellationToken cancellationToken)
    {
        _current = await _snapshots.LoadAsync(cancellationToken) ?? _current;
        bool isMore;
        do
        {
            var (moved, isEnd) = await ReadOnceAsync(cancellationToken);
            isMore = !isEnd && (!_options.IsShared || moved >= Math.Min(FullRead, _options.SnapshotEveryEntries));
        }
        while (isMore);

        LastOfOthers = int.MinValue;
    }

    /// <summary>
    /// Reads until the log's end has been seen, at a moment after the call, however often the store fails. True if there was anything new.
    /// </summary>
    public async Task<bool> CatchUpAsync(CancellationToken cancellationToken)
    {
        var advanced = false;
        var backoff = new Backoff(_options, _options.MaxBackoff);
        while (true)
        {
            try
            {
                var read = await ReadOnceAsync(cancellationToken);
                advanced |= read.Moved > 0;
                if (read.IsEnd)
                {
                    return advanced;
                }
            }
            catch (StoreUnavailableException unavailable)
            {
                _options.OnNotice?.Invoke($"cannot read log {_log.Name}: {unavailable.Message}; trying again");
                await backoff.WaitAsync(cancellationToken);
            }
        }
    }

    /// <summary>
    /// Reads what follows the current state, once. The number of entries that it moved on by, and whether that was all at a moment since the
    /// call.
    /// </summary>
    /// <exception cref="StoreUnavailableException">The store does not answer now.</exception>
    public async Task<(long Moved, bool IsEnd)> ReadOnceAsync(CancellationToken cancellationToken)
    {
        var begun = _options.TimeProvider.GetTimestamp();
        var before = _current.EntryNumber;
        var isTrimmed = false;
        var isEnd = false;
        try
        {
            var heads = await _log.ReadHeadsAsync(before, _options.EntriesAtOnce, cancellationToken);
            Apply(heads);
            isEnd = heads.IsEnd;
            if (isEnd)
            {
                Confirm(begun);
            }
        }
        catch (EntryMissingException)
        {
            isTrimmed = true;
        }

        if (isTrimmed)
        {
            await SkipToSnapshotAsync(cancellationToken);
        }

        return (_current.EntryNumber - before, isEnd);
    }

    /// <summary>Evolves over entries that others appended, which follow the current state.</summary>
    public void Apply(IReadOnlyList<EntryHead> heads)
    {
        foreach (var head in heads)
        {
            var entry = _codec.DecodeEntry(head);
            var context = new EntryContext(head.Number, entry.TimeMs);
            var state = _current.State;
            foreach (var happened in entry.Events)
            {
                state = _decider.Evolve(state, happened, context);
            }

            Publish(new Published<TState>(state, head.Number, entry.TimeMs), entry.Events, head.Head.Length, isOwn: false);
            LastOfOthers = head.Number;
        }
    }

    /// <summary>Makes a state the current one; the entry that leads to it is in the store.</summary>
    public void Publish(
        Published<TState> published,
        IReadOnlyList<TEvent> events,
        int headLength,
        bool isOwn)
    {
        _observer.OnCommitted(published.EntryNumber, events, isOwn);
        _current = published;
        _observer.OnPublished(events);
        _snapshots.Consider(published, headLength, isOwn);
    }

    /// <summary>At this moment nothing in the log was newer than what is, or is about to be, published.</summary>
    public void Confirm(long timestamp)
    {
        Interlocked.Exchange(ref _confirmedAt, timestamp);
        Interlocked.Exchange(ref _endSeenAt, timestamp);
    }

    /// <summary>The store did not answer: the next look may come as late as if it had.</summary>
    public void Postpone(long timestamp) => Interlocked.Exchange(ref _confirmedAt, timestamp);

    /// <summary>The entries that follow are no longer in the log, so that a newer snapshot must be. The state never goes back.</summary>
    private async Task SkipToSnapshotAsync(CancellationToken cancellationToken)
    {
        var backoff = new Backoff(_options, _options.MaxBackoff);
        for (var look = 0; look < MaxSnapshotLooks; look++)
        {
            if (await _snapshots.LoadAsync(cancellationToken) is { } newer && newer.EntryNumber > _current.EntryNumber)
            {
                _current = newer;
                _observer.OnSkipped();
                return;
            }

            await backoff.WaitAsync(cancellationToken);
        }

        throw new StoreRefusedException(
            $"log {_log.Name} no longer holds entry {_current.EntryNumber + 1}, and no usable snapshot replaces it: "
            + "either a newer version of Tansu wrote its snapshots (start that version), or objects were deleted (restore the store from a backup)");
    }
}
