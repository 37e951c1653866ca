using System.Buffers;
using System.Buffers.Binary;
using System.Net.Sockets;
using Tansu.Codec;

namespace Tansu.Host.Client;

/// <summary>
/// Cuts the bytes of one socket into replies. Small ones are copied out of a buffer, many of them for one system call; the rest of a
/// large one is received straight into its own memory. Used by one loop.
/// </summary>
/// <param name="socket">The connection, which stays its owner's.</param>
/// <param name="maxReplyBytes">The largest reply accepted.</param>
internal sealed class ReplyReader(Socket socket, int maxReplyBytes) : IDisposable
{
    private const int LengthBytes = 4;
    private const int CorrelationIdBytes = 4;
    private const int BufferBytes = 64 * 1024;

    private byte[] _buffer = ArrayPool<byte>.Shared.Rent(BufferBytes);
    private int _start;
    private int _end;

    /// <summary>The next reply, of at least a correlation id, without its length.</summary>
    /// <exception cref="KafkaFormatException">No reply can have that length.</exception>
    /// <exception cref="EndOfStreamException">The broker has closed the connection.</exception>
    /// <exception cref="SocketException">The connection is broken.</exception>
    public async ValueTask<ReplyFrame> ReadAsync()
    {
        while (_end - _start < LengthBytes)
        {
            _buffer.AsSpan(_start, _end - _start).CopyTo(_buffer);
            _end -= _start;
            _start = 0;
            _end += await ReceiveAsync(_buffer.AsMemory(_end));
        }

        var length = BinaryPrimitives.ReadInt32BigEndian(_buffer.AsSpan(_start));
        _start += LengthBytes;
        if (length < CorrelationIdBytes || length > maxReplyBytes)
        {
            throw new KafkaFormatException($"an answer of {length} bytes");
        }

        var frame = new ReplyFrame(length);
        try
        {
            var received = Math.Min(_end - _start, length);
            _buffer.AsSpan(_start, received).CopyTo(frame.Bytes.Span);
            _start += received;
            while (received < length)
            {
                received += await ReceiveAsync(frame.Bytes[received..]);
            }

            return frame;
        }
        catch
        {
            frame.Dispose();
            throw;
        }
    }

    /// <summary>Gives the buffer back.</summary>
    public void Dispose()
    {
        if (_buffer.Length != 0)
        {
            ArrayPool<byte>.Shared.Return(_buffer);
            _buffer = [];
        }
    }

    private async ValueTask<int> ReceiveAsync(Memory<byte> destination)
    {
        var received = await socket.ReceiveAsync(destination, SocketFlags.None);
        return received > 0 ? received : throw new EndOfStreamException();
    }
}
