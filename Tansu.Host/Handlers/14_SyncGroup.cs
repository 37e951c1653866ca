using Tansu.Codec;
using Tansu.Codec.Messages;
using Tansu.Domain;
using Tansu.Host.Requests;

namespace Tansu.Host.Handlers;

/// <summary>
/// SyncGroup (API key 14). Version 3 brought static members (KIP-345), 4 flexible encoding, 5 protocol type and name (KIP-559).
/// </summary>
internal sealed class SyncGroupHandler(Broker broker) : Handler<SyncGroupRequest, SyncGroupResponse>
{
    private const short FirstVersionWithProtocol = 5;

    public override async ValueTask<SyncGroupResponse?> HandleAsync(
        RequestContext context,
        SyncGroupRequest request,
        CancellationToken cancellationToken)
    {
        if (request.GroupId.Length == 0)
        {
            return new SyncGroupResponse { ErrorCode = ErrorCode.InvalidGroupId };
        }

        // A client that knows these fields must fill them in.
        if (context.Version >= FirstVersionWithProtocol && (request.ProtocolType is null || request.ProtocolName is null))
        {
            return new SyncGroupResponse { ErrorCode = ErrorCode.InconsistentGroupProtocol };
        }

        var sync = new GroupSync(
            request.MemberId,
            request.GroupInstanceId,
            request.GenerationId,
            request.ProtocolType,
            request.ProtocolName,
            Array.ConvertAll(request.Assignments, static given => (given.MemberId, given.Assignment.ToArray())));
        SyncGroupResponse? response = null;
        var error = await context.GuardWaitAsync(
            async token =>
            {
                var progress = await broker.CoordinatorOf(request.GroupId).SyncAsync(request.GroupId, sync, broker.Settings.CoordinatorTimeout, token);
                response = progress switch
                {
                    SyncProgress.IsAssigned assigned => new SyncGroupResponse
                    {
                        ProtocolType = assigned.protocolType,
                        ProtocolName = assigned.protocolName,
                        Assignment = assigned.assignment,
                    },
                    SyncProgress.SyncFailed failed => new SyncGroupResponse { ErrorCode = Errors.Of(failed.refusal) },
                    _ => new SyncGroupResponse { ErrorCode = ErrorCode.UnknownServerError },
                };
                return ErrorCode.None;
            },
            cancellationToken);
        return response ?? new SyncGroupResponse { ErrorCode = error };
    }
}
