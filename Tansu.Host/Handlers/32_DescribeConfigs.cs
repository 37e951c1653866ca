using Tansu.Codec;
using Tansu.Codec.Messages;
using Tansu.Domain;
using Tansu.Host.Requests;

namespace Tansu.Host.Handlers;

/// <summary>
/// DescribeConfigs (API key 32). Version 1 brought sources and synonyms (KIP-226), 3 types and documentation (KIP-569), 4 is flexible.
/// </summary>
internal sealed class DescribeConfigsHandler(Broker broker) : Handler<DescribeConfigsRequest, DescribeConfigsResponse>
{
    public override async ValueTask<DescribeConfigsResponse?> HandleAsync(
        RequestContext context,
        DescribeConfigsRequest request,
        CancellationToken cancellationToken)
    {
        // What another broker changed shows at once: tools read back what they have written.
        await broker.CatchUpCatalogAsync();

        var results = new DescribeConfigsResponse.DescribeConfigsResult[request.Resources.Length];
        for (var index = 0; index < results.Length; index++)
        {
            var resource = request.Resources[index];
            results[index] = Describe(request, resource);
            results[index].ResourceType = resource.ResourceType;
            results[index].ResourceName = resource.ResourceName;
        }

        return new DescribeConfigsResponse { Results = results };
    }

    private DescribeConfigsResponse.DescribeConfigsResult Describe(
        DescribeConfigsRequest request,
        DescribeConfigsRequest.DescribeConfigsResource resource)
    {
        var type = (ConfigResource)resource.ResourceType;
        if (CheckName(type, resource.ResourceName) is { } problem)
        {
            return Failed(ErrorCode.InvalidRequest, problem);
        }

        var catalog = broker.Cluster.Catalog;
        return type switch
        {
            ConfigResource.Topic => DescribeTopic(request, resource),
            ConfigResource.Broker => Select(request, resource, BrokerConfigs.Of(broker, ofAllBrokers: resource.ResourceName.Length == 0)),
            ConfigResource.BrokerLogger => Select(request, resource, [DescribedConfig.OfRootLogger(broker.Settings.LogLevel)]),
            ConfigResource.Group => Select(request, resource, DescribedConfig.OfGroup(catalog, resource.ResourceName)),
            _ => new DescribeConfigsResponse.DescribeConfigsResult(),
        };
    }

    private string? CheckName(ConfigResource type, string name) => type switch
    {
        ConfigResource.Topic => null,
        ConfigResource.Broker => name.Length == 0 ? null : ConfigResources.CheckBroker(broker, name),
        ConfigResource.BrokerLogger => name.Length == 0 ? "Broker id must not be empty" : ConfigResources.CheckBroker(broker, name),
        ConfigResource.ClientMetrics => name.Length == 0 ? "Client metrics subscription name must not be empty" : null,
        ConfigResource.Group => name.Length == 0 ? "Group name must not be empty" : null,
        _ => $"Unsupported resource type: {(sbyte)type}",
    };

    private DescribeConfigsResponse.DescribeConfigsResult DescribeTopic(
        DescribeConfigsRequest request,
        DescribeConfigsRequest.DescribeConfigsResource resource)
    {
        var valid = TopicName.validate(resource.ResourceName);
        if (valid.IsError)
        {
            return Failed(ErrorCode.InvalidTopicException, $"Topic name is invalid: {valid.ErrorValue}");
        }

        return broker.FindTopic(false, default, resource.ResourceName) is { } topic
            ? Select(request, resource, DescribedConfig.OfTopic(broker.Cluster.Catalog, topic))
            : Failed(ErrorCode.UnknownTopicOrPartition, null);
    }

    private static DescribeConfigsResponse.DescribeConfigsResult Select(
        DescribeConfigsRequest request,
        DescribeConfigsRequest.DescribeConfigsResource resource,
        IEnumerable<DescribedConfig> configs) => new()
        {
            Configs = [.. configs.Where(config => IsWanted(resource, config.Name)).Select(config => new DescribeConfigsResponse.DescribeConfigsResourceResult
            {
                Name = config.Name,
                Value = config.Value,
                ReadOnly = config.IsReadOnly,
                ConfigSource = (sbyte)config.Source,
                ConfigType = (sbyte)config.Type,
                Documentation = request.IncludeDocumentation ? config.Documentation : null,
                Synonyms = request.IncludeSynonyms
                    ? Array.ConvertAll(config.Synonyms, static synonym => new DescribeConfigsResponse.DescribeConfigsSynonym
                    {
                        Name = synonym.Name,
                        Value = synonym.Value,
                        Source = (sbyte)synonym.Source,
                    })
                    : [],
            })],
        };

    private static bool IsWanted(DescribeConfigsRequest.DescribeConfigsResource resource, string name) =>
        resource.ConfigurationKeys is null || resource.ConfigurationKeys.Length == 0 || resource.ConfigurationKeys.Contains(name);

    private static DescribeConfigsResponse.DescribeConfigsResult Failed(ErrorCode error, string? message) =>
        new() { ErrorCode = error, ErrorMessage = message };
}
