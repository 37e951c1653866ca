using Tansu.Codec;
using Tansu.Codec.Messages;
using Tansu.Host.Requests;

namespace Tansu.Host.Handlers;

/// <summary>Heartbeat (API key 12). Version 3 brought static members (KIP-345), 4 flexible encoding.</summary>
internal sealed class HeartbeatHandler(Broker broker) : Handler<HeartbeatRequest, HeartbeatResponse>
{
    public override async ValueTask<HeartbeatResponse?> HandleAsync(
        RequestContext context,
        HeartbeatRequest request,
        CancellationToken cancellationToken) => new HeartbeatResponse
        {
            ErrorCode = request.GroupId.Length == 0 ? ErrorCode.InvalidGroupId : await Groups.GuardAsync(async () =>
            {
                var refusal = await broker.CoordinatorOf(request.GroupId).HeartbeatAsync(
                    request.GroupId,
                    request.MemberId,
                    request.GroupInstanceId,
                    request.GenerationId,
                    broker.Settings.CatchUpTimeout);
                return refusal is null ? ErrorCode.None : Errors.Of(refusal);
            }),
        };
}
