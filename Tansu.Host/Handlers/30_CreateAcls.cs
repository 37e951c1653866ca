using Tansu.Codec;
using Tansu.Codec.Messages;
using Tansu.Host.Requests;

namespace Tansu.Host.Handlers;

/// <summary>CreateAcls (API key 30, KIP-140): answered as by a Kafka broker without an authorizer. Version 2 is flexible, 3 brought users (KIP-373).</summary>
internal sealed class CreateAclsHandler : Handler<CreateAclsRequest, CreateAclsResponse>
{
    public override ValueTask<CreateAclsResponse?> HandleAsync(
        RequestContext context,
        CreateAclsRequest request,
        CancellationToken cancellationToken) => new(new CreateAclsResponse
        {
            Results = Array.ConvertAll(request.Creations, static _ => new CreateAclsResponse.AclCreationResult
            {
                ErrorCode = ErrorCode.SecurityDisabled,
                ErrorMessage = "No Authorizer is configured.",
            }),
        });
}
