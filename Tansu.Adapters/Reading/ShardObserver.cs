using Tansu.Adapters.Compaction;
using Tansu.Adapters.Groups;
using Tansu.Adapters.Replica;
using Tansu.Domain;

namespace Tansu.Adapters.Reading;

/// <summary>Keeps what was written where readers find it, and wakes the readers.</summary>
internal sealed class ShardObserver(RecordsReader reader, PartitionWaiters waiters) : ICommitObserver<ShardEvent>
{
    /// <summary>Who looks after the shard's groups; null until the shard is open.</summary>
    public GroupCoordinator? Groups { get; set; }

    /// <summary>Who compacts the shard; null until the shard is open.</summary>
    public Compactor? Compactor { get; set; }

    public void OnCommitted(long entryNumber, IReadOnlyList<ShardEvent> events, IReadOnlyList<WrittenPayload> written)
    {
        foreach (var payload in written)
        {
            reader.Keep(entryNumber, events, payload);
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
