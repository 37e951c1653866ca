using System.Globalization;
using Tansu.Codec.Messages;
using Tansu.Host.CommandLine;

namespace Tansu.Host.Client;

/// <content>Configurations: those of a broker are asked of that broker, all others of any.</content>
internal sealed partial class KafkaAdmin
{
    private const sbyte SetOperation = 0;
    private const sbyte DeleteOperation = 1;

    /// <summary>Describes configurations, with their synonyms and explanations where the broker gives them.</summary>
    /// <param name="resource">What they belong to.</param>
    /// <param name="name">A topic, a group, the id of a broker, or the empty string for all brokers.</param>
    /// <param name="cancellationToken">Ends it.</param>
    public Task<DescribeConfigsResponse.DescribeConfigsResourceResult[]> DescribeConfigsAsync(
        ConfigResource resource, string name, CancellationToken cancellationToken)
    {
        return client.RetryAsync(DescribeAsync, cancellationToken);

        async Task<DescribeConfigsResponse.DescribeConfigsResourceResult[]> DescribeAsync(CancellationToken token)
        {
            var connection = await OwnerAsync(resource, name, token);
            var request = new DescribeConfigsRequest
            {
                IncludeSynonyms = true,
                IncludeDocumentation = true,
                Resources =
                [
                    new DescribeConfigsRequest.DescribeConfigsResource
                    {
                        ResourceType = (sbyte)resource,
                        ResourceName = name,
                        ConfigurationKeys = null,
                    },
                ],
            };
            var version = connection.VersionOf<DescribeConfigsRequest>();
            var response = await connection.AskAsync<DescribeConfigsRequest, DescribeConfigsResponse>(request, version, token);
            var result = Only(response.Results);
            KafkaError.ThrowIf(result.ErrorCode, result.ErrorMessage);
            return result.Configs;
        }
    }

    /// <summary>Sets and deletes configurations, all of them or none.</summary>
    /// <param name="resource">What they belong to.</param>
    /// <param name="name">A topic, a group, the id of a broker, or the empty string for all brokers.</param>
    /// <param name="changes">Names with their values; null deletes.</param>
    /// <param name="cancellationToken">Ends it.</param>
    /// <exception cref="KafkaClientException">They were refused.</exception>
    public Task AlterConfigsAsync(
        ConfigResource resource, string name, ConfigChange[] changes, CancellationToken cancellationToken)
    {
        var request = new IncrementalAlterConfigsRequest
        {
            Resources =
            [
                new IncrementalAlterConfigsRequest.AlterConfigsResource
                {
                    ResourceType = (sbyte)resource,
                    ResourceName = name,
                    Configs = Array.ConvertAll(changes, change => new IncrementalAlterConfigsRequest.AlterableConfig
                    {
                        Name = change.Name,
                        ConfigOperation = change.Value is null ? DeleteOperation : SetOperation,
                        Value = change.Value,
                    }),
                },
            ],
        };
        return client.RetryAsync(AlterAsync, cancellationToken);

        async Task<bool> AlterAsync(CancellationToken token)
        {
            var connection = await OwnerAsync(resource, name, token);
            var version = connection.VersionOf<IncrementalAlterConfigsRequest>();
            var response = await connection.AskAsync<IncrementalAlterConfigsRequest, IncrementalAlterConfigsResponse>(
                request, version, token);
            var result = Only(response.Responses);
            KafkaError.ThrowIf(result.ErrorCode, result.ErrorMessage);
            return true;
        }
    }

    private Task<KafkaConnection> OwnerAsync(ConfigResource resource, string name, CancellationToken cancellationToken) =>
        resource == ConfigResource.Broker && int.TryParse(name, NumberStyles.None, CultureInfo.InvariantCulture, out var id)
            ? client.NodeAsync(id, cancellationToken)
            : client.AnyAsync(cancellationToken);
}
