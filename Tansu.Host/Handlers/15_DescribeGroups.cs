using Tansu.Codec;
using Tansu.Codec.Messages;
using Tansu.Domain;
using Tansu.Host.Requests;

namespace Tansu.Host.Handlers;

/// <summary>
/// DescribeGroups (API key 15). Version 3 brought authorized operations, 4 static members (KIP-345), 5 flexible encoding, 6 an error for groups
/// that there are not (KIP-1043).
/// </summary>
internal sealed class DescribeGroupsHandler(Broker broker) : Handler<DescribeGroupsRequest, DescribeGroupsResponse>
{
    private const short FirstVersionWithGroupIdNotFound = 6;

    public override async ValueTask<DescribeGroupsResponse?> HandleAsync(
        RequestContext context,
        DescribeGroupsRequest request,
        CancellationToken cancellationToken)
    {
        var error = await broker.CatchUpGroupsAsync(request.Groups);
        return new DescribeGroupsResponse { Groups = Array.ConvertAll(request.Groups, groupId => Describe(context.Version, request, groupId, error)) };
    }

    private static DescribeGroupsResponse.DescribedGroupMember Describe(Group group, GroupMember member) => new()
    {
        MemberId = member.MemberId,
        GroupInstanceId = member.InstanceId,
        ClientId = member.ClientId,
        ClientHost = member.ClientHost,

        // Until the protocol is agreed on, nobody knows which metadata counts. What was assigned is held on to while others join.
        MemberMetadata = group.Phase.IsStable
            ? Array.Find(member.Protocols, protocol => protocol.Name == group.ProtocolName)?.Metadata ?? []
            : [],
        MemberAssignment = member.Assignment,
    };

    private DescribeGroupsResponse.DescribedGroup Describe(short version, DescribeGroupsRequest request, string groupId, ErrorCode error)
    {
        if (error != ErrorCode.None)
        {
            return new DescribeGroupsResponse.DescribedGroup { GroupId = groupId, ErrorCode = error };
        }

        if (broker.CoordinatorOf(groupId).Find(groupId) is not { } group)
        {
            return version < FirstVersionWithGroupIdNotFound
                ? new DescribeGroupsResponse.DescribedGroup { GroupId = groupId, GroupState = "Dead" }
                : new DescribeGroupsResponse.DescribedGroup
                {
                    GroupId = groupId,
                    GroupState = "Dead",
                    ErrorCode = ErrorCode.GroupIdNotFound,
                    ErrorMessage = $"Group {groupId} not found.",
                };
        }

        return new DescribeGroupsResponse.DescribedGroup
        {
            GroupId = groupId,
            GroupState = Groups.StateOf(group),
            ProtocolType = group.ProtocolType ?? "",
            ProtocolData = group.Phase.IsStable ? group.ProtocolName ?? "" : "",
            Members = [.. group.Members.Values.Select(member => Describe(group, member))],
            AuthorizedOperations = request.IncludeAuthorizedOperations ? AuthorizedOperations.Group : AuthorizedOperations.NotAsked,
        };
    }
}
