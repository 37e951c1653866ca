using System.Buffers.Binary;
using System.Net;
using System.Net.Sockets;

namespace Tansu.Benchmarks;

/// <summary>Reads length-prefixed frames and answers each with the same many bytes: the floor of any server that sends records.</summary>
internal sealed class SocketSource : IAsyncDisposable
{
    private readonly Socket _listener = new(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp);
    private readonly byte[] _reply;

    private SocketSource(int replyBytes)
    {
        _reply = new byte[replyBytes];
        Random.Shared.NextBytes(_reply);
        BinaryPrimitives.WriteInt32BigEndian(_reply, replyBytes - 4);
    }

    public int Port => ((IPEndPoint)_listener.LocalEndPoint!).Port;

    /// <param name="replyBytes">The size of a reply.</param>
    public static SocketSource Start(int replyBytes)
    {
        var source = new SocketSource(replyBytes);
        source._listener.Bind(new IPEndPoint(IPAddress.Loopback, 0));
        source._listener.Listen();
        _ = source.AcceptAsync();
        return source;
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
        var buffer = new byte[64 * 1024];
        var filled = 0;
        try
        {
            while (await client.ReceiveAsync(buffer.AsMemory(filled)) is var received and > 0)
            {
                filled += received;
                var start = 0;
                while (filled - start >= 4 && BinaryPrimitives.ReadInt32BigEndian(buffer.AsSpan(start)) + 4 is var length && filled - start >= length)
                {
                    start += length;
                    for (var sent = 0; sent < _reply.Length;)
                    {
                        sent += await client.SendAsync(_reply.AsMemory(sent));
                    }
                }

                buffer.AsSpan(start, filled - start).CopyTo(buffer);
                filled -= start;
            }
        }
        catch (SocketException)
        {
            // The client is gone.
        }
    }
}
