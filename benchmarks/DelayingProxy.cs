using System.Net;
using System.Net.Sockets;
using System.Threading.Channels;

namespace Tansu.Benchmarks;

/// <summary>
/// A TCP proxy that hands on what a client sends only after a while, so that every request takes that much longer. Bytes keep
/// flowing: it adds latency and takes no bandwidth.
/// </summary>
internal sealed class DelayingProxy : IDisposable
{
    private const int BufferBytes = 256 * 1024;

    private readonly TcpListener _listener = new(IPAddress.Loopback, 0);
    private readonly int _targetPort;
    private readonly TimeSpan _delay;

    public DelayingProxy(int targetPort, TimeSpan delay)
    {
        _targetPort = targetPort;
        _delay = delay;
        _listener.Start();
        _ = AcceptAsync();
    }

    public int Port => ((IPEndPoint)_listener.LocalEndpoint).Port;

    public void Dispose() => _listener.Dispose();

    private async Task AcceptAsync()
    {
        try
        {
            while (true)
            {
                _ = ServeAsync(await _listener.AcceptSocketAsync());
            }
        }
        catch (Exception ended) when (ended is SocketException or ObjectDisposedException)
        {
            // Disposed.
        }
    }

    private async Task ServeAsync(Socket client)
    {
        using var scope = client;
        using var server = new Socket(SocketType.Stream, ProtocolType.Tcp) { NoDelay = true };
        client.NoDelay = true;
        try
        {
            await server.ConnectAsync(IPAddress.Loopback, _targetPort);
            await Task.WhenAny(CopyDelayedAsync(client, server), CopyAsync(server, client));
        }
        catch (SocketException)
        {
            // Either side is gone.
        }
    }

    private async Task CopyDelayedAsync(Socket from, Socket to)
    {
        var line = Channel.CreateUnbounded<(DateTime Due, byte[] Bytes)>();
        var sending = SendAsync(line.Reader, to);
        var buffer = new byte[BufferBytes];
        while (await from.ReceiveAsync(buffer) is var read and > 0)
        {
            line.Writer.TryWrite((DateTime.UtcNow + _delay, buffer[..read]));
        }

        line.Writer.Complete();
        await sending;
    }

    private static async Task SendAsync(ChannelReader<(DateTime Due, byte[] Bytes)> line, Socket to)
    {
        await foreach (var (due, bytes) in line.ReadAllAsync())
        {
            var left = due - DateTime.UtcNow;
            if (left > TimeSpan.Zero)
            {
                await Task.Delay(left);
            }

            await SendAllAsync(to, bytes);
        }
    }

    private static async Task CopyAsync(Socket from, Socket to)
    {
        var buffer = new byte[BufferBytes];
        while (await from.ReceiveAsync(buffer) is var read and > 0)
        {
            await SendAllAsync(to, buffer.AsMemory(0, read));
        }
    }

    private static async Task SendAllAsync(Socket to, ReadOnlyMemory<byte> bytes)
    {
        while (!bytes.IsEmpty)
        {
            bytes = bytes[await to.SendAsync(bytes)..];
        }
    }
}
