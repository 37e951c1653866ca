using System.Runtime.CompilerServices;
using Tansu.Adapters.Ports;
using Tansu.Codec;
using Tansu.Codec.Storage;

namespace Tansu.Adapters.Replica;

/// <summary>An entry as it is stored.</summary>
public sealed class StoredEntry
{
    /// <summary>Its number.</summary>
    public required long Number { get; init; }

    /// <summary>Its time, in milliseconds since 1970; -1 if it cannot be read.</summary>
    public required long TimeMs { get; init; }

    /// <summary>Who wrote it and its how many-th commit it was; empty if it cannot be read.</summary>
    public required string CommitId { get; init; }

    /// <summary>The length of header and events.</summary>
    public required int HeadBytes { get; init; }

    /// <summary>The length of the records in it.</summary>
    public required int PayloadBytes { get; init; }

    /// <summary>Its events, as far as they can be read.</summary>
    public required IReadOnlyList<StoredEvent> Events { get; init; }

    /// <summary>Why it cannot be read to its end; null if it can.</summary>
    public required string? Problem { get; init; }
}

/// <summary>A snapshot as it is stored, in numbers.</summary>
public sealed class StoredSnapshot
{
    /// <summary>The last entry that it includes.</summary>
    public required long Number { get; init; }

    /// <summary>The time of that entry, in milliseconds since 1970; -1 if it cannot be read.</summary>
    public required long TimeMs { get; init; }

    /// <summary>Its length.</summary>
    public required int Bytes { get; init; }

    /// <summary>How many of what are in it, by name.</summary>
    public required IReadOnlyList<KeyValuePair<string, long>> Counts { get; init; }

    /// <summary>Why it cannot be read; null if it can.</summary>
    public required string? Problem { get; init; }
}

/// <summary>Shows what a log holds, without taking part in the cluster: nothing is written, and no state is computed.</summary>
/// <param name="log">The log.</param>
public sealed class StoredLog(IEventLog log)
{
    /// <summary>The name of the log that knows topics and nodes; the others are shards.</summary>
    public const string CatalogName = "catalog";

    internal const int EntriesAtOnce = 256;
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

        return new StoredEntry
        {
            Number = head.Number,
            TimeMs = timeMs,
            CommitId = commitId,
            HeadBytes = head.Head.Length,
            PayloadBytes = head.PayloadLength,
            Events = events,
            Problem = problem,
        };
    }

    private StoredSnapshot Decode(Snapshot snapshot)
    {
        var timeMs = -1L;
        KeyValuePair<string, long>[] counts = [];
        string? problem = null;
        try
        {
            var reader = new KafkaReader(snapshot.Content, MaxStoredElements);
            RequireFormat(reader.ReadInt16());
            timeMs = SnapshotHeader.Read(ref reader, SnapshotHeader.HighestVersion).TimeMs;
            counts = IsCatalog
                ? CountsOf(EventFrame.Read<CatalogSnapshot>(ref reader))
                : CountsOf(EventFrame.Read<ShardSnapshot>(ref reader));
            reader.RequireEnd();
        }
        catch (KafkaFormatException malformed)
        {
            problem = malformed.Message.TrimEnd('.');
        }

        return new StoredSnapshot
        {
            Number = snapshot.Number,
            TimeMs = timeMs,
            Bytes = snapshot.Content.Length,
            Counts = counts,
            Problem = problem,
        };
    }

    private static void RequireFormat(short version)
    {
        if (version is < 1 or > EntryCodec<object, object>.FormatVersion)
        {
            throw new KafkaFormatException($"its format version is {version}");
        }
    }

    private static KeyValuePair<string, long>[] CountsOf(CatalogSnapshot state) =>
    [
        new("topics", state.Topics.Length),
        new("partitions", state.Topics.Sum(topic => (long)topic.PartitionCount)),
        new("topicsBeingRemoved", state.Topics.Count(topic => topic.BeingRemoved)),
        new("nodes", state.Nodes.Length),
        new("nextProducerId", state.NextProducerId),
    ];

    private static KeyValuePair<string, long>[] CountsOf(ShardSnapshot state) =>
    [
        new("partitions", state.Partitions.Length),
        new("chunks", state.Partitions.Sum(partition => (long)partition.Chunks.Count)),
        new("pages", state.Partitions.Sum(partition => (long)partition.Pages.Length)),
        new("recordBytes", state.Partitions.Sum(partition => partition.Chunks.Sum(chunk => (long)chunk.Length) + partition.Pages.Sum(page => page.RecordBytes))),
        new("producers", state.Partitions.Sum(partition => (long)partition.Producers.Length)),
        new("openTransactions", state.Partitions.Sum(partition => (long)partition.OpenTransactions.Length)),
        new("abortedTransactions", state.Partitions.Sum(partition => (long)partition.AbortedTransactions.Length)),
        new("groups", state.Groups.Length),
        new("transactionalIds", state.Transactions.Length),
        new("dataObjects", state.DataObjects.Length),
        new("garbageObjects", state.Garbage.Length),
        new("removedTopics", state.RemovedTopics.Length),
    ];
}
