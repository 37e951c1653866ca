using Tansu.Codec.Records;
using Tansu.Domain;

namespace Tansu.Adapters.Compaction;

/// <summary>
/// Writes chunks of many partitions into one segment, those of each partition side by side: batches from entries and data objects, and small chunks
/// of segments. Records stay what they are. What is large shares its segment only with the same topic's, so that deleting the topic, and mostly its
/// retention too, lets the whole segment go.
/// </summary>
internal sealed class ChunkMerger(CompactionScope scope, Action<string>? onNotice)
{
    /// <summary>Does one job. What has changed meanwhile stays for the next pass.</summary>
    public async Task MergeAsync(ChunkRange[] job, CancellationToken cancellationToken)
    {
        var chunks = new List<Chunk>();
        foreach (var range in job)
        {
            chunks.AddRange(range.Chunks);
        }

        var loaded = await scope.Loader.LoadAsync(chunks, cancellationToken);
        var requests = new List<ChunksToReplace>(job.Length);
        var warm = new List<(Chunk Chunk, byte[] Bytes)>();
        foreach (var isLarge in new[] { true, false })
        {
            var first = 0;
            var topicId = Guid.Empty;
            foreach (var range in job)
            {
                var parts = loaded.AsMemory(first, range.Chunks.Length);
                first += range.Chunks.Length;
                if (IsLarge(parts.Span) != isLarge || !AreIntact(range, parts.Span))
                {
                    continue;
                }

                if (isLarge && range.Partition.TopicId.Value != topicId)
                {
                    topicId = range.Partition.TopicId.Value;
                    await scope.PutSegmentAsync(cancellationToken);
                }

                requests.Add(Write(range, parts.Span, warm));
            }

            await scope.PutSegmentAsync(cancellationToken);
        }

        foreach (var (chunk, bytes) in warm)
        {
            scope.Reader.Keep(chunk, bytes);
        }

        if (requests.Count > 0)
        {
            await scope.ReplaceAsync(requests);
        }
    }

    private bool AreIntact(ChunkRange range, ReadOnlySpan<LoadedChunk> parts)
    {
        try
        {
            for (var index = 0; index < parts.Length; index++)
            {
                ChunkLoader.Check(range.Chunks[index], parts[index]);
            }

            return true;
        }
        catch (RecordFormatException damaged)
        {
            // Left as it is, for whoever can repair the store.
            onNotice?.Invoke($"partition {range.Partition.Partition} of topic {range.Partition.TopicId.Value}: {damaged.Message}; it is not compacted");
            return false;
        }
    }

    private ChunksToReplace Write(ChunkRange range, ReadOnlySpan<LoadedChunk> parts, List<(Chunk Chunk, byte[] Bytes)> warm)
    {
        scope.Writer.Begin(LengthOf(parts));
        foreach (var part in parts)
        {
            foreach (var batch in new RecordBatches(part.Bytes))
            {
                scope.Writer.Add(part.Bytes.Slice(batch.Position, batch.TotalLength), batch.Header);
            }
        }

        var made = scope.Writer.End();
        if (AreCached(parts))
        {
            // Readers are near: they must find in the cache what they would have found there.
            foreach (var chunk in made)
            {
                warm.Add((chunk, scope.Writer.CopyOf(chunk)));
            }
        }

        return new ChunksToReplace(
            new ChunksReplaced(range.Partition, range.Chunks[0].BaseOffset, range.Chunks[^1].LastOffset, [], made, [], 0),
            [],
            range.Chunks);
    }

    private static bool IsLarge(ReadOnlySpan<LoadedChunk> parts) => LengthOf(parts) >= CompactionPlan.LargeChunkBytes;

    private static long LengthOf(ReadOnlySpan<LoadedChunk> parts)
    {
        long bytes = 0;
        foreach (var part in parts)
        {
            bytes += part.Bytes.Length;
        }

        return bytes;
    }

    private static bool AreCached(ReadOnlySpan<LoadedChunk> parts)
    {
        foreach (var part in parts)
        {
            if (!part.IsCached)
            {
                return false;
            }
        }

        return true;
    }
}
