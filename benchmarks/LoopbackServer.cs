using System.Net;
using System.Net.Sockets;

namespace Tansu.Benchmarks;

/// <summary>Accepts connections on loopback and leaves each to a task: the frame of a floor.</summary>
internal sealed class LoopbackServer : IAsyncDisposable
{
    private readonly Socket _listener = new(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp);
    private readonly Func<Socket, Task> _serve;

    private LoopbackServer(Func<Socket, Task> serve) => _serve = serve;

    public int Port => ((IPEndPoint)_listener.LocalEndPoint!).Port;

    public static LoopbackServer Start(Func<Socket, Task> serve)
    {
        var server = new LoopbackServer(serve);
        server._listener.Bind(new IPEndPoint(IPAddress.Loopback, 0));
        server._listener.Listen();
        _ = server.AcceptAsync();
        return server;
    }

    public ValueTask DisposeAsync()
    {
        _listener.Dispose();
        return ValueTask.CompletedTask;
    }

    private async Task AcceptAsync()
    {
        try
        {
            while (true)
            {
                _ = ServeAsync(await _listener.AcceptAsync());
            }
        }
        catch (Exception ended) when (ended is SocketException or ObjectDisposedException)
        {
            // Disposed.
        }
    }

    private async Task ServeAsync(Socket socket)
    {
        using var client = socket;
        client.NoDelay = true;
        try
        {
            await _serve(client);
        }
        catch (SocketException)
        {
            // The client is gone.
        }
    }
}
