namespace Tansu.Adapters.Reading;

/// <summary>A copy of record batches in the cache's memory, which readers find once it is published.</summary>
internal sealed class KeptRecords(RecordCache cache, CacheKey key, RecordCache.Block block, RecordLease lease) : IDisposable
{
    /// <summary>The batches are in the store.</summary>
    public void Publish()
    {
        cache.Publish(key, block);
        Dispose();
    }

    /// <summary>The memory may be used again once what was published in it has been evicted.</summary>
    public void Dispose() => lease.Dispose();
}
