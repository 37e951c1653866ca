using Tansu.Adapters.Transactions;
using Tansu.Codec;
using Tansu.Domain;
using Tansu.Host.Handlers;

namespace Tansu.Host;

/// <summary>What handlers of transactions share: refusals and failures of the store turned into Kafka's errors.</summary>
internal static class Transactions
{
    /// <summary>The coordinator of transactions at this broker.</summary>
    public static TransactionCoordinator Transacting(this Broker broker) => broker.Cluster.Transactions;

    /// <summary>Asks about a transactional id.</summary>
    /// <returns>The reply, or why there is none.</returns>
    public static async ValueTask<(TransactionReply? Reply, ErrorCode Error)> AskAsync(Func<Task<TransactionReply>> ask)
    {
        TransactionReply? reply = null;
        var error = await Groups.GuardAsync(async () =>
        {
            reply = await ask();
            return reply is TransactionReply.TransactionRefused refused ? Errors.Of(refused.refusal) : ErrorCode.None;
        });
        return (error == ErrorCode.None ? reply : null, error);
    }

    /// <summary>Learns what other brokers have done to transactional ids.</summary>
    /// <returns>NONE, or that it cannot be known now.</returns>
    public static ValueTask<ErrorCode> CatchUpTransactionsAsync(this Broker broker, IEnumerable<string> transactionalIds) =>
        broker.CatchUpGroupsAsync(transactionalIds.Select(broker.CoordinatorOf).Distinct());

    /// <summary>The error of a fenced producer; clients of older versions know only of its epoch.</summary>
    public static ErrorCode ForVersion(ErrorCode error, short version, short firstVersionWithFencing) =>
        error == ErrorCode.ProducerFenced && version < firstVersionWithFencing ? ErrorCode.InvalidProducerEpoch : error;

    /// <summary>Why this producer has no transaction open there, as last known here; null if it has.</summary>
    public static Refusal? ProblemOf(Transaction? transaction, long producerId, short producerEpoch)
    {
        if (transaction is null || transaction.ProducerId != producerId)
        {
            return Refusal.InvalidProducerIdMapping;
        }

        if (transaction.ProducerEpoch != producerEpoch)
        {
            return Refusal.ProducerFenced;
        }

        if (TransactionModule.isPrepared(transaction))
        {
            return Refusal.ConcurrentTransactions;
        }

        return TransactionModule.isOngoing(transaction) ? null : Refusal.InvalidTransactionState;
    }

    /// <summary>A transaction's state in Kafka's words.</summary>
    public static string StateOf(Transaction transaction) => transaction.State.Tag switch
    {
        TransactionState.Tags.Ongoing => "Ongoing",
        TransactionState.Tags.PrepareCommit => "PrepareCommit",
        TransactionState.Tags.PrepareAbort => "PrepareAbort",
        TransactionState.Tags.CompleteCommit => "CompleteCommit",
        TransactionState.Tags.CompleteAbort => "CompleteAbort",
        _ => "Empty",
    };
}
