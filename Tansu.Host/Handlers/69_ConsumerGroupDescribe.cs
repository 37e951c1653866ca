using Tansu.Codec;
using Tansu.Codec.Messages;
using Tansu.Host.Requests;

namespace Tansu.Host.Handlers;

/// <summary>
/// ConsumerGroupDescribe (API key 69, KIP-848). Version 1 brought the type of members (KIP-1099). Every group is a classic one; clients then ask with
/// DescribeGroups.
/// </summary>
internal sealed class ConsumerGroupDescribeHandler(Broker broker) : Handler<ConsumerGroupDescribeRequest, ConsumerGroupDescribeResponse>
{
    public override async ValueTask<ConsumerGroupDescribeResponse?> HandleAsync(
        RequestContext context,
        ConsumerGroupDescribeRequest request,
        CancellationToken cancellationToken)
    {
        var error = await broker.CatchUpGroupsAsync(request.GroupIds);
        return new ConsumerGroupDescribeResponse
        {
            Groups = Array.ConvertAll(request.GroupIds, groupId => new ConsumerGroupDescribeResponse.DescribedGroup
            {
                GroupId = groupId,
                ErrorCode = error == ErrorCode.None ? ErrorCode.GroupIdNotFound : error,
                ErrorMessage = error != ErrorCode.None ? null
                    : broker.CoordinatorOf(groupId).Find(groupId) is null ? $"Group {groupId} not found."
                    : $"Group {groupId} is not a consumer group.",
            }),
        };
    }
}
