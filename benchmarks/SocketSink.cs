using System.Buffers.Binary;
using System.Net;
using System.Net.Sockets;

namespace Tansu.Benchmarks;

/// <summary>Reads length-prefixed frames and answers each with a few bytes: the floor of any server of this protocol.</summary>
internal sealed class SocketSink : IAsyncDisposable
{
    private readonly Socket _listener = new(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp);

    public int Port => ((IPEndPoint)_listener.LocalEndPoint!).Port;

    public static SocketSink Start()
    {
        var sink = new SocketSink();
        sink._listener.Bind(new IPEndPoint(IPAddress.Loopback, 0));
        sink._listener.Listen();
        _ = sink.AcceptAsync();
        return sink;
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

    private static async Task ServeAsync(Socket socket)
    {
        using var client = socket;
        client.NoDelay = true;
        var prefix = new byte[4];
        var reply = new byte[64];
        BinaryPrimitives.WriteInt32BigEndian(reply, reply.Length - 4);
        var frame = new byte[1 << 20];
        try
        {
            while (await FillAsync(client, prefix))
            {
                var length = BinaryPrimitives.ReadInt32BigEndian(prefix);
                await FillAsync(client, frame.AsMemory(0, length));
                await client.SendAsync(reply);
            }
        }
        catch (SocketException)
        {
            // The client is gone.
        }
    }

    private static async ValueTask<bool> FillAsync(Socket socket, Memory<byte> destination)
    {
        while (!destination.IsEmpty)
        {
            var received = await socket.ReceiveAsync(destination);
            if (received == 0)
            {
                return false;
            }

            destination = destination[received..];
        }

        return true;
    }
}
