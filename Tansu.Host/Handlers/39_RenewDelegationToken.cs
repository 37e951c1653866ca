using Tansu.Codec;
using Tansu.Codec.Messages;
using Tansu.Host.Requests;

namespace Tansu.Host.Handlers;

/// <summary>RenewDelegationToken (API key 39, KIP-48). Tokens are for connections that authenticate; as in Kafka, one that does not may not ask about them.</summary>
internal sealed class RenewDelegationTokenHandler : Handler<RenewDelegationTokenRequest, RenewDelegationTokenResponse>
{
    public override ValueTask<RenewDelegationTokenResponse?> HandleAsync(
        RequestContext context,
        RenewDelegationTokenRequest request,
        CancellationToken cancellationToken) => new(new RenewDelegationTokenResponse { ErrorCode = ErrorCode.DelegationTokenRequestNotAllowed });
}
