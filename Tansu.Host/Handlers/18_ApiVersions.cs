using System.Text.RegularExpressions;
using Tansu.Codec;
using Tansu.Codec.Messages;
using Tansu.Host.Network;
using Tansu.Host.Requests;

namespace Tansu.Host.Handlers;

// Version 1: the throttle time. Version 3: flexible, the client's software name and version (KIP-511).
// Version 4: features with a lowest level of 0 are listed too.

/// <summary>
/// Tells the APIs and versions that are served. Any version of the request is answered: one that is not served with
/// UNSUPPORTED_VERSION in version 0 and the range of this API, so that the client can ask again (KIP-511).
/// </summary>
internal sealed partial class ApiVersionsHandler : Handler<ApiVersionsRequest, ApiVersionsResponse>
{
    private const short FirstVersionWithSoftware = 3;
    private const short FirstVersionWithLevelZero = 4;

    private ApiVersionsResponse.ApiVersion[] _served = [];

    /// <summary>Says what is served; to be called once, when all handlers are known.</summary>
    public void Describe(ApiTable apis)
    {
        ArgumentNullException.ThrowIfNull(apis);
        _served = [.. apis.All.Select(Describe)];
    }

    /// <inheritdoc/>
    public override ValueTask<ApiVersionsResponse?> HandleAsync(
        RequestContext context, ApiVersionsRequest request, CancellationToken cancellationToken)
    {
        ArgumentNullException.ThrowIfNull(context);
        ArgumentNullException.ThrowIfNull(request);
        var isValid = context.Version < FirstVersionWithSoftware
            || (IsName(request.ClientSoftwareName) && IsName(request.ClientSoftwareVersion));
        var response = isValid
            ? new ApiVersionsResponse
            {
                ApiKeys = _served,
                SupportedFeatures = context.Version < FirstVersionWithLevelZero ? [] : Supported,
                FinalizedFeaturesEpoch = 0,
                FinalizedFeatures = Finalized,
            }
            : new ApiVersionsResponse { ErrorCode = ErrorCode.InvalidRequest };
        return new ValueTask<ApiVersionsResponse?>(response);
    }

    /// <summary>The answer to a version that is not served.</summary>
    internal Reply? RefuseVersion(int correlationId)
    {
        var refusal = new ApiVersionsResponse { ErrorCode = ErrorCode.UnsupportedVersion, ApiKeys = [Describe(this)] };
        return Write(refusal, version: 0, correlationId, borrowed: null);
    }

    private static ApiVersionsResponse.ApiVersion Describe(Handler handler) => new()
    {
        ApiKey = handler.ApiKey,
        MinVersion = handler.LowestAdvertisedVersion,
        MaxVersion = handler.HighestVersion,
    };

    private static ApiVersionsResponse.SupportedFeatureKey[] Supported =>
    [
        new() { Name = Features.TransactionVersion, MinVersion = Features.LowestTransactionVersion, MaxVersion = Features.HighestTransactionVersion },
    ];

    private static ApiVersionsResponse.FinalizedFeatureKey[] Finalized =>
    [
        new() { Name = Features.TransactionVersion, MinVersionLevel = Features.HighestTransactionVersion, MaxVersionLevel = Features.HighestTransactionVersion },
    ];

    private static bool IsName(string text) => SoftwareName().IsMatch(text);

    // Kafka's rule: letters, digits, '-' and '.', with a letter or digit at both ends.
    [GeneratedRegex(@"^[A-Za-z0-9](?:[A-Za-z0-9.\-]*[A-Za-z0-9])?\z")]
    private static partial Regex SoftwareName();
}
