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
        var chunksOf = Array.ConvertAll(job, static range => range.ToArray());
        using var memory = new ScratchMemory(scope.Memory);
        var loaded = await scope.Loader.LoadAsync([.. chunksOf.SelectMany(static chunks => chunks)], memory, cancellationToken);
        var requests = new List<ChunksToReplace>(job.Length);
        var first = 0;
        var bytesOfTopics = BytesOfTopics(job);
        TopicId? lastTopic = null;
        foreach (var (range, chunks) in job.Zip(chunksOf))
        {
            // What is large has segments to itself, so that its bytes go when its topic goes, or its time has come.
            var topic = range.Partition.TopicId;
            var isOther = lastTopic is { } last && last.Value != topic.Value;
            if (isOther && (bytesOfTopics[topic] >= scope.Limits.LargeChunkBytes || bytesOfTopics[lastTopic!.Value] >= scope.Limits.LargeChunkBytes))
            {
                await scope.PutSegmentAsync(cancellationToken);
            }

            lastTopic = topic;
            var parts = loaded.AsMemory(first, chunks.Length);
            first += chunks.Length;
            if (!AreIntact(range.Partition, chunks, parts.Span))
            {
                continue;
            }

            var made = Write(parts.Span);
            requests.Add(new ChunksToReplace(
                new ChunksReplaced(range.Partition, chunks[0].BaseOffset, chunks[^1].LastOffset, [], made, [], 0, 0),
                [],
                chunks));
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
            var topic = range.Partition.TopicId;
            bytes[topic] = bytes.GetValueOrDefault(topic) + CompactionPlan.lengthOf(range);
        }

        return bytes;
    }

    private bool AreIntact(TopicPartition partition, Chunk[] chunks, ReadOnlySpan<LoadedChunk> parts)
    {
        try
        {
            for (var index = 0; index < parts.Length; index++)
            {
                ChunkLoader.Check(chunks[index], parts[index]);
            }

            return true;
        }
        catch (RecordFormatException damaged)
        {
            scope.TellDamaged(partition, damaged);
            return false;
        }
    }

    private Chunk[] Write(ReadOnlySpan<LoadedChunk> parts)
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
