using Tansu.Adapters;
using Tansu.Adapters.Reading;
using Tansu.Codec.Records;
using Tansu.Domain;

namespace Tansu.Host;

/// <summary>A record found by its timestamp. <see cref="None"/> if there is none.</summary>
internal readonly record struct FoundOffset(long Offset, long TimestampMs)
{
    /// <summary>No such record.</summary>
    public static FoundOffset None => new(-1, -1);
}

/// <summary>Finds records by timestamp: through the index to a chunk, through headers to a batch, then through its records.</summary>
internal static class OffsetLookup
{
    /// <summary>The first record, by offset, whose timestamp is at least this.</summary>
    public static async ValueTask<FoundOffset> FirstAtOrAfterAsync(
        ClusterShard shard,
        Partition partition,
        long timestampMs,
        CancellationToken cancellationToken)
    {
        foreach (var page in partition.Pages)
        {
            if (page.MaxTimestampMs >= timestampMs
                && await FirstAtOrAfterAsync(shard, partition, await shard.Reader.ListAsync(page, cancellationToken), timestampMs, cancellationToken)
                    is { Offset: >= 0 } found)
            {
                return found;
            }
        }

        return await FirstAtOrAfterAsync(shard, partition, partition.Chunks, timestampMs, cancellationToken);
    }

    /// <summary>The first record that has the largest timestamp of the partition (KIP-734).</summary>
    public static async ValueTask<FoundOffset> MaxTimestampAsync(ClusterShard shard, Partition partition, CancellationToken cancellationToken)
    {
        var largest = -1L;
        foreach (var page in partition.Pages)
        {
            largest = Math.Max(largest, page.MaxTimestampMs);
        }

        foreach (var chunk in partition.Chunks)
        {
            largest = Math.Max(largest, chunk.MaxTimestampMs);
        }

        return largest < 0 ? FoundOffset.None : await FirstAtOrAfterAsync(shard, partition, largest, cancellationToken);
    }

    private static async ValueTask<FoundOffset> FirstAtOrAfterAsync(
        ClusterShard shard,
        Partition partition,
        IReadOnlyList<Chunk> chunks,
        long timestampMs,
        CancellationToken cancellationToken)
    {
        foreach (var chunk in chunks)
        {
            if (chunk.MaxTimestampMs < timestampMs)
            {
                continue;
            }

            using var lease = new RecordLease();
            var bytes = await shard.Reader.ReadChunkAsync(chunk, lease, cancellationToken);
            if (FirstAtOrAfter(bytes, timestampMs, partition.LogStartOffset) is { Offset: >= 0 } found)
            {
                return found;
            }
        }

        return FoundOffset.None;
    }

    private static FoundOffset FirstAtOrAfter(ReadOnlyMemory<byte> bytes, long timestampMs, long fromOffset)
    {
        foreach (var batch in new RecordBatches(bytes))
        {
            if (batch.Header.MaxTimestamp < timestampMs || batch.Header.LastOffset < fromOffset)
            {
                continue;
            }

            var found = InBatch(bytes.Slice(batch.Position, batch.TotalLength), timestampMs, fromOffset);
            if (found.Offset >= 0)
            {
                return found;
            }
        }

        return FoundOffset.None;
    }

    private static FoundOffset InBatch(ReadOnlyMemory<byte> batch, long timestampMs, long fromOffset)
    {
        using var reader = new RecordReader(batch);
        foreach (var record in reader)
        {
            if (record.TimestampMs >= timestampMs && record.Offset >= fromOffset)
            {
                return new FoundOffset(record.Offset, record.TimestampMs);
            }
        }

        return FoundOffset.None;
    }
}
