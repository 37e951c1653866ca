namespace Tansu.Host.Commands.Records;

/// <summary>Cuts a stream into lines, which end with a line feed or the stream. The bytes of a line are good until the next fill.</summary>
/// <param name="input">The stream.</param>
/// <param name="maxLineBytes">The longest line.</param>
internal sealed class LineReader(Stream input, int maxLineBytes)
{
    private const int FirstBytes = 256 * 1024;

    private byte[] _buffer = new byte[FirstBytes];
    private int _start;
    private int _searched;
    private int _end;
    private bool _hasEnded;

    /// <summary>Whether the stream has ended and all of its lines were taken.</summary>
    public bool IsAtEnd { get; private set; }

    /// <summary>The number of the line taken last, from 1.</summary>
    public long Number { get; private set; }

    /// <summary>Takes the next line that is there as a whole.</summary>
    /// <returns>False if more has to be read first, or at the end.</returns>
    public bool TryNext(out ReadOnlyMemory<byte> line)
    {
        var length = _buffer.AsSpan(_searched, _end - _searched).IndexOf((byte)'\n');
        if (length >= 0)
        {
            length += _searched - _start;
            line = _buffer.AsMemory(_start, length);
            _start += length + 1;
            _searched = _start;
            Number++;
            return true;
        }

        _searched = _end;
        line = _buffer.AsMemory(_start, _end - _start);
        if (!_hasEnded)
        {
            return false;
        }

        IsAtEnd = true;
        _start = _end;
        if (line.Length == 0)
        {
            return false;
        }

        Number++;
        return true;
    }

    /// <summary>Reads more of the stream.</summary>
    /// <exception cref="InvalidDataException">A line is too long.</exception>
    public async ValueTask FillAsync(CancellationToken cancellationToken)
    {
        var left = _end - _start;
        if (_start > 0)
        {
            _buffer.AsSpan(_start, left).CopyTo(_buffer);
            _searched -= _start;
            _start = 0;
            _end = left;
        }

        if (left > maxLineBytes)
        {
            throw new InvalidDataException($"line {Number + 1} has more than {maxLineBytes} bytes");
        }

        if (_end == _buffer.Length)
        {
            Array.Resize(ref _buffer, _buffer.Length * 2);
        }

        var read = await input.ReadAsync(_buffer.AsMemory(_end), cancellationToken);
        _end += read;
        _hasEnded = read == 0;
    }
}
