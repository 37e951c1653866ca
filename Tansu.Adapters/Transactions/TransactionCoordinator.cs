using Tansu.Adapters.Ports;
using Tansu.Adapters.Replica;
using Tansu.Domain;

namespace Tansu.Adapters.Transactions;

using ShardReplica = Replica<ShardState, ShardCommand, ShardEvent, ShardReply>;

/// <summary>
/// The transactional ids of all shards at one broker. Every broker has one, and none is in charge: what has been decided is in the logs, and
/// whoever finds a transaction half ended ends it.
/// </summary>
/// <remarks>As in <see cref="Replica{TState,TCommand,TEvent,TReply}"/>, nothing here uses the thread pool by name.</remarks>
public sealed class TransactionCoordinator : IAsyncDisposable
{
    /// <summary>How often a request begins anew because of what others do to the same transactional id.</summary>
    private const int MaxAttempts = 5;

    private readonly IReadOnlyList<ShardReplica> _shards;
    private readonly Func<TimeSpan, ValueTask<long>> _nextProducerId;
    private readonly TransactionCoordinatorOptions _options;
    private readonly TransactionWatch _watch;

    /// <summary>Begins to look after transactions.</summary>
    /// <param name="shards">The logs of all shards, by number.</param>
    /// <param name="nextProducerId">Gives a producer id that nobody has.</param>
    /// <param name="options">Clock and times.</param>
    public TransactionCoordinator(
        IReadOnlyList<ShardReplica> shards,
        Func<TimeSpan, ValueTask<long>> nextProducerId,
        TransactionCoordinatorOptions options)
    {
        ArgumentNullException.ThrowIfNull(shards);
        ArgumentNullException.ThrowIfNull(options);
        _shards = shards;
        _nextProducerId = nextProducerId;
        _options = options;
        _watch = new TransactionWatch(this, shards, options);
    }

    /// <summary>The number of the shard that coordinates a transactional id, or has a group.</summary>
    public int ShardOf(string key) => Placement.shardOfKey(_shards.Count, key);

    /// <summary>A transactional id in the newest published state; null if nothing is known of it.</summary>
    public Transaction? Find(string transactionalId) =>
        ReplicaOf(transactionalId).Current.State.Transactions.TryGetValue(transactionalId, out var transaction) ? transaction : null;

    /// <summary>Learns what other brokers have done to a transactional id.</summary>
    /// <exception cref="TimeoutException">The store did not answer in time.</exception>
    public Task CatchUpAsync(string transactionalId, TimeSpan timeout) => ReplicaOf(transactionalId).CatchUpAsync(timeout);

    /// <summary>
    /// The open transaction of this producer, if it is known here. That may be an old one: what is tagged with its number is refused then.
    /// </summary>
    public Transaction? FindOngoing(string transactionalId, long producerId, short producerEpoch) =>
        Find(transactionalId) is { } transaction
            && TransactionModule.isOngoing(transaction)
            && transaction.ProducerId == producerId
            && transaction.ProducerEpoch == producerEpoch
            ? transaction
            : null;

    /// <summary>InitProducerId. A transaction that is open is aborted, and whoever had begun it is fenced.</summary>
    /// <param name="transactionalId">Not empty.</param>
    /// <param name="transactionTimeoutMs">How long a transaction may be open, in milliseconds.</param>
    /// <param name="knownProducerId">What the producer goes on with; -1 for a new one.</param>
    /// <param name="knownProducerEpoch">Its epoch; -1 for a new one.</param>
    /// <param name="timeout">For each command to the store.</param>
    /// <returns><c>ProducerReady</c> or <c>TransactionRefused</c>.</returns>
    /// <exception cref="TimeoutException">The outcome was not known in time.</exception>
    public async Task<TransactionReply> InitializeAsync(
        string transactionalId,
        int transactionTimeoutMs,
        long knownProducerId,
        short knownProducerEpoch,
        TimeSpan timeout)
    {
        var newProducerId = Find(transactionalId) is null ? await _nextProducerId(timeout) : Absent.ProducerId;
        for (var attempt = 0; attempt < MaxAttempts; attempt++)
        {
            var reply = await AskAsync(
                transactionalId,
                TransactionCommand.NewInitializeProducer(
                    new ProducerToInitialize(newProducerId, transactionTimeoutMs, knownProducerId, knownProducerEpoch)),
                timeout);
            if (reply.IsNeedsProducerId)
            {
                newProducerId = await _nextProducerId(timeout);
            }
            else if (reply.IsTransactionIsOpen)
            {
                await FenceAsync(transactionalId, timeout);
            }
            else if (reply.IsTransactionIsEnding)
            {
                await FinishAsync(transactionalId, timeout);
            }
            else
            {
                return reply;
            }
        }

        return TransactionReply.NewTransactionRefused(Refusal.ConcurrentTransactions);
    }

    /// <summary>Adds partitions and groups to a transaction, which this begins if none is open.</summary>
    /// <returns><c>InTransaction</c> or <c>TransactionRefused</c>.</returns>
    /// <exception cref="TimeoutException">The outcome was not known in time.</exception>
    public async Task<TransactionReply> AddAsync(string transactionalId, TransactionAddition addition, TimeSpan timeout)
    {
        for (var attempt = 0; attempt < MaxAttempts; attempt++)
        {
            var reply = await AskAsync(transactionalId, TransactionCommand.NewAddToTransaction(addition), timeout);
            if (!reply.IsTransactionIsEnding)
            {
                return reply;
            }

            await FinishAsync(transactionalId, timeout);
        }

        return TransactionReply.NewTransactionRefused(Refusal.ConcurrentTransactions);
    }

    /// <summary>EndTxn: returns once it is decided, and the markers are written unless the store fails meanwhile.</summary>
    /// <param name="transactionalId">Whose.</param>
    /// <param name="producerId">Who asks.</param>
    /// <param name="producerEpoch">Its epoch.</param>
    /// <param name="number">The transaction that is meant; -1 for whichever is open.</param>
    /// <param name="isCommit">Commit, or abort.</param>
    /// <param name="bumpsEpoch">Whether the client speaks transactions v2.</param>
    /// <param name="timeout">For each command to the store.</param>
    /// <returns><c>TransactionDecided</c>, <c>AnotherTransaction</c> or <c>TransactionRefused</c>.</returns>
    /// <exception cref="TimeoutException">The outcome was not known in time.</exception>
    public async Task<TransactionReply> EndAsync(
        string transactionalId,
        long producerId,
        short producerEpoch,
        long number,
        bool isCommit,
        bool bumpsEpoch,
        TimeSpan timeout)
    {
        var nextProducerId = bumpsEpoch && TransactionModule.isExhausted(producerEpoch) ? await _nextProducerId(timeout) : Absent.ProducerId;
        var markerEpoch = bumpsEpoch && producerEpoch < TransactionModule.LastEpoch ? (short)(producerEpoch + 1) : producerEpoch;
        for (var attempt = 0; attempt < MaxAttempts; attempt++)
        {
            var batch = MarkerBatch.Of(producerId, markerEpoch, isCommit, NowMs);
            var ending = new TransactionToEnd(
                ShardOf(transactionalId),
                producerId,
                producerEpoch,
                number,
                isCommit,
                bumpsEpoch,
                nextProducerId,
                batch.Marker);
            var reply = await AskAsync(transactionalId, TransactionCommand.NewEndTransaction(ending), timeout, batch.Payload);
            if (reply.IsTransactionDecided)
            {
                await TryFinishAsync(transactionalId, timeout);
                return reply;
            }

            if (!reply.IsTransactionIsEnding)
            {
                return reply;
            }

            await FinishAsync(transactionalId, timeout);
        }

        return TransactionReply.NewTransactionRefused(Refusal.ConcurrentTransactions);
    }

    /// <summary>Aborts the transaction that is open, if there is one, and fences its producer.</summary>
    /// <param name="transactionalId">Whose.</param>
    /// <param name="timeout">For each command to the store.</param>
    /// <exception cref="TimeoutException">The outcome was not known in time.</exception>
    public Task FenceAsync(string transactionalId, TimeSpan timeout) =>
        Find(transactionalId) is { } transaction ? FenceAsync(transactionalId, transaction, timeout) : Task.CompletedTask;

    /// <summary>Ends a transaction that is decided: writes the markers of other shards, then that it is complete. Any number of brokers may do so.</summary>
    /// <exception cref="TimeoutException">The outcome was not known in time.</exception>
    public async Task FinishAsync(string transactionalId, TimeSpan timeout)
    {
        if (Find(transactionalId) is not { } transaction || !TransactionModule.isPrepared(transaction))
        {
            return;
        }

        var isCommit = transaction.State.IsPrepareCommit;
        var writing = new List<Task<ShardReply>>();
        foreach (var shard in TransactionModule.otherShards(ShardOf(transactionalId), transaction))
        {
            // The time of the decision, so that whoever finishes writes the same.
            var batch = MarkerBatch.Of(transaction.ProducerId, transaction.ProducerEpoch, isCommit, transaction.LastUpdateMs);
            writing.Add(_shards[shard].SubmitAsync(
                ShardCommand.NewWriteMarkers(TransactionModule.markers(shard, batch.Marker, transaction)),
                batch.Payload,
                timeout));
        }

        foreach (var written in writing)
        {
            await written;
        }

        await AskAsync(transactionalId, TransactionCommand.NewCompleteTransaction(transaction.Number), timeout);
    }

    /// <summary>Stops looking after transactions.</summary>
    public void Stop() => _watch.Stop();

    /// <inheritdoc/>
    public ValueTask DisposeAsync() => _watch.DisposeAsync();

    /// <summary>The same as <see cref="FenceAsync(string, TimeSpan)"/> for one that has been open for too long, and for no other; the operator is told.</summary>
    internal async Task TimeOutAsync(string transactionalId, Transaction transaction, TimeSpan timeout)
    {
        await FenceAsync(transactionalId, transaction, timeout);
        if (Find(transactionalId) is { } ended
            && ended.ProducerId == transaction.ProducerId
            && ended.Number == transaction.Number
            && ended.ProducerEpoch == transaction.ProducerEpoch + 1
            && (ended.State.IsPrepareAbort || ended.State.IsCompleteAbort))
        {
            _options.OnNotice?.Invoke(
                $"a transaction of {transactionalId} was open for longer than its timeout of {transaction.TimeoutMs} ms: it is aborted, and its producer is fenced");
        }
    }

    /// <summary>Does once what is otherwise done every <see cref="TransactionCoordinatorOptions.LookInterval"/>.</summary>
    internal Task LookAsync() => _watch.LookAsync();

    private long NowMs => _options.TimeProvider.GetUtcNow().ToUnixTimeMilliseconds();

    private ShardReplica ReplicaOf(string transactionalId) => _shards[ShardOf(transactionalId)];

    private async Task<TransactionReply> AskAsync(string transactionalId, TransactionCommand command, TimeSpan timeout, Payload payload = default)
    {
        var reply = await ReplicaOf(transactionalId).SubmitAsync(ShardCommand.NewAskTransaction(transactionalId, command), payload, timeout);
        return ((ShardReply.TransactionAnswered)reply).reply;
    }

    /// <summary>Aborts this transaction if it is open, and fences its producer.</summary>
    private async Task FenceAsync(string transactionalId, Transaction transaction, TimeSpan timeout)
    {
        if (!TransactionModule.isOngoing(transaction) || transaction.ProducerEpoch >= TransactionModule.LastEpoch)
        {
            return;
        }

        var batch = MarkerBatch.Of(transaction.ProducerId, (short)(transaction.ProducerEpoch + 1), isCommit: false, NowMs);
        await AskAsync(
            transactionalId,
            TransactionCommand.NewFenceTransaction(new TransactionToFence(
                ShardOf(transactionalId),
                transaction.ProducerId,
                transaction.Number,
                batch.Marker)),
            timeout,
            batch.Payload);
        await FinishAsync(transactionalId, timeout);
    }

    /// <summary>The decision stands, whatever becomes of the markers now: the watch writes them otherwise.</summary>
    private async Task TryFinishAsync(string transactionalId, TimeSpan timeout)
    {
        try
        {
            await FinishAsync(transactionalId, timeout);
        }
        catch (Exception failure) when (failure is TimeoutException or StoreRefusedException)
        {
            _options.OnNotice?.Invoke($"a transaction of {transactionalId} is decided, its end is told later: {failure.Message}");
        }
    }
}
