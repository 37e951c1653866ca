using System.Buffers.Binary;
using System.Net.Sockets;
using Tansu.Codec;
using Tansu.Codec.Messages;
using Tansu.Host.CommandLine;

namespace Tansu.Host.Client;

/// <summary>
/// One connection to a broker. Requests may be sent by several tasks at once and while others wait for their answers: each gets its own by
/// its correlation id. They are written in the order in which <see cref="AskAsync{TRequest, TResponse}"/> was called.
/// A request that is not answered in time ends the connection, as nobody knows any more what the next bytes would be.
/// </summary>
internal sealed class KafkaConnection : IAsyncDisposable
{
    private const int CorrelationIdBytes = 4;

    private readonly ClientOptions _options;
    private readonly Socket _socket;
    private readonly SemaphoreSlim _sending = new(1, 1);
    private readonly Dictionary<int, TaskCompletionSource<ReplyFrame>> _pending = [];
    private readonly Lock _lock = new();
    private Task _receiving = Task.CompletedTask;
    private KafkaClientException? _broken;
    private int _lastCorrelationId;

    private KafkaConnection(Endpoint address, ClientOptions options, Socket socket)
    {
        Address = address;
        _options = options;
        _socket = socket;
    }

    /// <summary>The broker.</summary>
    public Endpoint Address { get; }

    /// <summary>What the broker serves.</summary>
    public ServedVersions Served { get; private set; } = ServedVersions.None;

    /// <summary>Whether requests can still be sent.</summary>
    public bool IsOpen
    {
        get
        {
            lock (_lock)
            {
                return _broken is null;
            }
        }
    }

    /// <summary>Connects, and asks which versions the broker serves (KIP-511).</summary>
    /// <exception cref="KafkaClientException">It cannot be reached, or does not speak Kafka.</exception>
    public static async Task<KafkaConnection> ConnectAsync(Endpoint address, ClientOptions options, CancellationToken cancellationToken)
    {
        // Made without an address family, it tries IPv6 and IPv4 addresses of a name, one after the other.
        var socket = new Socket(SocketType.Stream, ProtocolType.Tcp) { NoDelay = true };
        var connection = new KafkaConnection(address, options, socket);
        using var deadline = new CancellationTokenSource(options.ConnectTimeout, options.TimeProvider);
        using var either = CancellationTokenSource.CreateLinkedTokenSource(deadline.Token, cancellationToken);
        try
        {
            await socket.ConnectAsync(address.Host, address.Port, either.Token);
            connection._receiving = connection.ReceiveAllAsync();
            connection.Served = new ServedVersions(await connection.AskVersionsAsync(either.Token));
            return connection;
        }
        catch (OperationCanceledException) when (deadline.IsCancellationRequested && !cancellationToken.IsCancellationRequested)
        {
            await connection.DisposeAsync();
            throw new KafkaClientException($"cannot reach {NameOf(address)}: it does not answer", isRetriable: true);
        }
        catch (SocketException failure)
        {
            await connection.DisposeAsync();
            throw new KafkaClientException($"cannot reach {NameOf(address)}: {Describe(failure)}", isRetriable: true, failure);
        }
        catch
        {
            await connection.DisposeAsync();
            throw;
        }
    }

    /// <summary>`host:port`.</summary>
    public static string NameOf(Endpoint address) => address.Url["tcp://".Length..];

    /// <summary>The highest version of a request that both sides know.</summary>
    /// <param name="highest">The highest version that the caller can make.</param>
    /// <exception cref="KafkaClientException">There is none.</exception>
    public short VersionOf<TRequest>(short highest = short.MaxValue)
        where TRequest : IMessage<TRequest>
    {
        if (Served.Find<TRequest>(highest) is { } version)
        {
            return version;
        }

        var name = ApiKeys.TryGet(TRequest.ApiKey, out var api) ? api.Name : $"API {TRequest.ApiKey}";
        throw new KafkaClientException($"the broker at {NameOf(Address)} does not serve {name}", isRetriable: false);
    }

    /// <summary>Sends a request and waits for its answer, which keeps no pooled memory.</summary>
    /// <exception cref="KafkaClientException">The connection broke, or no answer came in time.</exception>
    /// <exception cref="OperationCanceledException">The token was cancelled; the connection is closed.</exception>
    public Task<TResponse> AskAsync<TRequest, TResponse>(TRequest request, short version, CancellationToken cancellationToken)
        where TRequest : IMessage<TRequest>
        where TResponse : IMessage<TResponse> =>
        DecodeAsync<TResponse>(ExchangeAsync(Encode(request, version), cancellationToken), version);

    /// <summary>Sends a request and waits for its answer in pooled memory: for what is large and frequent, such as Fetch.</summary>
    /// <exception cref="KafkaClientException">The connection broke, or no answer came in time.</exception>
    /// <exception cref="OperationCanceledException">The token was cancelled; the connection is closed.</exception>
    public Task<KafkaReply<TResponse>> AskPooledAsync<TRequest, TResponse>(
        TRequest request, short version, CancellationToken cancellationToken)
        where TRequest : IMessage<TRequest>
        where TResponse : IMessage<TResponse> =>
        DecodePooledAsync<TResponse>(ExchangeAsync(Encode(request, version), cancellationToken), version);

    /// <summary>Sends a request that has no answer: a Produce with acks=0. Its memory is free when the task has completed.</summary>
    /// <exception cref="KafkaClientException">The connection broke.</exception>
    public Task TellAsync<TRequest>(TRequest request, short version, CancellationToken cancellationToken)
        where TRequest : IMessage<TRequest> =>
        SendAsync(Encode(request, version), answer: null, cancellationToken);

    /// <summary>Closes the connection; who waits for an answer gets an exception.</summary>
    public async ValueTask DisposeAsync()
    {
        Break(new KafkaClientException($"the connection to {NameOf(Address)} was closed", isRetriable: true));
        await _receiving;
    }

    // What waits is not generic: each message would cost the native program another copy of it.
    private async Task<TResponse> DecodeAsync<TResponse>(Task<ReplyFrame> answer, short version)
        where TResponse : IMessage<TResponse> =>
        // Not given back to the pool: slices of it may live on in the message.
        Decode<TResponse>(await answer, version);

    private async Task<KafkaReply<TResponse>> DecodePooledAsync<TResponse>(Task<ReplyFrame> answer, short version)
        where TResponse : IMessage<TResponse>
    {
        var frame = await answer;
        try
        {
            return new KafkaReply<TResponse>(Decode<TResponse>(frame, version), frame);
        }
        catch
        {
            frame.Dispose();
            throw;
        }
    }

    private (KafkaWriter Frame, int CorrelationId) Encode<TRequest>(TRequest request, short version)
        where TRequest : IMessage<TRequest>
    {
        var correlationId = Interlocked.Increment(ref _lastCorrelationId) & int.MaxValue;
        var header = new RequestHeader
        {
            RequestApiKey = TRequest.ApiKey,
            RequestApiVersion = version,
            CorrelationId = correlationId,
            ClientId = _options.ClientId,
        };
        var writer = new KafkaWriter();
        try
        {
            header.Write(writer, version >= TRequest.FirstFlexibleVersion ? (short)2 : (short)1);
            request.Write(writer, version);
            return (writer, correlationId);
        }
        catch
        {
            writer.Dispose();
            throw;
        }
    }

    private async Task<ReplyFrame> ExchangeAsync((KafkaWriter Frame, int CorrelationId) request, CancellationToken cancellationToken)
    {
        // Nothing else may run inside of the loop that receives.
        var answer = new TaskCompletionSource<ReplyFrame>(TaskCreationOptions.RunContinuationsAsynchronously);
        try
        {
            await SendAsync(request, answer, cancellationToken);
            return await answer.Task.WaitAsync(_options.Timeout, _options.TimeProvider, cancellationToken);
        }
        catch (TimeoutException)
        {
            var failure = new KafkaClientException(
                $"no answer from {NameOf(Address)} within {_options.Timeout.TotalMilliseconds:F0} ms", isRetriable: true);
            Break(failure);
            throw failure;
        }
        catch (OperationCanceledException)
        {
            Break(new KafkaClientException($"a request to {NameOf(Address)} was given up", isRetriable: true));
            throw;
        }
    }

    private async Task SendAsync(
        (KafkaWriter Frame, int CorrelationId) request, TaskCompletionSource<ReplyFrame>? answer, CancellationToken cancellationToken)
    {
        using var writer = request.Frame;
        lock (_lock)
        {
            if (_broken is not null)
            {
                throw new KafkaClientException(_broken.Message, _broken.IsRetriable, _broken);
            }

            if (answer is not null)
            {
                _pending.Add(request.CorrelationId, answer);
            }
        }

        // The semaphore lets tasks in by the order of their coming.
        await _sending.WaitAsync(cancellationToken);
        try
        {
            await SendAsync(writer.FrameForSocket());
        }
        catch (Exception failure) when (failure is SocketException or ObjectDisposedException)
        {
            throw Break(new KafkaClientException($"lost the connection to {NameOf(Address)}", isRetriable: true, failure));
        }
        finally
        {
            _sending.Release();
        }
    }

    // Without a token: half a request would make nonsense of the next one; closing the socket ends it.
    private async Task SendAsync(IList<ArraySegment<byte>> pieces)
    {
        for (var left = pieces; left.Count > 0;)
        {
            var sent = left.Count == 1
                ? await _socket.SendAsync(left[0], SocketFlags.None)
                : await _socket.SendAsync(left, SocketFlags.None);
            left = After(left, sent);
        }
    }

    private static List<ArraySegment<byte>> After(IList<ArraySegment<byte>> pieces, int sent)
    {
        var left = new List<ArraySegment<byte>>();
        foreach (var piece in pieces)
        {
            var taken = Math.Min(sent, piece.Count);
            sent -= taken;
            if (taken < piece.Count)
            {
                left.Add(piece[taken..]);
            }
        }

        return left;
    }

    private async Task ReceiveAllAsync()
    {
        using var reader = new ReplyReader(_socket, _options.MaxReplyBytes);
        try
        {
            while (true)
            {
                Deliver(await reader.ReadAsync());
            }
        }
        catch (Exception failure) when (failure is EndOfStreamException or SocketException or ObjectDisposedException)
        {
            Break(new KafkaClientException($"lost the connection to {NameOf(Address)}", isRetriable: true, failure));
        }
        catch (KafkaFormatException failure)
        {
            Break(new KafkaClientException(
                $"what answers at {NameOf(Address)} does not speak Kafka, or wants TLS: {failure.Message}", isRetriable: false, failure));
        }
    }

    private void Deliver(ReplyFrame frame)
    {
        var correlationId = BinaryPrimitives.ReadInt32BigEndian(frame.Bytes.Span);
        TaskCompletionSource<ReplyFrame>? answer;
        lock (_lock)
        {
            _pending.Remove(correlationId, out answer);
        }

        if (answer is null)
        {
            frame.Dispose();
            throw new KafkaFormatException($"an answer to request {correlationId}, which was not sent");
        }

        if (!answer.TrySetResult(frame))
        {
            frame.Dispose();
        }
    }

    private KafkaClientException Break(KafkaClientException failure)
    {
        TaskCompletionSource<ReplyFrame>[] waiting;
        lock (_lock)
        {
            if (_broken is not null)
            {
                return _broken;
            }

            _broken = failure;
            waiting = [.. _pending.Values];
            _pending.Clear();
        }

        _socket.Dispose();
        foreach (var answer in waiting)
        {
            answer.TrySetException(failure);
        }

        return failure;
    }

    private static TResponse Read<TResponse>(ReplyFrame frame, short version)
        where TResponse : IMessage<TResponse>
    {
        var reader = new KafkaReader(frame.Bytes);
        reader.ReadInt32();
        if (version >= TResponse.FirstFlexibleVersion && TResponse.ApiKey != ApiKeys.ApiVersions)
        {
            reader.SkipTags();
        }

        // Bytes behind the message are let be, as other clients do: librdkafka's brokers send some.
        return TResponse.Read(ref reader, version);
    }

    private TResponse Decode<TResponse>(ReplyFrame frame, short version)
        where TResponse : IMessage<TResponse>
    {
        try
        {
            return Read<TResponse>(frame, version);
        }
        catch (KafkaFormatException failure)
        {
            throw Break(new KafkaClientException(
                $"an answer of {NameOf(Address)} makes no sense: {failure.Message}", isRetriable: false, failure));
        }
    }

    // A broker that does not know the version answers in version 0, with the versions that it does know.
    private async Task<ApiVersionsResponse> AskVersionsAsync(CancellationToken cancellationToken)
    {
        var version = ApiVersionsRequest.HighestVersion;
        while (true)
        {
            var request = new ApiVersionsRequest { ClientSoftwareName = "tansu", ClientSoftwareVersion = _options.SoftwareVersion };
            var frame = await ExchangeAsync(Encode(request, version), cancellationToken);
            var code = frame.Bytes.Length >= CorrelationIdBytes + sizeof(short)
                ? (ErrorCode)BinaryPrimitives.ReadInt16BigEndian(frame.Bytes.Span[CorrelationIdBytes..])
                : ErrorCode.None;
            if (code != ErrorCode.UnsupportedVersion || version == 0)
            {
                KafkaError.ThrowIf(code);
                return Decode<ApiVersionsResponse>(frame, version);
            }

            version = NextOf(frame, version);
        }
    }

    private static short NextOf(ReplyFrame refusal, short refused)
    {
        try
        {
            var served = new ServedVersions(Read<ApiVersionsResponse>(refusal, version: 0));
            return served.Find<ApiVersionsRequest>((short)(refused - 1)) ?? 0;
        }
        catch (KafkaFormatException)
        {
            // Not every broker keeps to that: librdkafka's answers in the form of the version that it does not know.
            return 0;
        }
    }

    private static string Describe(SocketException failure) => failure.SocketErrorCode switch
    {
        SocketError.ConnectionRefused => "connection refused",
        SocketError.HostNotFound or SocketError.NoData or SocketError.TryAgain => "no such host",
        SocketError.TimedOut => "it does not answer",
        SocketError.HostUnreachable or SocketError.NetworkUnreachable => "no route to it",
        _ => failure.Message,
    };
}
