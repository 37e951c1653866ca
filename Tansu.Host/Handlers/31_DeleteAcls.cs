using Tansu.Codec;
using Tansu.Codec.Messages;
using Tansu.Host.Requests;

namespace Tansu.Host.Handlers;

/// <summary>DeleteAcls (API key 31, KIP-140): answered as by a Kafka broker without an authorizer. Version 2 is flexible, 3 brought users (KIP-373).</summary>
internal sealed class DeleteAclsHandler : Handler<DeleteAclsRequest, DeleteAclsResponse>
{
    public override ValueTask<DeleteAclsResponse?> HandleAsync(
        RequestContext context,
        DeleteAclsRequest request,
        CancellationToken cancellationToken) => new(new DeleteAclsResponse
        {
            FilterResults = Array.ConvertAll(request.Filters, static _ => new DeleteAclsResponse.DeleteAclsFilterResult
            {
                ErrorCode = ErrorCode.SecurityDisabled,
                ErrorMessage = "No Authorizer is configured.",
            }),
        });
}
