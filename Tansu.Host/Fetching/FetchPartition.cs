using Tansu.Domain;

namespace Tansu.Host.Fetching;

/// <summary>
/// One partition of a fetch, as the client last asked for it, and, within a session, what it was last told: an incremental answer
/// leaves out what has not changed.
/// </summary>
internal sealed class FetchPartition(string? topicName, Guid topicId, int partition)
{
    /// <summary>The name, for versions that use names.</summary>
    public string? TopicName => topicName;

    /// <summary>The id, for versions that use ids.</summary>
    public Guid TopicId => topicId;

    /// <summary>The partition's number.</summary>
    public int Partition => partition;

    /// <summary>The first offset wanted.</summary>
    public long FetchOffset { get; set; }

    /// <summary>The most bytes wanted of this partition.</summary>
    public int MaxBytes { get; set; }

    /// <summary>The leader epoch the client knows; -1 if it does not say.</summary>
    public int CurrentLeaderEpoch { get; set; }

    /// <summary>The high watermark the client was last told; -1 before the first answer.</summary>
    public long SentHighWatermark { get; set; } = -1;

    /// <summary>The log start offset the client was last told; -1 before the first answer.</summary>
    public long SentLogStartOffset { get; set; } = -1;

    /// <summary>The topic in the catalog, as found for the request under way; null if there is none.</summary>
    public Topic? Topic { get; set; }
}
