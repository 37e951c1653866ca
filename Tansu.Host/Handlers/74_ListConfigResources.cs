using System.Globalization;
using Tansu.Codec;
using Tansu.Codec.Messages;
using Tansu.Host.Requests;

namespace Tansu.Host.Handlers;

/// <summary>
/// ListConfigResources (API key 74, KIP-1142; version 0 is ListClientMetricsResources of KIP-714): what has configurations. There are no subscriptions
/// to client metrics.
/// </summary>
internal sealed class ListConfigResourcesHandler(Broker broker) : Handler<ListConfigResourcesRequest, ListConfigResourcesResponse>
{
    private static readonly sbyte[] AllTypes = [.. Enum.GetValues<ConfigResource>().Select(static type => (sbyte)type)];

    public override async ValueTask<ListConfigResourcesResponse?> HandleAsync(
        RequestContext context,
        ListConfigResourcesRequest request,
        CancellationToken cancellationToken)
    {
        if (context.Version == 0)
        {
            return new ListConfigResourcesResponse();
        }

        if (!Array.TrueForAll(request.ResourceTypes, AllTypes.Contains))
        {
            return new ListConfigResourcesResponse { ErrorCode = ErrorCode.UnsupportedVersion };
        }

        await broker.CatchUpCatalogAsync();
        var types = request.ResourceTypes.Length == 0 ? AllTypes : request.ResourceTypes;
        return new ListConfigResourcesResponse
        {
            ConfigResources = [.. types.Distinct().SelectMany(type => NamesOf((ConfigResource)type).Select(name =>
                new ListConfigResourcesResponse.ConfigResource { ResourceName = name, ResourceType = type }))],
        };
    }

    private IEnumerable<string> NamesOf(ConfigResource type) => type switch
    {
        ConfigResource.Topic => broker.Cluster.Catalog.TopicsByName.Keys,
        ConfigResource.Broker or ConfigResource.BrokerLogger => broker.Cluster.Nodes.All.Select(static node => node.Id.ToString(CultureInfo.InvariantCulture)),
        ConfigResource.Group => broker.Cluster.Catalog.GroupConfigs.Keys,
        _ => [],
    };
}
