using System.Buffers.Binary;
using System.Net;
using System.Net.Sockets;

namespace Tansu.Benchmarks;

/// <summary>One request at a time, on the caller's thread, so that nothing but the broker keeps it waiting.</summary>
internal sealed class SerialClient : IDisposable
{
    private readonly Socket _socket = new(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp) { NoDelay = true };
    private byte[] _reply = new byte[64 * 1024];

    public SerialClient(int port) => _socket.Connect(IPAddress.Loopback, port);

    /// <summary>Sends a frame and receives the reply to it.</summary>
    /// <returns>The reply without its length; good until the next one.</returns>
    public ReadOnlyMemory<byte> Ask(ReadOnlySpan<byte> frame)
    {
        _socket.Send(frame);
        Receive(4);
        var length = BinaryPrimitives.ReadInt32BigEndian(_reply);
        if (length > _reply.Length)
        {
            _reply = new byte[length];
        }

        Receive(length);
        return _reply.AsMemory(0, length);
    }

    public void Dispose() => _socket.Dispose();

    private void Receive(int count)
    {
        for (var filled = 0; filled < count;)
        {
            var received = _socket.Receive(_reply.AsSpan(filled, count - filled));
            filled += received > 0 ? received : throw new EndOfStreamException("the broker closed the connection");
        }
    }
}
