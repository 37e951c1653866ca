using Tansu.Host.CommandLine;

namespace Tansu.Host;

/// <summary>
/// How the heap is shared out. Each part has the size that serves a large machine well, or a share of a small heap; together the shares
/// come to about half, which leaves room for the state, and for garbage between two collections. docs/ARCHITECTURE.md, "Memory".
/// </summary>
internal sealed record MemoryPlan
{
    private const long MiB = 1024 * 1024;

    /// <summary>What a connection may take with nothing under way: its loops, its socket and their buffers. 32 KiB.</summary>
    private const long ConnectionBytes = 32 * 1024;

    /// <summary>What a fetch session takes for a partition.</summary>
    private const long SessionPartitionBytes = 256;

    /// <summary>Records for readers (<c>--cache-bytes</c>).</summary>
    public required long CacheBytes { get; init; }

    /// <summary>Compaction (<c>--compaction-memory</c>): what is merged is beside the heap.</summary>
    public required long CompactionBytes { get; init; }

    /// <summary>Requests of up to 64 KiB that are under way.</summary>
    public required long SmallRequestBytes { get; init; }

    /// <summary>The beginnings of larger ones.</summary>
    public required long BeginningBytes { get; init; }

    /// <summary>Larger requests under way.</summary>
    public required long LargeRequestBytes { get; init; }

    /// <summary>The largest request (<c>--max-request-bytes</c>).</summary>
    public required int MaxRequestBytes { get; init; }

    /// <summary>Records on their way to consumers.</summary>
    public required long FetchBytes { get; init; }

    /// <summary>The partitions of all fetch sessions.</summary>
    public required long FetchSessionPartitions { get; init; }

    /// <summary>One entry, or one data object: written, cached and read as a whole.</summary>
    public required int EntryBytes { get; init; }

    /// <summary>How many connections may be open (<c>--max-connections</c>).</summary>
    public required int MaxConnections { get; init; }

    /// <summary>Shares out a heap of that size, as far as the options do not say otherwise.</summary>
    public static MemoryPlan For(BrokerOptions options, long heapBytes)
    {
        var largeRequestBytes = Math.Min(512 * MiB, heapBytes / 4);
        return new MemoryPlan
        {
            CacheBytes = options.CacheBytes >= 0 ? options.CacheBytes : Math.Min(64 * MiB, heapBytes / 20),
            CompactionBytes = options.CompactionMemoryBytes >= 0 ? options.CompactionMemoryBytes : Math.Min(MemoryLimit.UsualCompactionBytes, heapBytes / 16),
            SmallRequestBytes = Math.Min(128 * MiB, heapBytes / 16),
            BeginningBytes = Math.Min(32 * MiB, heapBytes / 32),
            LargeRequestBytes = largeRequestBytes,
            MaxRequestBytes = options.MaxRequestBytes >= 0 ? options.MaxRequestBytes : (int)Math.Min(100 * MiB, largeRequestBytes),
            FetchBytes = Math.Min(256 * MiB, heapBytes / 8),
            FetchSessionPartitions = Math.Min(1_000_000, heapBytes / 64 / SessionPartitionBytes),
            EntryBytes = (int)Math.Min(8 * MiB, heapBytes / 64),
            MaxConnections = options.MaxConnections >= 0 ? options.MaxConnections : (int)Math.Min(20_000, heapBytes / 4 / ConnectionBytes),
        };
    }
}
