using Tansu.Adapters.Nodes;
using Tansu.Codec;
using Tansu.Codec.Messages;
using Tansu.Domain;
using Tansu.Host.Requests;

namespace Tansu.Host.Handlers;

/// <summary>
/// FindCoordinator (API key 10). Version 1 brought transactional ids, 3 flexible encoding, 4 many keys in one request (KIP-699), 6 share groups
/// (KIP-932), which are not served. Every broker may coordinate; placement picks the node that is named.
/// </summary>
internal sealed class FindCoordinatorHandler(Broker broker) : Handler<FindCoordinatorRequest, FindCoordinatorResponse>
{
    private const short FirstVersionWithManyKeys = 4;
    private const sbyte Group = 0;
    private const sbyte Transaction = 1;

    public override ValueTask<FindCoordinatorResponse?> HandleAsync(
        RequestContext context,
        FindCoordinatorRequest request,
        CancellationToken cancellationToken)
    {
        var nodes = broker.Cluster.Nodes;
        var error = request.KeyType is Group or Transaction ? ErrorCode.None : ErrorCode.InvalidRequest;
        if (context.Version < FirstVersionWithManyKeys)
        {
            var node = CoordinatorOf(nodes, request.Key);
            return new ValueTask<FindCoordinatorResponse?>(error == ErrorCode.None
                ? new FindCoordinatorResponse { NodeId = node.Id, Host = node.Host, Port = node.Port }
                : new FindCoordinatorResponse { ErrorCode = error, NodeId = -1, Port = -1 });
        }

        var coordinators = new FindCoordinatorResponse.Coordinator[request.CoordinatorKeys.Length];
        for (var index = 0; index < coordinators.Length; index++)
        {
            var key = request.CoordinatorKeys[index];
            var node = CoordinatorOf(nodes, key);
            coordinators[index] = error == ErrorCode.None
                ? new FindCoordinatorResponse.Coordinator { Key = key, NodeId = node.Id, Host = node.Host, Port = node.Port }
                : new FindCoordinatorResponse.Coordinator { Key = key, ErrorCode = error, NodeId = -1, Port = -1 };
        }

        return new ValueTask<FindCoordinatorResponse?>(new FindCoordinatorResponse { Coordinators = coordinators });
    }

    private Node CoordinatorOf(LiveNodes nodes, string key) => nodes.LeaderOf(broker.Cluster.ShardOf(key).Index);
}
