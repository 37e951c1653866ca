using Tansu.Codec;
using Tansu.Codec.Messages;
using Tansu.Host.Requests;

namespace Tansu.Host.Handlers;

/// <summary>DescribeUserScramCredentials (API key 50, KIP-554): no user has credentials.</summary>
internal sealed class DescribeUserScramCredentialsHandler : Handler<DescribeUserScramCredentialsRequest, DescribeUserScramCredentialsResponse>
{
    public override ValueTask<DescribeUserScramCredentialsResponse?> HandleAsync(
        RequestContext context,
        DescribeUserScramCredentialsRequest request,
        CancellationToken cancellationToken) => new(new DescribeUserScramCredentialsResponse
        {
            Results = [.. (request.Users ?? []).GroupBy(static user => user.Name, StringComparer.Ordinal).Select(static user =>
            {
                var (error, message) = user.Count() > 1
                    ? (ErrorCode.DuplicateResource, $"Cannot describe SCRAM credentials for the same user twice in a single request: {user.Key}")
                    : (ErrorCode.ResourceNotFound, $"Attempt to describe a user credential that does not exist: {user.Key}");
                return new DescribeUserScramCredentialsResponse.DescribeUserScramCredentialsResult
                {
                    User = user.Key,
                    ErrorCode = error,
                    ErrorMessage = message,
                };
            })],
        });
}
