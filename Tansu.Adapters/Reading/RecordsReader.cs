using System.Buffers;
using Tansu.Adapters.Ports;
using Tansu.Adapters.Replica;
using Tansu.Codec;
using Tansu.Codec.Records;
using Tansu.Domain;

namespace Tansu.Adapters.Reading;

/// <summary>
/// Reads a partition's batches from the cache or the store. Works on a published state, so it needs no lock: what the state
/// refers to is in the store.
/// </summary>
/// <param name="shard">The shard's number.</param>
/// <param name="log">Its log.</param>
/// <param name="blobs">Data objects.</param>
/// <param name="cache">What was written or read lately.</param>
/// <param name="readAheadBytes">How much to read in advance once the store had to be asked; 0 for nothing.</param>
public sealed class RecordsReader(int shard, IEventLog log, IBlobStore blobs, RecordCache cache, int readAheadBytes)
{
    /// <summary>How many chunks one read asks the store for side by side.</summary>
    private const int MaxParallelLoads = 64;

    /// <summary>Loads under way: whoever wants the same chunk meanwhile shares them.</summary>
    private readonly Dictionary<CacheKey, Loading> _loading = [];

    /// <summary>Whether it says that records cannot be read: one of the exceptions of <see cref="ReadAsync(Partition, long, long, ReadLimits, RecordLease, CancellationToken)"/>.</summary>
    public static bool IsFailure(Exception exception) => exception
        is StoreUnavailableException
        or StoreRefusedException
        or EntryMissingException
        or BlobMissingException;

    /// <summary>The same up to the high watermark, for who keeps the bytes for good.</summary>
    public async ValueTask<RecordBytes> ReadAsync(
        Partition partition,
        long offset,
        int maxBytes,
        bool atLeastOneBatch,
        CancellationToken cancellationToken)
    {
        ArgumentNullException.ThrowIfNull(partition);
        using var lease = new RecordLease();
        var records = await ReadAsync(partition, offset, partition.HighWatermark, new ReadLimits(maxBytes, atLeastOneBatch), lease, cancellationToken);
        return new RecordBytes(records.Joined().ToArray());
    }

    /// <summary>
    /// Whole batches from the one that holds <paramref name="offset"/> on, back to back, with their offsets set. The first batch may begin
    /// before the offset, as in Kafka.
    /// </summary>
    /// <param name="partition">The partition's state.</param>
    /// <param name="offset">Not below the log start offset.</param>
    /// <param name="endOffset">Batches that begin there or later are left out.</param>
    /// <param name="limits">How many bytes.</param>
    /// <param name="lease">The bytes may be read until it is disposed.</param>
    /// <param name="cancellationToken">Abandons the read, once what the store has been asked for is there.</param>
    /// <returns>Empty at the end of the log.</returns>
    /// <exception cref="StoreUnavailableException">The store cannot be read now.</exception>
    /// <exception cref="StoreRefusedException">What the store holds is damaged.</exception>
    /// <exception cref="EntryMissingException">The state is old, and what it refers to has been collected.</exception>
    /// <exception cref="BlobMissingException">Likewise.</exception>
    public async ValueTask<RecordBytes> ReadAsync(
        Partition partition,
        long offset,
        long endOffset,
        ReadLimits limits,
        RecordLease lease,
        CancellationToken cancellationToken)
    {
        // The first page that does not end before the offset has records from there on. If they do not fit, nothing after them may be given.
        var page = PartitionModule.pagesBefore(offset, partition);
        var chunks = page < partition.Pages.Count ? await ListAsync(partition.Pages[page], cancellationToken) : partition.Chunks;
        return await ReadAsync(chunks, offset, endOffset, limits, lease, cancellationToken);
    }

    /// <summary>The chunks that an index page lists, in order.</summary>
    /// <exception cref="BlobMissingException">The state that the page is from is old, and the page has been collected.</exception>
    /// <exception cref="StoreRefusedException">The page cannot be read.</exception>
    public async ValueTask<ChunkList> ListAsync(IndexPage page, CancellationToken cancellationToken)
    {
        var key = new CacheKey(shard, 0, page.ObjectName, page.Position);
        using var lease = new RecordLease();
        if (!cache.TryGet(key, lease, out var bytes))
        {
            var read = new byte[page.Length];
            await blobs.ReadAsync(page.ObjectName, page.Position, read, cancellationToken);
            cache.Add(key, read);
            bytes = read;
        }

        try
        {
            return ChunkList.CreateRange(CompactionCodec.DecodePage(bytes));
        }
        catch (KafkaFormatException malformed)
        {
            throw new StoreRefusedException($"the index page at {page.Position} of {page.ObjectName} cannot be read: {malformed.Message}", malformed);
        }
    }

    /// <summary>Copies a chunk's bytes with offsets set, if this broker has them at hand.</summary>
    /// <param name="chunk">The chunk.</param>
    /// <param name="destination">As long as the chunk.</param>
    internal bool TryCopy(Chunk chunk, Span<byte> destination)
    {
        using var lease = new RecordLease();
        var bytes = Cached(chunk, lease);
        bytes.Span.CopyTo(destination);
        return !bytes.IsEmpty;
    }

    /// <summary>Keeps a copy of the bytes of a chunk, with offsets set, if there is memory for it.</summary>
    internal void Keep(Chunk chunk, ReadOnlySequence<byte> bytes)
    {
        using var lease = new RecordLease();
        if (cache.Reserve(chunk.Length, lease) is { } block)
        {
            bytes.CopyTo(block.Memory.Span);
            cache.Publish(Key(chunk, chunk.Position), block);
        }
    }

    private async ValueTask<RecordBytes> ReadAsync(
        ChunkList chunks,
        long offset,
        long endOffset,
        ReadLimits limits,
        RecordLease lease,
        CancellationToken cancellationToken)
    {
        var index = chunks.IndexOf(offset);
        ReadOnlyMemory<byte>[] slices = [];
        var count = 0;
        var total = 0;
        Queue<Task<ReadOnlyMemory<byte>>>? loads = null;
        try
        {
            while (index < chunks.Count && chunks[index].BaseOffset < endOffset && (total < limits.MaxBytes || (total == 0 && limits.AtLeastOneBatch)))
            {
                var chunk = chunks[index];
                var bytes = ReadOnlyMemory<byte>.Empty;
                if (loads is not { Count: > 0 })
                {
                    cancellationToken.ThrowIfCancellationRequested();
                    bytes = Cached(chunk, lease);
                    loads = bytes.IsEmpty ? Load(chunks, index, endOffset, limits.MaxBytes - total, ReadAhead(limits), lease) : null;
                }

                if (loads is not null)
                {
                    try
                    {
                        bytes = await loads.Dequeue();
                    }
                    catch (Exception failure) when (total > 0 && IsFailure(failure))
                    {
                        // Told to the next read, which begins here.
                        break;
                    }
                }

                var slice = Cut(bytes, chunk, offset, endOffset, limits.MaxBytes - total, limits.AtLeastOneBatch && total == 0);
                if (slice.IsEmpty)
                {
                    break;
                }

                if (count == slices.Length)
                {
                    Array.Resize(ref slices, Math.Max(4, count * 2));
                }

                slices[count++] = slice;
                total += slice.Length;
                if (slice.Length < bytes.Length && !EndsTogether(slice, bytes))
                {
                    break;
                }

                index++;
            }
        }
        finally
        {
            // The memory that is held for this read is theirs.
            while (loads is { Count: > 0 })
            {
                await loads.Dequeue().Settled();
            }
        }

        return new RecordBytes(slices, count);
    }

    /// <summary>The bytes of one chunk, with offsets set; they may be read until the lease is disposed.</summary>
    public async ValueTask<ReadOnlyMemory<byte>> ReadChunkAsync(Chunk chunk, RecordLease lease, CancellationToken cancellationToken)
    {
        var bytes = Cached(chunk, lease);
        return bytes.IsEmpty ? await LoadAsync(chunk, lease).WaitAsync(cancellationToken) : bytes;
    }

    /// <summary>Copies what this broker is writing, since consumers are likely to be near; null if there is no memory for it.</summary>
    /// <param name="entryNumber">The entry.</param>
    /// <param name="events">Its events, which say which offsets its batches get.</param>
    /// <param name="written">The bytes.</param>
    internal KeptRecords? Copy(long entryNumber, IReadOnlyList<ShardEvent> events, WrittenPayload written)
    {
        var lease = new RecordLease();
        if (written.Length == 0 || cache.Reserve(written.Length, lease) is not { } block)
        {
            return null;
        }

        var bytes = block.Memory.Span;
        var position = 0;
        for (var index = 0; index < written.Slices.Length; index++)
        {
            written.Slices[index].Span.CopyTo(bytes[position..]);
            position += written.Slices[index].Length;
        }

        for (var index = 0; index < events.Count; index++)
        {
            if (events[index] is ShardEvent.BatchAppended { batch: var batch } && batch.DataObject == written.DataObject)
            {
                BatchOffsets.Place(bytes.Slice(batch.Position, batch.Length), batch.BaseOffset);
            }
        }

        var key = new CacheKey(shard, written.DataObject is null ? entryNumber : 0, written.DataObject, CacheKey.Whole);
        return new KeptRecords(cache, key, block, lease);
    }

    private static bool EndsTogether(ReadOnlyMemory<byte> slice, ReadOnlyMemory<byte> bytes) =>
        slice.Span[^1..] == bytes.Span[^1..];

    /// <summary>The batches of a chunk from the one that holds the offset on, as many as fit.</summary>
    private static ReadOnlyMemory<byte> Cut(
        ReadOnlyMemory<byte> bytes,
        Chunk chunk,
        long offset,
        long endOffset,
        int maxBytes,
        bool atLeastOneBatch)
    {
        if (offset <= chunk.BaseOffset && chunk.LastOffset < endOffset && bytes.Length <= maxBytes)
        {
            return bytes;
        }

        var start = -1;
        var end = 0;
        foreach (var batch in new RecordBatches(bytes))
        {
            if (batch.Header.BaseOffset >= endOffset)
            {
                break;
            }

            if (start < 0)
            {
                if (batch.Header.LastOffset < offset)
                {
                    continue;
                }

                start = batch.Position;
                end = start;
                if (batch.TotalLength > maxBytes && !atLeastOneBatch)
                {
                    break;
                }
            }
            else if (batch.Position + batch.TotalLength - start > maxBytes)
            {
                break;
            }

            end = batch.Position + batch.TotalLength;
        }

        return start < 0 ? ReadOnlyMemory<byte>.Empty : bytes[start..end];
    }

    private CacheKey Key(Chunk chunk, int position) => chunk.Source.IsInlineEntry
        ? new CacheKey(shard, chunk.Source.entryNumber, null, position)
        : new CacheKey(shard, 0, chunk.Source.ObjectName, position);

    private ReadOnlyMemory<byte> Cached(Chunk chunk, RecordLease lease)
    {
        if (cache.TryGet(Key(chunk, CacheKey.Whole), lease, out var whole))
        {
            return Placed(whole.Slice(chunk.Position, chunk.Length), chunk);
        }

        // A chunk can have grown since it was cached: batches of one entry that follow one another become one chunk.
        return cache.TryGet(Key(chunk, chunk.Position), lease, out var part) && part.Length == chunk.Length ? Placed(part, chunk) : default;
    }

    /// <summary>
    /// A chunk's bytes with its own offsets: the markers of one transaction share their bytes, and cached ones have the offsets of another
    /// partition or none.
    /// </summary>
    private static ReadOnlyMemory<byte> Placed(ReadOnlyMemory<byte> bytes, Chunk chunk)
    {
        if (RecordBatchHeader.TryRead(bytes.Span, out var first)
            && first.BaseOffset == chunk.BaseOffset
            && first.PartitionLeaderEpoch == BatchOffsets.LeaderEpoch)
        {
            return bytes;
        }

        var placed = bytes.ToArray();
        BatchOffsets.Place(placed, chunk.BaseOffset);
        return placed;
    }

    /// <summary>
    /// How much to read in advance: until the reader comes back to this partition, it loads as much of each of its others, and what was read in advance
    /// must be in the cache still.
    /// </summary>
    private long ReadAhead(ReadLimits limits) =>
        Math.Clamp((cache.CapacityBytes / 2 / Math.Max(1, limits.Partitions)) - limits.MaxBytes, 0, readAheadBytes);

    /// <summary>Asks for the chunks that a read wants, and for those that the next one will want, side by side.</summary>
    /// <param name="chunks">All.</param>
    /// <param name="first">The first that is wanted.</param>
    /// <param name="endOffset">Those that begin there or later are not wanted.</param>
    /// <param name="wantedBytes">So many bytes are wanted …</param>
    /// <param name="aheadBytes">… and so many after them for the next read.</param>
    /// <param name="lease">This read's.</param>
    /// <returns>What is wanted: some of the chunks from the first on.</returns>
    private Queue<Task<ReadOnlyMemory<byte>>> Load(ChunkList chunks, int first, long endOffset, int wantedBytes, long aheadBytes, RecordLease lease)
    {
        var loads = new Queue<Task<ReadOnlyMemory<byte>>>();
        var end = Math.Min(chunks.Count, first + MaxParallelLoads);
        for (var index = first; index < end; index++)
        {
            var chunk = chunks[index];
            if (index == first || (wantedBytes > 0 && chunk.BaseOffset < endOffset))
            {
                wantedBytes -= chunk.Length;
                var bytes = Cached(chunk, lease);
                loads.Enqueue(bytes.IsEmpty ? LoadAsync(chunk, lease) : Task.FromResult(bytes));
                continue;
            }

            wantedBytes = 0;
            aheadBytes -= chunk.Length;
            if (aheadBytes < 0 || !TryLoadAhead(chunk))
            {
                break;
            }
        }

        return loads;
    }

    /// <summary>Asks for a chunk that the next read will want; false if there is no place for it.</summary>
    private bool TryLoadAhead(Chunk chunk)
    {
        using var looking = new RecordLease();
        if (!Cached(chunk, looking).IsEmpty)
        {
            return true;
        }

        if (!cache.Ahead.TryHold(chunk.Length))
        {
            return false;
        }

        _ = LoadAheadAsync(chunk);
        return true;
    }

    private async Task LoadAheadAsync(Chunk chunk)
    {
        try
        {
            // A failure is told to whoever reads the chunk.
            await LoadAsync(chunk, lease: null).Settled();
        }
        finally
        {
            cache.Ahead.Release(chunk.Length);
        }
    }

    private Task<ReadOnlyMemory<byte>> LoadAsync(Chunk chunk, RecordLease? lease)
    {
        var key = Key(chunk, chunk.Position);
        Loading? mine = null;
        lock (_loading)
        {
            if (!_loading.TryGetValue(key, out var loading))
            {
                loading = mine = new Loading();
                _loading.Add(key, mine);
            }

            if (lease is not null)
            {
                loading.Leases.Add(lease);
            }

            if (mine is null)
            {
                return SharedAsync(loading.Task, chunk);
            }
        }

        _ = CompleteAsync(key, chunk, mine);
        return mine.Task;
    }

    /// <summary>What another load of the same place brings, unless the chunk has grown since that one began.</summary>
    private async Task<ReadOnlyMemory<byte>> SharedAsync(Task<ReadOnlyMemory<byte>> running, Chunk chunk)
    {
        var bytes = await running;
        if (bytes.Length == chunk.Length)
        {
            return Placed(bytes, chunk);
        }

        var own = GC.AllocateUninitializedArray<byte>(chunk.Length);
        await ReadFromStoreAsync(chunk, own);
        return own;
    }

    private async Task CompleteAsync(CacheKey key, Chunk chunk, Loading loading)
    {
        using var own = new RecordLease();
        try
        {
            // Another load may have ended between the look into the cache and this one's beginning.
            ReadOnlyMemory<byte> bytes = Cached(chunk, own).ToArray();
            var block = default(RecordCache.Block?);
            if (bytes.IsEmpty)
            {
                block = cache.Reserve(chunk.Length, own);
                if (block is null && IsUnwanted(key, loading))
                {
                    loading.SetCanceled();
                    return;
                }

                var loaded = block is { } reserved ? reserved.Memory : GC.AllocateUninitializedArray<byte>(chunk.Length);
                await ReadFromStoreAsync(chunk, loaded);
                bytes = loaded;
            }

            lock (_loading)
            {
                _loading.Remove(key);
                if (block is { } written)
                {
                    cache.Publish(key, written);
                    cache.Share(written, loading.Leases);
                }
            }

            loading.SetResult(bytes);
        }
        catch (Exception failure)
        {
            lock (_loading)
            {
                _loading.Remove(key);
            }

            loading.SetException(failure);
        }
    }

    /// <summary>Whether nobody waits for it yet; it is over then.</summary>
    private bool IsUnwanted(CacheKey key, Loading loading)
    {
        lock (_loading)
        {
            return loading.Leases.Count == 0 && _loading.Remove(key);
        }
    }

    /// <summary>Reads a chunk and sets its offsets.</summary>
    private async ValueTask ReadFromStoreAsync(Chunk chunk, Memory<byte> bytes)
    {
        // Shared by all who wait for it, so that none of them may cancel it; the store has time limits of its own.
        if (chunk.Source.IsInlineEntry)
        {
            await log.ReadPayloadAsync(chunk.Source.entryNumber, chunk.Position, bytes, CancellationToken.None);
        }
        else
        {
            await blobs.ReadAsync(chunk.Source.ObjectName!, chunk.Position, bytes, CancellationToken.None);
        }

        if (!chunk.Source.IsSegment)
        {
            BatchOffsets.Place(bytes.Span, chunk.BaseOffset);
        }
    }

    /// <summary>A load under way, and the leases of those who wait for it.</summary>
    private sealed class Loading() : TaskCompletionSource<ReadOnlyMemory<byte>>(TaskCreationOptions.RunContinuationsAsynchronously)
    {
        public List<RecordLease> Leases { get; } = [];
    }
}
