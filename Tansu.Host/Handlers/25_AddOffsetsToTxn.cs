using Tansu.Codec;
using Tansu.Codec.Messages;
using Tansu.Domain;
using Tansu.Host.Requests;

namespace Tansu.Host.Handlers;

/// <summary>
/// AddOffsetsToTxn (API key 25). Version 2 brought PRODUCER_FENCED, 3 is flexible, 4 brought TRANSACTION_ABORTABLE (KIP-890). Clients of
/// transactions v2 do not send it: the group that they commit offsets of is added by itself.
/// </summary>
internal sealed class AddOffsetsToTxnHandler(Broker broker) : Handler<AddOffsetsToTxnRequest, AddOffsetsToTxnResponse>
{
    private const short FirstVersionWithFencing = 2;

    public override async ValueTask<AddOffsetsToTxnResponse?> HandleAsync(
        RequestContext context,
        AddOffsetsToTxnRequest request,
        CancellationToken cancellationToken)
    {
        if (request.TransactionalId.Length == 0)
        {
            return new AddOffsetsToTxnResponse { ErrorCode = ErrorCode.InvalidRequest };
        }

        var group = (request.GroupId, broker.Cluster.ShardOf(request.GroupId).Index);
        var addition = new TransactionAddition(request.ProducerId, request.ProducerEpoch, [], [group], bumpsEpoch: false);
        var (_, error) = await Transactions.AskAsync(() => broker.Transacting().AddAsync(
            request.TransactionalId,
            addition,
            broker.Settings.CoordinatorTimeout));
        return new AddOffsetsToTxnResponse { ErrorCode = Transactions.ForVersion(error, context.Version, FirstVersionWithFencing) };
    }
}
