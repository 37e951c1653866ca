using System.Buffers;
using System.Text.Json;
using Tansu.Codec.Records;

namespace Tansu.Host.Commands.Records;

/// <summary>
/// Reads a record from an object: `key` and `value` are texts, or any other JSON that then is the record's bytes as it stands, `keyBase64` and
/// `valueBase64` any bytes, `headers` an array of such objects with `key` and `value`, `partition` and `timestamp` numbers. `topic` and
/// `offset`, which `tansu cat consume` prints, do not matter. Used for one line at a time.
/// </summary>
internal sealed class RecordJsonReader
{
    private readonly ArrayBufferWriter<byte> _texts = new();

    /// <summary>Reads a line.</summary>
    /// <exception cref="FormatException">It is not such an object.</exception>
    public void Read(ReadOnlyMemory<byte> line, ParsedRecord record)
    {
        // A new array where an old one grew: slices of the old one stay good.
        _texts.ResetWrittenCount();
        try
        {
            var reader = new Utf8JsonReader(line.Span);
            Require(reader.Read() && reader.TokenType == JsonTokenType.StartObject, "an object is expected");
            while (reader.Read() && reader.TokenType == JsonTokenType.PropertyName)
            {
                ReadProperty(ref reader, line, record);
            }

            Require(!reader.Read(), "one object is expected");
        }
        catch (JsonException malformed)
        {
            throw new FormatException($"not JSON: {malformed.Message}", malformed);
        }
        catch (InvalidOperationException malformed)
        {
            throw new FormatException($"not text in UTF-8: {malformed.Message}", malformed);
        }
    }

    private void ReadProperty(ref Utf8JsonReader reader, ReadOnlyMemory<byte> line, ParsedRecord record)
    {
        if (reader.ValueTextEquals("key"u8))
        {
            record.Key = ReadBytes(ref reader, line);
        }
        else if (reader.ValueTextEquals("keyBase64"u8))
        {
            record.Key = ReadBase64(ref reader);
        }
        else if (reader.ValueTextEquals("value"u8))
        {
            record.Value = ReadBytes(ref reader, line);
        }
        else if (reader.ValueTextEquals("valueBase64"u8))
        {
            record.Value = ReadBase64(ref reader);
        }
        else if (reader.ValueTextEquals("headers"u8))
        {
            ReadHeaders(ref reader, line, record);
        }
        else if (reader.ValueTextEquals("partition"u8))
        {
            reader.Read();
            Require(reader.TokenType == JsonTokenType.Number && reader.TryGetInt32(out var partition) && partition >= 0, "partition is not a number of one");
            record.Partition = reader.GetInt32();
        }
        else if (reader.ValueTextEquals("timestamp"u8))
        {
            reader.Read();
            Require(reader.TokenType == JsonTokenType.Number && reader.TryGetInt64(out _), "timestamp is not a number of milliseconds");
            record.TimestampMs = reader.GetInt64();
        }
        else if (reader.ValueTextEquals("topic"u8) || reader.ValueTextEquals("offset"u8))
        {
            reader.Read();
            reader.Skip();
        }
        else
        {
            throw new FormatException($"'{reader.GetString()}' is not known");
        }
    }

    private void ReadHeaders(ref Utf8JsonReader reader, ReadOnlyMemory<byte> line, ParsedRecord record)
    {
        reader.Read();
        if (reader.TokenType == JsonTokenType.Null)
        {
            return;
        }

        Require(reader.TokenType == JsonTokenType.StartArray, "headers is not an array");
        while (reader.Read() && reader.TokenType != JsonTokenType.EndArray)
        {
            Require(reader.TokenType == JsonTokenType.StartObject, "a header is not an object");
            ReadOnlyMemory<byte>? key = null;
            ReadOnlyMemory<byte>? value = null;
            while (reader.Read() && reader.TokenType == JsonTokenType.PropertyName)
            {
                if (reader.ValueTextEquals("key"u8))
                {
                    key = ReadBytes(ref reader, line);
                }
                else if (reader.ValueTextEquals("keyBase64"u8))
                {
                    key = ReadBase64(ref reader);
                }
                else if (reader.ValueTextEquals("value"u8))
                {
                    value = ReadBytes(ref reader, line);
                }
                else if (reader.ValueTextEquals("valueBase64"u8))
                {
                    value = ReadBase64(ref reader);
                }
                else
                {
                    throw new FormatException($"'{reader.GetString()}' is not known of a header");
                }
            }

            Require(key is not null, "a header has no key");
            record.Headers.Add(new RecordHeader(key.GetValueOrDefault(), value));
        }
    }

    private ReadOnlyMemory<byte>? ReadBytes(ref Utf8JsonReader reader, ReadOnlyMemory<byte> line)
    {
        reader.Read();
        if (reader.TokenType == JsonTokenType.Null)
        {
            return null;
        }

        if (reader.TokenType == JsonTokenType.String)
        {
            var start = _texts.WrittenCount;
            var written = reader.CopyString(_texts.GetSpan(Math.Max(1, reader.ValueSpan.Length)));
            _texts.Advance(written);
            return _texts.WrittenMemory.Slice(start, written);
        }

        var from = (int)reader.TokenStartIndex;
        reader.Skip();
        return line[from..(int)reader.BytesConsumed];
    }

    private static ReadOnlyMemory<byte>? ReadBase64(ref Utf8JsonReader reader)
    {
        reader.Read();
        if (reader.TokenType == JsonTokenType.Null)
        {
            return null;
        }

        Require(reader.TokenType == JsonTokenType.String, "Base64 is not a text");
        return reader.TryGetBytesFromBase64(out var bytes) ? bytes : throw new FormatException("a text is not Base64");
    }

    private static void Require(bool isTrue, string otherwise)
    {
        if (!isTrue)
        {
            throw new FormatException(otherwise);
        }
    }
}
