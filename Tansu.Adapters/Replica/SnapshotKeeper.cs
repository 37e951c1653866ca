using System.Buffers;
using Tansu.Adapters.Ports;
using Tansu.Codec;

namespace Tansu.Adapters.Replica;

/// <summary>
/// Saves a log's state now and then, and finds the newest that can be used. A snapshot is a cache: losing one costs a longer
/// start and nothing else.
/// </summary>
internal sealed class SnapshotKeeper<TState, TEvent>(IEventLog log, EntryCodec<TState, TEvent> codec, ReplicaOptions options)
{
    private long _savedEntryNumber;
    private long _savedBytes;
    private long _eventBytes;

    /// <summary>Completes when no save is under way. Never fails.</summary>
    public Task LastSave { get; private set; } = Task.CompletedTask;

    /// <summary>Counts an entry, and starts saving if enough has been written since the last snapshot.</summary>
    public void Consider(Published<TState> published, int headBytes)
    {
        _eventBytes += headBytes;
        var entries = published.EntryNumber - _savedEntryNumber;
        var isDue = entries >= options.SnapshotEveryEntries || _eventBytes >= options.SnapshotEveryEventBytes;
        if (!isDue || _eventBytes < _savedBytes * options.SnapshotLeastShareOfState || !LastSave.IsCompleted)
        {
            return;
        }

        LastSave = SaveAsync(published);
    }

    public async Task<Published<TState>?> LoadAsync(CancellationToken cancellationToken)
    {
        var below = long.MaxValue;
        while (await log.LoadSnapshotAsync(below, cancellationToken) is { } snapshot)
        {
            try
            {
                var published = codec.DecodeSnapshot(snapshot.Content);
                if (published.EntryNumber == snapshot.Number)
                {
                    Remember(snapshot.Number, snapshot.Content.Length);
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

    private async Task SaveAsync(Published<TState> published)
    {
        // The commit that made it due goes on first.
        await Task.Yield();
        try
        {
            var content = codec.EncodeSnapshot(published);
            await log.SaveSnapshotAsync(published.EntryNumber, new ReadOnlySequence<byte>(content), CancellationToken.None);
            Remember(published.EntryNumber, content.Length);
        }
        catch (Exception failure) when (failure is StoreUnavailableException or StoreRefusedException or ObjectDisposedException)
        {
            options.OnNotice?.Invoke($"cannot save snapshot {published.EntryNumber} of log {log.Name}: {failure.Message}");
        }
    }

    private void Remember(long entryNumber, int bytes)
    {
        _savedEntryNumber = entryNumber;
        _savedBytes = bytes;
        _eventBytes = 0;
    }
}
