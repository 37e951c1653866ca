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
    private readonly AddressCounts _addresses;
    private ReceiverThreads? _threads;
    private Task _accepting = Task.CompletedTask;
    private long _lastConnectionId;
    private int _connectionCount;
    private long _requestErrorCount;
    private long _malformedRequestCount;
    private long _slowClientCount;
    private long _refusedConnectionCount;

    private KafkaListener(Socket socket, string host, NetworkOptions options, ILogger log)
    {
        _socket = socket;
        _options = options;
        _log = log;
        _complaints = new RateLimitedLog(log, options.TimeProvider);
        _budget = new RequestBudget(options);
        _addresses = new AddressCounts(options.MaxConnectionsPerAddress);
        Endpoint = new Endpoint(host, ((IPEndPoint)socket.LocalEndPoint!).Port);
    }

    /// <summary>Where clients can connect: the host that was asked for, and the port that was bound.</summary>
    public Endpoint Endpoint { get; }

    /// <summary>How many connections are open.</summary>
    public int ConnectionCount => Volatile.Read(ref _connectionCount);

    /// <summary>How many connections were closed because of what was requested on them.</summary>
    public long RequestErrorCount => Interlocked.Read(ref _requestErrorCount);

    /// <summary>How many of those could not be understood.</summary>
    public long MalformedRequestCount => Interlocked.Read(ref _malformedRequestCount);

    /// <summary>How many connections were closed because the client did not take its replies.</summary>
    public long SlowClientCount => Interlocked.Read(ref _slowClientCount);

    /// <summary>How many connections were closed at once because there were too many, of all clients or of one address.</summary>
    public long RefusedConnectionCount => Interlocked.Read(ref _refusedConnectionCount);

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
        // Where a store blocks threads it has told the pool by now (BlockedWorkers).
        ThreadPool.GetMinThreads(out var workers, out _);
        _threads = ReceiverThreads.TryStart(workers);
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
        _threads?.Dispose();
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
            catch (Exception error) when (_stopping.IsCancellationRequested || error is ObjectDisposedException)
            {
                return;
            }
#pragma warning disable CA1031 // Whatever it is, such as no memory for one more connection, the next one is accepted.
            catch (Exception error)
#pragma warning restore CA1031
            {
                _complaints.Write(LogEventLevel.Warning, "Cannot accept a connection on {Listener}: {Reason}", Endpoint.Url, error.Message);
                await Task.Delay(AcceptRetryDelay, _options.TimeProvider, CancellationToken.None).ConfigureAwait(false);
            }
        }
    }

    private void Open(Socket socket, IRequestProcessor processor)
    {
        try
        {
            var endpoint = (IPEndPoint)socket.RemoteEndPoint!;
            var address = endpoint.Address.IsIPv4MappedToIPv6 ? endpoint.Address.MapToIPv4() : endpoint.Address;
            var remote = new IPEndPoint(address, endpoint.Port).ToString();
            socket.NoDelay = true;
            if (ConnectionCount >= _options.MaxConnections)
            {
                Refuse(socket, "Refusing the connection from {RemoteAddress}: {Count} are open", remote, ConnectionCount);
                return;
            }

            if (!_addresses.TryAdd(address))
            {
                Refuse(socket, "Refusing the connection from {RemoteAddress}: its address has {Count} open", remote, _options.MaxConnectionsPerAddress);
                return;
            }

            Start(socket, address, remote, processor);
        }
        catch (SocketException)
        {
            // Gone again between the accept and its first question.
            socket.Dispose();
        }
        catch
        {
            socket.Dispose();
            throw;
        }
    }

    private void Start(Socket socket, IPAddress address, string remote, IRequestProcessor processor)
    {
        try
        {
            var info = new ConnectionInfo(++_lastConnectionId, remote, Endpoint.Url, _stopping.Token)
            {
                IsClientGone = () => IsEnded(socket),
            };
            var connection = new Connection(socket, info, processor, _options, _threads, _budget, _log, _complaints);
            _connections[info.Id] = connection;
            Interlocked.Increment(ref _connectionCount);
            _log.Debug("Connection from {RemoteAddress} opened", remote);
            connection.Start(ended => Forget(ended, address));
        }
        catch
        {
            _addresses.Remove(address);
            throw;
        }
    }

    private void Refuse(Socket socket, string why, string remote, int count)
    {
        Interlocked.Increment(ref _refusedConnectionCount);
        _complaints.Write(LogEventLevel.Warning, why, remote, count);
        socket.Dispose();
    }

    private void Forget(Connection connection, IPAddress address)
    {
        Count(connection.IsEndedByRequest, ref _requestErrorCount);
        Count(connection.IsMalformed, ref _malformedRequestCount);
        Count(connection.IsTooSlow, ref _slowClientCount);
        _addresses.Remove(address);
        Interlocked.Decrement(ref _connectionCount);
        _connections.TryRemove(connection.Id, out _);
    }

    private static void Count(bool isSo, ref long count)
    {
        if (isSo)
        {
            Interlocked.Increment(ref count);
        }
    }

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
