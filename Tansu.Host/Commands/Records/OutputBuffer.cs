using System.Buffers;
using System.Buffers.Text;

namespace Tansu.Host.Commands.Records;

/// <summary>Bytes on their way to a stream, many records at once.</summary>
/// <param name="output">The stream.</param>
internal sealed class OutputBuffer(Stream output) : IBufferWriter<byte>
{
    private const int FirstBytes = 128 * 1024;
    private const int EnoughBytes = 64 * 1024;

    private byte[] _buffer = new byte[FirstBytes];
    private int _length;

    /// <summary>Whether it is time to write.</summary>
    public bool HasEnough => _length >= EnoughBytes;

    /// <inheritdoc/>
    public void Advance(int count) => _length += count;

    /// <inheritdoc/>
    public Memory<byte> GetMemory(int sizeHint = 0)
    {
        Reserve(Math.Max(1, sizeHint));
        return _buffer.AsMemory(_length);
    }

    /// <inheritdoc/>
    public Span<byte> GetSpan(int sizeHint = 0)
    {
        Reserve(Math.Max(1, sizeHint));
        return _buffer.AsSpan(_length);
    }

    /// <summary>Adds bytes.</summary>
    public void Add(ReadOnlySpan<byte> bytes)
    {
        Reserve(bytes.Length);
        bytes.CopyTo(_buffer.AsSpan(_length));
        _length += bytes.Length;
    }

    /// <summary>Adds a byte.</summary>
    public void Add(byte value)
    {
        Reserve(1);
        _buffer[_length++] = value;
    }

    /// <summary>Adds a number in digits.</summary>
    public void Add(long number)
    {
        const int mostDigits = 20;
        Reserve(mostDigits);
        Utf8Formatter.TryFormat(number, _buffer.AsSpan(_length), out var written);
        _length += written;
    }

    /// <summary>Writes what was added.</summary>
    /// <exception cref="IOException">The stream does not take it.</exception>
    public async ValueTask FlushAsync(CancellationToken cancellationToken)
    {
        if (_length > 0)
        {
            var length = _length;
            _length = 0;
            await output.WriteAsync(_buffer.AsMemory(0, length), cancellationToken);
            await output.FlushAsync(cancellationToken);
        }
    }

    private void Reserve(int bytes)
    {
        if (_buffer.Length - _length < bytes)
        {
            Array.Resize(ref _buffer, (int)Math.Min(Array.MaxLength, Math.Max(checked((long)_length + bytes), 2L * _buffer.Length)));
        }
    }
}
