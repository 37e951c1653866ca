namespace Tansu.Codec.Generator;

/// <summary>Writes the file of one message: its class, with one nested class per struct.</summary>
/// <param name="message">The message.</param>
/// <param name="isEvent">Whether it is something stored that can be shown to a person.</param>
internal sealed class MessageClass(MessageSpec message, bool isEvent = false)
{
    private readonly SourceText _text = new();

    public string Emit()
    {
        SourceFile.Head(_text, message.Namespace, isEvent ? "System.Text.Json" : "");
        _text.Summary(message.About);
        _text.Remarks([VersionsSentence(), .. message.Notes.Select(note => $"Version {note.Version}: {note.About}")]);
        var counts = CountMethod.IsNeeded(message) ? ", IHasErrors" : "";
        var described = isEvent ? ", IDescribed" : "";
        _text.Open($"public sealed class {message.Name} : IMessage<{message.Name}>{counts}{described}");
        EmitConstants();
        EmitMembers(message.Name, message.Versions, message.Fields, isMessage: true);
        foreach (var one in message.Structs)
        {
            _text.Line();
            _text.Summary(one.About);
            _text.Open(one.IsValue ? $"public record struct {one.Name}" : $"public sealed class {one.Name}");
            EmitMembers(one.Name, one.Versions, one.Fields, isMessage: false, isValue: one.IsValue);
            _text.Close();
        }

        _text.Close();
        return _text.ToString();
    }

    private string VersionsSentence()
    {
        var key = message.ApiKey >= 0 ? $"API key {message.ApiKey}, versions " : "Versions ";
        var flexible = message.FirstFlexible > message.Versions.High ? "none flexible"
            : message.FirstFlexible <= message.Versions.Low ? "all flexible"
            : $"flexible from {message.FirstFlexible}";
        return $"{key}{Range(message.Versions)}, {flexible}.";
    }

    private static string Range(VersionRange range) => range.Low == range.High ? $"{range.Low}" : $"{range.Low} to {range.High}";

    private void EmitConstants()
    {
        Constant("ApiKey", message.ApiKey);
        Constant("LowestVersion", message.Versions.Low);
        Constant("HighestVersion", message.Versions.High);
        Constant("FirstFlexibleVersion", message.FirstFlexible);

        void Constant(string name, int value)
        {
            _text.Line("/// <inheritdoc/>");
            _text.Line($"public static short {name} => {value};");
            _text.Line();
        }
    }

    private void EmitMembers(string name, VersionRange scope, IReadOnlyList<FieldSpec> fields, bool isMessage, bool isValue = false)
    {
        foreach (var field in fields)
        {
            _text.Summary(field.About);
            _text.Remarks(FieldNotes(field));
            _text.Line($"public {Types.Property(field)} {field.Name} {{ get; set; }}{Types.Initializer(field)}");
            _text.Line();
        }

        new ReadMethod(_text, message).Emit(name, scope, fields, isMessage);
        _text.Line();
        new WriteMethod(_text, message).Emit(name, scope, fields, isMessage, isValue);
        new CountMethod(_text, message).Emit(fields, isMessage);
        if (isEvent)
        {
            _text.Line();
            new DescribeMethod(_text).Emit(fields, isMessage);
        }
    }

    private List<string> FieldNotes(FieldSpec field)
    {
        var notes = new List<string>();
        if (field.Versions != message.Versions)
        {
            notes.Add(field.Versions.Low == field.Versions.High
                ? $"Only in version {Range(field.Versions)}."
                : $"In versions {Range(field.Versions)}.");
        }

        if (field.IsNullable && field.NullableVersions != field.Versions)
        {
            notes.Add($"Null is allowed in versions {Range(field.NullableVersions)}.");
        }

        if (field.Tag is { } tag)
        {
            notes.Add($"Tagged field {tag}.");
        }

        if (field.Default.Length > 0 && field.Default is not ("null" or "0" or "false"))
        {
            notes.Add($"{field.Default} by default.");
        }

        return notes.Count == 0 ? notes : [string.Join(' ', notes)];
    }
}
