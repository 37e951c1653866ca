using Tansu.Codec;
using Tansu.Codec.Messages;
using Tansu.Host.Requests;

namespace Tansu.Host.Handlers;

/// <summary>CreateDelegationToken (API key 38, KIP-48). Tokens are for connections that authenticate; as in Kafka, one that does not may not ask about them.</summary>
internal sealed class CreateDelegationTokenHandler : Handler<CreateDelegationTokenRequest, CreateDelegationTokenResponse>
{
    public override ValueTask<CreateDelegationTokenResponse?> HandleAsync(
        RequestContext context,
        CreateDelegationTokenRequest request,
        CancellationToken cancellationToken) => new(new CreateDelegationTokenResponse
        {
            ErrorCode = ErrorCode.DelegationTokenRequestNotAllowed,
            PrincipalType = string.IsNullOrEmpty(request.OwnerPrincipalName) ? "User" : request.OwnerPrincipalType ?? "",
            PrincipalName = string.IsNullOrEmpty(request.OwnerPrincipalName) ? "ANONYMOUS" : request.OwnerPrincipalName,
            TokenRequesterPrincipalType = "User",
            TokenRequesterPrincipalName = "ANONYMOUS",
        });
}
