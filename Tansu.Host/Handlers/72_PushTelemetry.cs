using Tansu.Codec;
using Tansu.Codec.Messages;
using Tansu.Codec.Records;
using Tansu.Host.Requests;

namespace Tansu.Host.Handlers;

/// <summary>
/// PushTelemetry (API key 72, KIP-714). No metrics are asked for; what a client pushes nevertheless is judged as in Kafka and dropped.
/// </summary>
internal sealed class PushTelemetryHandler(Broker broker) : Handler<PushTelemetryRequest, PushTelemetryResponse>
{
    /// <summary>The subscription that GetTelemetrySubscriptions names: to nothing.</summary>
    private const int SubscriptionId = 0;

    public override ValueTask<PushTelemetryResponse?> HandleAsync(
        RequestContext context,
        PushTelemetryRequest request,
        CancellationToken cancellationToken) => new(new PushTelemetryResponse { ErrorCode = Judge(request) });

    private ErrorCode Judge(PushTelemetryRequest request)
    {
        if (request.ClientInstanceId == Guid.Empty)
        {
            return ErrorCode.InvalidRequest;
        }

        if (request.SubscriptionId != SubscriptionId)
        {
            return ErrorCode.UnknownSubscriptionId;
        }

        if (request.CompressionType is < (sbyte)CompressionCodec.None or > (sbyte)CompressionCodec.Zstd)
        {
            return ErrorCode.UnsupportedCompressionType;
        }

        return request.Metrics.Length > broker.Settings.TelemetryMaxBytes ? ErrorCode.TelemetryTooLarge : ErrorCode.None;
    }
}
