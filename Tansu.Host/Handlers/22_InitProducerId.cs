using Tansu.Adapters.Ports;
using Tansu.Codec;
using Tansu.Codec.Messages;
using Tansu.Domain;
using Tansu.Host.Requests;

namespace Tansu.Host.Handlers;

/// <summary>
/// InitProducerId (API key 22). Version 2 is flexible, 3 brought the current id and epoch (KIP-360), 4 PRODUCER_FENCED, 6 two-phase commit
/// (KIP-939), which is refused as by a Kafka broker that does not enable it. A producer that is only idempotent gets a fresh id with epoch 0,
/// whatever it had, as from Kafka.
/// </summary>
internal sealed class InitProducerIdHandler(Broker broker) : Handler<InitProducerIdRequest, InitProducerIdResponse>
{
    private const short FirstVersionWithFencing = 4;

    public override async ValueTask<InitProducerIdResponse?> HandleAsync(
        RequestContext context,
        InitProducerIdRequest request,
        CancellationToken cancellationToken)
    {
        if (request.ProducerId == Absent.ProducerId != (request.ProducerEpoch == Absent.ProducerEpoch))
        {
            return Refuse(ErrorCode.InvalidRequest);
        }

        return request.TransactionalId is { } transactionalId
            ? await InitializeAsync(context, request, transactionalId)
            : await NextAsync();
    }

    private async ValueTask<InitProducerIdResponse> InitializeAsync(RequestContext context, InitProducerIdRequest request, string transactionalId)
    {
        if (transactionalId.Length == 0)
        {
            return Refuse(ErrorCode.InvalidRequest);
        }

        if (request.Enable2Pc)
        {
            return Refuse(ErrorCode.TransactionalIdAuthorizationFailed);
        }

        if (request.KeepPreparedTxn)
        {
            return Refuse(ErrorCode.UnsupportedVersion);
        }

        var (reply, error) = await Transactions.AskAsync(() => broker.Transacting().InitializeAsync(
            transactionalId,
            request.TransactionTimeoutMs,
            request.ProducerId,
            request.ProducerEpoch,
            broker.Settings.CoordinatorTimeout));
        return reply is TransactionReply.ProducerReady ready
            ? new InitProducerIdResponse { ProducerId = ready.producerId, ProducerEpoch = ready.producerEpoch }
            : Refuse(Transactions.ForVersion(error, context.Version, FirstVersionWithFencing));
    }

    private async ValueTask<InitProducerIdResponse> NextAsync()
    {
        try
        {
            var producerId = await broker.Cluster.ProducerIds.NextAsync(broker.Settings.AdminTimeout);
            return new InitProducerIdResponse { ProducerId = producerId, ProducerEpoch = 0 };
        }
        catch (Exception failure) when (failure is TimeoutException or StoreRefusedException)
        {
            return Refuse(ErrorCode.CoordinatorNotAvailable);
        }
    }

    private static InitProducerIdResponse Refuse(ErrorCode error) => new() { ErrorCode = error, ProducerId = -1, ProducerEpoch = -1 };
}
