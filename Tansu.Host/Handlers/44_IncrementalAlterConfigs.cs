using Tansu.Codec.Messages;
using Tansu.Host.Requests;

namespace Tansu.Host.Handlers;

/// <summary>IncrementalAlterConfigs (API key 44, KIP-339): changes single configurations. Version 1 is flexible.</summary>
internal sealed class IncrementalAlterConfigsHandler(Broker broker) : Handler<IncrementalAlterConfigsRequest, IncrementalAlterConfigsResponse>
{
    public override async ValueTask<IncrementalAlterConfigsResponse?> HandleAsync(
        RequestContext context,
        IncrementalAlterConfigsRequest request,
        CancellationToken cancellationToken)
    {
        AlteredResource[] resources = [.. request.Resources.Select(static resource => new AlteredResource(
            resource.ResourceType,
            resource.ResourceName,
            [.. resource.Configs.Select(static config => new AlteredConfig(config.Name, config.ConfigOperation, config.Value))]))];
        var results = await ConfigAlteration.AlterAsync(broker, resources, replacesAll: false, request.ValidateOnly);
        return new IncrementalAlterConfigsResponse
        {
            Responses = [.. resources.Zip(results, static (resource, result) => new IncrementalAlterConfigsResponse.AlterConfigsResourceResponse
            {
                ErrorCode = result.Error,
                ErrorMessage = result.Message,
                ResourceType = resource.Type,
                ResourceName = resource.Name,
            })],
        };
    }
}
