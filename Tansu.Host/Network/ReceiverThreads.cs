using System.Collections.Concurrent;
using System.IO.Pipes;
using System.Net.Sockets;
using Microsoft.Win32.SafeHandles;
using Tansu.Adapters.Reading;
using Tansu.Adapters.Replica;

namespace Tansu.Host.Network;

/// <summary>
/// A few threads that wait for what clients send, and do what it asks for up to the first wait. .NET's sockets have a thread that waits and wakes one of the thread
/// pool, which wakes another to look for more work: 80 µs for a request that takes 30. Here the thread that was woken goes on itself, and another
/// waits in its place.
/// </summary>
/// <remarks>Linux only; see <see cref="TryStart"/>.</remarks>
internal sealed class ReceiverThreads : IDisposable
{
    private const long Ending = 0;

    /// <summary>So often a thread looks for more before what it has gathered is committed.</summary>
    private const int MaxGathered = 16;

    private readonly Epoll _epoll = new();
    private readonly AnonymousPipeServerStream _end = new(PipeDirection.Out);
    private readonly SafePipeHandle _ended;
    private readonly ConcurrentDictionary<long, Receiver> _receivers = new();
    private readonly Thread[] _threads;
    private long _lastTag = Ending;
    private volatile bool _isEnding;

    private ReceiverThreads(int count)
    {
        _ended = _end.ClientSafePipeHandle;
        _epoll.AddForAll(_ended, Ending);
        _threads = new Thread[count];
        for (var index = 0; index < count; index++)
        {
            _threads[index] = new Thread(Loop) { Name = "tansu receiver", IsBackground = true };
            _threads[index].Start();
        }
    }

    /// <summary>Starts the threads; null on a system that has no epoll, where <see cref="Receiver"/> does without.</summary>
    /// <param name="count">How many: one for each processor, and for each that a store may block.</param>
    public static ReceiverThreads? TryStart(int count) => OperatingSystem.IsLinux() ? new ReceiverThreads(count) : null;

    /// <summary>Takes a socket on. The number that <see cref="Arm"/> and <see cref="Remove"/> go by.</summary>
    public long Add(Receiver receiver)
    {
        var tag = Interlocked.Increment(ref _lastTag);
        _receivers[tag] = receiver;
        return tag;
    }

    /// <summary>Calls <see cref="Receiver.OnReadable"/> once, as soon as the socket has something to read.</summary>
    /// <exception cref="ObjectDisposedException">The socket is closed.</exception>
    public void Arm(SafeSocketHandle socket, long tag, bool isFirst) => _epoll.Arm(socket, tag, isFirst);

    /// <summary>Lets go of a socket, which is closed.</summary>
    public void Remove(long tag) => _receivers.TryRemove(tag, out _);

    /// <summary>Ends the threads, whose sockets are all closed.</summary>
    public void Dispose()
    {
        _isEnding = true;
        _end.Dispose();
        foreach (var thread in _threads)
        {
            // What follows the end of the last connection may have brought us here.
            if (thread != Thread.CurrentThread)
            {
                thread.Join();
            }
        }

        _epoll.Dispose();
        _ended.Dispose();
    }

    private void Loop()
    {
        while (!_isEnding)
        {
            Afterwards.Begin();
            Serve();
            Afterwards.Run();
        }
    }

    /// <summary>
    /// Waits for a client and does what it asks for; and, before what that one wants to have stored is stored, what others ask for whom no other thread has taken meanwhile.
    /// </summary>
    private void Serve()
    {
        var tag = _epoll.Wait(Timeout.Infinite);
        using var gathering = Gathering.Begin();
        for (var served = 1; tag is not null and not Ending; served++)
        {
            // It may have gone meanwhile.
            if (_receivers.TryGetValue(tag.Value, out var receiver))
            {
                receiver.OnReadable();
            }

            tag = served < MaxGathered && Gathering.HasAny && !_isEnding ? _epoll.Wait(0) : null;
        }
    }
}
