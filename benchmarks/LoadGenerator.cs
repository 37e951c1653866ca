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
    /// <summary>One connection for each frame, which is sent over and over.</summary>
    /// <returns>The bytes of the requests answered within the time, and the seconds it took.</returns>
    public static async Task<(long Bytes, double Seconds)> RunAsync(int port, byte[][] frames, int inFlight, TimeSpan duration)
    {
        var load = await RunAsync(port, Array.ConvertAll<byte[], byte[][]>(frames, static frame => [frame]), inFlight, duration);
        return (load.Sent, load.Seconds);
    }

    /// <summary>One connection for each list of frames, which are sent in turn.</summary>
    /// <returns>The bytes of the requests answered within the time and of their replies, and the seconds it took.</returns>
    public static async Task<(long Sent, long Received, double Seconds)> RunAsync(int port, byte[][][] frames, int inFlight, TimeSpan duration)
    {
        var clock = Stopwatch.StartNew();
        var bytes = await Task.WhenAll(frames.Select(ofOne => Task.Run(() => DriveAsync(port, ofOne, inFlight, clock, duration))));
        return (bytes.Sum(static load => load.Sent), bytes.Sum(static load => load.Received), clock.Elapsed.TotalSeconds);
    }

    /// <summary>One connection for each list of frames, every one of which is sent once.</summary>
    public static async Task<(long Sent, long Received, double Seconds)> RunOnceAsync(int port, byte[][][] frames, int inFlight)
    {
        var clock = Stopwatch.StartNew();
        var bytes = await Task.WhenAll(frames.Select(ofOne => Task.Run(() => DriveAsync(port, ofOne, inFlight, clock, duration: null))));
        return (bytes.Sum(static load => load.Sent), bytes.Sum(static load => load.Received), clock.Elapsed.TotalSeconds);
    }

    private static async Task<(long Sent, long Received)> DriveAsync(int port, byte[][] frames, int inFlight, Stopwatch clock, TimeSpan? duration)
    {
        using var socket = new Socket(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp) { NoDelay = true };
        await socket.ConnectAsync(IPAddress.Loopback, port);
        using var window = new SemaphoreSlim(inFlight);
        var sent = 0L;
        var receiving = ReceiveAsync(socket, window);
        for (var next = 0; duration is { } limit ? clock.Elapsed < limit : next < frames.Length; next++)
        {
            await window.WaitAsync();
            var frame = frames[next % frames.Length];
            for (var position = 0; position < frame.Length;)
            {
                position += await socket.SendAsync(frame.AsMemory(position));
            }

            sent += frame.Length;
        }

        for (var left = 0; left < inFlight; left++)
        {
            await window.WaitAsync();
        }

        socket.Shutdown(SocketShutdown.Both);
        return (sent, await receiving);
    }

    /// <summary>Reads replies of any size, without keeping them.</summary>
    private static async Task<long> ReceiveAsync(Socket socket, SemaphoreSlim window)
    {
        var buffer = new byte[256 * 1024];
        var filled = 0;
        var skip = 0L;
        var total = 0L;
        try
        {
            while (await socket.ReceiveAsync(buffer.AsMemory(filled)) is var received and > 0)
            {
                total += received;
                filled += received;
                var start = (int)Math.Min(skip, filled);
                skip -= start;
                while (skip == 0 && filled - start >= 4)
                {
                    skip = BinaryPrimitives.ReadInt32BigEndian(buffer.AsSpan(start)) + 4L;
                    window.Release();
                    var step = (int)Math.Min(skip, filled - start);
                    start += step;
                    skip -= step;
                }

                buffer.AsSpan(start, filled - start).CopyTo(buffer);
                filled -= start;
            }
        }
        catch (SocketException)
        {
            // The other side may close first.
        }

        return total;
    }
}
