using Tansu.Codec;
using Tansu.Codec.Messages;
using Tansu.Host.Requests;

namespace Tansu.Host.Handlers;

/// <summary>
/// DescribeClientQuotas (API key 48, KIP-546). Version 1 is flexible. There are no quotas; a filter that makes no sense is refused as in Kafka.
/// </summary>
internal sealed class DescribeClientQuotasHandler : Handler<DescribeClientQuotasRequest, DescribeClientQuotasResponse>
{
    private const sbyte MatchesAny = 2;

    public override ValueTask<DescribeClientQuotasResponse?> HandleAsync(
        RequestContext context,
        DescribeClientQuotasRequest request,
        CancellationToken cancellationToken)
    {
        var (error, message) = Judge(request.Components);
        return new ValueTask<DescribeClientQuotasResponse?>(new DescribeClientQuotasResponse
        {
            ErrorCode = error,
            ErrorMessage = message,
            Entries = error == ErrorCode.None ? [] : null,
        });
    }

    private static (ErrorCode Error, string? Message) Judge(DescribeClientQuotasRequest.ComponentData[] components)
    {
        var seen = new HashSet<string>(StringComparer.Ordinal);
        foreach (var component in components)
        {
            if (component.EntityType.Length == 0)
            {
                return (ErrorCode.InvalidRequest, "Invalid empty entity type.");
            }

            if (!seen.Add(component.EntityType))
            {
                return (ErrorCode.InvalidRequest, $"Entity type {component.EntityType} cannot appear more than once in the filter.");
            }

            if (!ClientQuotas.IsEntityType(component.EntityType))
            {
                return (ErrorCode.UnsupportedVersion, $"Custom entity type {component.EntityType} not supported");
            }

            if (component.MatchType is < 0 or > MatchesAny)
            {
                return (ErrorCode.InvalidRequest, $"Unknown match type {component.MatchType}");
            }
        }

        return (ErrorCode.None, null);
    }
}
