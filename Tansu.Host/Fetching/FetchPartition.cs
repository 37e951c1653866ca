using Tansu.Codec.Messages;
using Tansu.Domain;

namespace Tansu.Host.Fetching;

/// <summary>How a fetch names a partition: by topic id (version 13 and later) or by name, never both.</summary>
internal readonly record struct FetchKey(string? TopicName, Guid TopicId, int Partition);

/// <summary>
/// One partition of a fetch, as the client last asked for it, and, within a session, what it was last told: an incremental answer
/// leaves out what has not changed.
/// </summary>
internal sealed class FetchPartition(FetchKey key)
{
    /// <summary>How the client names it.</summary>
    public FetchKey Key => key;

    /// <summary>The first offset wanted.</summary>
    public long FetchOffset { get; private set; }

    /// <summary>The most bytes wanted of this partition.</summary>
    public int MaxBytes { get; private set; }

    /// <summary>The leader epoch the client knows; -1 if it does not say.</summary>
    public int CurrentLeaderEpoch { get; private set; }

    /// <summary>The high watermark the client was last told; -1 before the first answer.</summary>
    public long SentHighWatermark { get; set; } = -1;

    /// <summary>The log start offset the client was last told; -1 before the first answer.</summary>
    public long SentLogStartOffset { get; set; } = -1;

    /// <summary>The topic in the catalog, as found for the request under way; null if there is none.</summary>
    public Topic? Topic { get; set; }

    /// <summary>Takes over what the client asks for.</summary>
    public void Want(FetchRequest.FetchPartition wanted)
    {
        FetchOffset = wanted.FetchOffset;
        MaxBytes = Math.Max(0, wanted.PartitionMaxBytes);
        CurrentLeaderEpoch = wanted.CurrentLeaderEpoch;
    }
}
