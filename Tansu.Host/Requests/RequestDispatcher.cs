using Serilog;
using Serilog.Events;
using Tansu.Adapters;
using Tansu.Codec;
using Tansu.Host.Handlers;
using Tansu.Host.Network;

namespace Tansu.Host.Requests;

/// <summary>
/// Reads the header of a request and hands it to the handler of its API. A request of an API or a version that is not
/// served ends the connection, as in Kafka; only ApiVersions answers every version, since it is how a client learns of them.
/// </summary>
internal sealed class RequestDispatcher(ApiTable apis, ILogger log) : IRequestProcessor
{
    /// <summary>Where replies take their memory from; null if they are not counted.</summary>
    public ByteBudget? ReplyBudget { get; init; }

    /// <inheritdoc/>
    public bool IsShortOfMemory => ReplyBudget is { HasWaiters: true };

    /// <inheritdoc/>
    public void Recognize(short apiKey, short version) => Find(apiKey, version);

    /// <inheritdoc/>
    public ValueTask<Reply?> ProcessAsync(
        ConnectionInfo connection, FrameBuffer frame, CancellationToken cancellationToken)
    {
        ArgumentNullException.ThrowIfNull(connection);
        ArgumentNullException.ThrowIfNull(frame);
        var reader = new KafkaReader(frame.Memory);
        var apiKey = reader.ReadInt16();
        var version = reader.ReadInt16();
        var correlationId = reader.ReadInt32();
        var handler = Find(apiKey, version);
        handler.CountRequest(frame.Length);
        if (!handler.Serves(version) && handler is ApiVersionsHandler apiVersions)
        {
            return new ValueTask<Reply?>(apiVersions.RefuseVersion(correlationId));
        }

        // Never compact, so that every broker can read it (KIP-482).
        var clientId = reader.ReadNullableString(compact: false);
        if (handler.IsFlexible(version))
        {
            reader.SkipTags();
        }

        if (log.IsEnabled(LogEventLevel.Verbose))
        {
            log.Verbose(
                "{Api} version {Version} from {ClientId} at {RemoteAddress}, {Length} bytes",
                handler.Name, version, clientId, connection.RemoteAddress, frame.Length);
        }

        return handler.ProcessAsync(
            new RequestContext(connection, version, correlationId, clientId, frame), ref reader, cancellationToken);
    }

    private Handler Find(short apiKey, short version)
    {
        if (!apis.TryFind(apiKey, out var handler))
        {
            throw new KafkaFormatException($"API {apiKey} is not served");
        }

        return handler.Serves(version) || handler is ApiVersionsHandler
            ? handler
            : throw new KafkaFormatException(
                $"{handler.Name} version {version} is not served, {handler.LowestVersion} to {handler.HighestVersion} are");
    }
}
