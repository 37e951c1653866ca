using System.Text;
using System.Text.Encodings.Web;
using System.Text.Json;
using System.Text.Unicode;
using Tansu.Codec.Records;
using Tansu.Host.CommandLine;

namespace Tansu.Host.Commands.Records;

/// <summary>Prints records: values, a text with kcat's letters, or an object a line. Allocates nothing for a record.</summary>
internal sealed class RecordPrinter
{
    private static readonly JsonWriterOptions Relaxed = new() { Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping, SkipValidation = true };

    private readonly OutputBuffer _output;
    private readonly byte[] _topic;
    private readonly byte[] _null;
    private readonly List<Part>? _format;
    private readonly Utf8JsonWriter? _json;

    /// <summary>Reads the flags of `tansu cat consume`.</summary>
    public RecordPrinter(ConsumeTask task, OutputBuffer output)
    {
        _output = output;
        _topic = Encoding.UTF8.GetBytes(task.Topic);
        _null = Encoding.UTF8.GetBytes(task.NullValue);
        _format = task.Format is { } format ? Split(format) : null;
        _json = task.IsJson ? new Utf8JsonWriter(output, Relaxed) : null;
    }

    /// <summary>Prints a record.</summary>
    public void Print(int partition, in Record record)
    {
        if (_json is not null)
        {
            PrintJson(_json, partition, record);
            _output.Add((byte)'\n');
        }
        else if (_format is null)
        {
            PrintBytes(record.Value);
            _output.Add((byte)'\n');
        }
        else
        {
            foreach (var part in _format)
            {
                PrintPart(part, partition, record);
            }
        }
    }

    // A letter is 0 for text as it stands.
    private static List<Part> Split(string format)
    {
        var parts = new List<Part>();
        var text = new StringBuilder();
        for (var i = 0; i < format.Length; i++)
        {
            if (format[i] != '%' || i + 1 == format.Length)
            {
                text.Append(format[i]);
            }
            else if ("kKvsSthpoT".Contains(format[++i], StringComparison.Ordinal))
            {
                parts.Add(new Part('\0', Encoding.UTF8.GetBytes(text.ToString())));
                text.Clear();
                parts.Add(new Part(format[i], []));
            }
            else
            {
                // %% is a percent sign, and what nobody knows stays.
                text.Append(format[i] == '%' ? "%" : $"%{format[i]}");
            }
        }

        parts.Add(new Part('\0', Encoding.UTF8.GetBytes(text.ToString())));
        return parts;
    }

    private void PrintPart(Part part, int partition, in Record record)
    {
        switch (part.Letter)
        {
            case 'k':
                PrintBytes(record.Key);
                break;
            case 'K':
                _output.Add(record.Key?.Length ?? -1L);
                break;
            case 'v' or 's':
                PrintBytes(record.Value);
                break;
            case 'S':
                _output.Add(record.Value?.Length ?? -1L);
                break;
            case 't':
                _output.Add(_topic);
                break;
            case 'p':
                _output.Add(partition);
                break;
            case 'o':
                _output.Add(record.Offset);
                break;
            case 'T':
                _output.Add(record.TimestampMs);
                break;
            case 'h':
                PrintHeaders(record.Headers);
                break;
            default:
                _output.Add(part.Text);
                break;
        }
    }

    private void PrintHeaders(RecordHeaders headers)
    {
        var isFirst = true;
        foreach (var header in headers)
        {
            if (!isFirst)
            {
                _output.Add((byte)',');
            }

            isFirst = false;
            _output.Add(header.Key.Span);
            _output.Add((byte)'=');
            _output.Add(header.Value is { } value ? value.Span : "NULL"u8);
        }
    }

    private void PrintBytes(ReadOnlyMemory<byte>? bytes) => _output.Add(bytes is { } some ? some.Span : _null);

    private void PrintJson(Utf8JsonWriter json, int partition, in Record record)
    {
        json.WriteStartObject();
        json.WriteString("topic"u8, _topic);
        json.WriteNumber("partition"u8, partition);
        json.WriteNumber("offset"u8, record.Offset);
        json.WriteNumber("timestamp"u8, record.TimestampMs);
        WriteBytes(json, "key"u8, "keyBase64"u8, record.Key);
        WriteBytes(json, "value"u8, "valueBase64"u8, record.Value);
        json.WriteStartArray("headers"u8);
        foreach (var header in record.Headers)
        {
            json.WriteStartObject();
            WriteBytes(json, "key"u8, "keyBase64"u8, header.Key);
            WriteBytes(json, "value"u8, "valueBase64"u8, header.Value);
            json.WriteEndObject();
        }

        json.WriteEndArray();
        json.WriteEndObject();
        json.Flush();
        json.Reset();
    }

    // Text where it is text, so that people can read it, and Base64 where it would not come back as it was.
    private static void WriteBytes(Utf8JsonWriter json, ReadOnlySpan<byte> name, ReadOnlySpan<byte> base64Name, ReadOnlyMemory<byte>? bytes)
    {
        if (bytes is not { } some)
        {
            json.WriteNull(name);
        }
        else if (Utf8.IsValid(some.Span))
        {
            json.WriteString(name, some.Span);
        }
        else
        {
            json.WriteBase64String(base64Name, some.Span);
        }
    }

    // What stands for a field of the record, or text as it stands.
    private sealed class Part(char letter, byte[] text)
    {
        public char Letter { get; } = letter;

        public byte[] Text { get; } = text;
    }
}
