using Tansu.Codec.Messages;
using Tansu.Host.Requests;

namespace Tansu.Host.Handlers;

/// <summary>
/// AlterConfigs (API key 33, KIP-133): replaces all of a resource's configurations. Version 2 is flexible. Deprecated in favour of
/// IncrementalAlterConfigs.
/// </summary>
internal sealed class AlterConfigsHandler(Broker broker) : Handler<AlterConfigsRequest, AlterConfigsResponse>
{
    public override async ValueTask<AlterConfigsResponse?> HandleAsync(
        RequestContext context,
        AlterConfigsRequest request,
        CancellationToken cancellationToken)
    {
        AlteredResource[] resources = [.. request.Resources.Select(static resource => new AlteredResource(
            resource.ResourceType,
            resource.ResourceName,
            [.. resource.Configs.Select(static config => new AlteredConfig(config.Name, 0, config.Value))]))];
        var results = await ConfigAlteration.AlterAsync(broker, resources, replacesAll: true, request.ValidateOnly);
        return new AlterConfigsResponse
        {
            Responses = [.. resources.Zip(results, static (resource, result) => new AlterConfigsResponse.AlterConfigsResourceResponse
            {
                ErrorCode = result.Error,
                ErrorMessage = result.Message,
                ResourceType = resource.Type,
                ResourceName = resource.Name,
            })],
        };
    }
}
