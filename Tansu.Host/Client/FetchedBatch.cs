using Tansu.Codec.Records;

namespace Tansu.Host.Client;

/// <summary>A batch that was fetched and that a reader is to see.</summary>
/// <param name="Partition">The partition it is of.</param>
/// <param name="Header">Its header.</param>
/// <param name="Bytes">The whole batch; good until its reply is disposed.</param>
/// <param name="FromOffset">Records before this offset were not asked for.</param>
internal readonly record struct FetchedBatch(int Partition, RecordBatchHeader Header, ReadOnlyMemory<byte> Bytes, long FromOffset);

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
/// <param name="Partition">The partition.</param>
/// <param name="Offset">The next offset to read.</param>
/// <param name="IsAtEnd">Whether that is where the partition ended when reading began.</param>
internal readonly record struct FetchPosition(int Partition, long Offset, bool IsAtEnd);
