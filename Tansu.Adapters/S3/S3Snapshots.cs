using System.Buffers;
using Tansu.Adapters.Ports;

namespace Tansu.Adapters;

/// <summary>The snapshots of one log, of which the hint names the newest three.</summary>
internal sealed class S3Snapshots(S3Client client, S3Keys keys, S3Hints hints, string logName)
{
    public async Task SaveAsync(long number, ReadOnlySequence<byte> content, CancellationToken cancellationToken)
    {
        var bytes = S3Frame.Make(S3Kind.Snapshot, number, content, ReadOnlySequence<byte>.Empty);
        await client.PutAsync(keys.Snapshot(number), new ReadOnlySequence<byte>(bytes), cancellationToken).ConfigureAwait(false);
        HashSet<long> dropped = [];
        var version = await hints.ChangeAsync(
            found =>
            {
                var next = found.Hint.WithSnapshot(number);

                // All tries together: one of which nothing was heard may have been the one that dropped something.
                dropped.UnionWith(found.Hint.Snapshots.Append(number).Except(next.Snapshots));
                return next;
            },
            cancellationToken).ConfigureAwait(false);
        dropped.ExceptWith(version.Hint.Snapshots);
        await client.DeleteAsync([.. dropped.Select(keys.Snapshot)], cancellationToken).ConfigureAwait(false);
    }

    /// <summary>The newest undamaged one below a number, of those that the hint names, or else of all.</summary>
    public async Task<Snapshot?> LoadAsync(S3Hint hint, long belowNumber, CancellationToken cancellationToken)
    {
        var tried = new HashSet<long>();
        foreach (var number in hint.Snapshots.Where(number => number < belowNumber))
        {
            tried.Add(number);
            if (await ReadAsync(number, cancellationToken).ConfigureAwait(false) is { } found)
            {
                return found;
            }
        }

        if (tried.Count == 0)
        {
            return null;
        }

        // What the hint names is damaged or gone: perhaps there is something that it does not name.
        foreach (var number in await hints.ListSnapshotsAsync(cancellationToken).ConfigureAwait(false))
        {
            if (number < belowNumber && tried.Add(number) && await ReadAsync(number, cancellationToken).ConfigureAwait(false) is { } found)
            {
                return found;
            }
        }

        return null;
    }

    private async Task<Snapshot?> ReadAsync(long number, CancellationToken cancellationToken)
    {
        var found = await client.GetAsync(keys.Snapshot(number), long.MaxValue, cancellationToken).ConfigureAwait(false);
        if (found is not null && S3Frame.Open(found.Bytes, S3Kind.Snapshot, number) is { } content)
        {
            return new Snapshot(number, content);
        }

        var finding = found is null ? "missing" : "damaged, or of a newer format";
        client.Notice($"Log {logName}: the snapshot {keys.Snapshot(number)} is {finding}; an older one is used, or the log from its start.");
        return null;
    }
}
