using System.Runtime.CompilerServices;
using Tansu.Adapters.Ports;
using Tansu.Codec;
using Tansu.Codec.Storage;

namespace Tansu.Adapters.Replica;

/// <summary>An entry as it is stored.</summary>
/// <param name="Number">Its number.</param>
/// <param name="TimeMs">Its time, in milliseconds since 1970; -1 if it cannot be read.</param>
/// <param name="CommitId">Who wrote it and its how many-th commit it was; empty if it cannot be read.</param>
/// <param name="HeadBytes">The length of header and events.</param>
/// <param name="PayloadBytes">The length of the records in it.</param>
/// <param name="Events">Its events, as far as they can be read.</param>
/// <param name="Problem">Why it cannot be read to its end; null if it can.</param>
public sealed record StoredEntry(
    long Number, long TimeMs, string CommitId, int HeadBytes, int PayloadBytes, IReadOnlyList<StoredEvent> Events, string? Problem);

/// <summary>A snapshot as it is stored, in numbers.</summary>
/// <param name="Number">The last entry that it includes.</param>
/// <param name="TimeMs">The time of that entry, in milliseconds since 1970; -1 if it cannot be read.</param>
/// <param name="Bytes">Its length.</param>
/// <param name="Counts">How many of what are in it, by name.</param>
/// <param name="Problem">Why it cannot be read; null if it can.</param>
public sealed record StoredSnapshot(
    long Number, long TimeMs, int Bytes, IReadOnlyList<(string Name, long Count)> Counts, string? Problem);

/// <summary>Shows what a log holds, without taking part in the cluster: nothing is written, and no state is computed.</summary>
/// <param name="log">The log.</param>
public sealed class StoredLog(IEventLog log)
{
    /// <summary>The name of the log that knows topics and nodes; the others are shards.</summary>
    public const string CatalogName = "catalog";

    private const int EntriesAtOnce = 256;
    private const int MaxStoredElements = 100_000_000;

    private bool IsCatalog => log.Name == CatalogName;

    /// <summary>The entries, ascending, up to where the log ended at some moment.</summary>
    /// <param name="from">The number of the first; 0 for the oldest that is there.</param>
    /// <param name="cancellationToken">Ends it.</param>
    /// <exception cref="EntryMissingException">That entry was trimmed.</exception>
    public async IAsyncEnumerable<StoredEntry> EntriesAsync(long from, [EnumeratorCancellation] CancellationToken cancellationToken)
    {
        var after = (from > 0 ? from : await OldestAsync(cancellationToken).ConfigureAwait(false)) - 1;
        while (true)
        {
            var heads = await log.ReadHeadsAsync(after, EntriesAtOnce, cancellationToken).ConfigureAwait(false);
            foreach (var head in heads)
            {
                yield return Decode(head);
                after = head.Number;
            }

            if (heads.IsEnd)
            {
                yield break;
            }
        }
    }

    /// <summary>The snapshots that the store keeps, the newest first.</summary>
    public async IAsyncEnumerable<StoredSnapshot> SnapshotsAsync([EnumeratorCancellation] CancellationToken cancellationToken)
    {
        var below = long.MaxValue;
        while (await log.LoadSnapshotAsync(below, cancellationToken).ConfigureAwait(false) is { } snapshot)
        {
            yield return Decode(snapshot);
            below = snapshot.Number;
        }
    }

    // Trimmed is what comes before some number, and never an entry after the newest snapshot.
    private async Task<long> OldestAsync(CancellationToken cancellationToken)
    {
        var newest = await log.LoadSnapshotAsync(long.MaxValue, cancellationToken).ConfigureAwait(false);
        var low = 1L;
        var high = newest is null ? 1 : newest.Number + 1;
        while (low < high)
        {
            var middle = low + ((high - low) / 2);
            if (await IsThereAsync(middle, cancellationToken).ConfigureAwait(false))
            {
                high = middle;
            }
            else
            {
                low = middle + 1;
            }
        }

        return low;
    }

    private async Task<bool> IsThereAsync(long number, CancellationToken cancellationToken)
    {
        try
        {
            await log.ReadHeadsAsync(number - 1, 1, cancellationToken).ConfigureAwait(false);
            return true;
        }
        catch (EntryMissingException)
        {
            return false;
        }
    }

    private StoredEntry Decode(EntryHead head)
    {
        var events = new List<StoredEvent>();
        var timeMs = -1L;
        var commitId = "";
        string? problem = null;
        try
        {
            var reader = new KafkaReader(head.Head, MaxStoredElements);
            RequireFormat(reader.ReadInt16());
            var header = EntryHeader.Read(ref reader, EntryHeader.HighestVersion);
            timeMs = header.TimeMs;
            commitId = $"{header.WriterNonce:N}/{header.CommitNumber}";
            for (var index = 0; index < header.EventCount; index++)
            {
                events.Add(IsCatalog ? StoredEvents.ReadCatalog(ref reader) : StoredEvents.ReadShard(ref reader));
            }

            reader.RequireEnd();
        }
        catch (KafkaFormatException malformed)
        {
            problem = malformed.Message.TrimEnd('.');
        }

        return new StoredEntry(head.Number, timeMs, commitId, head.Head.Length, head.PayloadLength, events, problem);
    }

    private StoredSnapshot Decode(Snapshot snapshot)
    {
        var timeMs = -1L;
        try
        {
            var reader = new KafkaReader(snapshot.Content, MaxStoredElements);
            RequireFormat(reader.ReadInt16());
            timeMs = SnapshotHeader.Read(ref reader, SnapshotHeader.HighestVersion).TimeMs;
            var counts = IsCatalog
                ? CountsOf(EventFrame.Read<CatalogSnapshot>(ref reader))
                : CountsOf(EventFrame.Read<ShardSnapshot>(ref reader));
            reader.RequireEnd();
            return new StoredSnapshot(snapshot.Number, timeMs, snapshot.Content.Length, counts, null);
        }
        catch (KafkaFormatException malformed)
        {
            return new StoredSnapshot(snapshot.Number, timeMs, snapshot.Content.Length, [], malformed.Message.TrimEnd('.'));
        }
    }

    private static void RequireFormat(short version)
    {
        if (version is < 1 or > EntryCodec<object, object>.FormatVersion)
        {
            throw new KafkaFormatException($"its format version is {version}");
        }
    }

    private static (string, long)[] CountsOf(CatalogSnapshot state) =>
    [
        ("topics", state.Topics.Length),
        ("partitions", state.Topics.Sum(topic => (long)topic.PartitionCount)),
        ("topicsBeingRemoved", state.Topics.Count(topic => topic.BeingRemoved)),
        ("nodes", state.Nodes.Length),
        ("nextProducerId", state.NextProducerId),
    ];

    private static (string, long)[] CountsOf(ShardSnapshot state) =>
    [
        ("partitions", state.Partitions.Length),
        ("chunks", state.Partitions.Sum(partition => (long)partition.Chunks.Length)),
        ("pages", state.Partitions.Sum(partition => (long)partition.Pages.Length)),
        ("recordBytes", state.Partitions.Sum(partition => partition.Chunks.Sum(chunk => (long)chunk.Length) + partition.Pages.Sum(page => page.RecordBytes))),
        ("producers", state.Partitions.Sum(partition => (long)partition.Producers.Length)),
        ("openTransactions", state.Partitions.Sum(partition => (long)partition.OpenTransactions.Length)),
        ("abortedTransactions", state.Partitions.Sum(partition => (long)partition.AbortedTransactions.Length)),
        ("groups", state.Groups.Length),
        ("transactionalIds", state.Transactions.Length),
        ("dataObjects", state.DataObjects.Length),
        ("garbageObjects", state.Garbage.Length),
        ("removedTopics", state.RemovedTopics.Length),
    ];
}
