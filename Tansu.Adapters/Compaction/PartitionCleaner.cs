using Tansu.Codec.Records;
using Tansu.Domain;

namespace Tansu.Adapters.Compaction;

/// <summary>
/// Compacts partitions by key (<c>cleanup.policy=compact</c>): reads what is new, to learn the newest offset of each key, then all from the beginning, and
/// writes anew the chunks of which something goes. If the keys do not fit into memory it compacts as far as they did, and the rest with the next call.
/// </summary>
internal sealed class PartitionCleaner(CompactionScope scope, CompactorOptions options)
{
    private readonly BatchCleaner _cleaner = new();

    /// <summary>Only there while something is compacted by key.</summary>
    private readonly Lazy<KeyOffsets> _keys = new(() => new KeyOffsets(options.MemoryBytes / 2));

    /// <summary>Does one pass over a partition. False if somebody else has changed it meanwhile.</summary>
    /// <exception cref="RecordFormatException">The partition's records are damaged.</exception>
    public async Task<bool> CleanAsync(Cleaning cleaning, Cleanup cleanup, CancellationToken cancellationToken)
    {
        var rule = new CleaningRule
        {
            NowMs = options.TimeProvider.GetUtcNow().ToUnixTimeMilliseconds(),
            DeleteRetentionMs = cleanup.DeleteRetentionMs,
            FirstDirtyOffset = cleaning.DirtyFromOffset,
            EndOffset = cleaning.EndOffset,
            AlwaysKeepOffset = cleaning.LastOffset,
            IsAborted = new AbortedRanges(cleaning.Aborted).Contains,
        };
        var endOffset = await IndexAsync(cleaning, rule, cancellationToken);

        // Nobody needs a marker whose transaction is decided, once the records that it aborts are gone.
        rule = rule with { EndOffset = endOffset, DropsControlBatch = header => header.BaseOffset < endOffset };
        foreach (var page in cleaning.Pages)
        {
            if (page.BaseOffset < rule.EndOffset && !await CleanPageAsync(cleaning.Partition, page, rule, cancellationToken))
            {
                return false;
            }
        }

        if (!await CleanChunksAsync(cleaning, rule, cancellationToken))
        {
            return false;
        }

        scope.Count(new CompactionCounts { PartitionsCleaned = 1 });
        return true;
    }

    /// <summary>Learns where each key of the new part is, as far as memory goes. The end (exclusive) of what it has learned.</summary>
    private async Task<long> IndexAsync(Cleaning cleaning, CleaningRule rule, CancellationToken cancellationToken)
    {
        _keys.Value.Clear();
        foreach (var page in cleaning.Pages)
        {
            if (page.LastOffset >= cleaning.DirtyFromOffset
                && await IndexAsync(await scope.Reader.ListAsync(page, cancellationToken), rule, cancellationToken) is { } full)
            {
                return full;
            }
        }

        return await IndexAsync(cleaning.Chunks, rule, cancellationToken) ?? cleaning.EndOffset;
    }

    /// <summary>Null when everything has found room.</summary>
    private async Task<long?> IndexAsync(IEnumerable<Chunk> chunks, CleaningRule rule, CancellationToken cancellationToken)
    {
        foreach (var chunk in chunks)
        {
            if (chunk.LastOffset < rule.FirstDirtyOffset)
            {
                continue;
            }

            using var memory = new ScratchMemory(scope.Memory);
            var bytes = await LoadAsync(chunk, memory, cancellationToken);
            foreach (var batch in new RecordBatches(bytes))
            {
                if (!BatchCleaner.Index(bytes.Slice(batch.Position, batch.TotalLength), _keys.Value, rule, out var indexedTo))
                {
                    return indexedTo;
                }
            }
        }

        return null;
    }

    /// <summary>A page's chunks are cleaned, and a new page lists what they have become.</summary>
    private async Task<bool> CleanPageAsync(TopicPartition partition, IndexPage page, CleaningRule rule, CancellationToken cancellationToken)
    {
        var old = await scope.Reader.ListAsync(page, cancellationToken);
        var listed = new List<Chunk>();
        var isChanged = false;
        foreach (var chunk in old)
        {
            var made = await RewriteAsync(chunk, rule, cancellationToken);
            isChanged |= made is not null;
            listed.AddRange(made ?? [chunk]);
            if (scope.Writer.Length >= options.MemoryBytes / 4)
            {
                await scope.PutSegmentAsync(cancellationToken);
            }
        }

        if (!isChanged)
        {
            return true;
        }

        await scope.PutSegmentAsync(cancellationToken);
        var references = References.Of(listed);
        references.Add(old, -1);
        IndexPage[] pages = [];
        if (listed.Count > 0)
        {
            var (name, namedAtMs) = scope.Names.Next();
            var (made, bytes) = IndexPager.Make(name, 0, listed);
            pages = [made];
            await scope.PutPagesAsync(name, namedAtMs, [bytes], cancellationToken);
        }

        var replaced = new ChunksReplaced(partition, page.BaseOffset, page.LastOffset, pages, [], references.ToArray(), 0, MarkersRemovedBelow(rule));
        return (await scope.ReplaceAsync([new ChunksToReplace(replaced, [page], [])]))[0];
    }

    private async Task<bool> CleanChunksAsync(Cleaning cleaning, CleaningRule rule, CancellationToken cancellationToken)
    {
        var old = new List<Chunk>();
        var made = new List<Chunk>();
        foreach (var chunk in cleaning.Chunks)
        {
            if (chunk.BaseOffset >= rule.EndOffset)
            {
                break;
            }

            if (await RewriteAsync(chunk, rule, cancellationToken) is { } chunks)
            {
                old.Add(chunk);
                made.AddRange(chunks);
            }

            // What is replaced together must be without a gap.
            var isGap = old.Count > 0 && old[^1].BaseOffset != chunk.BaseOffset;
            if ((isGap || scope.Writer.Length >= options.MemoryBytes / 4) && !await ReplaceAsync(cleaning.Partition, old, made, rule, cleanedTo: 0, cancellationToken))
            {
                return false;
            }
        }

        return await ReplaceAsync(cleaning.Partition, old, made, rule, rule.EndOffset, cancellationToken);
    }

    private async Task<bool> ReplaceAsync(
        TopicPartition partition,
        List<Chunk> old,
        List<Chunk> made,
        CleaningRule rule,
        long cleanedTo,
        CancellationToken cancellationToken)
    {
        if (old.Count == 0 && cleanedTo == 0)
        {
            return true;
        }

        await scope.PutSegmentAsync(cancellationToken);

        // Nothing has to go, but the end of what is clean moves: a range with nothing in it.
        var (first, last) = old.Count > 0 ? (old[0].BaseOffset, old[^1].LastOffset) : (cleanedTo, cleanedTo - 1);
        var replaced = new ChunksReplaced(partition, first, last, [], [.. made], [], cleanedTo, MarkersRemovedBelow(rule));
        var isMade = (await scope.ReplaceAsync([new ChunksToReplace(replaced, [], [.. old])]))[0];
        old.Clear();
        made.Clear();
        return isMade;
    }

    /// <summary>The last marker stays where it is the partition's last batch.</summary>
    private static long MarkersRemovedBelow(CleaningRule rule) => Math.Min(rule.EndOffset, rule.AlwaysKeepOffset);

    /// <summary>Writes what stays of a chunk. Null if all of it stays, so that it need not be written again.</summary>
    private async Task<Chunk[]?> RewriteAsync(Chunk chunk, CleaningRule rule, CancellationToken cancellationToken)
    {
        // The writer holds what stays of it until it has been put into the store.
        var bytes = await LoadAsync(chunk, memory: null, cancellationToken);
        var kept = new List<(ReadOnlyMemory<byte> Batch, RecordBatchHeader Header)>();
        var isChanged = false;
        long length = 0;
        long removed = 0;
        foreach (var batch in new RecordBatches(bytes))
        {
            var cleaned = _cleaner.Clean(bytes.Slice(batch.Position, batch.TotalLength), _keys.Value, rule);
            isChanged |= !cleaned.IsUnchanged;
            removed += cleaned.RecordsRead - cleaned.RecordsKept;
            if (!cleaned.IsRemoved && RecordBatchHeader.TryRead(cleaned.Bytes.Span, out var header))
            {
                kept.Add((cleaned.Bytes, header));
                length += cleaned.Bytes.Length;
            }
        }

        if (!isChanged)
        {
            return null;
        }

        scope.Count(new CompactionCounts { RecordsRemoved = removed });
        scope.Writer.Begin(length);
        foreach (var (batch, header) in kept)
        {
            scope.Writer.Add(batch, header);
        }

        return scope.Writer.End();
    }

    private async ValueTask<ReadOnlyMemory<byte>> LoadAsync(Chunk chunk, ScratchMemory? memory, CancellationToken cancellationToken)
    {
        var loaded = (await scope.Loader.LoadAsync([chunk], memory, cancellationToken))[0];
        ChunkLoader.Check(chunk, loaded);
        return loaded.Bytes;
    }
}
