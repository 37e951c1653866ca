using Tansu.Codec;
using Tansu.Codec.Messages;
using Tansu.Host.Requests;

namespace Tansu.Host.Handlers;

/// <summary>ExpireDelegationToken (API key 40, KIP-48). Tokens are for connections that authenticate; as in Kafka, one that does not may not ask about them.</summary>
internal sealed class ExpireDelegationTokenHandler : Handler<ExpireDelegationTokenRequest, ExpireDelegationTokenResponse>
{
    public override ValueTask<ExpireDelegationTokenResponse?> HandleAsync(
        RequestContext context,
        ExpireDelegationTokenRequest request,
        CancellationToken cancellationToken) => new(new ExpireDelegationTokenResponse { ErrorCode = ErrorCode.DelegationTokenRequestNotAllowed });
}
