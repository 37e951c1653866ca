using Tansu.Adapters.Ports;

namespace Tansu.Adapters;

/// <summary>
/// Decides how many entries to ask for at once: one where there is probably none, more the more were found in a row.
/// </summary>
internal sealed class S3ReadAhead(S3Entries entries)
{
    private const int AtFirst = 16;
    private const int AtMost = 64;

    private int _found = AtFirst;
    private Ahead? _ahead;

    /// <summary>Begins to read entries that are about to be asked for.</summary>
    public void Start(long first, CancellationToken cancellationToken)
    {
        var reading = entries.ReadHeadsAsync(first, AtFirst, cancellationToken);
        reading.ContinueWith(
            static failed => _ = failed.Exception,
            CancellationToken.None,
            TaskContinuationOptions.OnlyOnFaulted | TaskContinuationOptions.ExecuteSynchronously,
            TaskScheduler.Default);
        Volatile.Write(ref _ahead, new Ahead(first, reading));
    }

    /// <summary>Heads from a number on; none only if there was none at a moment since the call.</summary>
    public async Task<EntryHeads> ReadAsync(long first, int maxEntries, CancellationToken cancellationToken)
    {
        if (Interlocked.Exchange(ref _ahead, null) is { } ahead
            && ahead.First == first
            && await FoundAsync(ahead.Reading, cancellationToken).ConfigureAwait(false) is { Count: > 0 } found)
        {
            Volatile.Write(ref _found, found.Count < AtFirst ? 1 : AtFirst);
            return new EntryHeads(found.Count <= maxEntries ? found : found.GetRange(0, maxEntries), isEnd: false);
        }

        var count = Math.Clamp(Volatile.Read(ref _found), 1, Math.Min(AtMost, maxEntries));
        var heads = await entries.ReadHeadsAsync(first, count, cancellationToken).ConfigureAwait(false);
        Volatile.Write(ref _found, heads.Count < count ? Math.Min(heads.Count, 1) : Math.Min(Volatile.Read(ref _found) + count, AtMost));
        return new EntryHeads(heads, isEnd: heads.Count < count);
    }

    /// <summary>What was found ahead of time; null when that failed. That there was none says nothing about now.</summary>
    private static async Task<List<EntryHead>?> FoundAsync(Task<List<EntryHead>> reading, CancellationToken cancellationToken)
    {
        try
        {
            return await reading.WaitAsync(cancellationToken).ConfigureAwait(false);
        }
        catch (Exception failure) when (failure is StoreUnavailableException or OperationCanceledException or ObjectDisposedException
            && !cancellationToken.IsCancellationRequested)
        {
            return null;
        }
    }

    private sealed record Ahead(long First, Task<List<EntryHead>> Reading);
}
