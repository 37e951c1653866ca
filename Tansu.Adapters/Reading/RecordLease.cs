namespace Tansu.Adapters.Reading;

/// <summary>
/// Keeps the memory of cached records from being used again for others, for as long as somebody reads them: a reply that is being sent. To forget
/// to dispose one makes the cache smaller, but never a record wrong. Any thread.
/// </summary>
public sealed class RecordLease : IDisposable
{
    private readonly Lock _lock = new();
    private List<RecordCache.Region>? _regions;
    private RecordCache? _cache;
    private bool _isDisposed;

    /// <summary>Gives the memory back. A second call does nothing.</summary>
    public void Dispose()
    {
        List<RecordCache.Region>? regions;
        lock (_lock)
        {
            _isDisposed = true;
            regions = _regions;
            _regions = null;
        }

        if (regions is not null)
        {
            _cache!.Release(regions);
        }
    }

    /// <summary>Takes a region, once; nothing if it has been disposed. Called by the cache, under its lock.</summary>
    internal void Take(RecordCache cache, RecordCache.Region region)
    {
        lock (_lock)
        {
            if (_isDisposed)
            {
                return;
            }

            _cache = cache;
            _regions ??= [];
            if (!_regions.Contains(region))
            {
                _regions.Add(region);
                region.Leases++;
            }
        }
    }
}
