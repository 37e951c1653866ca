using System.Net.Sockets;
using System.Runtime.InteropServices;

namespace Tansu.Host.Network;

/// <summary>Gathers the pieces of replies and sends them with as few system calls as there can be. Used by one loop.</summary>
internal sealed class ReplySender(Socket socket, Action onActivity)
{
    // The kernel takes at most 1,024 pieces at once (IOV_MAX).
    private const int MaxPieces = 512;

    /// <summary>Replies that are ready are gathered up to this many bytes before they are sent. 256 KiB.</summary>
    public const int GatherBytes = 256 * 1024;

    // A client that takes its reply slowly is seen to take it: what is sent with one call counts as one sign of life.
    private const int MaxPieceBytes = 256 * 1024;

    // .NET's socket keeps what it sent last, one buffer or one list of them, until it sends something else: with many connections, much memory that
    // nobody counts. After a reply of that length it is made to let go, by sending nothing.
    private const int LetGoBytes = 32 * 1024;

    private static readonly ArraySegment<byte>[] Nothing = [new([])];

    private readonly List<ArraySegment<byte>> _pieces = [];
    private volatile bool _isSending;

    /// <summary>How many bytes are gathered.</summary>
    public long GatheredBytes { get; private set; }

    /// <summary>Whether a send is under way, that is, whether the client has to take bytes for things to go on.</summary>
    public bool IsSending => _isSending;

    /// <summary>Adds a reply, whose memory has to stay until <see cref="SendAsync"/> has completed.</summary>
    public void Gather(Reply reply)
    {
        var frame = reply.Frame;
        for (var i = 0; i < frame.Count; i++)
        {
            var piece = frame[i];
            if (piece.Length > 0)
            {
                Add(MemoryMarshal.TryGetArray(piece, out var array) ? array : new ArraySegment<byte>(piece.ToArray()));
            }
        }
    }

    /// <summary>Sends what was gathered.</summary>
    /// <exception cref="SocketException">The connection is broken.</exception>
    public async ValueTask SendAsync()
    {
        onActivity();
        _isSending = true;
        try
        {
            for (var first = 0; first < _pieces.Count;)
            {
                var count = CountToSend(first);
                var sent = count == 1
                    ? await socket.SendAsync(_pieces[first].AsMemory(), SocketFlags.None).ConfigureAwait(false)
                    : await socket.SendAsync(Pieces(first, count), SocketFlags.None).ConfigureAwait(false);
                onActivity();
                first = Skip(first, sent);
            }

            if (GatheredBytes >= LetGoBytes)
            {
                await socket.SendAsync(ReadOnlyMemory<byte>.Empty, SocketFlags.None).ConfigureAwait(false);
                await socket.SendAsync(Nothing, SocketFlags.None).ConfigureAwait(false);
            }
        }
        finally
        {
            _isSending = false;
            _pieces.Clear();
            GatheredBytes = 0;
        }
    }

    private void Add(ArraySegment<byte> piece)
    {
        GatheredBytes += piece.Count;
        for (; piece.Count > MaxPieceBytes; piece = piece[MaxPieceBytes..])
        {
            _pieces.Add(piece[..MaxPieceBytes]);
        }

        _pieces.Add(piece);
    }

    private int CountToSend(int first)
    {
        var count = 0;
        for (var bytes = 0; count < MaxPieces && first + count < _pieces.Count && bytes < MaxPieceBytes; count++)
        {
            bytes += _pieces[first + count].Count;
        }

        return count;
    }

    private List<ArraySegment<byte>> Pieces(int first, int count) =>
        first == 0 && count == _pieces.Count ? _pieces : _pieces.GetRange(first, count);

    // A send may take fewer bytes than it was given: the rest of the piece it stopped in goes first next time.
    private int Skip(int first, int sent)
    {
        while (sent > 0)
        {
            var piece = _pieces[first];
            if (sent < piece.Count)
            {
                _pieces[first] = piece[sent..];
                break;
            }

            sent -= piece.Count;
            first++;
        }

        return first;
    }
}
