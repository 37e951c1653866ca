using Tansu.Adapters.Replica;
using Tansu.Domain;

namespace Tansu.Adapters.Compaction;

/// <summary>Keeps the state small: moves the older chunks of long partitions into index pages, and stops counting what pages list that are no longer needed.</summary>
/// <param name="scope">The pass.</param>
/// <param name="tryAsync">Does something; false if it could not read what it needs.</param>
internal sealed class IndexPager(CompactionScope scope, Func<Func<Task>, Task<bool>> tryAsync)
{
    /// <summary>How many dead pages one commit frees.</summary>
    private const int FreedAtOnce = 64;

    /// <summary>Whether there is anything to do.</summary>
    public static bool IsDue(CompactionLimits limits, ShardState state)
    {
        if (!state.DeadPages.IsEmpty)
        {
            return true;
        }

        foreach (var (key, partition) in state.Partitions)
        {
            if (CompactionPlan.toPage(limits, key, partition).IsSome)
            {
                return true;
            }
        }

        return false;
    }

    /// <summary>Moves the chunks that are too many in each partition into index pages, which go into one object.</summary>
    public async Task PageAsync(CancellationToken cancellationToken)
    {
        var requests = new List<ChunksToReplace>();
        var bytes = new List<byte[]>();
        var (name, namedAtMs) = ("", 0L);
        var position = 0;
        foreach (var (key, partition) in scope.State.Partitions)
        {
            if (!CompactionPlan.toPage(scope.Limits, key, partition).TryGet(out var range))
            {
                continue;
            }

            if (bytes.Count == 0)
            {
                (name, namedAtMs) = scope.Names.Next();
            }

            var settled = range.ToArray();

            // The last page is written anew with more in it, until it is full.
            var listed = new List<Chunk>();
            IndexPage[] old = [];
            if (partition.Pages.Count > 0 && partition.Pages[^1] is var last && last.ChunkCount + settled.Length <= scope.Limits.PageChunks)
            {
                // If it cannot be read there is another one after it.
                old = await tryAsync(async () => listed.AddRange(await scope.Reader.ListAsync(last, cancellationToken))) ? [last] : [];
            }

            listed.AddRange(settled);
            var pages = new List<IndexPage>();
            foreach (var part in listed.Chunk(scope.Limits.PageChunks))
            {
                var (page, content) = Make(name, position, part);
                pages.Add(page);
                bytes.Add(content);
                position += content.Length;
            }

            requests.Add(new ChunksToReplace(
                new ChunksReplaced(key, pages[0].BaseOffset, pages[^1].LastOffset, [.. pages], [], References.Of(settled).ToArray(), 0, 0),
                old,
                settled));
        }

        if (requests.Count > 0)
        {
            await scope.PutPagesAsync(name, namedAtMs, bytes, cancellationToken);
            await scope.ReplaceAsync(requests);
        }
    }

    /// <summary>Stops counting what dead pages list.</summary>
    public async Task FreeAsync(CancellationToken cancellationToken)
    {
        foreach (var pages in scope.State.DeadPages.Chunk(FreedAtOnce))
        {
            var freed = new List<PageToFree>();
            foreach (var page in pages)
            {
                // What one that cannot be read lists stays counted, and is not deleted.
                await tryAsync(async () => freed.Add(new PageToFree(page, References.Of(await scope.Reader.ListAsync(page, cancellationToken)).ToArray())));
            }

            if (freed.Count > 0)
            {
                await scope.SubmitAsync(ShardCommand.NewFreePages([.. freed]));
            }
        }
    }

    /// <summary>A page that lists chunks, and its bytes.</summary>
    public static (IndexPage Page, byte[] Bytes) Make(string objectName, int position, IReadOnlyList<Chunk> chunks)
    {
        var bytes = CompactionCodec.EncodePage(chunks);
        long recordBytes = 0;
        var maxTimestampMs = long.MinValue;
        foreach (var chunk in chunks)
        {
            recordBytes += chunk.Length;
            maxTimestampMs = Math.Max(maxTimestampMs, chunk.MaxTimestampMs);
        }

        var page = new IndexPage(chunks[0].BaseOffset, chunks[^1].LastOffset, objectName, position, bytes.Length, chunks.Count, recordBytes, maxTimestampMs);
        return (page, bytes);
    }
}
