using Tansu.Adapters.Compaction;
using Tansu.Adapters.Groups;
using Tansu.Adapters.Replica;
using Tansu.Domain;

namespace Tansu.Adapters.Reading;

/// <summary>Keeps what was written where readers find it, and wakes the readers.</summary>
internal sealed class ShardObserver(RecordsReader reader, PartitionWaiters waiters) : ICommitObserver<ShardEvent>
{
    /// <summary>Copies of the record batches that are on their way into the store.</summary>
    private readonly List<KeptRecords> _kept = [];

    /// <summary>Who looks after the shard's groups; null until the shard is open.</summary>
    public GroupCoordinator? Groups { get; set; }

    /// <summary>Who compacts the shard; null until the shard is open.</summary>
    public Compactor? Compactor { get; set; }

    public void OnAppending(long entryNumber, IReadOnlyList<ShardEvent> events, IReadOnlyList<WrittenPayload> written)
    {
        _kept.ForEach(static kept => kept.Dispose());
        _kept.Clear();
        foreach (var payload in written)
        {
            if (reader.Copy(entryNumber, events, payload) is { } kept)
            {
                _kept.Add(kept);
            }
        }
    }

    public void OnCommitted(long entryNumber, IReadOnlyList<ShardEvent> events, bool isOwn)
    {
        if (isOwn)
        {
            _kept.ForEach(static kept => kept.Publish());
            _kept.Clear();
        }

        Compactor?.OnCommitted(entryNumber, events);
    }

    public void OnPublished(IReadOnlyList<ShardEvent> events)
    {
        waiters.Wake(events);
        Groups?.OnPublished(events);
    }

    public void OnSkipped()
    {
        waiters.WakeAll();
        Groups?.OnSkipped();
        Compactor?.OnSkipped();
    }
}
