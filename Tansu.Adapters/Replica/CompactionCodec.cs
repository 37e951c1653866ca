using Tansu.Codec;
using Tansu.Codec.Storage;
using Tansu.Domain;

namespace Tansu.Adapters.Replica;

/// <summary>The stored form of what compactors do, and of index pages.</summary>
internal static class CompactionCodec
{
    public static ChunksReplacedEvent ToStored(ChunksReplaced replaced)
    {
        var objects = new ObjectTable();
        return new ChunksReplacedEvent
        {
            TopicId = replaced.Partition.TopicId.Value,
            Partition = replaced.Partition.Partition,
            FirstOffset = replaced.FirstOffset,
            LastOffset = replaced.LastOffset,
            CleanedToOffset = replaced.CleanedToOffset,
            MarkersRemovedBelow = replaced.MarkersRemovedBelow,
            Pages = Array.ConvertAll(replaced.Pages, page => new ChunksReplacedEvent.Page
            {
                BaseOffset = page.BaseOffset,
                LastOffset = page.LastOffset,
                Object = objects.IndexOf(page.ObjectName),
                Position = page.Position,
                Length = page.Length,
                ChunkCount = page.ChunkCount,
                RecordBytes = page.RecordBytes,
                MaxTimestampMs = page.MaxTimestampMs,
            }),
            Chunks = Array.ConvertAll(replaced.Chunks, chunk => new ChunksReplacedEvent.Chunk
            {
                BaseOffset = chunk.BaseOffset,
                LastOffset = chunk.LastOffset,
                Object = objects.IndexOf(chunk.Source.ObjectName!),
                Position = chunk.Position,
                Length = chunk.Length,
                MaxTimestampMs = chunk.MaxTimestampMs,
            }),
            PagedReferences = Array.ConvertAll(replaced.PagedReferences, reference => new ChunksReplacedEvent.Reference
            {
                Object = objects.IndexOf(reference.Item1),
                Count = reference.Item2,
            }),
            Objects = objects.Names(),
        };
    }

    public static ChunksReplaced FromStored(ChunksReplacedEvent stored) => new(
        ShardCodec.Key(stored.TopicId, stored.Partition),
        stored.FirstOffset,
        stored.LastOffset,
        Array.ConvertAll(stored.Pages, page => new IndexPage(
            page.BaseOffset,
            page.LastOffset,
            ObjectTable.NameOf(stored.Objects, page.Object),
            page.Position,
            page.Length,
            page.ChunkCount,
            page.RecordBytes,
            page.MaxTimestampMs)),
        Array.ConvertAll(stored.Chunks, chunk => new Chunk(
            chunk.BaseOffset,
            chunk.LastOffset,
            ChunkSource.NewSegment(ObjectTable.NameOf(stored.Objects, chunk.Object)),
            chunk.Position,
            chunk.Length,
            chunk.MaxTimestampMs)),
        Array.ConvertAll(stored.PagedReferences, reference => (ObjectTable.NameOf(stored.Objects, reference.Object), reference.Count)),
        stored.CleanedToOffset,
        stored.MarkersRemovedBelow);

    public static PageFreedEvent ToStored(PageToFree freed)
    {
        var objects = new ObjectTable();
        return new PageFreedEvent
        {
            Page = new PageFreedEvent.FreedPage
            {
                BaseOffset = freed.Page.BaseOffset,
                LastOffset = freed.Page.LastOffset,
                Object = objects.IndexOf(freed.Page.ObjectName),
                Position = freed.Page.Position,
                Length = freed.Page.Length,
                ChunkCount = freed.Page.ChunkCount,
                RecordBytes = freed.Page.RecordBytes,
                MaxTimestampMs = freed.Page.MaxTimestampMs,
            },
            References = Array.ConvertAll(freed.References, reference => new PageFreedEvent.Reference
            {
                Object = objects.IndexOf(reference.Item1),
                Count = reference.Item2,
            }),
            Objects = objects.Names(),
        };
    }

    public static PageToFree FromStored(PageFreedEvent stored) => new(
        new IndexPage(
            stored.Page.BaseOffset,
            stored.Page.LastOffset,
            ObjectTable.NameOf(stored.Objects, stored.Page.Object),
            stored.Page.Position,
            stored.Page.Length,
            stored.Page.ChunkCount,
            stored.Page.RecordBytes,
            stored.Page.MaxTimestampMs),
        Array.ConvertAll(stored.References, reference => (ObjectTable.NameOf(stored.Objects, reference.Object), reference.Count)));

    /// <summary>The bytes of an index page: the chunks that it lists.</summary>
    public static byte[] EncodePage(IReadOnlyList<Chunk> chunks)
    {
        var objects = new ObjectTable();
        var stored = new IndexPageContent.Chunk[chunks.Count];
        for (var index = 0; index < stored.Length; index++)
        {
            var chunk = chunks[index];
            stored[index] = new IndexPageContent.Chunk
            {
                BaseOffset = chunk.BaseOffset,
                LastOffset = chunk.LastOffset,
                Object = objects.IndexOf(chunk.Source.ObjectName!),
                Position = chunk.Position,
                Length = chunk.Length,
                MaxTimestampMs = chunk.MaxTimestampMs,
                IsSegment = chunk.Source.IsSegment,
            };
        }

        using var writer = new KafkaWriter();
        EventFrame.WriteVersioned(writer, new IndexPageContent { Objects = objects.Names(), Chunks = stored });
        return writer.ToArray();
    }

    /// <summary>The chunks that an index page lists.</summary>
    /// <exception cref="KafkaFormatException">The bytes are no page, or of a newer version.</exception>
    public static Chunk[] DecodePage(ReadOnlyMemory<byte> bytes)
    {
        var reader = new KafkaReader(bytes);
        var content = EventFrame.Read<IndexPageContent>(ref reader);
        return Array.ConvertAll(content.Chunks, chunk => new Chunk(
            chunk.BaseOffset,
            chunk.LastOffset,
            Source(ObjectTable.NameOf(content.Objects, chunk.Object), chunk.IsSegment),
            chunk.Position,
            chunk.Length,
            chunk.MaxTimestampMs));
    }

    public static ChunkSource Source(string name, bool isSegment) => isSegment ? ChunkSource.NewSegment(name) : ChunkSource.NewDataObject(name);
}
