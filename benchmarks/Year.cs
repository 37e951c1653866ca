using System.Collections.Immutable;
using Tansu.Adapters.Compaction;
using Tansu.Adapters.Replica;
using Tansu.Domain;

namespace Tansu.Benchmarks;

/// <summary>
/// A shard after a year in which each of its partitions got the same amount of records, evenly. One partition lives through the year by the real rules (a fresh
/// chunk with every pass or full job, merging, pages); the others have the same, in the segments that they would have shared.
/// </summary>
internal static class Year
{
    /// <summary>What half of the default memory of compaction holds: one job, and so one segment.</summary>
    private const long SegmentBytes = 16 * 1024 * 1024;
    private const int PassesPerHour = 12;
    private const int Hours = 365 * 24;
    private const int RecordBytes = 100;
    private static readonly CompactionLimits Limits = CompactionLimits.Default;

    private static readonly TopicId Topic = TopicId.NewTopicId(new Guid("c0ffee00-0000-0000-0000-000000000002"));
    private static readonly Guid Writer = new("c0ffee00-0000-0000-0000-000000000003");

    public static ShardState Make(int partitions, int bytesPerHour)
    {
        var freshBytes = (int)Math.Min(bytesPerHour / PassesPerHour, Math.Max(1, SegmentBytes / partitions));
        var fresh = (long)bytesPerHour * Hours / freshBytes;
        var one = new Life();
        for (var number = 1L; number <= fresh; number++)
        {
            one.Live(number, freshBytes);
        }

        return one.Spread(partitions);
    }

    /// <summary>What happens to one partition.</summary>
    private sealed class Life
    {
        private static readonly TopicPartition Key = new(Topic, 0);
        private readonly Dictionary<string, IReadOnlyList<Chunk>> _listed = [];
        private ShardState _state = Shard.initial;
        private long _objects;
        private long _timeMs = 1;

        private Partition Partition => Shard.partition(Key, _state);

        public void Live(long number, int bytes)
        {
            _timeMs++;
            var baseOffset = number * (bytes / RecordBytes + 1);
            Replace(baseOffset, baseOffset + (bytes / RecordBytes), [], [new Chunk(baseOffset, baseOffset + (bytes / RecordBytes), Segment(), 0, bytes, _timeMs)]);
            while (CompactionPlan.mergeJobs(Limits, SegmentBytes, _state) is { Length: > 0 } jobs)
            {
                foreach (var range in jobs.SelectMany(static job => job))
                {
                    var chunks = range.ToArray();
                    var length = chunks.Sum(static chunk => chunk.Length);
                    var name = Segment();
                    var parts = (length + Limits.MaxChunkBytes - 1) / Limits.MaxChunkBytes;
                    var made = new List<Chunk>();
                    for (var part = 0; part < parts; part++)
                    {
                        // Cut between the chunks that were merged.
                        var some = chunks[(chunks.Length * part / parts)..(chunks.Length * (part + 1) / parts)];
                        made.Add(new Chunk(some[0].BaseOffset, some[^1].LastOffset, name, 0, some.Sum(static chunk => chunk.Length), _timeMs));
                    }

                    Replace(chunks[0].BaseOffset, chunks[^1].LastOffset, [], [.. made]);
                }
            }

            if (CompactionPlan.toPage(Limits, Key, Partition) is { IsSome: true, Value: var paged })
            {
                MakePage(paged);
            }
        }

        /// <summary>Gives the same to so many partitions.</summary>
        public ShardState Spread(int partitions)
        {
            var names = new Dictionary<(string, long), string>();
            var counts = ImmutableDictionary.CreateBuilder<string, int>();
            var all = new List<KeyValuePair<TopicPartition, Partition>>(partitions);
            var bytesIn = Partition.Pages.SelectMany(page => _listed[page.ObjectName]).Concat(Partition.Chunks)
                .GroupBy(static chunk => chunk.Source.ObjectName!)
                .ToDictionary(static chunks => chunks.Key, static chunks => chunks.Sum(static chunk => (long)chunk.Length));
            for (var partition = 0; partition < partitions; partition++)
            {
                string NameOf(string name)
                {
                    // A page's object has the pages of all partitions.
                    var group = bytesIn.TryGetValue(name, out var bytes) ? partition * bytes / SegmentBytes : 0;
                    if (!names.TryGetValue((name, group), out var own))
                    {
                        names.Add((name, group), own = DataObjectName.Make("shard-0", 1_790_000_000_000 + names.Count, Writer, names.Count));
                    }

                    counts[own] = counts.GetValueOrDefault(own) + 1;
                    return own;
                }

                var pages = Partition.Pages.Select(page => new IndexPage(
                    page.BaseOffset, page.LastOffset, NameOf(page.ObjectName), page.Position, page.Length, page.ChunkCount, page.RecordBytes, page.MaxTimestampMs));
                var chunks = Partition.Chunks.Select(chunk => new Chunk(
                    chunk.BaseOffset, chunk.LastOffset, ChunkSource.NewSegment(NameOf(chunk.Source.ObjectName!)), chunk.Position, chunk.Length, chunk.MaxTimestampMs));
                all.Add(KeyValuePair.Create(
                    new TopicPartition(Topic, partition),
                    new Partition(
                        0, Partition.HighWatermark, [.. pages], ChunkList.CreateRange(chunks), 0, Partition.Producers, Partition.OpenTransactions, Partition.AbortedTransactions)));
                foreach (var chunk in Partition.Pages.SelectMany(page => _listed[page.ObjectName]))
                {
                    NameOf(chunk.Source.ObjectName!);
                }
            }

            var empty = Shard.initial;
            return new ShardState(
                PartitionTable.CreateRange(all), empty.RemovedTopics, empty.Groups, 0, counts.ToImmutable(), empty.Garbage, empty.DeadPages, empty.Compactor, empty.Transactions);
        }

        private ChunkSource Segment() => ChunkSource.NewSegment($"{++_objects}");

        private void MakePage(ChunkRange paged)
        {
            var listed = new List<Chunk>();
            IndexPage[] old = [];
            if (Partition.Pages.Count > 0 && Partition.Pages[^1] is var last && last.ChunkCount + paged.Count <= Limits.PageChunks)
            {
                old = [last];
                listed.AddRange(_listed[last.ObjectName]);
                _listed.Remove(last.ObjectName);
            }

            listed.AddRange(paged.ToArray());
            var (page, _) = IndexPager.Make($"{++_objects}", 0, listed);
            _listed.Add(page.ObjectName, listed);
            Replace(page.BaseOffset, page.LastOffset, [page], []);
        }

        private void Replace(long first, long last, IndexPage[] pages, Chunk[] chunks) => _state = Shard.evolve(
            _state,
            ShardEvent.NewChunksReplaced(new ChunksReplaced(Key, first, last, pages, chunks, [], 0, 0)),
            new EntryContext(_timeMs, _timeMs));
    }
}
