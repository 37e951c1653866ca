using Tansu.Adapters.Ports;
using Tansu.Adapters.Reading;
using Tansu.Adapters.Replica;
using Tansu.Codec.Records;
using Tansu.Domain;

namespace Tansu.Adapters.Compaction;

using ShardReplica = Replica<ShardState, ShardCommand, ShardEvent, ShardReply>;

/// <summary>What the parts of a pass share: the shard, ways to read and write it, and what has been done.</summary>
internal sealed class CompactionScope : IDisposable
{
    private readonly CompactorOptions _options;
    private long _namedAtMs = long.MaxValue;
    private long _movedBytes;

    public CompactionScope(ShardReplica replica, RecordsReader reader, IEventLog log, IBlobStore blobs, SegmentNames names, CompactorOptions options)
    {
        _options = options;
        Replica = replica;
        Reader = reader;
        Blobs = blobs;
        Names = names;
        Loader = new ChunkLoader(log, blobs, reader, Memory, options.ParallelReads, options.MemoryBytes);
        Writer = new SegmentWriter(blobs, names, options.Limits);
    }

    /// <summary>Memory for records, which is used again as long as the pass lasts.</summary>
    public NativeBlocks Memory { get; } = new();

    public ShardReplica Replica { get; }

    public RecordsReader Reader { get; }

    public IBlobStore Blobs { get; }

    public SegmentNames Names { get; }

    public CompactionLimits Limits => _options.Limits;

    public ChunkLoader Loader { get; }

    public SegmentWriter Writer { get; }

    public ShardState State => Replica.Current.State;

    public CompactionCounts Counts { get; private set; }

    /// <summary>Gives the memory back.</summary>
    public void Dispose() => Memory.Dispose();

    /// <summary>Counts what has been done, what the loader and the writer did among it.</summary>
    public void Count(CompactionCounts more) => Counts += more;

    /// <summary>
    /// Puts what the writer holds into the store. What is proposed next refers to it.
    /// </summary>
    public async ValueTask PutSegmentAsync(CancellationToken cancellationToken)
    {
        if (Writer.Length == 0)
        {
            return;
        }

        Count(new CompactionCounts { ObjectsWritten = 1, WrittenBytes = Writer.Length });
        _namedAtMs = Math.Min(_namedAtMs, Writer.NamedAtMs);
        await Writer.PutAsync(cancellationToken);
    }

    /// <summary>Puts index pages, laid end to end, into the store as one object.</summary>
    public async ValueTask PutPagesAsync(string name, long namedAtMs, List<byte[]> pages, CancellationToken cancellationToken)
    {
        var slices = new ReadOnlyMemory<byte>[pages.Count];
        long length = 0;
        for (var index = 0; index < slices.Length; index++)
        {
            slices[index] = pages[index];
            length += pages[index].Length;
        }

        Count(new CompactionCounts { ObjectsWritten = 1, WrittenBytes = length });
        _namedAtMs = Math.Min(_namedAtMs, namedAtMs);
        await Blobs.PutAsync(name, Sequences.Of(slices), cancellationToken);
    }

    /// <summary>Proposes what was written since the last proposal. The answer says for each whether it was taken.</summary>
    public async Task<bool[]> ReplaceAsync(List<ChunksToReplace> requests)
    {
        var namedAtMs = _namedAtMs;
        _namedAtMs = long.MaxValue;
        foreach (var request in requests)
        {
            foreach (var chunk in request.OldChunks)
            {
                _movedBytes += chunk.Source.IsInlineEntry ? chunk.Length : 0;
            }
        }

        if (_movedBytes >= _options.SnapshotAfterBytes)
        {
            _movedBytes = 0;
            Replica.WantSnapshot();
        }

        var reply = (ShardReply.ReplacementsJudged)await SubmitAsync(ShardCommand.NewReplaceChunks([.. requests], namedAtMs));
        for (var index = 0; index < requests.Count; index++)
        {
            if (reply.areMade[index])
            {
                Count(new CompactionCounts
                {
                    ChunksReplaced = requests[index].OldChunks.Length,
                    ChunksMade = requests[index].New.Chunks.Length,
                });
            }
        }

        return reply.areMade;
    }

    /// <summary>Tells that a partition's records are damaged: they are left as they are, for whoever can repair the store.</summary>
    public void TellDamaged(TopicPartition partition, RecordFormatException damaged) => _options.OnNotice?.Invoke(
        $"partition {partition.Partition} of topic {partition.TopicId.Value}: {damaged.Message}; it is not compacted");

    /// <exception cref="TimeoutException">The store does not answer in time.</exception>
    public Task<ShardReply> SubmitAsync(ShardCommand command) => Replica.SubmitAsync(command, Payload.None, _options.StoreTimeout);
}
