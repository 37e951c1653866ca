namespace Tansu.Codec.Generator;

/// <summary>Writes the Describe method of a stored structure or of a struct in it.</summary>
internal sealed class DescribeMethod(SourceText text)
{
    public void Emit(IReadOnlyList<FieldSpec> fields, bool isMessage)
    {
        if (isMessage)
        {
            text.Line("/// <inheritdoc/>");
        }

        text.Open($"{(isMessage ? "public" : "internal")} void Describe(Utf8JsonWriter json)");
        if (isMessage)
        {
            text.Line("ArgumentNullException.ThrowIfNull(json);");
        }

        foreach (var field in fields)
        {
            EmitField(field);
        }

        text.Close();
    }

    private void EmitField(FieldSpec field)
    {
        var name = char.ToLowerInvariant(field.Name[0]) + field.Name[1..];
        if (!field.IsArray && field.Kind != FieldKind.Struct)
        {
            EmitValue(field, name);
            return;
        }

        if (field.HasNull)
        {
            text.Open($"if ({field.Name} is null)");
            text.Line($"json.WriteNull(\"{name}\");");
            text.Close();
            text.Open("else");
            EmitNested(field, name);
            text.Close();
        }
        else
        {
            EmitNested(field, name);
        }
    }

    private void EmitNested(FieldSpec field, string name)
    {
        if (!field.IsArray)
        {
            text.Line($"json.WriteStartObject(\"{name}\");");
            text.Line($"{field.Name}.Describe(json);");
            text.Line("json.WriteEndObject();");
            return;
        }

        text.Line($"json.WriteStartArray(\"{name}\");");
        text.Open($"foreach (var element in {field.Name})");
        if (field.Kind == FieldKind.Struct)
        {
            text.Line("json.WriteStartObject();");
            text.Line("element.Describe(json);");
            text.Line("json.WriteEndObject();");
        }
        else
        {
            text.Line($"json.{Method(field)}Value({Value(field, "element")});");
        }

        text.Close();
        text.Line("json.WriteEndArray();");
    }

    private void EmitValue(FieldSpec field, string name)
    {
        if (!IsBytes(field) || !field.HasNull || field.Kind == FieldKind.Records)
        {
            text.Line($"json.{Method(field)}(\"{name}{(IsBytes(field) ? "Length" : "")}\", {Value(field, field.Name)});");
            return;
        }

        text.Open($"if ({field.Name} is null)");
        text.Line($"json.WriteNull(\"{name}Length\");");
        text.Close();
        text.Open("else");
        text.Line($"json.WriteNumber(\"{name}Length\", {field.Name}.Value.Length);");
        text.Close();
    }

    private static bool IsBytes(FieldSpec field) => field.Kind is FieldKind.Bytes or FieldKind.Records;

    private static string Method(FieldSpec field) => field.Kind switch
    {
        FieldKind.Bool => "WriteBoolean",
        FieldKind.String or FieldKind.Uuid => "WriteString",
        _ => "WriteNumber",
    };

    private static string Value(FieldSpec field, string value) => field.Enum.Length > 0
        ? $"(int){value}"
        : field.Kind == FieldKind.Uuid ? $"KafkaUuid.ToText({value})"
        : IsBytes(field) ? $"{value}.Length"
        : value;
}
