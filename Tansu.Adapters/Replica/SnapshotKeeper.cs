using Tansu.Adapters.Ports;
using Tansu.Codec;

namespace Tansu.Adapters.Replica;

/// <summary>
/// Saves a log's state now and then, finds the newest that can be used, and trims what snapshots have made superfluous. A
/// snapshot is a cache: losing one costs a longer start and nothing else.
/// </summary>
/// <param name="log">The log.</param>
/// <param name="codec">Writes and reads snapshots.</param>
/// <param name="oldestEntry">The oldest entry whose payload a state refers to.</param>
/// <param name="options">When a snapshot is due.</param>
internal sealed class SnapshotKeeper<TState, TEvent>(
    IEventLog log,
    EntryCodec<TState, TEvent> codec,
    Func<TState, long> oldestEntry,
    ReplicaOptions options)
{
    /// <summary>The entry of the newest snapshot that was saved or loaded.</summary>
    private long _savedEntryNumber;
    private long _savedBytes;

    /// <summary>Entries and bytes of events since a snapshot was last due.</summary>
    private long _entries;
    private long _eventBytes;

    /// <summary>Entries below this number were last said to be superfluous.</summary>
    private long _trimBelow = 1;
    private volatile bool _isWanted;

    /// <summary>Entries below this number are superfluous, as far as this broker has found.</summary>
    public long TrimBelow => Interlocked.Read(ref _trimBelow);

    /// <summary>Completes when no save is under way. Never fails.</summary>
    public Task LastSave { get; private set; } = Task.CompletedTask;

    /// <summary>
    /// Counts an entry, and starts saving if enough has been written since the last snapshot. All brokers count alike, and the one
    /// that wrote the entry saves: many brokers write no more snapshots than one.
    /// </summary>
    public void Consider(Published<TState> published, int headBytes, bool isOwn)
    {
        _entries++;
        _eventBytes += headBytes;
        var isWanted = _isWanted && isOwn && LastSave.IsCompleted;
        var isDue = _entries >= options.SnapshotEveryEntries || _eventBytes >= options.SnapshotEveryEventBytes;
        if (!isWanted && (!isDue || _eventBytes < _savedBytes * options.SnapshotLeastShareOfState || !LastSave.IsCompleted))
        {
            return;
        }

        _entries = 0;
        _eventBytes = 0;
        if (isOwn)
        {
            _isWanted = false;
            LastSave = SaveAsync(published, _savedEntryNumber);
        }
    }

    /// <summary>The next entry of this broker brings a snapshot, however little there is in it.</summary>
    public void Want() => _isWanted = true;

    /// <summary>Trims once more: where deleting takes two steps, this is the second.</summary>
    public async Task TrimAsync(CancellationToken cancellationToken)
    {
        if (options.Trims)
        {
            await log.TrimAsync(TrimBelow, cancellationToken);
        }
    }

    public async Task<Published<TState>?> LoadAsync(CancellationToken cancellationToken)
    {
        var below = long.MaxValue;
        while (await log.LoadSnapshotAsync(below, cancellationToken) is { } snapshot)
        {
            options.OnSnapshot?.Invoke(snapshot.Content.Length);
            try
            {
                var published = codec.DecodeSnapshot(snapshot.Content);
                if (published.EntryNumber == snapshot.Number)
                {
                    _savedEntryNumber = snapshot.Number;
                    _savedBytes = snapshot.Content.Length;
                    _entries = 0;
                    _eventBytes = 0;
                    return published;
                }
            }
            catch (KafkaFormatException malformed)
            {
                options.OnNotice?.Invoke($"snapshot {snapshot.Number} of log {log.Name} cannot be used ({malformed.Message}); trying an older one");
            }

            below = snapshot.Number;
        }

        return null;
    }

    /// <param name="published">What to save.</param>
    /// <param name="previous">
    /// The snapshot before it. Not looked up after saving: the loop may load a newer one meanwhile, and what the entries up to that one
    /// still hold this state does not know.
    /// </param>
    private async Task SaveAsync(Published<TState> published, long previous)
    {
        // The commit that made it due goes on first.
        await Task.Yield();
        try
        {
            using var content = codec.EncodeSnapshot(published);
            await log.SaveSnapshotAsync(published.EntryNumber, content.Payload(), CancellationToken.None);
            _savedEntryNumber = published.EntryNumber;
            _savedBytes = content.Length;

            // What follows the snapshot before the last stays: a broker may be starting from it, or find the newest damaged.
            if (options.Trims && previous > 0)
            {
                Interlocked.Exchange(ref _trimBelow, Math.Min(previous + 1, oldestEntry(published.State)));
                await log.TrimAsync(TrimBelow, CancellationToken.None);
            }
        }
#pragma warning disable CA1031 // Whatever it is, such as no memory for a large state: the log is whole without the snapshot, and the next one is tried.
        catch (Exception failure)
#pragma warning restore CA1031
        {
            options.OnNotice?.Invoke($"cannot save snapshot {published.EntryNumber} of log {log.Name}: {Failures.Describe(failure)}");
        }
    }
}
