namespace Tansu.Host.Fetching;

/// <summary>How a session names a partition: by topic id or by name, never both.</summary>
internal readonly record struct FetchKey(string? TopicName, Guid TopicId, int Partition);

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

    /// <summary>Adds a partition or changes what is wanted of it.</summary>
    public void Set(FetchKey key, long fetchOffset, int maxBytes, int currentLeaderEpoch)
    {
        if (!_partitions.TryGetValue(key, out var node))
        {
            node = _order.AddLast(new FetchPartition(key.TopicName, key.TopicId, key.Partition));
            _partitions.Add(key, node);
        }

        node.Value.FetchOffset = fetchOffset;
        node.Value.MaxBytes = maxBytes;
        node.Value.CurrentLeaderEpoch = currentLeaderEpoch;
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
        if (_partitions.TryGetValue(new FetchKey(partition.TopicName, partition.TopicId, partition.Partition), out var node))
        {
            _order.Remove(node);
            _order.AddLast(node);
        }
    }
}
