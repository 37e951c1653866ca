namespace Tansu.Codec.Generator;

/// <summary>Writes the Write method of a message or of a struct in it.</summary>
internal sealed class WriteMethod(SourceText text, MessageSpec message)
{
    public void Emit(string name, VersionRange scope, IReadOnlyList<FieldSpec> fields, bool isMessage, bool isValue)
    {
        var tagged = fields.Where(field => field.Tag is not null).OrderBy(field => field.Tag).ToList();
        if (isMessage)
        {
            text.Line("/// <inheritdoc/>");
        }

        text.Open($"{(isMessage ? "public" : isValue ? "internal readonly" : "internal")} void Write(KafkaWriter writer, short version)");
        if (isMessage)
        {
            text.Line("ArgumentNullException.ThrowIfNull(writer);");
            text.Line($"MessageVersion.RequireWritable(\"{name}\", version, {scope.Low}, {scope.High});");
        }

        if (Flexible.NeedsVariable(message, scope, fields))
        {
            text.Line($"var flexible = version >= {message.FirstFlexible};");
        }

        foreach (var field in fields.Where(field => field.Tag is null))
        {
            text.If(field.Versions.ConditionIn(scope), () => EmitField(field, "writer", Owner(name, isMessage)));
        }

        text.If(Flexible.TagsCondition(message, scope), () =>
        {
            if (scope.High >= message.FirstFlexible)
            {
                EmitTags(scope, tagged, Owner(name, isMessage));
            }
        });
        text.Close();
    }

    private string Owner(string name, bool isMessage) => isMessage ? name : $"{message.Name}.{name}";

    private void EmitTags(VersionRange scope, List<FieldSpec> tagged, string owner)
    {
        if (tagged.Count == 0)
        {
            text.Line("writer.WriteUnsignedVarint(0);");
            return;
        }

        text.Line("var tags = 0u;");
        foreach (var field in tagged)
        {
            text.If(Present(field, scope), () => text.Line("tags++;"));
            text.Line();
        }

        text.Line("writer.WriteUnsignedVarint(tags);");
        foreach (var field in tagged)
        {
            text.If(Present(field, scope), () => EmitTag(field, owner));
        }
    }

    private static string Present(FieldSpec field, VersionRange scope)
    {
        var versions = field.Versions.ConditionIn(scope);
        var differs = Types.DiffersFromDefault(field);
        return versions.Length > 0 ? $"{versions} && {differs}" : differs;
    }

    private void EmitTag(FieldSpec field, string owner)
    {
        if (Sizes.Fixed(field) is { } size)
        {
            text.Line($"writer.WriteTag({field.Tag}, {size});");
            EmitField(field, "writer", owner);
            return;
        }

        text.Line("var value = writer.BeginTag();");
        EmitField(field, "value", owner);
        text.Line($"writer.EndTag({field.Tag}, value);");
    }

    private void EmitField(FieldSpec field, string writer, string owner)
    {
        var nullable = field.NullableVersions.ConditionIn(field.Versions);
        if (field.IsArray || field.Kind == FieldKind.Struct)
        {
            if (field.IsNullable)
            {
                EmitNullable(field, writer, owner, nullable);
            }
            else
            {
                EmitPresent(field, writer);
            }
        }
        else if (field.IsNullable && nullable.Length > 0 && field.Kind != FieldKind.Records)
        {
            text.Open($"if ({nullable})");
            text.Line(Value(field, writer, "Nullable", field.Name));
            text.Close();
            text.Open("else");
            text.If($"{field.Name} is null", () => text.Line($"MessageVersion.ThrowNull(\"{owner}.{field.Name}\", version);"));
            text.Line();
            text.Line(Value(field, writer, "", field.Kind == FieldKind.Bytes ? field.Name + ".Value" : field.Name));
            text.Close();
        }
        else
        {
            text.Line(Value(field, writer, field.IsNullable && field.Kind != FieldKind.Records ? "Nullable" : "", field.Name));
        }
    }

    private void EmitNullable(FieldSpec field, string writer, string owner, string nullable)
    {
        text.Open($"if ({field.Name} is null)");
        text.If(nullable.Length > 0 ? $"!({nullable})" : "", () =>
        {
            if (nullable.Length > 0)
            {
                text.Line($"MessageVersion.ThrowNull(\"{owner}.{field.Name}\", version);");
            }
        });
        if (nullable.Length > 0)
        {
            text.Line();
        }

        text.Line(field.IsArray
            ? $"{writer}.WriteNullCount({Flexible.Expression(message, field)});"
            : $"{writer}.WriteStructPresence(false);");
        text.Close();
        text.Open("else");
        if (!field.IsArray)
        {
            text.If(nullable, () => text.Line($"{writer}.WriteStructPresence(true);"));
        }

        EmitPresent(field, writer);
        text.Close();
    }

    private void EmitPresent(FieldSpec field, string writer)
    {
        if (!field.IsArray)
        {
            text.Line($"{field.Name}.Write({writer}, version);");
            return;
        }

        text.Line($"{writer}.WriteCount({field.Name}.{(field.IsStreamed ? "Count" : "Length")}, {Flexible.Expression(message, field)});");
        text.Open($"foreach (var element in {field.Name})");
        text.Line(field.Kind == FieldKind.Struct ? $"element.Write({writer}, version);" : Value(field, writer, "", "element"));
        text.Close();
    }

    private string Value(FieldSpec field, string writer, string prefix, string value)
    {
        if (Types.HasLength(field.Kind))
        {
            return $"{writer}.Write{prefix}{field.Kind}({value}, {Flexible.Expression(message, field)});";
        }

        var number = field.Enum.Length > 0 ? $"({(field.Kind == FieldKind.Int8 ? "sbyte" : "short")}){value}" : value;
        return $"{writer}.Write{Types.Primitive(field.Kind)}({number});";
    }
}
