using System.Buffers;
using System.Collections.Immutable;
using System.Globalization;
using Microsoft.FSharp.Collections;
using Microsoft.FSharp.Core;
using Tansu.Adapters;
using Tansu.Adapters.Replica;
using Tansu.Domain;

namespace Tansu.Benchmarks;

/// <summary>
/// A store's logs with many partitions and groups in them: topics of 100 partitions, each with four chunks in segments and one idempotent producer; groups of one
/// member, which share the partitions out and have committed an offset of each of theirs. There are no records in it.
/// </summary>
internal sealed class LargeState
{
    public const int PartitionsInTopic = 100;
    public const int Generation = 1;
    private const int Chunks = 4;
    private const int RecordsInChunk = 1000;
    private const int ChunkBytes = 100_000;
    private const int PartitionsInSegment = 40;
    private const int EventsInEntry = 100;
    private const long TimeMs = 1_790_000_000_000;

    private static readonly CatalogSettings Settings = new(shardCount: 1, maxPartitionsPerTopic: 10_000);
    private readonly Guid _writer = new("c0ffee00-0000-0000-0000-000000000004");
    private readonly byte[] _catalog;
    private readonly byte[] _shard;

    public LargeState(int partitions, int groups)
    {
        Partitions = partitions;
        Groups = groups;
        var catalog = Catalog.initial;
        for (var topic = 0; topic < partitions / PartitionsInTopic; topic++)
        {
            var created = CatalogEvent.NewTopicCreated(
                new Topic(IdOf(topic), TopicName(topic), PartitionsInTopic, 0, MapModule.Empty<string, string>(), TimeMs));
            catalog = Catalog.evolve(Settings, catalog, created);
        }

        _catalog = Snapshot(CatalogCodec, catalog);
        _shard = Snapshot(ShardCodec, MakeShard());
    }

    public int Partitions { get; }

    public int Groups { get; }

    public int SnapshotBytes => _catalog.Length + _shard.Length;

    private static EntryCodec<CatalogState, CatalogEvent> CatalogCodec => new(new CatalogCodec(Settings), "catalog");

    private static EntryCodec<ShardState, ShardEvent> ShardCodec => new(new ShardCodec(), "shard-0");

    public static string TopicName(int topic) => string.Create(CultureInfo.InvariantCulture, $"topic-{topic:D5}");

    public static string GroupId(int group) => string.Create(CultureInfo.InvariantCulture, $"group-{group:D5}");

    public static string MemberId(int group) => string.Create(CultureInfo.InvariantCulture, $"member-{group:D5}-c0ffee00-0000-0000-0000-000000000005");

    /// <summary>Makes a store of it.</summary>
    /// <param name="directory">Where.</param>
    /// <param name="eventBytes">How many bytes of events follow the snapshot, about.</param>
    public async Task WriteAsync(string directory, int eventBytes)
    {
        await using var store = await FileStore.OpenAsync(directory, StoreOptions.Default, CancellationToken.None);
        await using var catalog = await store.OpenLogAsync("catalog", CancellationToken.None);
        await catalog.TryAppendAsync(1, Sequence(CatalogCodec.EncodeEntry(new CommitId(_writer, 1), TimeMs, [])), default, CancellationToken.None);
        await catalog.SaveSnapshotAsync(1, Sequence(_catalog), CancellationToken.None);
        await using var shard = await store.OpenLogAsync("shard-0", CancellationToken.None);
        await shard.TryAppendAsync(1, Sequence(ShardCodec.EncodeEntry(new CommitId(_writer, 1), TimeMs, [])), default, CancellationToken.None);
        await shard.SaveSnapshotAsync(1, Sequence(_shard), CancellationToken.None);
        var next = 0;
        for (var (number, written) = (2L, 0); written < eventBytes; number++)
        {
            var events = Enumerable.Range(next, EventsInEntry).Select(NextBatch).ToList();
            var entry = ShardCodec.EncodeEntry(new CommitId(_writer, number), TimeMs, events);
            await shard.TryAppendAsync(number, Sequence(entry), default, CancellationToken.None);
            next += EventsInEntry;
            written += entry.Length;
        }
    }

    private static byte[] Snapshot<TState, TEvent>(EntryCodec<TState, TEvent> codec, TState state)
    {
        using var encoded = codec.EncodeSnapshot(new Published<TState>(state, 1, TimeMs));
        return encoded.ToArray();
    }

    private static ReadOnlySequence<byte> Sequence(ReadOnlyMemory<byte> bytes) => new(bytes);

    private static TopicId IdOf(int topic) => TopicId.NewTopicId(new Guid(topic, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1));

    private static TopicPartition Key(int partition) => new(IdOf(partition / PartitionsInTopic), partition % PartitionsInTopic);

    private static string Segment(int partition, int chunk) => string.Create(
        CultureInfo.InvariantCulture, $"data/shard-0/{TimeMs + (partition / PartitionsInSegment)}-c0ffee0000000000000000000000000{chunk}-1");

    private ShardEvent NextBatch(int number)
    {
        var partition = number % Partitions;
        var turn = number / Partitions;
        var baseOffset = (long)((Chunks + turn) * RecordsInChunk);
        return ShardEvent.NewBatchAppended(new BatchAppended(
            Key(partition),
            baseOffset,
            RecordsInChunk - 1,
            null,
            number % EventsInEntry * ChunkBytes,
            ChunkBytes,
            TimeMs,
            partition,
            0,
            (int)baseOffset,
            0));
    }

    private ShardState MakeShard()
    {
        var partitions = new List<KeyValuePair<TopicPartition, Partition>>(Partitions);
        var objects = ImmutableDictionary.CreateBuilder<string, int>();
        var empty = PartitionModule.empty;
        for (var partition = 0; partition < Partitions; partition++)
        {
            var chunks = new List<Chunk>(Chunks);
            for (var chunk = 0; chunk < Chunks; chunk++)
            {
                var segment = Segment(partition, chunk);
                objects[segment] = objects.GetValueOrDefault(segment) + 1;
                chunks.Add(new Chunk(
                    (long)chunk * RecordsInChunk,
                    ((long)(chunk + 1) * RecordsInChunk) - 1,
                    ChunkSource.NewSegment(segment),
                    partition % PartitionsInSegment * ChunkBytes,
                    ChunkBytes,
                    TimeMs));
            }

            var highWatermark = (long)Chunks * RecordsInChunk;
            var batches = Enumerable.Range(0, PartitionModule.RememberedBatches).Select(batch =>
                (int)highWatermark - ((PartitionModule.RememberedBatches - batch) * 10) is var first ? new ProducerBatch(first, first + 9, first) : default);
            var producer = new Producer(0, [.. batches], TimeMs, 0);
            partitions.Add(KeyValuePair.Create(
                Key(partition),
                new Partition(
                    0, highWatermark, empty.Pages, ChunkList.CreateRange(chunks), 0, empty.Producers.Add(partition, producer), empty.OpenTransactions, empty.AbortedTransactions)));
        }

        var groups = Enumerable.Range(0, Groups).Select(group => KeyValuePair.Create(GroupId(group), MakeGroup(group)));
        var initial = Shard.initial;
        return new ShardState(
            PartitionTable.CreateRange(partitions),
            initial.RemovedTopics,
            ImmutableDictionary.CreateRange(groups),
            0,
            objects.ToImmutable(),
            initial.Garbage,
            initial.DeadPages,
            initial.Compactor,
            initial.Transactions);
    }

    private Group MakeGroup(int group)
    {
        var memberId = MemberId(group);
        var member = new GroupMember(
            memberId, null, "bench", "/127.0.0.1", 1_800_000, 1_800_000, [new GroupProtocol("range", new byte[40])], new byte[60], false, 1, 0, 0);
        var share = Partitions / Groups;
        var offsets = Enumerable.Range(group * share, share)
            .Select(static partition => KeyValuePair.Create(Key(partition), new CommittedOffset(RecordsInChunk, -1, "", TimeMs)));
        return new Group(
            "consumer",
            GroupPhase.Stable,
            1,
            1,
            Generation,
            "range",
            memberId,
            new FSharpMap<string, GroupMember>([Tuple.Create(memberId, member)]),
            ImmutableDictionary.CreateRange(offsets),
            0,
            GroupModule.initial.Transactions);
    }
}
