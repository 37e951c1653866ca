using System.Collections.Immutable;
using System.Runtime.ExceptionServices;
using Tansu.Adapters.Ports;
using Tansu.Adapters.Replica;
using Tansu.Domain;

namespace Tansu.Adapters.Transactions;

/// <summary>
/// Aborts transactions that have been open for too long, and ends those that somebody decided and left. It looks at what is in memory and
/// asks the store only if there is something to do.
/// </summary>
internal sealed class TransactionWatch : IAsyncDisposable
{
    private readonly TransactionCoordinator _coordinator;
    private readonly IReadOnlyList<Replica<ShardState, ShardCommand, ShardEvent, ShardReply>> _shards;
    private readonly TransactionCoordinatorOptions _options;
    private readonly CancellationTokenSource _stopping = new();
    private readonly Task _loop;

    /// <summary>By shard, what was looked through last if nothing in it has to end.</summary>
    private readonly ImmutableDictionary<string, Transaction>?[] _idle;

    /// <summary>By shard, what was looked through last for transactions of which nothing else is known here.</summary>
    private readonly Published<ShardState>?[] _learned;

    /// <summary>
    /// What has to end: is open, or half ended. Its time is counted from when it was first seen so, by this broker's monotonic clock: when it was
    /// begun is known only by the clock of another, which may be wrong.
    /// </summary>
    private Dictionary<string, Seen> _seen = [];

    /// <summary>
    /// Transactions that are open in a partition or group here, and not at their coordinator as far as this broker knows; and when that was
    /// found, or the coordinators' logs were last read because of it.
    /// </summary>
    private Dictionary<(long ProducerId, long Number), long> _unknown = [];

    public TransactionWatch(
        TransactionCoordinator coordinator,
        IReadOnlyList<Replica<ShardState, ShardCommand, ShardEvent, ShardReply>> shards,
        TransactionCoordinatorOptions options)
    {
        _coordinator = coordinator;
        _shards = shards;
        _options = options;
        _idle = new ImmutableDictionary<string, Transaction>?[shards.Count];
        _learned = new Published<ShardState>?[shards.Count];
        _loop = RunAsync();
    }

    /// <summary>Begins nothing more. What is under way ends when the logs do.</summary>
    public void Stop() => _stopping.Cancel();

    public async ValueTask DisposeAsync()
    {
        Stop();
        await _loop;
        _stopping.Dispose();
    }

    /// <summary>Looks at everything once.</summary>
    public async Task LookAsync()
    {
        if (_options.IsShared)
        {
            await LearnAsync();
        }

        var now = _options.TimeProvider.GetTimestamp();
        var seen = new Dictionary<string, Seen>();
        for (var shard = 0; shard < _shards.Count; shard++)
        {
            Look(shard, now, seen);
        }

        _seen = seen;

        // Those that are the longest overdue first; in an order that does not depend on this process. One that cannot be ended must not keep the others waiting.
        ExceptionDispatchInfo? first = null;
        foreach (var (transactionalId, one, _) in seen
            .Select(item => (item.Key, item.Value, Overdue: _options.TimeProvider.GetElapsedTime(item.Value.At, now) - Patience(item.Value)))
            .Where(item => IsItsTurn(item.Value.Shard, item.Overdue))
            .OrderByDescending(static item => item.Overdue)
            .ThenBy(static item => item.Key, StringComparer.Ordinal))
        {
            if (_stopping.IsCancellationRequested)
            {
                return;
            }

            try
            {
                await (one.IsPrepared
                    ? _coordinator.FinishAsync(transactionalId, _options.StoreTimeout)
                    : _coordinator.TimeOutAsync(transactionalId, one.Transaction, _options.StoreTimeout));
            }
            catch (Exception failure) when (failure is not StoreRefusedException)
            {
                first ??= ExceptionDispatchInfo.Capture(failure);
            }
        }

        first?.Throw();
    }

    private async Task RunAsync()
    {
        string? told = null;
        while (!_stopping.IsCancellationRequested)
        {
            await Task.Delay(_options.LookInterval, _options.TimeProvider, _stopping.Token).Settled();
            try
            {
                await LookAsync();
                told = null;
            }
            catch (StoreRefusedException)
            {
                // The replica's own loop has ended with it, and ends the broker.
                return;
            }
#pragma warning disable CA1031 // Whatever a look comes to, the next one is tried: otherwise transactions would stay open for ever.
            catch (Exception failure)
#pragma warning restore CA1031
            {
                var text = $"ending transactions goes on later: {Failures.Describe(failure)}";
                if (text != told)
                {
                    // Once, not each second.
                    told = text;
                    _options.OnNotice?.Invoke(text);
                }
            }
        }
    }

    /// <summary>
    /// Whoever served the coordinator's shard may be gone, and nobody else may ever look at that log: readers of committed records in other
    /// shards would wait for ever. So the logs are read when a transaction has been open here for some time and nothing else is known of it.
    /// </summary>
    private async Task LearnAsync()
    {
        var isUnchanged = _unknown.Count == 0;
        for (var shard = 0; shard < _shards.Count; shard++)
        {
            var current = _shards[shard].Current;
            isUnchanged &= ReferenceEquals(current, _learned[shard]);
            _learned[shard] = current;
        }

        if (isUnchanged)
        {
            return;
        }

        var now = _options.TimeProvider.GetTimestamp();
        var isLate = false;
        var unknown = new Dictionary<(long ProducerId, long Number), long>();
        foreach (var one in OpenAndUnknown())
        {
            var since = _unknown.GetValueOrDefault(one, now);
            var isLongSince = _options.TimeProvider.GetElapsedTime(since, now) >= _options.ForeignDelay;
            isLate |= isLongSince;
            unknown[one] = isLongSince ? now : since;
        }

        _unknown = unknown;
        for (var shard = 0; isLate && shard < _shards.Count; shard++)
        {
            await _shards[shard].CatchUpAsync(_options.StoreTimeout);
        }
    }

    private HashSet<(long ProducerId, long Number)> OpenAndUnknown()
    {
        var open = new HashSet<(long ProducerId, long Number)>();
        for (var shard = 0; shard < _shards.Count; shard++)
        {
            var state = _shards[shard].Current.State;
            foreach (var (_, partition) in state.Partitions)
            {
                foreach (var (producerId, transaction) in partition.OpenTransactions)
                {
                    open.Add((producerId, transaction.Number));
                }
            }

            foreach (var (_, group) in state.Groups)
            {
                foreach (var (producerId, transaction) in group.Transactions)
                {
                    if (!transaction.Offsets.IsEmpty)
                    {
                        open.Add((producerId, transaction.Number));
                    }
                }
            }
        }

        for (var shard = 0; open.Count > 0 && shard < _shards.Count; shard++)
        {
            foreach (var (_, transaction) in _shards[shard].Current.State.Transactions)
            {
                if (TransactionModule.isOngoing(transaction) || TransactionModule.isPrepared(transaction))
                {
                    open.Remove((transaction.ProducerId, transaction.Number));
                }
            }
        }

        return open;
    }

    private void Look(int shard, long now, Dictionary<string, Seen> seen)
    {
        var transactions = _shards[shard].Current.State.Transactions;
        if (ReferenceEquals(transactions, _idle[shard]))
        {
            return;
        }

        var isIdle = true;
        foreach (var (transactionalId, transaction) in transactions)
        {
            if (TransactionModule.isOngoing(transaction) || TransactionModule.isPrepared(transaction))
            {
                isIdle = false;
                var found = new Seen(shard, transaction, now);
                seen.Add(
                    transactionalId,
                    _seen.TryGetValue(transactionalId, out var before) && before.IsSame(found) ? found with { At = before.At } : found);
            }
        }

        _idle[shard] = isIdle ? transactions : null;
    }

    private TimeSpan Patience(Seen seen) =>
        seen.IsPrepared ? _options.EndingPatience : TimeSpan.FromMilliseconds(seen.Transaction.TimeoutMs);

    /// <summary>Whether this broker is to act on what is overdue. Who leads is asked only then: it is worked out each time.</summary>
    private bool IsItsTurn(int shard, TimeSpan overdue) =>
        overdue >= _options.ForeignDelay || (overdue >= TimeSpan.Zero && _options.IsLeaderOf(shard));

    private readonly record struct Seen(int Shard, Transaction Transaction, long At)
    {
        public bool IsPrepared => TransactionModule.isPrepared(Transaction);

        public bool IsSame(Seen other) =>
            Transaction.ProducerId == other.Transaction.ProducerId
            && Transaction.Number == other.Transaction.Number
            && IsPrepared == other.IsPrepared;
    }
}
