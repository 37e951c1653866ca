using System.Text.Json;

namespace Tansu.Codec.Generator;

/// <summary>Reads a spec file: Kafka-shaped JSON without comments.</summary>
internal sealed class SpecReader
{
    private static readonly string[] KnownMessageKeys =
        ["apiKey", "type", "name", "about", "versionNotes", "validVersions", "flexibleVersions", "fields", "commonStructs"];

    private static readonly string[] KnownFieldKeys =
        ["name", "type", "about", "versions", "nullableVersions", "taggedVersions", "tag", "default", "flexibleVersions", "enum", "streamed", "handedOver", "fields"];

    private readonly string _file;
    private readonly List<StructSpec> _structs = [];

    private SpecReader(string file) => _file = file;

    public static MessageSpec Read(string path, string file, string @namespace)
    {
        try
        {
            using var document = JsonDocument.Parse(File.ReadAllBytes(path));
            var message = new SpecReader(file).ReadMessage(document.RootElement, @namespace);
            SpecRules.Check(message);
            return message;
        }
        catch (Exception error) when (error is JsonException or SpecException or InvalidOperationException)
        {
            throw new SpecException($"{file}: {error.Message}");
        }
    }

    private MessageSpec ReadMessage(JsonElement json, string @namespace)
    {
        RequireKnown(json, KnownMessageKeys);
        var name = Text(json, "name");
        if (name + ".json" != Path.GetFileName(_file))
        {
            throw new SpecException($"holds {name}");
        }

        var versions = VersionRange.Parse(Text(json, "validVersions"), new VersionRange(0, short.MaxValue - 1));
        var flexible = VersionRange.Parse(Text(json, "flexibleVersions"), new VersionRange(0, int.MaxValue));
        if (json.TryGetProperty("commonStructs", out var commons))
        {
            foreach (var common in commons.EnumerateArray())
            {
                ReadStruct(Text(common, "name"), Text(common, "about"), common, VersionRange.Parse(Text(common, "versions"), versions), isValue: false);
            }
        }

        var fields = ReadFields(json, versions);
        return new MessageSpec(name, Text(json, "about"), versions, fields)
        {
            Type = Text(json, "type"),
            Namespace = @namespace,
            ApiKey = json.TryGetProperty("apiKey", out var key) ? key.GetInt16() : -1,
            FirstFlexible = flexible.IsEmpty ? short.MaxValue : flexible.Low,
            Notes = ReadNotes(json),
            Structs = _structs,
        };
    }

    private static List<VersionNote> ReadNotes(JsonElement json)
    {
        var notes = new List<VersionNote>();
        if (json.TryGetProperty("versionNotes", out var array))
        {
            foreach (var note in array.EnumerateArray())
            {
                notes.Add(new VersionNote(note.GetProperty("version").GetInt32(), Text(note, "about")));
            }
        }

        return notes;
    }

    private void ReadStruct(string name, string about, JsonElement json, VersionRange versions, bool isValue)
    {
        if (_structs.Exists(one => one.Name == name))
        {
            throw new SpecException($"struct {name} is there twice");
        }

        // Keeps the place, so that structs stay in the order of the file, outer before inner.
        var index = _structs.Count;
        _structs.Add(new StructSpec(name, about, versions, isValue, []));
        _structs[index] = new StructSpec(name, about, versions, isValue, ReadFields(json, versions));
    }

    private List<FieldSpec> ReadFields(JsonElement json, VersionRange owner)
    {
        var fields = new List<FieldSpec>();
        foreach (var field in json.GetProperty("fields").EnumerateArray())
        {
            fields.Add(ReadField(field, owner));
        }

        return fields;
    }

    private FieldSpec ReadField(JsonElement json, VersionRange owner)
    {
        RequireKnown(json, KnownFieldKeys);
        var name = Text(json, "name");
        var about = Text(json, "about");
        var type = Text(json, "type");
        var isArray = type.StartsWith("[]", StringComparison.Ordinal);
        var element = isArray ? type[2..] : type;
        var kind = Kind(element);
        var versions = VersionRange.Parse(Text(json, "versions"), owner);
        var isStreamed = Flag(json, "streamed");
        if (json.TryGetProperty("fields", out _))
        {
            ReadStruct(element, about, json, versions, isStreamed);
        }

        return new FieldSpec(name, about, kind, isArray, versions)
        {
            StructName = kind == FieldKind.Struct ? element : "",
            NullableVersions = VersionRange.Parse(Optional(json, "nullableVersions") ?? "none", versions),
            Tag = ReadTag(json, name, versions),
            Default = Optional(json, "default") ?? "",
            IsStreamed = isStreamed,
            IsHandedOver = Flag(json, "handedOver"),
            NeverCompact = Optional(json, "flexibleVersions") == "none",
            Enum = Optional(json, "enum") ?? "",
        };
    }

    private static bool Flag(JsonElement json, string name) => json.TryGetProperty(name, out var value) && value.GetBoolean();

    private static uint? ReadTag(JsonElement json, string name, VersionRange versions)
    {
        if (!json.TryGetProperty("tag", out var tag))
        {
            return null;
        }

        return VersionRange.Parse(Text(json, "taggedVersions"), versions) == versions
            ? tag.GetUInt32()
            : throw new SpecException($"{name} is tagged in some of its versions only");
    }

    private static FieldKind Kind(string type) => type switch
    {
        "bool" => FieldKind.Bool,
        "int8" => FieldKind.Int8,
        "int16" => FieldKind.Int16,
        "uint16" => FieldKind.UInt16,
        "int32" => FieldKind.Int32,
        "uint32" => FieldKind.UInt32,
        "int64" => FieldKind.Int64,
        "float64" => FieldKind.Float64,
        "uuid" => FieldKind.Uuid,
        "string" => FieldKind.String,
        "bytes" => FieldKind.Bytes,
        "records" => FieldKind.Records,
        _ => char.IsUpper(type[0]) ? FieldKind.Struct : throw new SpecException($"no type {type}"),
    };

    private static string Text(JsonElement json, string key) =>
        Optional(json, key) is { Length: > 0 } text ? text : throw new SpecException($"'{key}' is missing in {Start(json)}");

    private static string? Optional(JsonElement json, string key) =>
        json.TryGetProperty(key, out var value) ? value.GetString() : null;

    private static void RequireKnown(JsonElement json, string[] known)
    {
        foreach (var property in json.EnumerateObject())
        {
            if (!known.Contains(property.Name))
            {
                throw new SpecException($"'{property.Name}' is not known in {Start(json)}");
            }
        }
    }

    private static string Start(JsonElement json)
    {
        var text = json.GetRawText();
        return text.Length > 80 ? text[..80] : text;
    }
}
