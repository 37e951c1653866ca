using System.Text;
using Tansu.Codec.Records;
using Tansu.Host.CommandLine;

namespace Tansu.Host.Commands.Records;

/// <summary>Makes records of lines of text, as the flags of `tansu cat produce` say.</summary>
internal sealed class RecordLines
{
    private readonly byte[]? _separator;
    private readonly byte[]? _key;
    private readonly byte[]? _null;
    private readonly RecordHeader[] _headers;
    private readonly RecordJsonReader? _json;

    /// <summary>Reads the flags.</summary>
    public RecordLines(ProduceTask task)
    {
        _separator = BytesOf(task.KeySeparator);
        _key = BytesOf(task.Key);
        _null = BytesOf(task.NullValue);
        _headers = Array.ConvertAll(
            task.Headers, header => new RecordHeader(Encoding.UTF8.GetBytes(header.Name), Encoding.UTF8.GetBytes(header.Value)));
        _json = task.IsJson ? new RecordJsonReader() : null;
    }

    /// <summary>Reads a line.</summary>
    /// <param name="line">The line, without its end.</param>
    /// <param name="record">Takes what it says; its bytes are good as long as those of the line.</param>
    /// <exception cref="FormatException">The line is not what it should be; the message says why.</exception>
    public void Read(ReadOnlyMemory<byte> line, ParsedRecord record)
    {
        record.Clear();
        foreach (var header in _headers)
        {
            record.Headers.Add(header);
        }

        if (_json is not null)
        {
            _json.Read(line, record);
            return;
        }

        // An array that is null would count as empty bytes.
        record.Key = _key is null ? default(ReadOnlyMemory<byte>?) : _key;
        if (_separator is not null && line.Span.IndexOf(_separator) is var at and >= 0)
        {
            record.Key = OrNull(line[..at]);
            line = line[(at + _separator.Length)..];
        }

        record.Value = OrNull(line);
    }

    private ReadOnlyMemory<byte>? OrNull(ReadOnlyMemory<byte> bytes) =>
        _null is not null && bytes.Span.SequenceEqual(_null) ? default(ReadOnlyMemory<byte>?) : bytes;

    private static byte[]? BytesOf(string? text) => text is null ? null : Encoding.UTF8.GetBytes(text);
}
