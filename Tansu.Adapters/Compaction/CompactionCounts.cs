namespace Tansu.Adapters.Compaction;

/// <summary>What a compactor has done since it was made, or during one pass.</summary>
public readonly record struct CompactionCounts
{
    /// <summary>Passes that found something to do.</summary>
    public long Passes { get; init; }

    /// <summary>Requests for records, to the store.</summary>
    public long Reads { get; init; }

    /// <summary>Bytes read from the store.</summary>
    public long ReadBytes { get; init; }

    /// <summary>Segments and index pages written.</summary>
    public long ObjectsWritten { get; init; }

    /// <summary>Bytes in them.</summary>
    public long WrittenBytes { get; init; }

    /// <summary>Chunks that were replaced.</summary>
    public long ChunksReplaced { get; init; }

    /// <summary>Chunks that took their place.</summary>
    public long ChunksMade { get; init; }

    /// <summary>Partitions compacted by key; one that takes several passes counts for each.</summary>
    public long PartitionsCleaned { get; init; }

    /// <summary>Records that compaction by key has removed.</summary>
    public long RecordsRemoved { get; init; }

    /// <summary>Partitions whose log start was moved on by retention.</summary>
    public long PartitionsCut { get; init; }

    /// <summary>Objects deleted.</summary>
    public long ObjectsDeleted { get; init; }

    /// <summary>The sum.</summary>
    public static CompactionCounts operator +(CompactionCounts left, CompactionCounts right) => new()
    {
        Passes = left.Passes + right.Passes,
        Reads = left.Reads + right.Reads,
        ReadBytes = left.ReadBytes + right.ReadBytes,
        ObjectsWritten = left.ObjectsWritten + right.ObjectsWritten,
        WrittenBytes = left.WrittenBytes + right.WrittenBytes,
        ChunksReplaced = left.ChunksReplaced + right.ChunksReplaced,
        ChunksMade = left.ChunksMade + right.ChunksMade,
        PartitionsCleaned = left.PartitionsCleaned + right.PartitionsCleaned,
        RecordsRemoved = left.RecordsRemoved + right.RecordsRemoved,
        PartitionsCut = left.PartitionsCut + right.PartitionsCut,
        ObjectsDeleted = left.ObjectsDeleted + right.ObjectsDeleted,
    };
}
