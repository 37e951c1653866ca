using System.Net.Sockets;
using System.Threading.Channels;
using Serilog;
using Serilog.Events;
using Tansu.Adapters.Replica;
using Tansu.Codec;

namespace Tansu.Host.Network;

/// <summary>
/// One client. One loop reads requests and starts them without waiting for the earlier ones; another sends the replies in the order
/// of the requests. Nothing that a client sends can throw out of here.
/// </summary>
#pragma warning disable CA1001 // RunAsync disposes what it uses; the token source has no timer and no handle.
internal sealed partial class Connection
#pragma warning restore CA1001
{
    private readonly Socket _socket;
    private readonly ConnectionInfo _info;
    private readonly IRequestProcessor _processor;
    private readonly NetworkOptions _options;
    private readonly ILogger _log;
    private readonly RateLimitedLog _complaints;
    private readonly Receiver _receiver;
    private readonly FrameReader _reader;
    private readonly ReplySender _sender;
    private readonly InFlightLimit _inFlight;
    private readonly RequestBudget _budget;
    private readonly CancellationTokenSource _closed = new();

    // A reply that is there when the request has been started is sent by the thread that started it.
    private readonly Channel<PendingRequest> _pending = Channel.CreateUnbounded<PendingRequest>(
        new UnboundedChannelOptions { SingleReader = true, SingleWriter = true, AllowSynchronousContinuations = true });

    private long _lastActivity;
    private long _lastProgress;
    private long _lastTaken;
    private bool _isRecognized;
    private volatile bool _isStopping;

    /// <summary>A connection that has not been started.</summary>
    public Connection(
        Socket socket,
        ConnectionInfo info,
        IRequestProcessor processor,
        NetworkOptions options,
        ReceiverThreads? threads,
        RequestBudget budget,
        ILogger log,
        RateLimitedLog complaints)
    {
        _socket = socket;
        _info = info;
        _processor = processor;
        _options = options;
        _log = log;
        _complaints = complaints;
        _budget = budget;
        _receiver = new Receiver(socket, threads);
        _reader = new FrameReader(_receiver, options.MaxRequestBytes, budget, Touch, () => TouchAt(ref _lastProgress));
        _sender = new ReplySender(socket, () => TouchAt(ref _lastTaken));
        _inFlight = new InFlightLimit(options.MaxInFlightRequests, options.MaxInFlightBytes);
        Touch();
        _lastProgress = _lastTaken = _lastActivity;
    }

    /// <summary>Unique in this process.</summary>
    public long Id => _info.Id;

    /// <summary>Completes when the connection and all of its requests have ended.</summary>
    public Task Completion { get; private set; } = Task.CompletedTask;

    /// <summary>Whether a request that could not be understood or that failed has ended the connection.</summary>
    public bool IsEndedByRequest { get; private set; }

    /// <summary>Whether that was a request that could not be understood.</summary>
    public bool IsMalformed { get; private set; }

    /// <summary>Whether the client took too long to take its replies.</summary>
    public bool IsTooSlow { get; private set; }

    private enum Ending
    {
        /// <summary>The client is gone: nobody waits for what is pending.</summary>
        Gone,

        /// <summary>No more is read, but what is pending is still answered.</summary>
        Drain,
    }

    /// <summary>
    /// Serves the client until either side ends the connection and every request has ended, and then calls back. Never throws.
    /// </summary>
    public void Start(Action<Connection> onEnd) => Completion = RunAsync(onEnd);

    private async Task RunAsync(Action<Connection> onEnd)
    {
        // The caller accepts connections and must not be held up by what this one sends.
        await Task.CompletedTask.ConfigureAwait(ConfigureAwaitOptions.ForceYielding);
        try
        {
            await ServeAsync().ConfigureAwait(false);
        }
#pragma warning disable CA1031 // The connection is the boundary: it is not there any more, whatever has happened.
        catch (Exception error)
#pragma warning restore CA1031
        {
            _complaints.WriteError(error, "The connection from {RemoteAddress} has failed", _info.RemoteAddress);
            Abort();
        }

        _log.Debug("Connection from {RemoteAddress} closed", _info.RemoteAddress);
        onEnd(this);
    }

    private async Task ServeAsync()
    {
        using var idleTimer = StartIdleTimer();
        var writing = WriteAsync();
        var ending = await ReadAsync().ConfigureAwait(false);
        _pending.Writer.Complete();
        if (ending == Ending.Drain)
        {
            try
            {
                await writing.WaitAsync(_options.DrainTimeout, _options.TimeProvider).ConfigureAwait(false);
            }
            catch (TimeoutException)
            {
            }
        }

        Abort();
        await writing.ConfigureAwait(false);
        _reader.Dispose();
    }

    /// <summary>Stops to read; what is pending is still answered.</summary>
    public void Stop()
    {
        _isStopping = true;
        try
        {
            // Ends a receive that waits, as if the client had closed its side.
            _socket.Shutdown(SocketShutdown.Receive);
        }
        catch (Exception error) when (error is SocketException or ObjectDisposedException)
        {
        }
    }

    /// <summary>Closes at once, whatever is pending.</summary>
    public void Abort()
    {
        _closed.Cancel();
        _socket.Dispose();
        _receiver.Dispose();
    }

    private async Task<Ending> ReadAsync()
    {
        try
        {
            while (await _reader.ReadLengthAsync().ConfigureAwait(false) is { } length && !_isStopping)
            {
                if (!_isRecognized)
                {
                    var (apiKey, version) = await _reader.PeekApiAsync().ConfigureAwait(false);
                    _processor.Recognize(apiKey, version);
                    _isRecognized = true;
                }

                await _inFlight.EnterAsync(length, _closed.Token).ConfigureAwait(false);
                var frame = await _reader.ReadFrameAsync(length, _closed.Token).ConfigureAwait(false);
                var reply = Start(frame);
                var isRefused = reply.IsFaulted;
                _pending.Writer.TryWrite(new PendingRequest(frame, reply));
                Gathering.RingIfLate();
                var hold = _info.TakeHold();
                if (isRefused)
                {
                    return Ending.Drain;
                }

                if (hold is not null)
                {
                    // How it ended is for its own request to say.
                    await hold.WaitAsync(_closed.Token).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
                }
            }

            return _isStopping ? Ending.Drain : Ending.Gone;
        }
        catch (KafkaFormatException malformed)
        {
            Complain(malformed);
            return Ending.Drain;
        }
        catch (Exception error) when (IsEndOfConnection(error))
        {
            return _isStopping ? Ending.Drain : Ending.Gone;
        }
#pragma warning disable CA1031 // The connection is the boundary: a bug in one must not end the others.
        catch (Exception error)
#pragma warning restore CA1031
        {
            IsEndedByRequest = true;
            _complaints.WriteError(error, "Closing the connection from {RemoteAddress}: reading failed", _info.RemoteAddress);
            return Ending.Gone;
        }
    }

    // An exception becomes a failed reply, so that the replies before it leave and one place judges it.
    private ValueTask<Reply?> Start(FrameBuffer frame)
    {
        _info.Answers.Start();
        try
        {
            return _processor.ProcessAsync(_info, frame, _closed.Token);
        }
#pragma warning disable CA1031 // The connection is the boundary: a bug in one request must not end the others.
        catch (Exception error)
#pragma warning restore CA1031
        {
            return ValueTask.FromException<Reply?>(error);
        }
    }

    private void Complain(KafkaFormatException malformed)
    {
        IsEndedByRequest = true;
        IsMalformed = true;
        _complaints.Write(
            LogEventLevel.Warning,
            "Closing the connection from {RemoteAddress}: {Reason}",
            _info.RemoteAddress,
            malformed.Message);
    }

    // A client that goes away does so in all of these ways, and all are its right.
    private static bool IsEndOfConnection(Exception error) =>
        error is SocketException or EndOfStreamException or OperationCanceledException or ObjectDisposedException;
}
