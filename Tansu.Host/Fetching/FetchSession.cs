namespace Tansu.Host.Fetching;

/// <summary>
/// What one consumer fetches, remembered so that its requests and answers carry only changes (KIP-227). Used by one request at
/// a time: <see cref="TryEnter"/>.
/// </summary>
internal sealed class FetchSession(int id, bool usesTopicIds)
{
    private readonly LinkedList<FetchPartition> _order = new();
    private readonly Dictionary<FetchKey, LinkedListNode<FetchPartition>> _partitions = [];
    private int _isInUse;

    /// <summary>The session's id; 0 for a fetch without a session.</summary>
    public int Id => id;

    /// <summary>Whether partitions are named by topic id: a session cannot change from names to ids.</summary>
    public bool UsesTopicIds => usesTopicIds;

    /// <summary>The epoch the next request must have.</summary>
    public int NextEpoch { get; set; } = 1;

    /// <summary>When it was last used, by the broker's monotonic clock.</summary>
    public long LastUsedTimestamp { get; set; }

    /// <summary>How many partitions it holds.</summary>
    public int Count => _partitions.Count;

    /// <summary>The partitions, the next to be served first.</summary>
    public IEnumerable<FetchPartition> Partitions => _order;

    /// <summary>The epoch that follows; it wraps to 1, because 0 asks for a new session.</summary>
    public static int EpochAfter(int epoch) => epoch == int.MaxValue ? 1 : epoch + 1;

    /// <summary>Takes the session for one request. False if another request has it.</summary>
    public bool TryEnter() => Interlocked.CompareExchange(ref _isInUse, 1, 0) == 0;

    /// <summary>Gives it back.</summary>
    public void Leave() => Volatile.Write(ref _isInUse, 0);

    /// <summary>The partition of that name, added if it is new.</summary>
    public FetchPartition Set(FetchKey key)
    {
        if (!_partitions.TryGetValue(key, out var node))
        {
            node = _order.AddLast(new FetchPartition(key));
            _partitions.Add(key, node);
        }

        return node.Value;
    }

    /// <summary>Forgets a partition.</summary>
    public void Remove(FetchKey key)
    {
        if (_partitions.Remove(key, out var node))
        {
            _order.Remove(node);
        }
    }

    /// <summary>Sends a partition that was just served to the end, so that the others get their turn.</summary>
    public void MoveToEnd(FetchPartition partition)
    {
        if (_partitions.TryGetValue(partition.Key, out var node))
        {
            _order.Remove(node);
            _order.AddLast(node);
        }
    }
}
