using Tansu.Codec;
using Tansu.Codec.Messages;
using Tansu.Host.Requests;

namespace Tansu.Host.Handlers;

/// <summary>
/// DescribeCluster (API key 60, KIP-700). Version 1 brought endpoint types (KIP-919), 2 fenced brokers (KIP-1073); there are none here, and no
/// controllers with an endpoint of their own.
/// </summary>
internal sealed class DescribeClusterHandler(Broker broker) : Handler<DescribeClusterRequest, DescribeClusterResponse>
{
    private const sbyte Brokers = 1;
    private const sbyte Controllers = 2;

    public override ValueTask<DescribeClusterResponse?> HandleAsync(
        RequestContext context,
        DescribeClusterRequest request,
        CancellationToken cancellationToken)
    {
        var nodes = broker.Cluster.Nodes;
        var response = request.EndpointType switch
        {
            Brokers => new DescribeClusterResponse
            {
                ClusterId = broker.Cluster.ClusterId,
                ControllerId = nodes.Controller.Id,
                EndpointType = Brokers,
                Brokers = [.. nodes.All.Select(static node => new DescribeClusterResponse.DescribeClusterBroker
                {
                    BrokerId = node.Id,
                    Host = node.Host,
                    Port = node.Port,
                })],
                ClusterAuthorizedOperations = request.IncludeClusterAuthorizedOperations
                    ? AuthorizedOperations.Cluster
                    : AuthorizedOperations.NotAsked,
            },
            Controllers => new DescribeClusterResponse
            {
                ErrorCode = ErrorCode.MismatchedEndpointType,
                ErrorMessage = "The request was sent to an endpoint of type BROKER, but we wanted an endpoint of type CONTROLLER",
            },
            _ => new DescribeClusterResponse
            {
                ErrorCode = ErrorCode.UnsupportedEndpointType,
                ErrorMessage = $"Unsupported endpoint type {request.EndpointType}",
            },
        };
        return new ValueTask<DescribeClusterResponse?>(response);
    }
}
