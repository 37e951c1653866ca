using Tansu.Codec.Records;

namespace Tansu.Host.Client;

/// <summary>A batch that was fetched and that a reader is to see.</summary>
internal sealed class FetchedBatch(int partition, in RecordBatchHeader header, ReadOnlyMemory<byte> bytes, long fromOffset)
{
    /// <summary>The partition it is of.</summary>
    public int Partition { get; } = partition;

    /// <summary>Its header.</summary>
    public RecordBatchHeader Header { get; } = header;

    /// <summary>The whole batch; good until its reply is disposed.</summary>
    public ReadOnlyMemory<byte> Bytes { get; } = bytes;

    /// <summary>Records before this offset were not asked for.</summary>
    public long FromOffset { get; } = fromOffset;
}

/// <summary>What one fetch brought. Its batches refer to pooled memory until it is disposed.</summary>
/// <param name="reply">Where the bytes are; null if there are none.</param>
internal sealed class FetchedBatches(IDisposable? reply) : IDisposable
{
    /// <summary>The batches, each partition's in their order.</summary>
    public List<FetchedBatch> Batches { get; } = [];

    /// <summary>The positions behind them: what the next fetch asks for.</summary>
    public List<FetchPosition> Positions { get; } = [];

    /// <summary>How many bytes of records came, also of those that nobody sees.</summary>
    public long Bytes { get; set; }

    /// <summary>How long the broker took, by <see cref="System.Diagnostics.Stopwatch"/>.</summary>
    public long Ticks { get; set; }

    /// <inheritdoc/>
    public void Dispose() => reply?.Dispose();
}

/// <summary>How far a partition is read.</summary>
/// <param name="partition">The partition.</param>
/// <param name="offset">The next offset to read.</param>
internal sealed class FetchPosition(int partition, long offset)
{
    /// <summary>The partition.</summary>
    public int Partition { get; } = partition;

    /// <summary>The next offset to read.</summary>
    public long Offset { get; } = offset;
}
