using Tansu.Adapters.Ports;
using Tansu.Codec;
using Tansu.Codec.Messages;
using Tansu.Host.Requests;

namespace Tansu.Host.Handlers;

/// <summary>
/// InitProducerId (API key 22). Version 2 is flexible, 3 brought the current id and epoch (KIP-360), 4 PRODUCER_FENCED, 6 two-phase commit
/// (KIP-939). An idempotent producer gets a fresh id with epoch 0, whatever it had, as from Kafka.
/// </summary>
internal sealed class InitProducerIdHandler(Broker broker) : Handler<InitProducerIdRequest, InitProducerIdResponse>
{
    public override async ValueTask<InitProducerIdResponse?> HandleAsync(
        RequestContext context,
        InitProducerIdRequest request,
        CancellationToken cancellationToken)
    {
        if (request.TransactionalId is not null)
        {
            // Transactions are not served yet. This error ends the producer's attempt at once; a retriable one would have it spin.
            return Refuse(ErrorCode.TransactionalIdAuthorizationFailed);
        }

        try
        {
            var producerId = await broker.Cluster.ProducerIds.NextAsync(broker.Settings.AdminTimeout);
            return new InitProducerIdResponse { ProducerId = producerId, ProducerEpoch = 0 };
        }
        catch (TimeoutException)
        {
            return Refuse(ErrorCode.CoordinatorNotAvailable);
        }
        catch (StoreRefusedException)
        {
            return Refuse(ErrorCode.CoordinatorNotAvailable);
        }
    }

    private static InitProducerIdResponse Refuse(ErrorCode error) => new() { ErrorCode = error, ProducerId = -1, ProducerEpoch = -1 };
}
