using System.Buffers;
using System.Diagnostics;
using System.Globalization;
using Tansu.Adapters;
using Tansu.Adapters.Reading;
using Tansu.Adapters.Replica;
using Tansu.Domain;

namespace Tansu.Benchmarks;

/// <summary>
/// How large the index of one shard is after a year: 10,000 partitions whose chunks are decided, merged and moved into index pages by the rules that a
/// broker runs; only the bytes of the records are not there. Its snapshot, and what it costs to start from it.
/// </summary>
internal static class SnapshotSizeBenchmark
{
    public static async Task<int> RunAsync(string[] arguments)
    {
        var partitions = arguments.Length > 0 ? int.Parse(arguments[0], CultureInfo.InvariantCulture) : 10_000;
        Console.WriteLine("| partitions | a partition gets | in a year | chunks in state | pages | objects | snapshot | a partition | encode | decode | open (File) | managed memory | a fetch from the start reads |");
        Console.WriteLine("|---|---|---|---|---|---|---|---|---|---|---|---|---|");
        foreach (var bytesPerHour in new[] { 1024, 16 * 1024, 64 * 1024 })
        {
            await MeasureAsync(partitions, bytesPerHour);
        }

        return 0;
    }

    private static async Task MeasureAsync(int partitions, int bytesPerHour)
    {
        var directory = Path.Combine(Path.GetTempPath(), "tansu-snapshot-" + Guid.NewGuid().ToString("N"));
        try
        {
            var made = await MakeAsync(directory, partitions, bytesPerHour);
            var before = GC.GetTotalMemory(forceFullCollection: true);
            var begun = Stopwatch.GetTimestamp();
            await using var store = await FileStore.OpenAsync(directory, StoreOptions.Default, CancellationToken.None);
            await using var replica = await OpenAsync(store);
            var open = Stopwatch.GetElapsedTime(begun);
            var held = GC.GetTotalMemory(forceFullCollection: true) - before;
            var first = replica.Current.State.Partitions.Values.First();
            var chunks = replica.Current.State.Partitions.Values.Sum(static partition => (long)partition.Chunks.Count);
            var pages = replica.Current.State.Partitions.Values.Sum(static partition => (long)partition.Pages.Count);
            var page = first.Pages.Count > 0 ? $"1 page of {first.Pages[0].Length / 1024.0:F1} KiB, then its chunk" : "its chunk";
            Console.WriteLine(string.Create(
                CultureInfo.InvariantCulture,
                $"| {partitions} | {bytesPerHour / 1024} KiB/h | {bytesPerHour * 8760L / 1048576.0:F0} MiB | {chunks} | {pages} | {replica.Current.State.Objects.Count} | {made.Bytes / 1048576.0:F1} MiB "
                + $"| {(double)made.Bytes / partitions:F0} bytes | {made.Encode.TotalSeconds:F2} s | {made.Decode.TotalSeconds:F2} s | {open.TotalSeconds:F2} s | {held / 1048576.0:F0} MiB | {page} |"));
        }
        finally
        {
            Directory.Delete(directory, recursive: true);
        }
    }

    /// <summary>A log whose snapshot is the year's state, and nothing else: the snapshot's size, and what it costs to encode and to decode it.</summary>
    private static async Task<(int Bytes, TimeSpan Encode, TimeSpan Decode)> MakeAsync(string directory, int partitions, int bytesPerHour)
    {
        await using var store = await FileStore.OpenAsync(directory, StoreOptions.Default, CancellationToken.None);
        var log = await store.OpenLogAsync("shard-0", CancellationToken.None);
        var entries = new EntryCodec<ShardState, ShardEvent>(new ShardCodec(), log.Name);
        var head = entries.EncodeEntry(new CommitId(Guid.NewGuid(), 1), 1, []);
        await log.TryAppendAsync(1, new ReadOnlySequence<byte>(head), ReadOnlySequence<byte>.Empty, CancellationToken.None);
        var year = new Published<ShardState>(Year.Make(partitions, bytesPerHour), 1, 1);
        var begun = Stopwatch.GetTimestamp();
        using var encoded = entries.EncodeSnapshot(year);
        var encode = Stopwatch.GetElapsedTime(begun);
        await log.SaveSnapshotAsync(1, encoded.Payload(), CancellationToken.None);
        var snapshot = encoded.ToArray();
        begun = Stopwatch.GetTimestamp();
        GC.KeepAlive(entries.DecodeSnapshot(snapshot));
        return (snapshot.Length, encode, Stopwatch.GetElapsedTime(begun));
    }

    private static async Task<Replica<ShardState, ShardCommand, ShardEvent, ShardReply>> OpenAsync(FileStore store)
    {
        var log = await store.OpenLogAsync("shard-0", CancellationToken.None);
        var reader = new RecordsReader(0, log, store.Blobs, new RecordCache(0), 0);
        return await Replica<ShardState, ShardCommand, ShardEvent, ShardReply>.OpenAsync(
            log,
            store.Blobs,
            new ShardDecider(new ShardSettings(86_400_000, GroupSettings.Default, TransactionSettings.Default)),
            new ShardCodec(),
            new ShardObserver(reader, new PartitionWaiters()),
            new ReplicaOptions(),
            CancellationToken.None);
    }
}
