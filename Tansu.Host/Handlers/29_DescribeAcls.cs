using Tansu.Codec;
using Tansu.Codec.Messages;
using Tansu.Host.Requests;

namespace Tansu.Host.Handlers;

/// <summary>DescribeAcls (API key 29, KIP-140): answered as by a Kafka broker without an authorizer. Version 2 is flexible, 3 brought users (KIP-373).</summary>
internal sealed class DescribeAclsHandler : Handler<DescribeAclsRequest, DescribeAclsResponse>
{
    public override ValueTask<DescribeAclsResponse?> HandleAsync(
        RequestContext context,
        DescribeAclsRequest request,
        CancellationToken cancellationToken) => new(new DescribeAclsResponse
        {
            ErrorCode = ErrorCode.SecurityDisabled,
            ErrorMessage = "No Authorizer is configured on the broker",
        });
}
