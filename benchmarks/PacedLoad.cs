using System.Buffers.Binary;
using System.Diagnostics;
using System.Net;
using System.Net.Sockets;

namespace Tansu.Benchmarks;

/// <summary>Sends prepared requests at a steady rate over any number of connections in turn, and counts the replies.</summary>
internal sealed class PacedLoad : IDisposable
{
    /// <summary>So many requests may be without a reply: more means that the rate is too high for the other side, and less is sent then.</summary>
    private const int MaxInFlight = 1000;

    private readonly List<Socket> _sockets = [];
    private readonly List<Task> _receiving = [];
    private readonly SemaphoreSlim _window = new(MaxInFlight);

    private PacedLoad()
    {
    }

    public static async Task<PacedLoad> ConnectAsync(int port, int connections)
    {
        var load = new PacedLoad();
        for (var index = 0; index < connections; index++)
        {
            var socket = new Socket(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp) { NoDelay = true };
            load._sockets.Add(socket);
            await socket.ConnectAsync(IPAddress.Loopback, port);
            load._receiving.Add(load.ReceiveAsync(socket));
        }

        return load;
    }

    /// <summary>Sends the frames in turn, each over the next connection, until the time is over and all have been answered.</summary>
    /// <param name="frames">The requests.</param>
    /// <param name="requestsPerSecond">The rate.</param>
    /// <param name="isEven">Whether each is sent when its time has come; otherwise those of a millisecond are sent together.</param>
    /// <param name="duration">For how long.</param>
    /// <returns>The bytes sent, and the seconds until the last reply.</returns>
    public async Task<(long Bytes, double Seconds)> RunAsync(byte[][] frames, double requestsPerSecond, bool isEven, TimeSpan duration)
    {
        var pace = new Pace(requestsPerSecond);
        var clock = Stopwatch.StartNew();
        var bytes = 0L;
        using var timer = new PeriodicTimer(TimeSpan.FromMilliseconds(1));
        for (var sent = 0L; clock.Elapsed < duration;)
        {
            for (var due = (long)(clock.Elapsed.TotalSeconds * requestsPerSecond); sent < due; sent++)
            {
                await _window.WaitAsync();
                var frame = frames[sent % frames.Length];
                var socket = _sockets[(int)(sent % _sockets.Count)];
                for (var position = 0; position < frame.Length;)
                {
                    position += await socket.SendAsync(frame.AsMemory(position));
                }

                bytes += frame.Length;
            }

            if (isEven)
            {
                // A request is due when the one before it has had its time.
                pace.WaitFor(sent + 1);
            }
            else
            {
                await timer.WaitForNextTickAsync();
            }
        }

        for (var index = 0; index < MaxInFlight; index++)
        {
            await _window.WaitAsync();
        }

        _window.Release(MaxInFlight);
        return (bytes, clock.Elapsed.TotalSeconds);
    }

    public void Dispose()
    {
        _sockets.ForEach(static socket => socket.Dispose());
        Task.WaitAll(_receiving);
        _window.Dispose();
    }

    private async Task ReceiveAsync(Socket socket)
    {
        var buffer = new byte[1024];
        try
        {
            for (var filled = 0; await socket.ReceiveAsync(buffer.AsMemory(filled)) is var received and > 0;)
            {
                filled += received;
                var start = 0;
                while (filled - start >= 4 && BinaryPrimitives.ReadInt32BigEndian(buffer.AsSpan(start)) + 4 is var length && filled - start >= length)
                {
                    start += length;
                    _window.Release();
                }

                buffer.AsSpan(start, filled - start).CopyTo(buffer);
                filled -= start;
            }
        }
        catch (SocketException)
        {
            // Disposed.
        }
    }
}
