using Tansu.Codec.Messages;
using Tansu.Domain;
using Tansu.Host.Requests;

namespace Tansu.Host.Handlers;

/// <summary>DeleteGroups (API key 42). Version 2 is flexible.</summary>
internal sealed class DeleteGroupsHandler(Broker broker) : Handler<DeleteGroupsRequest, DeleteGroupsResponse>
{
    public override async ValueTask<DeleteGroupsResponse?> HandleAsync(
        RequestContext context,
        DeleteGroupsRequest request,
        CancellationToken cancellationToken)
    {
        var results = await Task.WhenAll(request.GroupsNames.Select(async groupId => new DeleteGroupsResponse.DeletableGroupResult
        {
            GroupId = groupId,
            ErrorCode = (await broker.AskGroupAsync(groupId, GroupCommand.DeleteGroup)).Error,
        }));
        return new DeleteGroupsResponse { Results = results };
    }
}
