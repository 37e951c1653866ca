using System.Buffers;
using Tansu.Adapters.Ports;

namespace Tansu.Adapters;

/// <summary>One broker's hold on a log in S3. Keys, formats and why this is safe: <c>docs/storage-s3.md</c>.</summary>
internal sealed class S3EventLog : IEventLog
{
    private const int MaxConditionalTries = 6;

    private readonly S3Client _client;
    private readonly S3Keys _keys;
    private readonly S3Protection _protection;
    private readonly S3Hints _hints;
    private readonly S3Entries _entries;
    private readonly S3Snapshots _snapshots;
    private readonly S3Trimmer _trimmer;
    private readonly S3ReadAhead _readAhead;
    private long _tail;
    private bool _isKnownToBeNew;

    public S3EventLog(S3Client client, string name, StoreOptions options)
    {
        _client = client;
        Name = name;
        _keys = new S3Keys(client.Settings.Prefix, name);
        _protection = new S3Protection(options.TimeProvider);
        _hints = new S3Hints(client, _keys, name, _protection);
        _entries = new S3Entries(client, _keys, name);
        _snapshots = new S3Snapshots(client, _keys, _hints, name);
        _trimmer = new S3Trimmer(client, _keys, _hints, options.S3TrimGrace);
        _readAhead = new S3ReadAhead(_entries);
    }

    public string Name { get; }

    public bool IsDisposed { get; private set; }

    /// <summary>Tells that the name was never used, so that nothing needs to be looked up.</summary>
    public void AssumeNew()
    {
        _isKnownToBeNew = true;
        _protection.Learn(1, _protection.Now);
    }

    public async ValueTask<AppendOutcome> TryAppendAsync(
        long number,
        ReadOnlySequence<byte> head,
        ReadOnlySequence<byte> payload,
        CancellationToken cancellationToken)
    {
        Check(cancellationToken);
        ArgumentOutOfRangeException.ThrowIfZero(head.Length, nameof(head));
        if (number < 1 || !await MayComeNextAsync(number, cancellationToken).ConfigureAwait(false))
        {
            return AppendOutcome.Conflict;
        }

        var content = S3Frame.Make(S3Kind.Entry, number, head, payload);
        for (var attempt = 0; attempt < MaxConditionalTries; attempt++)
        {
            var asked = _protection.Now;
            var put = await _client.CreateAsync(_keys.Entry(number), content, cancellationToken).ConfigureAwait(false);
            if (put.IsDone)
            {
                return await ConfirmAsync(number, content, asked, cancellationToken).ConfigureAwait(false);
            }

            switch (put.Fault)
            {
                case S3Fault.ConditionFailed:
                    return AppendOutcome.Conflict;
                case S3Fault.AskAgain:
                    await S3Jitter.WaitAsync(attempt, CancellationToken.None).ConfigureAwait(false);
                    break;
                case S3Fault.Denied or S3Fault.NoKey or S3Fault.NotSent:
                    throw S3Errors.Unavailable($"Writing {_keys.Entry(number)}", _client.Settings, put.Error!);
                case S3Fault.NotImplemented:
                    throw new StoreRefusedException(
                        $"{_client.Settings.Where} does not know conditional writes (If-None-Match), which Tansu needs; use a store that does.",
                        put.Error);
                default:
                    return AppendOutcome.Unknown;
            }
        }

        return AppendOutcome.Unknown;
    }

    public async ValueTask<EntryHeads> ReadHeadsAsync(long after, int maxEntries, CancellationToken cancellationToken)
    {
        Check(cancellationToken);
        ArgumentOutOfRangeException.ThrowIfNegative(after);
        ArgumentOutOfRangeException.ThrowIfLessThan(maxEntries, 1);
        var asked = _protection.Now;
        var reading = _readAhead.ReadAsync(after + 1, maxEntries, cancellationToken);
        var looks = !_protection.Covers(after + 1);
        if (looks)
        {
            // At the same time: an entry is not deleted until long after the hint has said so.
            var looking = ReadHintAsync(cancellationToken);
            await Task.WhenAll(reading, looking).ConfigureAwait(false);
            ThrowIfTrimmed(after + 1, await looking.ConfigureAwait(false));
        }

        var heads = await reading.ConfigureAwait(false);
        if (!looks && !_protection.Covers(after + 1))
        {
            // This broker was paused meanwhile: what it found, or did not find, may be of a number that had been emptied.
            ThrowIfTrimmed(after + 1, await ReadHintAsync(cancellationToken).ConfigureAwait(false));
        }

        if (heads.Count > 0)
        {
            ExistsUpTo(heads[^1].Number);
            return heads;
        }

        if (after == 0 && !_isKnownToBeNew && _hints.Known is { ETag: null })
        {
            if (await _hints.RebuildIfLostAsync(cancellationToken).ConfigureAwait(false))
            {
                throw new EntryMissingException(Name, 1);
            }

            _isKnownToBeNew = true;
        }

        _protection.Learn(after + 1, asked);
        return heads;
    }

    public async ValueTask ReadPayloadAsync(
        long number,
        int position,
        Memory<byte> destination,
        CancellationToken cancellationToken)
    {
        Check(cancellationToken);
        await _entries.ReadPayloadAsync(number, position, destination, cancellationToken).ConfigureAwait(false);
    }

    public async ValueTask SaveSnapshotAsync(long number, ReadOnlySequence<byte> content, CancellationToken cancellationToken)
    {
        Check(cancellationToken);
        ArgumentOutOfRangeException.ThrowIfLessThan(number, 1);
        await _snapshots.SaveAsync(number, content, cancellationToken).ConfigureAwait(false);
    }

    public async ValueTask<Snapshot?> LoadSnapshotAsync(long belowNumber, CancellationToken cancellationToken)
    {
        Check(cancellationToken);
        var hint = await ReadHintAsync(cancellationToken).ConfigureAwait(false);
        if (belowNumber == long.MaxValue && hint.Newest > 0)
        {
            // Whoever loads the newest snapshot reads on from there: that takes the snapshot's round trip and no other.
            _readAhead.Start(hint.Newest + 1, cancellationToken);
        }

        return await _snapshots.LoadAsync(hint, belowNumber, cancellationToken).ConfigureAwait(false);
    }

    public async ValueTask TrimAsync(long below, CancellationToken cancellationToken)
    {
        Check(cancellationToken);
        if (below > 1)
        {
            ExistsUpTo(await _trimmer.TrimAsync(below, Volatile.Read(ref _tail), cancellationToken).ConfigureAwait(false));
        }
    }

    public ValueTask DisposeAsync()
    {
        IsDisposed = true;
        return ValueTask.CompletedTask;
    }

    /// <summary>Whether the number has not been trimmed, and the one before it exists or did.</summary>
    private async Task<bool> MayComeNextAsync(long number, CancellationToken cancellationToken)
    {
        if (!_protection.Covers(number)
            && number < (await ReadHintAsync(cancellationToken).ConfigureAwait(false)).TrimBelow)
        {
            return false;
        }

        if (number - 1 <= Volatile.Read(ref _tail))
        {
            return true;
        }

        if (!await _entries.ExistsAsync(number - 1, cancellationToken).ConfigureAwait(false))
        {
            return false;
        }

        ExistsUpTo(number - 1);
        return true;
    }

    /// <summary>
    /// The entry was created. If this broker was paused meanwhile, its number may be trimmed by now. Then nobody can tell any more whether it was
    /// the log's next entry, which others have read and left behind, or was created again in vain under a number that had been emptied.
    /// </summary>
    private async Task<AppendOutcome> ConfirmAsync(long number, byte[] content, S3Moment asked, CancellationToken cancellationToken)
    {
        if (!_protection.Covers(number))
        {
            try
            {
                if (number < (await ReadHintAsync(cancellationToken).ConfigureAwait(false)).TrimBelow)
                {
                    _client.Notice($"Log {Name}: this broker was paused while it wrote entry {number}, which is trimmed by now; what became of it is unknown.");
                    return AppendOutcome.Unknown;
                }
            }
            catch (Exception failure) when (failure is StoreUnavailableException or OperationCanceledException)
            {
                return AppendOutcome.Unknown;
            }
        }

        if (S3Frame.TryRead(content, out var frame))
        {
            _entries.Remember(frame);
        }

        ExistsUpTo(number);
        _protection.Learn(number, asked);
        return AppendOutcome.Appended;
    }

    private async Task<S3Hint> ReadHintAsync(CancellationToken cancellationToken)
    {
        var hint = (await _hints.ReadAsync(cancellationToken).ConfigureAwait(false)).Hint;
        ExistsUpTo(Math.Max(hint.Newest, hint.TrimBelow - 1));
        return hint;
    }

    private void ThrowIfTrimmed(long number, S3Hint hint)
    {
        if (number < hint.TrimBelow)
        {
            throw new EntryMissingException(Name, number);
        }
    }

    /// <summary>Notes that entries up to this one exist or did.</summary>
    private void ExistsUpTo(long number)
    {
        var known = Volatile.Read(ref _tail);
        while (number > known)
        {
            var seen = Interlocked.CompareExchange(ref _tail, number, known);
            if (seen == known)
            {
                return;
            }

            known = seen;
        }
    }

    private void Check(CancellationToken cancellationToken)
    {
        ObjectDisposedException.ThrowIf(IsDisposed, this);
        cancellationToken.ThrowIfCancellationRequested();
    }
}
