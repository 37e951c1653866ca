using Tansu.Adapters.Ports;
using Tansu.Adapters.Reading;
using Tansu.Codec.Records;
using Tansu.Domain;

namespace Tansu.Adapters.Compaction;

/// <summary>
/// Reads many chunks for a compactor, neighbours with one request, past the record cache: what is compacted is mostly old. What happens to be in the
/// cache is taken from there.
/// </summary>
/// <param name="log">Inline payloads.</param>
/// <param name="blobs">Data objects and segments.</param>
/// <param name="reader">Knows what is in the cache.</param>
/// <param name="blocks">Memory for what is read together.</param>
/// <param name="parallelReads">How many reads go on side by side.</param>
/// <param name="memoryBytes">What all of them together may read at once, unless chunks are larger.</param>
internal sealed class ChunkLoader(IEventLog log, IBlobStore blobs, RecordsReader reader, NativeBlocks blocks, int parallelReads, long memoryBytes)
{
    /// <summary>So many bytes between two chunks are read along with them rather than with another request.</summary>
    private const int GapBytes = 64 * 1024;

    /// <summary>The most bytes that one request reads, unless a chunk is larger.</summary>
    private readonly long _maxReadBytes = Math.Clamp(memoryBytes / parallelReads, GapBytes, 4 * 1024 * 1024);

    /// <summary>Requests to the store so far.</summary>
    public long Reads { get; private set; }

    /// <summary>Bytes read from the store so far.</summary>
    public long ReadBytes { get; private set; }

    /// <summary>The chunks' bytes, in their order, with base offsets set; and whether all of them were in the cache.</summary>
    /// <param name="chunks">The chunks.</param>
    /// <param name="memory">Where the bytes come to lie; null for arrays of their own, where they are kept longer than the caller can say.</param>
    /// <param name="cancellationToken">Abandons the reads.</param>
    /// <exception cref="EntryMissingException">The state that the chunks are from is old.</exception>
    /// <exception cref="BlobMissingException">Likewise.</exception>
    public async ValueTask<LoadedChunk[]> LoadAsync(IReadOnlyList<Chunk> chunks, ScratchMemory? memory, CancellationToken cancellationToken)
    {
        var loaded = new LoadedChunk[chunks.Count];
        var missing = new List<int>();
        memory?.Expect(chunks.Sum(static chunk => (long)chunk.Length));
        for (var index = 0; index < loaded.Length; index++)
        {
            var length = chunks[index].Length;
            var bytes = memory?.Take(length) ?? GC.AllocateUninitializedArray<byte>(length);
            var isCached = reader.TryCopy(chunks[index], bytes.Span);
            loaded[index] = new LoadedChunk(bytes, isCached);
            if (!isCached)
            {
                missing.Add(index);
            }
        }

        missing.Sort((left, right) => Compare(chunks[left], chunks[right]));
        await ReadAsync(chunks, missing, loaded, cancellationToken);
        foreach (var index in missing)
        {
            loaded[index] = loaded[index] with { IsDamaged = !TryPlace(chunks[index], loaded[index].Bytes.Span) };
        }

        return loaded;
    }

    private async Task ReadAsync(IReadOnlyList<Chunk> chunks, List<int> missing, LoadedChunk[] loaded, CancellationToken cancellationToken)
    {
        var running = new Queue<(Task<NativeBlock?> Read, int From, int To)>();
        try
        {
            var next = 0;
            while (next < missing.Count || running.Count > 0)
            {
                while (next < missing.Count && running.Count < parallelReads)
                {
                    var (afterLast, end) = EndOfRead(chunks, missing, next);
                    var first = missing[next];
                    var isAlone = afterLast == next + 1;
                    running.Enqueue((ReadAsync(chunks[first], end, isAlone ? loaded[first].Bytes : default, cancellationToken), next, afterLast));
                    next = afterLast;
                }

                var (read, from, to) = running.Peek();
                var together = await read;
                running.Dequeue();
                if (together is null)
                {
                    continue;
                }

                try
                {
                    var start = chunks[missing[from]].Position;
                    for (var index = from; index < to; index++)
                    {
                        // Copied: two partitions may have the same bytes at different offsets, and what is between them need not stay in memory.
                        var chunk = chunks[missing[index]];
                        together.Memory.Slice(chunk.Position - start, chunk.Length).CopyTo(loaded[missing[index]].Bytes);
                    }
                }
                finally
                {
                    blocks.Return(together);
                }
            }
        }
        finally
        {
            // None may still be under way when the caller gives the memory back.
            foreach (var (read, _, _) in running)
            {
                await read.Settled();
                if (read.IsCompletedSuccessfully && await read is { } together)
                {
                    blocks.Return(together);
                }
            }
        }
    }

    /// <summary>Goes over the batches of a chunk, all of them: whatever is damaged is found before anything is replaced.</summary>
    /// <exception cref="RecordFormatException">The bytes are not whole, undamaged batches of the chunk's offsets.</exception>
    public static void Check(Chunk chunk, LoadedChunk loaded)
    {
        if (loaded.IsDamaged)
        {
            throw Damaged(chunk);
        }

        var bytes = loaded.Bytes;
        var next = chunk.BaseOffset;
        var batches = new RecordBatches(bytes).GetEnumerator();
        while (batches.MoveNext())
        {
            var batch = bytes.Span.Slice(batches.Current.Position, batches.Current.TotalLength);
            var header = batches.Current.Header;
            if (header.BaseOffset < next || header.LastOffset > chunk.LastOffset || !header.IsIntact(batch))
            {
                throw Damaged(chunk);
            }

            next = header.LastOffset + 1;
        }

        if (batches.ConsumedBytes != bytes.Length)
        {
            throw Damaged(chunk);
        }
    }

    private static bool TryPlace(Chunk chunk, Span<byte> bytes)
    {
        if (chunk.Source.IsSegment)
        {
            return true;
        }

        try
        {
            BatchOffsets.Place(bytes, chunk.BaseOffset);
            return true;
        }
        catch (StoreRefusedException)
        {
            return false;
        }
    }

    private static RecordFormatException Damaged(Chunk chunk) =>
        new($"the stored records from offset {chunk.BaseOffset} to {chunk.LastOffset} are damaged");

    private static int Compare(Chunk left, Chunk right)
    {
        var byName = string.CompareOrdinal(left.Source.ObjectName, right.Source.ObjectName);
        if (byName != 0)
        {
            return byName;
        }

        var byEntry = EntryNumber(left).CompareTo(EntryNumber(right));
        return byEntry != 0 ? byEntry : left.Position.CompareTo(right.Position);
    }

    private static long EntryNumber(Chunk chunk) => chunk.Source.IsInlineEntry ? chunk.Source.entryNumber : 0;

    /// <summary>Up to which of the missing chunks (exclusive) one request reads, and the byte after the last of theirs.</summary>
    private (int AfterLast, int End) EndOfRead(IReadOnlyList<Chunk> chunks, List<int> missing, int first)
    {
        var start = chunks[missing[first]];
        var end = start.Position + start.Length;
        var index = first + 1;
        while (index < missing.Count)
        {
            var chunk = chunks[missing[index]];
            if (!chunk.Source.Equals(start.Source)
                || chunk.Position > end + GapBytes
                || chunk.Position + chunk.Length - start.Position > _maxReadBytes)
            {
                break;
            }

            end = Math.Max(end, chunk.Position + chunk.Length);
            index++;
        }

        return (index, end);
    }

    /// <summary>Reads one chunk to where it belongs, or several that lie together into memory that the caller gives back.</summary>
    private async Task<NativeBlock?> ReadAsync(Chunk first, int end, Memory<byte> alone, CancellationToken cancellationToken)
    {
        var together = alone.IsEmpty ? blocks.Rent(end - first.Position) : null;
        var bytes = together is null ? alone : together.Memory[..(end - first.Position)];
        Reads++;
        ReadBytes += bytes.Length;
        try
        {
            if (first.Source.IsInlineEntry)
            {
                await log.ReadPayloadAsync(first.Source.entryNumber, first.Position, bytes, cancellationToken);
            }
            else
            {
                await blobs.ReadAsync(first.Source.ObjectName!, first.Position, bytes, cancellationToken);
            }

            return together;
        }
        catch
        {
            if (together is not null)
            {
                blocks.Return(together);
            }

            throw;
        }
    }
}

/// <summary>A chunk's bytes, with base offsets set.</summary>
/// <param name="Bytes">Whole batches.</param>
/// <param name="IsCached">Whether they were in the record cache.</param>
/// <param name="IsDamaged">Whether they are no whole batches, so that offsets could not be set.</param>
internal readonly record struct LoadedChunk(Memory<byte> Bytes, bool IsCached, bool IsDamaged = false);
