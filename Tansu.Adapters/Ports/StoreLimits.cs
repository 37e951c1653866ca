namespace Tansu.Adapters.Ports;

/// <summary>What callers should keep to on one kind of store.</summary>
/// <param name="InlinePayloadBytes">Up to this many bytes of batches ride in an entry.</param>
/// <param name="DefaultCommitInterval">The least time between two commits of one log unless configured (<c>--commit-interval</c>).</param>
public sealed record StoreLimits(int InlinePayloadBytes, TimeSpan DefaultCommitInterval)
{
    /// <summary>What <see cref="SnapshotEveryEntries"/> is unless a store says otherwise.</summary>
    public const int DefaultSnapshotEveryEntries = 256;

    /// <summary>
    /// Whether other brokers may have the store open at the same time, so that one must look for their entries. Not where a lock file admits
    /// one at a time.
    /// </summary>
    public bool IsShared { get; init; } = true;

    /// <summary>
    /// Where a request costs a round trip and a fee: batches that do not fit inline are gathered into objects of about this many bytes.
    /// 0: they wait for the next entry, and only a single payload larger than an entry may hold becomes an object.
    /// </summary>
    public int DataObjectBytes { get; init; }

    /// <summary>Where reading costs a round trip: how many bytes beyond those asked for are read in advance. 0: none.</summary>
    public int ReadAheadBytes { get; init; }

    /// <summary>
    /// After how many entries a snapshot is worth while (<see cref="Replica.ReplicaOptions.SnapshotEveryEntries"/>): a start reads up to about as many, one by one where it
    /// comes to that. Many where reading them costs little and writing a snapshot holds up the commits beside it.
    /// </summary>
    public int SnapshotEveryEntries { get; init; } = DefaultSnapshotEveryEntries;

    /// <summary>Whether records cannot be read again once they have left the cache: there is nothing to compact then, and nothing worth keeping.</summary>
    public bool Forgets { get; init; }

    /// <summary>Whether there are servers that look like this store and do not keep its promises, so that a broker checks at start.</summary>
    public bool NeedsVerification { get; init; }
}
