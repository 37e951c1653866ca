using System.Buffers.Binary;
using System.Net.Sockets;

namespace Tansu.Benchmarks;

/// <summary>Reads length-prefixed frames and answers each with the same many bytes: the floor of any server that sends records.</summary>
internal static class SocketSource
{
    /// <param name="replyBytes">The size of a reply.</param>
    public static LoopbackServer Start(int replyBytes)
    {
        var reply = new byte[replyBytes];
        Random.Shared.NextBytes(reply);
        BinaryPrimitives.WriteInt32BigEndian(reply, replyBytes - 4);
        return LoopbackServer.Start(client => ServeAsync(client, reply));
    }

    private static async Task ServeAsync(Socket client, byte[] reply)
    {
        var buffer = new byte[64 * 1024];
        var filled = 0;
        while (await client.ReceiveAsync(buffer.AsMemory(filled)) is var received and > 0)
        {
            filled += received;
            var start = 0;
            while (filled - start >= 4 && BinaryPrimitives.ReadInt32BigEndian(buffer.AsSpan(start)) + 4 is var length && filled - start >= length)
            {
                start += length;
                for (var sent = 0; sent < reply.Length;)
                {
                    sent += await client.SendAsync(reply.AsMemory(sent));
                }
            }

            buffer.AsSpan(start, filled - start).CopyTo(buffer);
            filled -= start;
        }
    }
}
