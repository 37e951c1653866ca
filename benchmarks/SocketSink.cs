using System.Buffers.Binary;
using System.Net.Sockets;

namespace Tansu.Benchmarks;

/// <summary>Reads length-prefixed frames and answers each with a few bytes: the floor of any server of this protocol.</summary>
internal static class SocketSink
{
    public static LoopbackServer Start() => LoopbackServer.Start(ServeAsync);

    private static async Task ServeAsync(Socket client)
    {
        var prefix = new byte[4];
        var reply = new byte[64];
        BinaryPrimitives.WriteInt32BigEndian(reply, reply.Length - 4);
        var frame = Array.Empty<byte>();
        while (await FillAsync(client, prefix))
        {
            var length = BinaryPrimitives.ReadInt32BigEndian(prefix);
            if (frame.Length < length)
            {
                frame = new byte[length];
            }

            await FillAsync(client, frame.AsMemory(0, length));
            await client.SendAsync(reply);
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
