using Tansu.Codec.Records;
using Tansu.Domain;

namespace Tansu.Adapters.Compaction;

/// <summary>
/// Writes chunks of many partitions into a segment, or one for each large topic, those of each partition side by side: batches from entries and data objects, and small chunks
/// of segments. Records stay what they are.
/// </summary>
internal sealed class ChunkMerger(CompactionScope scope)
{
    /// <summary>Does one job. What has changed meanwhile stays for the next pass.</summary>
    public async Task MergeAsync(ChunkRange[] job, CancellationToken cancellationToken)
    {
        var chunks = new List<Chunk>();
        foreach (var range in job)
        {
            chunks.AddRange(range.Chunks);
        }

        using var memory = new RentedMemory();
        var loaded = await scope.Loader.LoadAsync(chunks, memory, cancellationToken);
        var requests = new List<ChunksToReplace>(job.Length);
        var first = 0;
        var bytesOfTopics = BytesOfTopics(job);
        TopicId? lastTopic = null;
        foreach (var range in job)
        {
            // What is large has segments to itself, so that its bytes go when its topic goes, or its time has come.
            var topic = range.Partition.TopicId;
            var isOther = lastTopic is { } last && last.Value != topic.Value;
            if (isOther && (bytesOfTopics[topic] >= scope.Limits.LargeChunkBytes || bytesOfTopics[lastTopic!.Value] >= scope.Limits.LargeChunkBytes))
            {
                await scope.PutSegmentAsync(cancellationToken);
            }

            lastTopic = topic;
            var parts = loaded.AsMemory(first, range.Chunks.Length);
            first += range.Chunks.Length;
            if (!AreIntact(range, parts.Span))
            {
                continue;
            }

            var made = Write(range, parts.Span);
            requests.Add(new ChunksToReplace(
                new ChunksReplaced(range.Partition, range.Chunks[0].BaseOffset, range.Chunks[^1].LastOffset, [], made, [], 0, 0),
                [],
                range.Chunks));
            if (AreCached(parts.Span))
            {
                // Readers are near: they must find in the cache what they would have found there.
                foreach (var chunk in made)
                {
                    scope.Reader.Keep(chunk, scope.Writer.BytesOf(chunk));
                }
            }
        }

        await scope.PutSegmentAsync(cancellationToken);
        if (requests.Count > 0)
        {
            await scope.ReplaceAsync(requests);
        }
    }

    private static Dictionary<TopicId, long> BytesOfTopics(ChunkRange[] job)
    {
        var bytes = new Dictionary<TopicId, long>();
        foreach (var range in job)
        {
            foreach (var chunk in range.Chunks)
            {
                var topic = range.Partition.TopicId;
                bytes[topic] = bytes.GetValueOrDefault(topic) + chunk.Length;
            }
        }

        return bytes;
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
            scope.TellDamaged(range.Partition, damaged);
            return false;
        }
    }

    private Chunk[] Write(ChunkRange range, ReadOnlySpan<LoadedChunk> parts)
    {
        long bytes = 0;
        foreach (var part in parts)
        {
            bytes += part.Bytes.Length;
        }

        scope.Writer.Begin(bytes);
        foreach (var part in parts)
        {
            foreach (var batch in new RecordBatches(part.Bytes))
            {
                scope.Writer.Add(part.Bytes.Slice(batch.Position, batch.TotalLength), batch.Header);
            }
        }

        return scope.Writer.End();
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
