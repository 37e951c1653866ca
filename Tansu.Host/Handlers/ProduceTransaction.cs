using Tansu.Adapters.Transactions;
using Tansu.Codec;
using Tansu.Domain;

namespace Tansu.Host.Handlers;

/// <summary>
/// The transaction that the batches of one Produce request belong to. In transactions v1 the client has added the partitions before; in v2
/// (Produce 12 and later, KIP-890) this adds them.
/// </summary>
internal sealed class ProduceTransaction(Broker broker, string transactionalId, long producerId, short producerEpoch, short version)
{
    private const short FirstVersionWithAbortable = 11;
    private const short FirstVersionThatAdds = 12;

    private readonly Dictionary<TopicPartition, int> _partitions = [];
    private Refusal? _refusal;
    private Transaction? _entered;

    /// <summary>The number that the batches carry, or that they get it from the command that they come with.</summary>
    public long Number { get; private set; }

    /// <summary>What is added to the transaction in the same entry as the batches; null for nothing.</summary>
    public TransactionAddition? Addition { get; private set; }

    /// <summary>The transactional id.</summary>
    public string TransactionalId => transactionalId;

    private TransactionCoordinator Coordinator => broker.Transacting();

    /// <summary>Whether a batch is of the same producer. A request has one transaction.</summary>
    public bool IsOf(long otherProducerId, short otherProducerEpoch) => otherProducerId == producerId && otherProducerEpoch == producerEpoch;

    /// <summary>A batch of the request goes there.</summary>
    public void Touch(TopicPartition partition, int shard) => _partitions[partition] = shard;

    /// <summary>Finds out which transaction it is, or how the command can; false if the store has to be asked first.</summary>
    public bool TryEnter()
    {
        if (Coordinator.FindOngoing(transactionalId, producerId, producerEpoch) is { } known && HasAll(known))
        {
            Number = known.Number;
            return true;
        }

        if (version < FirstVersionThatAdds || !AreAllOn(Coordinator.ShardOf(transactionalId)))
        {
            return false;
        }

        Number = TransactionModule.ThisOne;
        Addition = AdditionOfAll();
        return true;
    }

    /// <summary>Finds out which transaction it is.</summary>
    /// <exception cref="TimeoutException">The store did not answer in time.</exception>
    public async Task EnterAsync(TimeSpan timeout)
    {
        if (version < FirstVersionThatAdds)
        {
            await Coordinator.CatchUpAsync(transactionalId, timeout);
            _entered = Coordinator.Find(transactionalId);
            _refusal = Transactions.ProblemOf(_entered, producerId, producerEpoch);
            Number = _entered?.Number ?? 0;
            return;
        }

        switch (await Coordinator.AddAsync(transactionalId, AdditionOfAll(), timeout))
        {
            case TransactionReply.InTransaction entered:
                Number = entered.number;
                break;
            case TransactionReply.TransactionRefused refused:
                _refusal = refused.refusal;
                break;
        }
    }

    /// <summary>Why a batch may not be appended, after <see cref="EnterAsync"/>; NONE if it may.</summary>
    public ErrorCode ProblemOf(TopicPartition partition)
    {
        if (_refusal is not null)
        {
            return ErrorOf(_refusal);
        }

        return version >= FirstVersionThatAdds
            || (_entered is { } transaction && transaction.Partitions.ContainsKey(partition))
            ? ErrorCode.None
            : ErrorOf(Refusal.InvalidTransactionState);
    }

    /// <summary>What a refusal is called here: what older clients do not know of is told so that they do the right thing.</summary>
    public ErrorCode ErrorOf(Refusal refusal) => refusal.Tag switch
    {
        Refusal.Tags.ProducerFenced => ErrorCode.InvalidProducerEpoch,
        Refusal.Tags.ConcurrentTransactions => version >= FirstVersionThatAdds ? ErrorCode.ConcurrentTransactions : ErrorCode.NotEnoughReplicas,
        Refusal.Tags.InvalidTransactionState => version >= FirstVersionWithAbortable ? ErrorCode.TransactionAbortable : ErrorCode.InvalidTxnState,
        _ => Errors.Of(refusal),
    };

    /// <summary>
    /// What became of a batch whose transaction has ended. If this broker did not know that the next one had begun elsewhere, the client
    /// may send the batch again; only the client knows which of them it belongs to.
    /// </summary>
    public async Task<ErrorCode> ExplainEndedAsync(TopicPartition partition, TimeSpan timeout)
    {
        try
        {
            await Coordinator.CatchUpAsync(transactionalId, timeout);
        }
        catch (TimeoutException)
        {
            return ErrorCode.NotEnoughReplicas;
        }

        return Coordinator.FindOngoing(transactionalId, producerId, producerEpoch) is { } transaction
            && transaction.Number > Number
            && transaction.Partitions.ContainsKey(partition)
            ? ErrorCode.NotEnoughReplicas
            : ErrorOf(Refusal.InvalidTransactionState);
    }

    /// <summary>The transaction before is decided and has not ended everywhere: ends it, so that the client's next try finds it done.</summary>
    public async Task FinishAsync(TimeSpan timeout)
    {
        try
        {
            await Coordinator.FinishAsync(transactionalId, timeout);
        }
        catch (TimeoutException)
        {
            // The client's next try finds out.
        }
    }

    private bool HasAll(Transaction transaction)
    {
        foreach (var partition in _partitions.Keys)
        {
            if (!transaction.Partitions.ContainsKey(partition))
            {
                return false;
            }
        }

        return true;
    }

    private bool AreAllOn(int shard)
    {
        foreach (var placed in _partitions.Values)
        {
            if (placed != shard)
            {
                return false;
            }
        }

        return true;
    }

    private TransactionAddition AdditionOfAll() => new(
        producerId,
        producerEpoch,
        [.. _partitions.Select(static placed => (placed.Key, placed.Value))],
        [],
        bumpsEpoch: true);
}
