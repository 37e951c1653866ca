using Tansu.Codec;
using Tansu.Codec.Messages;
using Tansu.Domain;
using Tansu.Host.Requests;

namespace Tansu.Host.Handlers;

/// <summary>
/// JoinGroup (API key 11). Version 1 brought the rebalance timeout, 4 member ids that a client must come back with (KIP-394), 5 static members
/// (KIP-345), 6 flexible encoding, 7 the protocol type in the answer, 8 reasons (KIP-800), 9 assignments that a leader may skip (KIP-814).
/// </summary>
internal sealed class JoinGroupHandler(Broker broker) : Handler<JoinGroupRequest, JoinGroupResponse>
{
    private const short FirstVersionWithRebalanceTimeout = 1;
    private const short FirstVersionWithKnownMemberId = 4;
    private const short FirstVersionWithProtocolType = 7;
    private const short FirstVersionWithSkippedAssignment = 9;

    public override async ValueTask<JoinGroupResponse?> HandleAsync(
        RequestContext context,
        JoinGroupRequest request,
        CancellationToken cancellationToken)
    {
        if (request.GroupId.Length == 0)
        {
            return Refuse(context, ErrorCode.InvalidGroupId, request.MemberId);
        }

        JoinGroupResponse? response = null;
        var error = await context.GuardWaitAsync(
            async token =>
            {
                var reply = await broker.CoordinatorOf(request.GroupId)
                    .JoinAsync(request.GroupId, ToJoin(context, request), broker.Settings.CoordinatorTimeout, token);
                response = reply switch
                {
                    GroupReply.JoinedAtOnce joined => Describe(joined.joined),
                    GroupReply.JoinRefused refused => Refuse(context, Errors.Of(refused.refusal), refused.memberId),
                    _ => Refuse(context, ErrorCode.UnknownServerError, request.MemberId),
                };
                return ErrorCode.None;
            },
            cancellationToken);
        return response ?? Refuse(context, error, request.MemberId);
    }

    private static JoinGroupResponse Refuse(RequestContext context, ErrorCode error, string memberId) => new()
    {
        ErrorCode = error,
        MemberId = memberId,
        ProtocolName = context.Version < FirstVersionWithProtocolType ? "" : null,
    };

    private static JoinGroupResponse Describe(JoinedGroup joined) => new()
    {
        GenerationId = joined.Generation,
        ProtocolType = joined.ProtocolType,
        ProtocolName = joined.ProtocolName,
        Leader = joined.Leader,
        SkipAssignment = joined.SkipAssignment,
        MemberId = joined.MemberId,
        Members = Array.ConvertAll(joined.Members, member => new JoinGroupResponse.JoinGroupResponseMember
        {
            MemberId = member.MemberId,
            GroupInstanceId = member.InstanceId,
            Metadata = Array.Find(member.Protocols, protocol => protocol.Name == joined.ProtocolName)?.Metadata ?? [],
        }),
    };

    private GroupJoin ToJoin(RequestContext context, JoinGroupRequest request)
    {
        var clientId = context.ClientId ?? "";

        // By the clock by which it will be judged.
        var now = DateTimeOffset.FromUnixTimeMilliseconds(broker.Cluster.ShardOf(request.GroupId).Replica.NowMs);
        return new GroupJoin(
            request.MemberId,
            GroupRules.memberId(request.GroupInstanceId ?? clientId, Guid.CreateVersion7(now)),
            request.GroupInstanceId,
            clientId,
            Groups.HostOf(context),
            request.SessionTimeoutMs,
            context.Version >= FirstVersionWithRebalanceTimeout ? request.RebalanceTimeoutMs : request.SessionTimeoutMs,
            request.ProtocolType,
            Array.ConvertAll(request.Protocols, static protocol => new GroupProtocol(protocol.Name, protocol.Metadata.ToArray())),
            requiresKnownMemberId: context.Version >= FirstVersionWithKnownMemberId,
            canSkipAssignment: context.Version >= FirstVersionWithSkippedAssignment);
    }
}
