using Tansu.Codec;
using Tansu.Codec.Messages;
using Tansu.Domain;
using Tansu.Host.Requests;

namespace Tansu.Host.Handlers;

/// <summary>
/// EndTxn (API key 26). Version 2 brought PRODUCER_FENCED, 3 is flexible, 4 brought TRANSACTION_ABORTABLE, 5 transactions v2 (KIP-890): the end
/// raises the epoch, and the answer tells it.
/// </summary>
internal sealed class EndTxnHandler(Broker broker) : Handler<EndTxnRequest, EndTxnResponse>
{
    private const short FirstVersionWithFencing = 2;
    private const short FirstVersionWithEpochs = 5;

    /// <summary>How often another transaction may have begun before the client is asked to come again.</summary>
    private const int MaxAttempts = 3;

    public override async ValueTask<EndTxnResponse?> HandleAsync(
        RequestContext context,
        EndTxnRequest request,
        CancellationToken cancellationToken)
    {
        if (request.TransactionalId.Length == 0)
        {
            return Refuse(ErrorCode.InvalidRequest);
        }

        var coordinator = broker.Transacting();
        if (coordinator.FindOngoing(request.TransactionalId, request.ProducerId, request.ProducerEpoch) is null
            && await broker.CatchUpTransactionsAsync([request.TransactionalId]) is var unknown and not ErrorCode.None)
        {
            return Refuse(unknown);
        }

        for (var attempt = 0; attempt < MaxAttempts; attempt++)
        {
            // In transactions v1 the epoch does not tell one transaction from the next. A broker that was paused may come to this after the client
            // has ended the transaction elsewhere and begun another one: which one is meant is known only while the client waits.
            if (context.Connection.IsClientGone())
            {
                return null;
            }

            var (reply, error) = await Transactions.AskAsync(() => coordinator.EndAsync(
                request.TransactionalId,
                request.ProducerId,
                request.ProducerEpoch,
                coordinator.Find(request.TransactionalId)?.Number ?? 0,
                request.Committed,
                context.Version >= FirstVersionWithEpochs,
                broker.Settings.CoordinatorTimeout));
            if (reply is TransactionReply.TransactionDecided decided)
            {
                return new EndTxnResponse { ProducerId = decided.producerId, ProducerEpoch = decided.producerEpoch };
            }

            if (error != ErrorCode.None)
            {
                return Refuse(Transactions.ForVersion(error, context.Version, FirstVersionWithFencing));
            }
        }

        return Refuse(ErrorCode.ConcurrentTransactions);
    }

    private static EndTxnResponse Refuse(ErrorCode error) => new() { ErrorCode = error, ProducerId = -1, ProducerEpoch = -1 };
}
