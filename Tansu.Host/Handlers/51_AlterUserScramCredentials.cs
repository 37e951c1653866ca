using Tansu.Codec;
using Tansu.Codec.Messages;
using Tansu.Host.Requests;

namespace Tansu.Host.Handlers;

/// <summary>
/// AlterUserScramCredentials (API key 51, KIP-554). Nobody could authenticate with a credential, so none is taken; none is there to be deleted.
/// </summary>
internal sealed class AlterUserScramCredentialsHandler : Handler<AlterUserScramCredentialsRequest, AlterUserScramCredentialsResponse>
{
    public override ValueTask<AlterUserScramCredentialsResponse?> HandleAsync(
        RequestContext context,
        AlterUserScramCredentialsRequest request,
        CancellationToken cancellationToken)
    {
        var deletions = request.Deletions.Select(static deletion => (deletion.Name, IsDeletion: true));
        var upsertions = request.Upsertions.Select(static upsertion => (upsertion.Name, IsDeletion: false));
        return new ValueTask<AlterUserScramCredentialsResponse?>(new AlterUserScramCredentialsResponse
        {
            Results = [.. deletions.Concat(upsertions).GroupBy(static change => change.Name, StringComparer.Ordinal).Select(static user =>
                Refuse(user.Key, user.Count() > 1, user.First().IsDeletion))],
        });
    }

    private static AlterUserScramCredentialsResponse.AlterUserScramCredentialsResult Refuse(string user, bool isRepeated, bool isDeletion)
    {
        var (error, message) = isRepeated
            ? (ErrorCode.DuplicateResource, "A user credential cannot be altered twice in the same request")
            : user.Length == 0
                ? (ErrorCode.UnacceptableCredential, "Username must not be empty")
                : isDeletion
                    ? (ErrorCode.ResourceNotFound, "Attempt to delete a user credential that does not exist")
                    : (ErrorCode.UnsupportedSaslMechanism, "This broker does not authenticate users, therefore it keeps no credentials.");
        return new AlterUserScramCredentialsResponse.AlterUserScramCredentialsResult { User = user, ErrorCode = error, ErrorMessage = message };
    }
}
