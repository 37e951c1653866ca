using Tansu.Codec;
using Tansu.Codec.Messages;
using Tansu.Domain;
using Tansu.Host.Requests;

namespace Tansu.Host.Handlers;

/// <summary>
/// LeaveGroup (API key 13). Version 3 brought many members in one request, named by instance too (KIP-345), 4 flexible encoding, 5 reasons
/// (KIP-800).
/// </summary>
internal sealed class LeaveGroupHandler(Broker broker) : Handler<LeaveGroupRequest, LeaveGroupResponse>
{
    private const short FirstVersionWithManyMembers = 3;

    public override async ValueTask<LeaveGroupResponse?> HandleAsync(
        RequestContext context,
        LeaveGroupRequest request,
        CancellationToken cancellationToken)
    {
        if (request.GroupId.Length == 0)
        {
            return new LeaveGroupResponse { ErrorCode = ErrorCode.InvalidGroupId };
        }

        var isMany = context.Version >= FirstVersionWithManyMembers;
        LeavingMember[] leaving = isMany
            ? Array.ConvertAll(request.Members, static member => new LeavingMember(member.MemberId, member.GroupInstanceId))
            : [new LeavingMember(request.MemberId, null)];
        var (reply, error) = await broker.AskGroupAsync(request.GroupId, GroupCommand.NewLeave(leaving));
        if (reply is not GroupReply.MembersLeft left)
        {
            return new LeaveGroupResponse { ErrorCode = error };
        }

        if (!isMany)
        {
            return new LeaveGroupResponse { ErrorCode = Groups.ErrorOf(left.refusals[0]) };
        }

        var members = new LeaveGroupResponse.MemberResponse[leaving.Length];
        for (var index = 0; index < members.Length; index++)
        {
            members[index] = new LeaveGroupResponse.MemberResponse
            {
                MemberId = leaving[index].MemberId,
                GroupInstanceId = leaving[index].InstanceId,
                ErrorCode = Groups.ErrorOf(left.refusals[index]),
            };
        }

        return new LeaveGroupResponse { Members = members };
    }
}
