using Tansu.Codec;
using Tansu.Codec.Messages;
using Tansu.Host.Requests;

namespace Tansu.Host.Handlers;

/// <summary>DescribeDelegationToken (API key 41, KIP-48). Tokens are for connections that authenticate; as in Kafka, one that does not may not ask about them.</summary>
internal sealed class DescribeDelegationTokenHandler : Handler<DescribeDelegationTokenRequest, DescribeDelegationTokenResponse>
{
    public override ValueTask<DescribeDelegationTokenResponse?> HandleAsync(
        RequestContext context,
        DescribeDelegationTokenRequest request,
        CancellationToken cancellationToken) => new(new DescribeDelegationTokenResponse { ErrorCode = ErrorCode.DelegationTokenRequestNotAllowed });
}
