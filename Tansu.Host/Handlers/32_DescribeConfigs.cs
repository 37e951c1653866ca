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
        if (Array.Exists(request.Resources, resource =>
            (ConfigResource)resource.ResourceType == ConfigResource.Topic && broker.FindTopic(false, default, resource.ResourceName) is null))
        {
            await broker.CatchUpCatalogAsync();
        }

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
        DescribeConfigsRequest.DescribeConfigsResource resource) => (ConfigResource)resource.ResourceType switch
        {
            ConfigResource.Topic => DescribeTopic(request, resource),
            ConfigResource.Broker when resource.ResourceName.Length == 0 => new DescribeConfigsResponse.DescribeConfigsResult(),
            ConfigResource.Broker => ConfigResources.CheckBroker(broker, resource.ResourceName) is { } problem
                ? Failed(ErrorCode.InvalidRequest, problem)
                : DescribeBroker(request, resource),
            ConfigResource.BrokerLogger => resource.ResourceName.Length == 0
                ? Failed(ErrorCode.InvalidRequest, "Broker id must not be empty")
                : ConfigResources.CheckBroker(broker, resource.ResourceName) is { } problem
                    ? Failed(ErrorCode.InvalidRequest, problem)
                    : new DescribeConfigsResponse.DescribeConfigsResult(),
            ConfigResource.ClientMetrics or ConfigResource.Group => resource.ResourceName.Length == 0
                ? Failed(ErrorCode.InvalidRequest, "The resource's name must not be empty")
                : new DescribeConfigsResponse.DescribeConfigsResult(),
            _ => Failed(ErrorCode.InvalidRequest, $"Unsupported resource type: {resource.ResourceType}"),
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

        if (broker.FindTopic(false, default, resource.ResourceName) is not { } topic)
        {
            return Failed(ErrorCode.UnknownTopicOrPartition, null);
        }

        return new DescribeConfigsResponse.DescribeConfigsResult
        {
            Configs = [.. TopicConfig.definitions.Where(definition => IsWanted(resource, definition.Name)).Select(definition => Describe(request, topic, definition))],
        };
    }

    private static DescribeConfigsResponse.DescribeConfigsResourceResult Describe(
        DescribeConfigsRequest request,
        Topic topic,
        ConfigDefinition definition)
    {
        var isSet = topic.Configs.ContainsKey(definition.Name);
        var value = TopicConfig.effective(definition.Name, topic.Configs);
        return new DescribeConfigsResponse.DescribeConfigsResourceResult
        {
            Name = definition.Name,
            Value = value,
            ConfigSource = (sbyte)(isSet ? ConfigSource.DynamicTopic : ConfigSource.Default),
            ConfigType = (sbyte)definition.Type,
            Documentation = request.IncludeDocumentation ? definition.Documentation : null,
            Synonyms = request.IncludeSynonyms ? [.. Synonyms(definition, isSet ? value : null)] : [],
        };
    }

    private static IEnumerable<DescribeConfigsResponse.DescribeConfigsSynonym> Synonyms(ConfigDefinition definition, string? ownValue)
    {
        if (ownValue is not null)
        {
            yield return new DescribeConfigsResponse.DescribeConfigsSynonym
            {
                Name = definition.Name,
                Value = ownValue,
                Source = (sbyte)ConfigSource.DynamicTopic,
            };
        }

        yield return new DescribeConfigsResponse.DescribeConfigsSynonym
        {
            Name = definition.BrokerSynonym ?? definition.Name,
            Value = definition.Default,
            Source = (sbyte)ConfigSource.Default,
        };
    }

    private DescribeConfigsResponse.DescribeConfigsResult DescribeBroker(
        DescribeConfigsRequest request,
        DescribeConfigsRequest.DescribeConfigsResource resource) => new()
        {
            Configs = [.. BrokerConfigs.Of(broker)
                .Where(config => IsWanted(resource, config.Name))
                .Select(config => new DescribeConfigsResponse.DescribeConfigsResourceResult
                {
                    Name = config.Name,
                    Value = config.Value,
                    ReadOnly = true,
                    ConfigSource = (sbyte)config.Source,
                    ConfigType = (sbyte)config.Type,
                    Documentation = request.IncludeDocumentation ? config.Documentation : null,
                    Synonyms = request.IncludeSynonyms
                        ? [new DescribeConfigsResponse.DescribeConfigsSynonym { Name = config.Name, Value = config.Value, Source = (sbyte)config.Source }]
                        : [],
                })],
        };

    private static bool IsWanted(DescribeConfigsRequest.DescribeConfigsResource resource, string name) =>
        resource.ConfigurationKeys is null || resource.ConfigurationKeys.Length == 0 || resource.ConfigurationKeys.Contains(name);

    private static DescribeConfigsResponse.DescribeConfigsResult Failed(ErrorCode error, string? message) =>
        new() { ErrorCode = error, ErrorMessage = message };
}
