using Tansu.Codec;

namespace Tansu.Host.Handlers;

/// <summary>What the network layer needs of any API: its key, its versions, and how to answer a request's bytes.</summary>
internal abstract class Handler
{
    /// <summary>The API's number.</summary>
    public abstract short ApiKey { get; }

    /// <summary>The lowest version served.</summary>
    public abstract short LowestVersion { get; }

    /// <summary>The highest version served.</summary>
    public abstract short HighestVersion { get; }

    /// <summary>The first version whose request and response headers have tagged fields.</summary>
    public abstract short FirstFlexibleVersion { get; }

    /// <summary>Decodes, handles and encodes one request.</summary>
    /// <param name="context">The request's circumstances.</param>
    /// <param name="body">The request after its header; it lives as long as the frame.</param>
    /// <param name="writer">Where the response body goes, after the header that is already there.</param>
    /// <returns>False if no reply is to be sent (produce with acks=0).</returns>
    /// <exception cref="KafkaFormatException">The request is malformed: the connection is closed.</exception>
    public abstract ValueTask<bool> AnswerAsync(RequestContext context, ReadOnlyMemory<byte> body, KafkaWriter writer);
}

/// <summary>A handler of one API. What a version range holds comes from the messages, so advertised and served cannot differ.</summary>
internal abstract class Handler<TRequest, TResponse> : Handler
    where TRequest : class, IMessage<TRequest>
    where TResponse : class, IMessage<TResponse>
{
    /// <inheritdoc/>
    public sealed override short ApiKey => TRequest.ApiKey;

    /// <inheritdoc/>
    public override short LowestVersion => TRequest.LowestVersion;

    /// <inheritdoc/>
    public override short HighestVersion => TRequest.HighestVersion;

    /// <inheritdoc/>
    public sealed override short FirstFlexibleVersion => TRequest.FirstFlexibleVersion;

    /// <summary>Answers a request; null for no reply at all.</summary>
    public abstract ValueTask<TResponse?> HandleAsync(RequestContext context, TRequest request, CancellationToken cancellationToken);

    /// <inheritdoc/>
    public sealed override async ValueTask<bool> AnswerAsync(RequestContext context, ReadOnlyMemory<byte> body, KafkaWriter writer)
    {
        var response = await HandleAsync(context, Decode(body, context.Version), context.CancellationToken);
        response?.Write(writer, context.Version);
        return response is not null;
    }

    private static TRequest Decode(ReadOnlyMemory<byte> body, short version)
    {
        var reader = new KafkaReader(body);
        var request = TRequest.Read(ref reader, version);
        reader.RequireEnd();
        return request;
    }
}
