using Microsoft.FSharp.Core;
using Tansu.Adapters.Ports;
using Tansu.Adapters.Reading;
using Tansu.Adapters.Replica;
using Tansu.Codec.Records;
using Tansu.Domain;

namespace Tansu.Adapters.Compaction;

using ShardReplica = Replica<ShardState, ShardCommand, ShardEvent, ShardReply>;

/// <summary>
/// Keeps the stored form of one shard in order: applies retention, moves records from entries into segments, merges small chunks, compacts by key, and
/// deletes what nothing refers to any more. Any number of brokers may do it at once: every step is a proposal that <c>decide</c> takes
/// only if what it is based on is still there. One call at a time.
/// </summary>
public sealed class Compactor
{
    /// <summary>So many times as long as a job took, it rests after it.</summary>
    private const int RestsPerJob = 3;

    /// <summary>So many parts of a pass may be unreadable, then it goes on with what comes after compaction.</summary>
    private const int MostUnreadable = 16;

    private readonly ShardReplica _replica;
    private readonly RecordsReader _reader;
    private readonly IEventLog _log;
    private readonly IBlobStore _blobs;
    private readonly Func<TopicId, FSharpValueOption<Cleanup>> _cleanup;
    private readonly CompactorOptions _options;
    private readonly SegmentNames _names;
    private readonly long _broker;
    private DateTimeOffset _claimedAt = DateTimeOffset.MinValue;

    private DateTimeOffset _listedAt = DateTimeOffset.MinValue;
    private TimeSpan _restLeft;

    /// <summary>How often something could not be read in this pass.</summary>
    private int _unreadable;

    /// <summary>Until when partitions are left alone that could not be cleaned: all of the work before what cannot be read would be done again.</summary>
    private readonly Dictionary<TopicPartition, DateTimeOffset> _leftAlone = [];

    /// <summary>When something was last to be trimmed, until a trim has succeeded that is certain to have found it; then null.</summary>
    private DateTimeOffset? _trimsSince;

    /// <summary>The newest entry that may have brought records. What was there before this broker came may have been left by one that is no more.</summary>
    private long _lastPayloadEntry;
    private long _backlogBytes;
    private long _backlogEntries;

    /// <summary>Makes a compactor; nothing happens until it is called.</summary>
    /// <param name="replica">The shard.</param>
    /// <param name="reader">Its reader, whose cache is used.</param>
    /// <param name="log">Its log.</param>
    /// <param name="blobs">Where objects are.</param>
    /// <param name="cleanup">What becomes of a topic's records; nothing for a topic that is not known (yet, or any more).</param>
    /// <param name="options">Limits and clock.</param>
    public Compactor(
        ShardReplica replica,
        RecordsReader reader,
        IEventLog log,
        IBlobStore blobs,
        Func<TopicId, FSharpValueOption<Cleanup>> cleanup,
        CompactorOptions options)
    {
        _replica = replica;
        _reader = reader;
        _log = log;
        _blobs = blobs;
        _cleanup = cleanup;
        _options = options;
        Span<byte> writer = stackalloc byte[16];
        options.Random.NextBytes(writer);
        _broker = BitConverter.ToInt64(writer);
        _names = new SegmentNames(log.Name, new Guid(writer), () => replica.Current, options.TimeProvider);
        _trimsSince = options.TimeProvider.GetUtcNow();
        _lastPayloadEntry = replica.Current.EntryNumber;
    }

    /// <summary>All that was ever done.</summary>
    public CompactionCounts Counts { get; private set; }

    /// <summary>Called when so much has gathered since the last pass that the next one should not wait. Must not block or throw.</summary>
    public Action? OnBacklog { get; set; }

    private TimeSpan TrimPatience => _options.TrimGrace * 3;

    /// <summary>An entry is in the log. Called one after the other, in order.</summary>
    public void OnCommitted(long entryNumber, IReadOnlyList<ShardEvent> events)
    {
        long bytes = 0;
        for (var index = 0; index < events.Count; index++)
        {
            var (length, dataObject) = events[index] switch
            {
                ShardEvent.BatchAppended { batch: var batch } => (batch.Length, batch.DataObject),
                ShardEvent.MarkerAppended { marker: var marker } => (marker.Length, marker.DataObject),
                _ => (0, null),
            };
            bytes += length;

            // The end of a transaction brings a marker's bytes even where there are only offsets to end.
            var isEnd = events[index] is ShardEvent.TransactionChanged { @event.IsTransactionPrepared: true }
                or ShardEvent.GroupChanged { @event.IsPendingOffsetsEnded: true };
            if (isEnd || (length > 0 && dataObject is null))
            {
                Interlocked.Exchange(ref _lastPayloadEntry, entryNumber);
            }
        }

        if (bytes == 0)
        {
            return;
        }

        var isBacklog = Interlocked.Add(ref _backlogBytes, bytes) >= _options.BacklogBytes;
        isBacklog |= Interlocked.Increment(ref _backlogEntries) >= _options.BacklogEntries;
        if (isBacklog)
        {
            OnBacklog?.Invoke();
        }
    }

    /// <summary>Entries have been passed over on the way to a snapshot.</summary>
    public void OnSkipped() => Interlocked.Exchange(ref _lastPayloadEntry, _replica.Current.EntryNumber);

    /// <summary>What has gathered until now is seen to, by a pass that begins or by another broker.</summary>
    public void ForgetBacklog()
    {
        Interlocked.Exchange(ref _backlogBytes, 0);
        Interlocked.Exchange(ref _backlogEntries, 0);
    }

    /// <summary>Does everything that is due.</summary>
    /// <returns>What was done.</returns>
    /// <exception cref="StoreUnavailableException">The store does not answer now; the next pass goes on.</exception>
    /// <exception cref="TimeoutException">Likewise.</exception>
    /// <exception cref="StoreRefusedException">The store cannot be used any more, or refuses something that all of the shard needs.</exception>
    public async Task<CompactionCounts> PassAsync(CancellationToken cancellationToken)
    {
        ForgetBacklog();
        _restLeft = _options.MostRest;
        _unreadable = 0;
        using var scope = new CompactionScope(_replica, _reader, _log, _blobs, _names, _options);
        try
        {
            await TryAsync(scope, () => CompactAsync(scope, cancellationToken), int.MaxValue);
            await TryAsync(scope, () => CollectAsync(scope, cancellationToken), int.MaxValue);
            await TrimAsync(scope, cancellationToken);
        }
        catch (Exception missing) when (missing is EntryMissingException or BlobMissingException)
        {
            // Another broker has compacted the same, and what it replaced has been collected. The next pass begins with the newer state that has shown it.
        }
        finally
        {
            scope.Count(new CompactionCounts { Reads = scope.Loader.Reads, ReadBytes = scope.Loader.ReadBytes });
            Counts += scope.Counts;
        }

        return scope.Counts;
    }

    private async Task CollectAsync(CompactionScope scope, CancellationToken cancellationToken)
    {
        // Strays are few and old: looking for them seldom keeps the listings of a large store cheap.
        var now = _options.TimeProvider.GetUtcNow();
        var listsStrays = now - _listedAt >= _options.Grace / 4;
        var collector = new GarbageCollector(_log.Name, scope, _options);
        await collector.CollectAsync(listsStrays, cancellationToken);

        // What is still needed of objects that are mostly not is written anew, so that they become garbage.
        await DoAsync(CompactionPlan.sparseJobs(_options.MemoryBytes / 2, collector.NeededBytes, scope.State), scope, cancellationToken);
        _listedAt = listsStrays ? now : _listedAt;
    }

    private async Task CompactAsync(CompactionScope scope, CancellationToken cancellationToken)
    {
        var cleanups = new Dictionary<TopicId, FSharpValueOption<Cleanup>>();
        var cleanup = FuncConvert.FromFunc<TopicId, FSharpValueOption<Cleanup>>(topicId =>
        {
            if (!cleanups.TryGetValue(topicId, out var known))
            {
                cleanups.Add(topicId, known = _cleanup(topicId));
            }

            return known;
        });
        var budget = _options.MemoryBytes / 2;
        var state = scope.State;
        var nowMs = _options.TimeProvider.GetUtcNow().ToUnixTimeMilliseconds();
        var expired = CompactionPlan.expired(cleanup, nowMs, state);
        var fresh = CompactionPlan.freshJobs(_options.Limits, budget, state);
        if (expired.Length + fresh.Length == 0
            && CompactionPlan.cleanings(cleanup, nowMs, state).Length == 0
            && CompactionPlan.mergeJobs(_options.Limits, budget, state).Length == 0
            && !IndexPager.IsDue(_options.Limits, state))
        {
            return;
        }

        if (!await ClaimAsync(scope))
        {
            return;
        }

        scope.Count(new CompactionCounts { Passes = 1 });
        if (expired.Length > 0)
        {
            await scope.SubmitAsync(ShardCommand.NewDeleteRecords(expired));
            scope.Count(new CompactionCounts { PartitionsCut = expired.Length });
            fresh = CompactionPlan.freshJobs(_options.Limits, budget, scope.State);
        }

        if (!await DoAsync(fresh, scope, cancellationToken))
        {
            return;
        }

        await CleanAsync(scope, cleanup, cancellationToken);
        await MergeAsync(scope, budget, cancellationToken);
        var pager = new IndexPager(scope, part => TryAsync(scope, part));
        await TryAsync(scope, () => pager.PageAsync(cancellationToken));
        await TryAsync(scope, () => pager.FreeAsync(cancellationToken));
    }

    private async Task CleanAsync(CompactionScope scope, FSharpFunc<TopicId, FSharpValueOption<Cleanup>> cleanup, CancellationToken cancellationToken)
    {
        var now = _options.TimeProvider.GetUtcNow();
        var nowMs = now.ToUnixTimeMilliseconds();
        foreach (var (partition, until) in _leftAlone)
        {
            if (now >= until)
            {
                _leftAlone.Remove(partition);
            }
        }

        var cleaner = new PartitionCleaner(scope, _options);
        var all = CompactionPlan.cleanings(cleanup, nowMs, scope.State);
        for (var next = 0; next < all.Length; next++)
        {
            var begun = _options.TimeProvider.GetTimestamp();
            var due = all[next];
            if (_leftAlone.ContainsKey(due.Partition))
            {
                continue;
            }

            if (!await TryAsync(scope, () => CleanAsync(scope, cleaner, due, cleanup.Invoke(due.Partition.TopicId).Value, nowMs, cancellationToken)))
            {
                _leftAlone[due.Partition] = now + (_options.Grace / 4);
            }

            await RestAsync(begun, all.Length - next, cancellationToken);
        }
    }

    private async Task CleanAsync(CompactionScope scope, PartitionCleaner cleaner, Cleaning first, Cleanup rules, long nowMs, CancellationToken cancellationToken)
    {
        // Several passes if the keys do not fit into memory.
        var cleaning = FSharpValueOption<Cleaning>.NewValueSome(first);
        while (cleaning.TryGet(out var due) && await ClaimAsync(scope))
        {
            try
            {
                if (!await cleaner.CleanAsync(due, rules, cancellationToken))
                {
                    return;
                }
            }
            catch (RecordFormatException damaged)
            {
                scope.TellDamaged(due.Partition, damaged);
                return;
            }

            cleaning = CompactionPlan.cleaning(rules, nowMs, due.Partition, Shard.partition(due.Partition, scope.State));
        }
    }

    /// <summary>
    /// Does a part of a pass. What it needs and cannot read is told of, once in a pass, and stays as it is, and the rest of the pass goes on: one object must not
    /// keep everything else from being compacted and deleted. False if that was so.
    /// </summary>
    /// <param name="scope">The pass.</param>
    /// <param name="part">The part.</param>
    /// <param name="most">After so many in a pass what this is a part of does not go on: a store that cannot be read may take long to say so each time.</param>
    private async Task<bool> TryAsync(CompactionScope scope, Func<Task> part, int most = MostUnreadable)
    {
        try
        {
            await part();
            return true;
        }
        catch (Exception failure) when (_unreadable < most && RecordsReader.IsFailure(failure))
        {
            scope.Writer.Forget();
            if (!await IsUnreadableAsync(failure))
            {
                throw;
            }

            if (_unreadable++ == 0)
            {
                _options.OnNotice?.Invoke($"log {_log.Name}: {failure.Message.TrimEnd('.')}; what needs it is not compacted");
            }

            return false;
        }
    }

    /// <summary>
    /// Whether the store is there, and the newest state needs what was missing, or could not be read. Otherwise another broker has compacted the same, and what it
    /// replaced has been collected.
    /// </summary>
    /// <exception cref="TimeoutException">The store is not there.</exception>
    private async Task<bool> IsUnreadableAsync(Exception failure)
    {
        await _replica.CatchUpAsync(_options.StoreTimeout);
        var state = _replica.Current.State;
        return failure switch
        {
            BlobMissingException blob => state.Objects.ContainsKey(blob.Name),
            EntryMissingException entry => entry.Number >= Shard.oldestEntry(state),
            _ => !_replica.Completion.IsCompleted,
        };
    }

    private async Task MergeAsync(CompactionScope scope, long budget, CancellationToken cancellationToken)
    {
        // What was merged may be of a size to be merged again. It ends when chunks are large, or a round has brought nothing.
        while (CompactionPlan.mergeJobs(_options.Limits, budget, scope.State) is { Length: > 0 } jobs)
        {
            var before = scope.Counts.ChunksReplaced;
            if (!await DoAsync(jobs, scope, cancellationToken) || scope.Counts.ChunksReplaced == before)
            {
                return;
            }
        }
    }

    /// <summary>Writes the chunks of jobs anew. False if another broker compacts the shard now.</summary>
    private async Task<bool> DoAsync(ChunkRange[][] jobs, CompactionScope scope, CancellationToken cancellationToken)
    {
        var merger = new ChunkMerger(scope);
        for (var next = 0; next < jobs.Length; next++)
        {
            if (!await ClaimAsync(scope))
            {
                return false;
            }

            var begun = _options.TimeProvider.GetTimestamp();
            var job = jobs[next];
            await TryAsync(scope, () => merger.MergeAsync(job, cancellationToken));
            await RestAsync(begun, jobs.Length - next, cancellationToken);
        }

        return true;
    }

    /// <summary>
    /// Leaves processors and disk to others for a while after a job: three quarters of the time, unless there is much to do. Not for so long that another broker could
    /// think that this one is gone.
    /// </summary>
    /// <param name="begun">When the job began.</param>
    /// <param name="jobs">Among how many jobs, this one and those that follow, what is left of the pass's rest is shared.</param>
    /// <param name="cancellationToken">Ends the rest.</param>
    private async Task RestAsync(long begun, int jobs, CancellationToken cancellationToken)
    {
        var wanted = _options.TimeProvider.GetElapsedTime(begun) * RestsPerJob;
        var rest = TimeSpan.FromTicks(Math.Min(wanted.Ticks, Math.Min(_restLeft.Ticks / jobs, _options.ClaimLease.Ticks / 4)));
        _restLeft -= rest;
        if (rest > TimeSpan.Zero)
        {
            await Task.Delay(rest, _options.TimeProvider, cancellationToken);
        }
    }

    /// <summary>Says that this broker compacts the shard, if it has not done so lately. False if another one does.</summary>
    private async Task<bool> ClaimAsync(CompactionScope scope)
    {
        var now = _options.TimeProvider.GetUtcNow();
        if (now - _claimedAt < _options.ClaimLease / 4)
        {
            return true;
        }

        var reply = await scope.SubmitAsync(ShardCommand.NewClaimCompaction(_broker, (long)_options.ClaimLease.TotalMilliseconds));
        if (reply is not ShardReply.ClaimJudged { isGranted: true })
        {
            return false;
        }

        _claimedAt = now;
        return true;
    }

    /// <summary>
    /// Lets entries go whose records are elsewhere now, or are gone. They go with the second snapshot after that; if nobody else
    /// writes, this does. Afterwards it is silent.
    /// </summary>
    private async Task TrimAsync(CompactionScope scope, CancellationToken cancellationToken)
    {
        var now = _options.TimeProvider.GetUtcNow();
        var superfluous = Math.Min(Interlocked.Read(ref _lastPayloadEntry), Shard.oldestEntry(scope.State) - 1);
        if (_replica.TrimBelow <= superfluous)
        {
            _replica.WantSnapshot();
            _claimedAt = DateTimeOffset.MinValue;
            await ClaimAsync(scope);
            await _replica.LastSave;
            _trimsSince = now;
        }
        else if (_trimsSince is { } since)
        {
            await _replica.TrimAsync(cancellationToken);
            if (now - since >= TrimPatience)
            {
                _trimsSince = null;
            }
        }
    }
}
