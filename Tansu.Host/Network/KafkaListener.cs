using System.Collections.Concurrent;
using System.Net;
using System.Net.Sockets;
using Serilog;
using Serilog.Events;
using Tansu.Host.CommandLine;

namespace Tansu.Host.Network;

/// <summary>
/// Accepts connections and serves them. First bound, which claims the address, then started: clients that come in between wait.
/// </summary>
public sealed class KafkaListener : IAsyncDisposable
{
    // Out of descriptors, most likely: trying again at once would only burn a core.
    private static readonly TimeSpan AcceptRetryDelay = TimeSpan.FromMilliseconds(100);

    private readonly Socket _socket;
    private readonly NetworkOptions _options;
    private readonly ILogger _log;
    private readonly RateLimitedLog _complaints;
    private readonly RequestBudget _budget;
    private readonly CancellationTokenSource _stopping = new();
    private readonly ConcurrentDictionary<long, Connection> _connections = new();
    private Task _accepting = Task.CompletedTask;
    private long _lastConnectionId;
    private int _connectionCount;
    private long _requestErrorCount;

    private KafkaListener(Socket socket, string host, NetworkOptions options, ILogger log)
    {
        _socket = socket;
        _options = options;
        _log = log;
        _complaints = new RateLimitedLog(log, options.TimeProvider);
        _budget = new RequestBudget(options);
        Endpoint = new Endpoint(host, ((IPEndPoint)socket.LocalEndPoint!).Port);
    }

    /// <summary>Where clients can connect: the host that was asked for, and the port that was bound.</summary>
    public Endpoint Endpoint { get; }

    /// <summary>How many connections are open.</summary>
    public int ConnectionCount => Volatile.Read(ref _connectionCount);

    /// <summary>How many connections were closed because of what was requested on them.</summary>
    public long RequestErrorCount => Interlocked.Read(ref _requestErrorCount);

    /// <summary>The memory that requests hold now.</summary>
    internal RequestBudget Budget => _budget;

    /// <summary>Claims an address. A host name is looked up; port 0 takes any free port.</summary>
    /// <exception cref="ListenException">The address is in use, not of this machine, or not allowed.</exception>
    public static KafkaListener Bind(Endpoint endpoint, NetworkOptions options, ILogger log)
    {
        ArgumentNullException.ThrowIfNull(endpoint);
        ArgumentNullException.ThrowIfNull(options);
        ArgumentNullException.ThrowIfNull(log);
        return new KafkaListener(ListenSocket.Bind(endpoint, options.Backlog, "--listener-url"), endpoint.Host, options, log);
    }

    /// <summary>Begins to accept connections. To be called once.</summary>
    public void Start(IRequestProcessor processor)
    {
        ArgumentNullException.ThrowIfNull(processor);
        _accepting = AcceptAsync(processor);
    }

    /// <summary>
    /// Stops accepting and reading, lets replies that are under way leave, and closes what is left after the grace period.
    /// </summary>
    public async Task StopAsync(TimeSpan grace)
    {
        await _stopping.CancelAsync().ConfigureAwait(false);
        _socket.Dispose();
        await _accepting.ConfigureAwait(false);
        foreach (var connection in _connections.Values)
        {
            connection.Stop();
        }

        var all = Task.WhenAll(_connections.Values.Select(connection => connection.Completion));
        try
        {
            await all.WaitAsync(grace, _options.TimeProvider).ConfigureAwait(false);
        }
        catch (TimeoutException)
        {
            _log.Warning("{Count} connections were closed with requests unanswered", ConnectionCount);
            foreach (var connection in _connections.Values)
            {
                connection.Abort();
            }
        }
    }

    /// <summary>Stops without grace.</summary>
    public async ValueTask DisposeAsync()
    {
        await StopAsync(TimeSpan.Zero).ConfigureAwait(false);
        _stopping.Dispose();
    }

    private async Task AcceptAsync(IRequestProcessor processor)
    {
        while (!_stopping.IsCancellationRequested)
        {
            try
            {
                Open(await _socket.AcceptAsync(_stopping.Token).ConfigureAwait(false), processor);
            }
            catch (SocketException error) when (!_stopping.IsCancellationRequested)
            {
                _complaints.Write(LogEventLevel.Warning, "Cannot accept a connection on {Listener}: {Reason}", Endpoint.Url, error.Message);
                await Task.Delay(AcceptRetryDelay, _options.TimeProvider, CancellationToken.None).ConfigureAwait(false);
            }
            catch (Exception error) when (error is SocketException or OperationCanceledException or ObjectDisposedException)
            {
                return;
            }
        }
    }

    private void Open(Socket socket, IRequestProcessor processor)
    {
        try
        {
            var remote = socket.RemoteEndPoint is IPEndPoint address ? Text(address) : "an unknown address";
            if (ConnectionCount >= _options.MaxConnections)
            {
                _complaints.Write(
                    LogEventLevel.Warning, "Refusing the connection from {RemoteAddress}: {Count} are open", remote, ConnectionCount);
                socket.Dispose();
                return;
            }

            socket.NoDelay = true;
            var info = new ConnectionInfo(++_lastConnectionId, remote, Endpoint.Url, _stopping.Token)
            {
                IsClientGone = () => IsEnded(socket),
            };
            var connection = new Connection(socket, info, processor, _options, _budget, _log, _complaints);
            Interlocked.Increment(ref _connectionCount);
            _connections[info.Id] = connection;
            _log.Debug("Connection from {RemoteAddress} opened", remote);
            connection.Start(Forget);
        }
        catch (SocketException)
        {
            // Gone again between the accept and its first question.
            socket.Dispose();
        }
    }

    private void Forget(Connection connection)
    {
        if (connection.IsEndedByRequest)
        {
            Interlocked.Increment(ref _requestErrorCount);
        }

        Interlocked.Decrement(ref _connectionCount);
        _connections.TryRemove(connection.Id, out _);
    }

    private static string Text(IPEndPoint address) =>
        address.Address.IsIPv4MappedToIPv6
            ? new IPEndPoint(address.Address.MapToIPv4(), address.Port).ToString()
            : address.ToString();

    /// <summary>Whether the other side has closed, and nothing it sent is left to read.</summary>
    private static bool IsEnded(Socket socket)
    {
        try
        {
            return socket.Poll(0, SelectMode.SelectRead) && socket.Available == 0;
        }
        catch (Exception error) when (error is SocketException or ObjectDisposedException)
        {
            return true;
        }
    }
}
