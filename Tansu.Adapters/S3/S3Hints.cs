using Tansu.Adapters.Ports;

namespace Tansu.Adapters;

/// <summary>A hint as it was found in the store.</summary>
/// <param name="Hint">What it says.</param>
/// <param name="ETag">Its version; null when there is none.</param>
/// <param name="ModifiedAt">No earlier than when it was written, by the store's clock.</param>
internal sealed record S3HintVersion(S3Hint Hint, string? ETag, DateTimeOffset ModifiedAt)
{
    /// <summary>When what it calls trimmed was announced.</summary>
    public DateTimeOffset AnnouncedAt => Hint.AnnouncedMs == 0 ? ModifiedAt : DateTimeOffset.FromUnixTimeMilliseconds(Hint.AnnouncedMs);
}

/// <summary>Reads and replaces the hint of one log, and makes it again when it is lost.</summary>
internal sealed class S3Hints(S3Client client, S3Keys keys, string logName, S3Protection protection)
{
    private const int MaxAttempts = 10;
    private const int MaxReads = 5;
    private const int MaxBytes = 4096;

    private volatile S3HintVersion? _known;

    /// <summary>The version read or written last; null before the first.</summary>
    public S3HintVersion? Known => _known;

    /// <summary>Reads it now. Afterwards numbers that it does not call trimmed are protected.</summary>
    public async Task<S3HintVersion> ReadAsync(CancellationToken cancellationToken)
    {
        var asked = protection.Now;

        // Before the request: one that another task creates meanwhile is not gone.
        var before = _known;
        var found = await GetAsync(cancellationToken).ConfigureAwait(false);
        S3HintVersion version;
        if (found is null)
        {
            version = before is null or { ETag: null }
                ? new S3HintVersion(S3Hint.None, null, DateTimeOffset.MinValue)
                : await RebuildAsync(null, "is gone", cancellationToken).ConfigureAwait(false);
        }
        else
        {
            if (S3Frame.NewerVersion(found.Bytes, S3Kind.Hint) is { } newer)
            {
                throw new StoreRefusedException($"{keys.Hint} has format {newer}: a newer Tansu wrote it; start that version.");
            }

            version = S3Hint.Decode(found.Bytes) is { } hint
                ? new S3HintVersion(hint, found.ETag, found.LastModified)
                : await RebuildAsync(found.ETag, "is damaged", cancellationToken).ConfigureAwait(false);
        }

        _known = version;
        protection.Learn(version.Hint.TrimBelow, asked);
        return version;
    }

    /// <summary>Replaces it by what <paramref name="change"/> makes of it, whoever else does so meanwhile.</summary>
    /// <param name="change">Called again for every version that is met; returns an equal hint when there is nothing to do.</param>
    /// <param name="cancellationToken">Abandons the change, which may then be made or not.</param>
    public async Task<S3HintVersion> ChangeAsync(Func<S3HintVersion, S3Hint> change, CancellationToken cancellationToken)
    {
        var version = _known ?? await ReadAsync(cancellationToken).ConfigureAwait(false);
        for (var attempt = 0; attempt < MaxAttempts; attempt++)
        {
            var next = Dated(version, change(version));
            if (next == Dated(version, version.Hint))
            {
                return version;
            }

            var asked = protection.Now;
            var put = await client.ReplaceAsync(keys.Hint, version.ETag, next.Encode(), cancellationToken).ConfigureAwait(false);
            if (put.IsDone)
            {
                protection.Learn(next.TrimBelow, asked);
                return _known = new S3HintVersion(next, put.ETag, client.StoreTime);
            }

            cancellationToken.ThrowIfCancellationRequested();
            if (put.Fault is S3Fault.Denied or S3Fault.NotSent or S3Fault.NotImplemented)
            {
                throw S3Errors.Unavailable($"Writing {keys.Hint}", client.Settings, put.Error!);
            }

            await S3Jitter.WaitAsync(attempt, cancellationToken).ConfigureAwait(false);
            version = await ReadAsync(cancellationToken).ConfigureAwait(false);
        }

        throw new StoreUnavailableException($"Writing {keys.Hint} failed: too many others are writing it.");
    }

    /// <summary>Whether a log without hint and without entry 1 is not a new one: then the hint is made again.</summary>
    public async Task<bool> RebuildIfLostAsync(CancellationToken cancellationToken)
    {
        if (await FirstEntryAsync(cancellationToken).ConfigureAwait(false) <= 1)
        {
            return false;
        }

        _known = await RebuildAsync(null, "is gone", cancellationToken).ConfigureAwait(false);
        return true;
    }

    /// <summary>Numbers of all snapshots, newest first.</summary>
    public async Task<List<long>> ListSnapshotsAsync(CancellationToken cancellationToken)
    {
        var numbers = new List<long>();
        await foreach (var found in client.ListAsync(keys.Snapshots, null, 1000, cancellationToken).ConfigureAwait(false))
        {
            if (S3Keys.NumberOf(found.Key) is > 0 and var number)
            {
                numbers.Add(number);
            }
        }

        numbers.Reverse();
        return numbers;
    }

    /// <summary>A new announcement is dated by the object itself; an old one keeps the date that the object had.</summary>
    private static S3Hint Dated(S3HintVersion version, S3Hint next)
    {
        if (next.TrimBelow != version.Hint.TrimBelow)
        {
            return next with { AnnouncedMs = 0 };
        }

        return version.ETag is null ? next : next with { AnnouncedMs = version.AnnouncedAt.ToUnixTimeMilliseconds() };
    }

    /// <summary>Reads the object. Ceph answers a GET that meets the object's replacement with 500, so a 5xx is asked again a few times.</summary>
    private async Task<S3Content?> GetAsync(CancellationToken cancellationToken)
    {
        for (var attempt = 1; ; attempt++)
        {
            try
            {
                return await client.GetAsync(keys.Hint, MaxBytes, cancellationToken).ConfigureAwait(false);
            }
            catch (StoreUnavailableException failure) when (attempt < MaxReads && S3Errors.IsServersFault(failure))
            {
                await S3Jitter.WaitAsync(attempt, cancellationToken).ConfigureAwait(false);
            }
        }
    }

    private async Task<S3HintVersion> RebuildAsync(string? eTag, string finding, CancellationToken cancellationToken)
    {
        var hint = S3Hint.None;
        foreach (var number in await ListSnapshotsAsync(cancellationToken).ConfigureAwait(false))
        {
            hint = hint.WithSnapshot(number);
        }

        var first = await FirstEntryAsync(cancellationToken).ConfigureAwait(false);
        hint = hint with { TrimBelow = first > 0 ? first : hint.Newest + 1 };
        client.Notice($"Log {logName}: {keys.Hint} {finding}; it was made again from what the store holds.");
        var put = await client.ReplaceAsync(keys.Hint, eTag, hint.Encode(), cancellationToken).ConfigureAwait(false);
        cancellationToken.ThrowIfCancellationRequested();

        // Whoever was faster saw the same objects; the next reader sees who that was.
        return put.IsDone
            ? new S3HintVersion(hint, put.ETag, client.StoreTime)
            : throw S3Errors.Unavailable($"Writing {keys.Hint}", client.Settings, put.Error!);
    }

    /// <summary>The number of the first entry that there is; 0 when there is none.</summary>
    private async Task<long> FirstEntryAsync(CancellationToken cancellationToken)
    {
        await foreach (var found in client.ListAsync(keys.Entries, null, 1, cancellationToken).ConfigureAwait(false))
        {
            if (S3Keys.NumberOf(found.Key) is > 0 and var number)
            {
                return number;
            }
        }

        return 0;
    }
}
