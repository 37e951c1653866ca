using System.Collections.Immutable;
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

    /// <summary>By shard, what was looked through last if nothing in it can become due.</summary>
    private readonly ImmutableDictionary<string, Transaction>?[] _idle;

    /// <summary>What was found due, which transaction it was, and when that was.</summary>
    private Dictionary<string, Due> _due = [];

    public TransactionWatch(
        TransactionCoordinator coordinator,
        IReadOnlyList<Replica<ShardState, ShardCommand, ShardEvent, ShardReply>> shards,
        TransactionCoordinatorOptions options)
    {
        _coordinator = coordinator;
        _shards = shards;
        _options = options;
        _idle = new ImmutableDictionary<string, Transaction>?[shards.Count];
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
        var due = new Dictionary<string, Due>();
        for (var shard = 0; shard < _shards.Count; shard++)
        {
            Look(shard, due);
        }

        _due = due;
        foreach (var (transactionalId, one) in due)
        {
            if (_stopping.IsCancellationRequested)
            {
                return;
            }

            if (_options.TimeProvider.GetElapsedTime(one.SeenAt) < Patience(one))
            {
                continue;
            }

            if (one.IsPrepared)
            {
                await _coordinator.FinishAsync(transactionalId, _options.StoreTimeout);
            }
            else
            {
                await _coordinator.FenceAsync(transactionalId, isTimeout: true, _options.StoreTimeout);
            }
        }
    }

    private async Task RunAsync()
    {
        while (!_stopping.IsCancellationRequested)
        {
            await Task.Delay(_options.LookInterval, _options.TimeProvider, _stopping.Token).ConfigureAwait(
                ConfigureAwaitOptions.SuppressThrowing | ConfigureAwaitOptions.ContinueOnCapturedContext);
            try
            {
                await LookAsync();
            }
            catch (Exception failure) when (failure is TimeoutException or StoreUnavailableException)
            {
                _options.OnNotice?.Invoke($"ending transactions goes on later: {failure.Message}");
            }
            catch (StoreRefusedException)
            {
                // The replica's own loop has ended with it, and ends the broker.
                return;
            }
        }
    }

    private void Look(int shard, Dictionary<string, Due> due)
    {
        var transactions = _shards[shard].Current.State.Transactions;
        if (ReferenceEquals(transactions, _idle[shard]))
        {
            return;
        }

        var nowMs = _options.TimeProvider.GetUtcNow().ToUnixTimeMilliseconds();
        var isIdle = true;
        foreach (var (transactionalId, transaction) in transactions)
        {
            var isPrepared = TransactionModule.isPrepared(transaction);
            isIdle &= !isPrepared && !TransactionModule.isOngoing(transaction);
            if (isPrepared || TransactionModule.isTimedOut(nowMs, transaction))
            {
                var found = new Due(shard, transaction.Number, isPrepared, _options.TimeProvider.GetTimestamp());
                due.Add(transactionalId, _due.TryGetValue(transactionalId, out var before) && before.IsSame(found) ? before : found);
            }
        }

        _idle[shard] = isIdle ? transactions : null;
    }

    private TimeSpan Patience(Due due) =>
        (due.IsPrepared ? _options.EndingPatience : TimeSpan.Zero)
        + (_options.IsLeaderOf(due.Shard) ? TimeSpan.Zero : _options.ForeignDelay);

    private readonly record struct Due(int Shard, long Number, bool IsPrepared, long SeenAt)
    {
        public bool IsSame(Due other) => Number == other.Number && IsPrepared == other.IsPrepared;
    }
}
