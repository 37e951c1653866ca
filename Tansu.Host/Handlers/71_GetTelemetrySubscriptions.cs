using Tansu.Codec.Messages;
using Tansu.Codec.Records;
using Tansu.Host.Requests;

namespace Tansu.Host.Handlers;

/// <summary>GetTelemetrySubscriptions (API key 71, KIP-714): this broker wants no client metrics.</summary>
internal sealed class GetTelemetrySubscriptionsHandler(Broker broker)
    : Handler<GetTelemetrySubscriptionsRequest, GetTelemetrySubscriptionsResponse>
{
    public override ValueTask<GetTelemetrySubscriptionsResponse?> HandleAsync(
        RequestContext context,
        GetTelemetrySubscriptionsRequest request,
        CancellationToken cancellationToken) => new(new GetTelemetrySubscriptionsResponse
        {
            ClientInstanceId = request.ClientInstanceId == Guid.Empty ? Guid.NewGuid() : request.ClientInstanceId,
            AcceptedCompressionTypes =
            [
                (sbyte)CompressionCodec.Zstd,
                (sbyte)CompressionCodec.Lz4,
                (sbyte)CompressionCodec.Gzip,
                (sbyte)CompressionCodec.Snappy,
            ],
            PushIntervalMs = broker.Settings.TelemetryPushIntervalMs,
            TelemetryMaxBytes = broker.Settings.TelemetryMaxBytes,
            DeltaTemporality = true,
        });
}
