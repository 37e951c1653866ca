using System.Net;
using System.Net.Sockets;
using System.Text;
using Serilog;
using Serilog.Events;
using Tansu.Host.CommandLine;
using Tansu.Host.Network;

namespace Tansu.Host.Metrics;

/// <summary>
/// Serves metrics and health over HTTP/1.1, one request a connection. Never in the way of the broker: a few workers, each with one
/// connection at a time, a limit on the size of a request and on the time of a connection.
/// </summary>
internal sealed class MetricsListener : IAsyncDisposable
{
    /// <summary>How many connections are served at once; others wait in the operating system's backlog.</summary>
    public const int MaxConnections = 8;

    /// <summary>The most bytes of a request's head.</summary>
    public const int MaxRequestBytes = 8 * 1024;

    /// <summary>How long a connection may take altogether.</summary>
    public static readonly TimeSpan ConnectionTimeout = TimeSpan.FromSeconds(5);

    private const int Backlog = 32;

    // What a client sends behind its request, which nobody reads: a close over unread bytes would take the answer with it.
    private const int MaxIgnoredBytes = 64 * 1024;

    // Out of descriptors, most likely: trying again at once would only burn a core.
    private static readonly TimeSpan AcceptRetryDelay = TimeSpan.FromMilliseconds(100);

    private readonly Socket _socket;
    private readonly BrokerMetrics _metrics;
    private readonly RateLimitedLog _complaints;
    private readonly TimeProvider _timeProvider;
    private readonly CancellationTokenSource _stopping = new();
    private readonly Task _workers;

    private MetricsListener(Socket socket, string host, BrokerMetrics metrics, ILogger log, TimeProvider timeProvider)
    {
        _socket = socket;
        _metrics = metrics;
        _complaints = new RateLimitedLog(log, timeProvider);
        _timeProvider = timeProvider;
        Endpoint = new Endpoint(host, ((IPEndPoint)socket.LocalEndPoint!).Port);
        _workers = Task.WhenAll(Enumerable.Range(0, MaxConnections).Select(_ => WorkAsync()));
    }

    /// <summary>The host that was asked for, and the port that was bound.</summary>
    public Endpoint Endpoint { get; }

    /// <summary>Claims the address and serves from now on; null if there is to be no metrics port.</summary>
    /// <exception cref="ListenException">The address is in use, not of this machine, or not allowed.</exception>
    public static MetricsListener? Start(Endpoint? endpoint, BrokerMetrics metrics, ILogger log, TimeProvider timeProvider)
    {
        if (endpoint is null)
        {
            return null;
        }

        var socket = ListenSocket.Bind(endpoint, Backlog, "--metrics-listener-url");
        var listener = new MetricsListener(socket, endpoint.Host, metrics, log, timeProvider);
        log.Information("Metrics and health on {MetricsListener}", listener.Endpoint.Url);
        return listener;
    }

    /// <summary>Stops at once.</summary>
    public async ValueTask DisposeAsync()
    {
        await _stopping.CancelAsync();
        _socket.Dispose();
        await _workers;
        _stopping.Dispose();
    }

    private async Task WorkAsync()
    {
        await Task.CompletedTask.ConfigureAwait(ConfigureAwaitOptions.ForceYielding);
        while (!_stopping.IsCancellationRequested)
        {
            try
            {
                using var client = await _socket.AcceptAsync(_stopping.Token);
                await ServeAsync(client);
            }
            catch (Exception error) when (_stopping.IsCancellationRequested || error is ObjectDisposedException)
            {
                return;
            }
#pragma warning disable CA1031 // Whatever it is, the next one is accepted.
            catch (Exception error)
#pragma warning restore CA1031
            {
                _complaints.Write(LogEventLevel.Warning, "Cannot accept a connection on {MetricsListener}: {Reason}", Endpoint.Url, error.Message);
                await Task.Delay(AcceptRetryDelay, _timeProvider, CancellationToken.None);
            }
        }
    }

    private async Task ServeAsync(Socket client)
    {
        try
        {
            using var deadline = new CancellationTokenSource(ConnectionTimeout, _timeProvider);
            using var ending = CancellationTokenSource.CreateLinkedTokenSource(deadline.Token, _stopping.Token);
            var buffer = new byte[MaxRequestBytes];
            if (await ReadAsync(client, buffer, ending.Token) is { } answer)
            {
                await SendAsync(client, answer.ToBytes(), ending.Token);
                client.Shutdown(SocketShutdown.Send);
                await IgnoreRestAsync(client, buffer, ending.Token);
            }
        }
        catch (Exception error) when (error is SocketException or OperationCanceledException or ObjectDisposedException)
        {
            // Gone, too slow, or the broker stops.
        }
#pragma warning disable CA1031 // The connection is the boundary: a bug in here must not end the broker.
        catch (Exception error)
#pragma warning restore CA1031
        {
            _complaints.WriteError(error, "A request to {MetricsListener} failed", Endpoint.Url);
        }
    }

    /// <summary>Reads the head of a request; null if the client goes away before its end.</summary>
    private async Task<HttpAnswer?> ReadAsync(Socket client, byte[] buffer, CancellationToken cancellationToken)
    {
        var filled = 0;
        while (filled < buffer.Length)
        {
            var received = await client.ReceiveAsync(buffer.AsMemory(filled), SocketFlags.None, cancellationToken);
            if (received == 0)
            {
                return null;
            }

            var searched = Math.Max(0, filled - 3);
            filled += received;
            if (buffer.AsSpan(searched, filled - searched).IndexOf("\r\n\r\n"u8) >= 0)
            {
                return await HttpAnswer.ToAsync(FirstLine(buffer), _metrics);
            }
        }

        return HttpAnswer.TooLarge;
    }

    private static string FirstLine(byte[] head) => Encoding.ASCII.GetString(head.AsSpan(0, head.AsSpan().IndexOf("\r\n"u8)));

    private static async Task SendAsync(Socket client, ReadOnlyMemory<byte> bytes, CancellationToken cancellationToken)
    {
        while (bytes.Length > 0)
        {
            bytes = bytes[await client.SendAsync(bytes, SocketFlags.None, cancellationToken)..];
        }
    }

    private static async Task IgnoreRestAsync(Socket client, byte[] buffer, CancellationToken cancellationToken)
    {
        var ignored = 0;
        int received;
        do
        {
            received = await client.ReceiveAsync(buffer, SocketFlags.None, cancellationToken);
            ignored += received;
        }
        while (received > 0 && ignored < MaxIgnoredBytes);
    }
}
