namespace Tansu.Adapters;

/// <summary>
/// Deletes trimmed entries, in two steps: the hint announces them, and once the grace period has passed since, by the store's clock,
/// they are deleted by whoever trims next. The later step of one announcement comes before the next announcement.
/// </summary>
internal sealed class S3Trimmer(S3Client client, S3Keys keys, S3Hints hints, TimeSpan grace)
{
    /// <returns>The highest number that is known to exist or to have existed.</returns>
    public async Task<long> TrimAsync(long below, long tail, CancellationToken cancellationToken)
    {
        var version = await hints.ReadAsync(cancellationToken).ConfigureAwait(false);
        tail = Math.Max(tail, Math.Max(version.Hint.Newest, version.Hint.TrimBelow - 1));
        if (below - 1 > tail)
        {
            tail = await FindTailAsync(tail, cancellationToken).ConfigureAwait(false);
            below = Math.Min(below, tail + 1);
        }

        await DeleteAnnouncedAsync(version, cancellationToken).ConfigureAwait(false);
        var changed = await hints.ChangeAsync(
            found => below > found.Hint.TrimBelow && IsDue(found) ? found.Hint with { TrimBelow = below } : found.Hint,
            cancellationToken).ConfigureAwait(false);
        if (changed.Hint.TrimBelow > version.Hint.TrimBelow)
        {
            await DeleteAnnouncedAsync(changed, cancellationToken).ConfigureAwait(false);
        }

        return tail;
    }

    private bool IsDue(S3HintVersion version) => version.Hint.TrimBelow <= 1 || IsOld(version.AnnouncedAt);

    // The store's clock is known in whole seconds: without grace everything counts as old.
    private bool IsOld(DateTimeOffset time) => grace <= TimeSpan.Zero || time + grace <= client.StoreTime;

    private async Task DeleteAnnouncedAsync(S3HintVersion version, CancellationToken cancellationToken)
    {
        if (version.Hint.TrimBelow <= 1 || !IsDue(version))
        {
            return;
        }

        var doomed = new List<string>();
        await foreach (var found in client.ListAsync(keys.Entries, null, 1000, cancellationToken).ConfigureAwait(false))
        {
            if (S3Keys.NumberOf(found.Key) is not (> 0 and var number))
            {
                continue;
            }

            if (number >= version.Hint.TrimBelow)
            {
                break;
            }

            // Too young is what a paused writer left here lately; it goes with a later trim.
            if (IsOld(new DateTimeOffset(found.LastModified.GetValueOrDefault().ToUniversalTime())))
            {
                doomed.Add(found.Key);
            }
        }

        await client.DeleteAsync(doomed, cancellationToken).ConfigureAwait(false);
    }

    /// <summary>Finds the last entry by listing what comes after one that is known.</summary>
    private async Task<long> FindTailAsync(long known, CancellationToken cancellationToken)
    {
        var last = known;
        await foreach (var found in client.ListAsync(keys.Entries, keys.Entry(known), 1000, cancellationToken).ConfigureAwait(false))
        {
            last = Math.Max(last, S3Keys.NumberOf(found.Key));
        }

        return last;
    }
}
