using System.Buffers.Binary;
using System.Diagnostics;
using System.Net;
using System.Net.Sockets;

namespace Tansu.Benchmarks;

/// <summary>Sends one prepared request, waits for its reply, sends it again: what a single patient producer sees.</summary>
internal sealed class OneAtATime : IDisposable
{
    private readonly Socket _socket = new(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp) { NoDelay = true };
    private readonly byte[] _frame;
    private readonly byte[] _reply = new byte[64 * 1024];

    public OneAtATime(int port, byte[] frame)
    {
        _frame = frame;
        _socket.Connect(IPAddress.Loopback, port);
    }

    /// <summary>Adds the time of every request to a list, in milliseconds. Blocks, so that no thread pool is in between.</summary>
    public void Run(TimeSpan duration, List<double> latencies)
    {
        var clock = Stopwatch.StartNew();
        while (clock.Elapsed < duration)
        {
            var begun = Stopwatch.GetTimestamp();
            _socket.Send(_frame);
            Receive();
            latencies.Add(Stopwatch.GetElapsedTime(begun).TotalMilliseconds);
        }
    }

    public void Dispose() => _socket.Dispose();

    private void Receive()
    {
        var expected = 4;
        for (var filled = 0; filled < expected;)
        {
            var received = _socket.Receive(_reply, filled, expected - filled, SocketFlags.None);
            if (received == 0)
            {
                throw new IOException("the broker closed the connection");
            }

            filled += received;
            if (filled == 4 && expected == 4)
            {
                expected += BinaryPrimitives.ReadInt32BigEndian(_reply);
            }
        }
    }
}
