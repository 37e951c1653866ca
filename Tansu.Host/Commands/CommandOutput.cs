using System.Buffers;
using System.Text;
using System.Text.Encodings.Web;
using System.Text.Json;
using Tansu.Codec;
using Tansu.Host.Client;

namespace Tansu.Host.Commands;

/// <summary>Where a command answers: tables or one JSON document to standard output, one line for each failure to standard error.</summary>
internal sealed class CommandOutput(TextWriter output, TextWriter errors, bool json)
{
    private static readonly JsonWriterOptions Readable = new()
    {
        Indented = true,
        // It goes to a terminal or to a program, never into a web page.
        Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping,
    };

    /// <summary>Whether JSON is asked for.</summary>
    public bool IsJson => json;

    /// <summary>Whether something has failed.</summary>
    public bool HasFailed { get; private set; }

    /// <summary>Says that something failed.</summary>
    /// <param name="what">What, and why.</param>
    public void Fail(string what)
    {
        HasFailed = true;
        errors.WriteLine($"tansu: {what.ReplaceLineEndings(" ")}");
    }

    /// <summary>Writes a line for people; nothing if JSON is asked for.</summary>
    public void Line(string text = "")
    {
        if (!json)
        {
            output.WriteLine(text);
        }
    }

    /// <summary>Writes a table for people; nothing if JSON is asked for, or if it has no rows.</summary>
    public void Table(TextTable table)
    {
        if (!json && !table.IsEmpty)
        {
            output.Write(table.ToString());
        }
    }

    /// <summary>Writes the one document, an object; nothing if JSON is not asked for.</summary>
    /// <param name="write">Writes the object's properties.</param>
    public void Document(Action<Utf8JsonWriter> write)
    {
        if (!json)
        {
            return;
        }

        var buffer = new ArrayBufferWriter<byte>();
        using (var writer = new Utf8JsonWriter(buffer, Readable))
        {
            writer.WriteStartObject();
            write(writer);
            writer.WriteEndObject();
        }

        output.WriteLine(Encoding.UTF8.GetString(buffer.WrittenSpan));
    }
}

/// <summary>What JSON documents have in common.</summary>
internal static class JsonShapes
{
    /// <summary>An array of objects.</summary>
    public static void WriteObjects<T>(this Utf8JsonWriter writer, string name, IEnumerable<T> elements, Action<T> write)
    {
        writer.WriteStartArray(name);
        foreach (var element in elements)
        {
            writer.WriteStartObject();
            write(element);
            writer.WriteEndObject();
        }

        writer.WriteEndArray();
    }

    /// <summary>An array of numbers.</summary>
    public static void WriteNumbers(this Utf8JsonWriter writer, string name, IEnumerable<int> numbers)
    {
        writer.WriteStartArray(name);
        foreach (var number in numbers)
        {
            writer.WriteNumberValue(number);
        }

        writer.WriteEndArray();
    }

    /// <summary>A number or null.</summary>
    public static void WriteNumberOrNull(this Utf8JsonWriter writer, string name, long? number)
    {
        if (number is { } value)
        {
            writer.WriteNumber(name, value);
        }
        else
        {
            writer.WriteNull(name);
        }
    }

    /// <summary>The property `error`: Kafka's name of the code and a text, or null.</summary>
    public static void WriteError(this Utf8JsonWriter writer, KafkaError? error)
    {
        if (error is not { } failure)
        {
            writer.WriteNull("error");
            return;
        }

        writer.WriteStartObject("error");
        writer.WriteString("code", failure.Code.KafkaName());
        writer.WriteString("message", failure.Message);
        writer.WriteEndObject();
    }
}
