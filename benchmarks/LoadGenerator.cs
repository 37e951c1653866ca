using System.Buffers.Binary;
using System.Diagnostics;
using System.Net;
using System.Net.Sockets;

namespace Tansu.Benchmarks;

/// <summary>
/// Sends prepared request frames over one connection each, a fixed number in flight, and reads the replies: next to no work of its own, so
/// that what is measured is the other side.
/// </summary>
internal static class LoadGenerator
{
    /// <returns>The bytes of the requests answered within the time, and the seconds it took.</returns>
    public static async Task<(long Bytes, double Seconds)> RunAsync(int port, byte[][] frames, int inFlight, TimeSpan duration)
    {
        var clock = Stopwatch.StartNew();
        var bytes = await Task.WhenAll(frames.Select(frame => Task.Run(() => DriveAsync(port, frame, inFlight, clock, duration))));
        return (bytes.Sum(), clock.Elapsed.TotalSeconds);
    }

    private static async Task<long> DriveAsync(int port, byte[] frame, int inFlight, Stopwatch clock, TimeSpan duration)
    {
        using var socket = new Socket(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp) { NoDelay = true };
        await socket.ConnectAsync(IPAddress.Loopback, port);
        using var window = new SemaphoreSlim(inFlight);
        var sent = 0L;
        var receiving = ReceiveAsync(socket, window);
        while (clock.Elapsed < duration)
        {
            await window.WaitAsync();
            for (var position = 0; position < frame.Length;)
            {
                position += await socket.SendAsync(frame.AsMemory(position));
            }

            sent++;
        }

        for (var left = 0; left < inFlight; left++)
        {
            await window.WaitAsync();
        }

        socket.Shutdown(SocketShutdown.Both);
        await receiving;
        return sent * frame.Length;
    }

    private static async Task ReceiveAsync(Socket socket, SemaphoreSlim window)
    {
        var buffer = new byte[64 * 1024];
        var filled = 0;
        try
        {
            while (true)
            {
                var received = await socket.ReceiveAsync(buffer.AsMemory(filled));
                if (received == 0)
                {
                    return;
                }

                filled += received;
                filled = Consume(buffer, filled, window);
            }
        }
        catch (SocketException)
        {
            // The other side may close first.
        }
    }

    private static int Consume(byte[] buffer, int filled, SemaphoreSlim window)
    {
        var start = 0;
        while (filled - start >= 4)
        {
            var length = BinaryPrimitives.ReadInt32BigEndian(buffer.AsSpan(start)) + 4;
            if (filled - start < length)
            {
                break;
            }

            start += length;
            window.Release();
        }

        buffer.AsSpan(start, filled - start).CopyTo(buffer);
        return filled - start;
    }
}
