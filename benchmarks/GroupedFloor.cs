using System.Buffers.Binary;
using System.Diagnostics;
using System.Net;
using System.Net.Sockets;

namespace Tansu.Benchmarks;

/// <summary>
/// A store with next to nothing before it: one thread takes all requests that have come, has the store make their records durable in one commit, and answers. What stops a commit
/// shows in all that came meanwhile, as it does with a broker; one that commits one after the other cannot be below it.
/// </summary>
internal sealed class GroupedFloor : IDisposable
{
    private const int MostAtOnce = 1024 * 1024;
    private const int ReplyBytes = 64;

    private readonly Socket _listener = new(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp);
    private readonly int _frameBytes;
    private readonly Action<int> _commit;
    private readonly IDisposable[] _used;
    private long _commits;
    private long _ticks;

    private GroupedFloor(int frameBytes, Action<int> commit, IDisposable[] used) => (_frameBytes, _commit, _used) = (frameBytes, commit, used);

    public int Port => ((IPEndPoint)_listener.LocalEndPoint!).Port;

    /// <summary>The mean of the commits since this was last asked for, in milliseconds.</summary>
    public double TakeCommitMs() =>
        Stopwatch.GetElapsedTime(0, Interlocked.Exchange(ref _ticks, 0)).TotalMilliseconds / Interlocked.Exchange(ref _commits, 0);

    /// <param name="frameBytes">The size of every request.</param>
    /// <param name="commit">Makes the records of so many requests durable.</param>
    /// <param name="used">What that uses: disposed of with the floor.</param>
    public static GroupedFloor Start(int frameBytes, Action<int> commit, params IDisposable[] used)
    {
        var floor = new GroupedFloor(frameBytes, commit, used);
        floor._listener.Bind(new IPEndPoint(IPAddress.Loopback, 0));
        floor._listener.Listen();
        new Thread(floor.Serve) { IsBackground = true }.Start();
        return floor;
    }

    public void Dispose()
    {
        _listener.Dispose();
        Array.ForEach(_used, static used => used.Dispose());
    }

    private void Serve()
    {
        var requests = new byte[MostAtOnce];
        var replies = new byte[(MostAtOnce / _frameBytes * ReplyBytes) + ReplyBytes];
        for (var position = 0; position < replies.Length; position += ReplyBytes)
        {
            BinaryPrimitives.WriteInt32BigEndian(replies.AsSpan(position), ReplyBytes - 4);
        }

        while (Accept() is { } accepted)
        {
            using var client = accepted;
            client.NoDelay = true;
            var held = 0;
            while (client.Receive(requests) is var received and > 0)
            {
                held += received;
                var whole = held / _frameBytes;
                held %= _frameBytes;
                if (whole > 0)
                {
                    var begun = Stopwatch.GetTimestamp();
                    _commit(whole);
                    Interlocked.Add(ref _ticks, Stopwatch.GetTimestamp() - begun);
                    Interlocked.Increment(ref _commits);
                    client.Send(replies.AsSpan(0, whole * ReplyBytes));
                }
            }
        }
    }

    private Socket? Accept()
    {
        try
        {
            return _listener.Accept();
        }
        catch (Exception ended) when (ended is SocketException or ObjectDisposedException)
        {
            return null;
        }
    }
}
