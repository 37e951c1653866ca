using System.Diagnostics;
using Tansu.Adapters.Measuring;
using Tansu.Codec;
using Tansu.Host.Network;

namespace Tansu.Host.Requests;

/// <summary>Serves one Kafka API in a range of versions. One instance serves all connections, from many threads.</summary>
internal abstract class Handler
{
    private readonly ErrorTally _errors = new();
    private long _requestCount;
    private long _requestBytes;
    private long _responseBytes;

    private protected Handler(string name, short apiKey, short lowestVersion, short highestVersion)
    {
        Name = name;
        ApiKey = apiKey;
        LowestVersion = lowestVersion;
        HighestVersion = highestVersion;
    }

    /// <summary>Kafka's name of the API.</summary>
    public string Name { get; }

    /// <summary>The API's number on the wire.</summary>
    public short ApiKey { get; }

    /// <summary>The lowest version served.</summary>
    public short LowestVersion { get; }

    /// <summary>The highest version served.</summary>
    public short HighestVersion { get; }

    /// <summary>The lowest version that ApiVersions names. Lower than what is served only where old clients need the lie.</summary>
    public virtual short LowestAdvertisedVersion => LowestVersion;

    /// <summary>How many requests have come.</summary>
    public long RequestCount => Interlocked.Read(ref _requestCount);

    /// <summary>How many bytes were in them.</summary>
    public long RequestBytes => Interlocked.Read(ref _requestBytes);

    /// <summary>How many bytes were in the responses.</summary>
    public long ResponseBytes => Interlocked.Read(ref _responseBytes);

    /// <summary>How long requests took from being read until their reply was ready to be sent.</summary>
    public Histogram Latency { get; } = Histogram.OfMicroseconds();

    /// <summary>How often each error code was answered.</summary>
    public IEnumerable<KeyValuePair<ErrorCode, long>> ErrorCounts => _errors.All;

    /// <summary>Whether a version is served.</summary>
    public bool Serves(short version) => version >= LowestVersion && version <= HighestVersion;

    /// <summary>Counts a request.</summary>
    internal void CountRequest(int bytes)
    {
        Interlocked.Increment(ref _requestCount);
        Interlocked.Add(ref _requestBytes, bytes);
    }

    /// <summary>Counts a response that was made, and its errors.</summary>
    internal void CountResponse(object? response, long begun)
    {
        Latency.Record(Stopwatch.GetElapsedTime(begun));
        (response as IHasErrors)?.CountErrors(_errors);
    }

    /// <summary>Counts the bytes of a reply.</summary>
    internal void CountReply(Reply? reply) => Interlocked.Add(ref _responseBytes, reply?.Length ?? 0);

    /// <summary>Whether the version has tagged fields (KIP-482), in the request's header too.</summary>
    internal abstract bool IsFlexible(short version);

    /// <summary>Reads the request, has it handled, writes the response. Null if nothing is to be sent.</summary>
    internal abstract ValueTask<Reply?> ProcessAsync(
        RequestContext context, ref KafkaReader reader, CancellationToken cancellationToken);
}

/// <summary>Serves one Kafka API: translates a request into commands and their outcome into a response. No rules live here.</summary>
/// <typeparam name="TRequest">The generated request.</typeparam>
/// <typeparam name="TResponse">The generated response.</typeparam>
internal abstract class Handler<TRequest, TResponse> : Handler
    where TRequest : class, IMessage<TRequest>
    where TResponse : class, IMessage<TResponse>
{
    private const short ApiVersionsKey = 18;

    /// <summary>Serves every version that the codec knows.</summary>
    protected Handler()
        : this(TRequest.LowestVersion, TRequest.HighestVersion)
    {
    }

    /// <summary>Serves some of the versions that the codec knows.</summary>
    /// <exception cref="ArgumentOutOfRangeException">The codec does not know one of them.</exception>
    protected Handler(short lowestVersion, short highestVersion)
        : base(NameOf(), TRequest.ApiKey, lowestVersion, highestVersion)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(lowestVersion, TRequest.LowestVersion);
        ArgumentOutOfRangeException.ThrowIfLessThan(lowestVersion, TResponse.LowestVersion);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(highestVersion, TRequest.HighestVersion);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(highestVersion, TResponse.HighestVersion);
    }

    /// <summary>
    /// Answers a request. Requests of one connection are begun in the order of their arrival, each when the task of the one before was
    /// returned (not when it completed): what has to happen in order is to be done before the first await.
    /// </summary>
    /// <param name="context">Version, client, connection.</param>
    /// <param name="request">The request. Its bytes and records are valid until the task has completed and the reply was sent.</param>
    /// <param name="cancellationToken">Cancelled when nobody waits for the reply any more: waits end, commits go on.</param>
    /// <returns>The response; null if the client asked for none.</returns>
    /// <exception cref="KafkaFormatException">The request makes no sense and has no error code for it: the connection is closed.</exception>
    public abstract ValueTask<TResponse?> HandleAsync(
        RequestContext context, TRequest request, CancellationToken cancellationToken);

    internal sealed override bool IsFlexible(short version) => version >= TRequest.FirstFlexibleVersion;

    internal sealed override ValueTask<Reply?> ProcessAsync(
        RequestContext context, ref KafkaReader reader, CancellationToken cancellationToken)
    {
        var request = TRequest.Read(ref reader, context.Version);
        return RespondAsync(context, request, cancellationToken);
    }

    /// <summary>Writes a response with its header.</summary>
    /// <param name="response">The response; null if there is none to be sent.</param>
    /// <param name="version">The request's version.</param>
    /// <param name="correlationId">The request's.</param>
    /// <param name="borrowed">What the response refers to: the reply's from now on, or given back if there is none.</param>
    internal static Reply? Write(TResponse? response, short version, int correlationId, IDisposable? borrowed)
    {
        if (response is null)
        {
            borrowed?.Dispose();
            return null;
        }

        KafkaWriter? writer = null;
        try
        {
            writer = new KafkaWriter();
            writer.WriteInt32(correlationId);
            // A client that asks for the versions cannot know yet whether the broker speaks flexible ones (KIP-511).
            if (version >= TResponse.FirstFlexibleVersion && TResponse.ApiKey != ApiVersionsKey)
            {
                writer.WriteUnsignedVarint(0);
            }

            response.Write(writer, version);
            return new Reply(writer, borrowed);
        }
        catch
        {
            writer?.Dispose();
            borrowed?.Dispose();
            throw;
        }
    }

    private async ValueTask<Reply?> RespondAsync(RequestContext context, TRequest request, CancellationToken cancellationToken)
    {
        var begun = Stopwatch.GetTimestamp();
        try
        {
            var response = await HandleAsync(context, request, cancellationToken);
            CountResponse(response, begun);
            var reply = Write(response, context.Version, context.CorrelationId, context.TakeBorrowed());
            CountReply(reply);
            return reply;
        }
        catch
        {
            context.TakeBorrowed()?.Dispose();
            throw;
        }
    }

    private static string NameOf()
    {
        const string suffix = "Request";
        var name = typeof(TRequest).Name;
        return name.EndsWith(suffix, StringComparison.Ordinal) ? name[..^suffix.Length] : name;
    }
}
