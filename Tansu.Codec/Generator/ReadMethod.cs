namespace Tansu.Codec.Generator;

/// <summary>Writes the Read method of a message or of a struct in it.</summary>
internal sealed class ReadMethod(SourceText text, MessageSpec message)
{
    public void Emit(string name, VersionRange scope, IReadOnlyList<FieldSpec> fields, bool isMessage)
    {
        var plain = fields.Where(field => field.Tag is null).ToList();
        var tagged = fields.Where(field => field.Tag is not null).OrderBy(field => field.Tag).ToList();
        if (isMessage)
        {
            text.Line("/// <inheritdoc/>");
        }

        var handedOver = fields.Where(field => field.IsHandedOver).ToList();
        if (handedOver.Count > 0)
        {
            text.Line($"public static {name} Read(ref KafkaReader reader, short version) => Read(ref reader, version, {string.Join(", ", handedOver.Select(static _ => "null"))});");
            text.Line();
            text.Summary("Reads a message of which some elements go elsewhere, one at a time, instead of into it.");
            text.Parameter("reader", "Where it is read from.");
            text.Parameter("version", "Its version.");
            foreach (var field in handedOver)
            {
                text.Parameter(Taker(field), $"Takes the elements of {field.Name}, with the message as far as it has been read; null to have them in the message.");
            }
        }

        var takers = string.Concat(handedOver.Select(field => $", Action<{name}, {Types.Element(field)}>? {Taker(field)}"));
        text.Open($"{(isMessage ? "public" : "internal")} static {name} Read(ref KafkaReader reader, short version{takers})");
        if (isMessage)
        {
            text.Line($"MessageVersion.RequireReadable(\"{name}\", version, {scope.Low}, {scope.High});");
        }

        if (Flexible.NeedsVariable(message, scope, fields))
        {
            text.Line($"var flexible = version >= {message.FirstFlexible};");
        }

        text.Line($"var message = new {name}();");
        foreach (var field in plain)
        {
            text.If(field.Versions.ConditionIn(scope), () => EmitField(field));
        }

        text.If(Flexible.TagsCondition(message, scope), () =>
        {
            if (scope.High >= message.FirstFlexible)
            {
                EmitTags(scope, tagged);
            }
        });
        text.Line("return message;");
        text.Close();
    }

    private void EmitTags(VersionRange scope, List<FieldSpec> tagged)
    {
        if (tagged.Count == 0)
        {
            text.Line("reader.SkipTags();");
            return;
        }

        text.Open("for (var left = reader.ReadTagCount(); left > 0; left--)");
        text.Open("switch (reader.ReadTag(out var end))");
        foreach (var field in tagged)
        {
            var condition = field.Versions.ConditionIn(scope);
            text.Line($"case {field.Tag}{(condition.Length > 0 ? " when " + condition : "")}:");
            text.Open();
            EmitField(field);
            text.Line("reader.EndTag(end);");
            text.Line("break;");
            text.Close();
        }

        text.Line("default:");
        text.Open();
        text.Line("reader.SkipTag(end);");
        text.Line("break;");
        text.Close();
        text.Close();
        text.Close();
    }

    private void EmitField(FieldSpec field)
    {
        if (field.IsArray)
        {
            EmitArray(field);
            return;
        }

        var target = $"message.{field.Name}";
        var nullable = field.NullableVersions.ConditionIn(field.Versions);
        if (field.Kind == FieldKind.Struct)
        {
            var read = $"{message.Name}.{field.StructName}.Read(ref reader, version)";
            var present = nullable.Length > 0 ? $"!({nullable}) || reader.ReadStructPresence()" : "reader.ReadStructPresence()";
            text.Line(field.IsNullable ? $"{target} = {present} ? {read} : null;" : $"{target} = {read};");
        }
        else if (field.Kind != FieldKind.Records && field.IsNullable && nullable.Length > 0)
        {
            text.Line($"{target} = {nullable} ? {Value(field, nullable: true)} : {Value(field, nullable: false)};");
        }
        else
        {
            text.Line($"{target} = {Value(field, field.IsNullable)};");
        }
    }

    private void EmitArray(FieldSpec field)
    {
        var arguments = $"({Flexible.Expression(message, field)}, {Sizes.LeastElement(message, field)})";
        var nullable = field.NullableVersions.ConditionIn(field.Versions);
        var count = field.IsNullable ? $"reader.ReadNullableArrayCount{arguments}" : $"reader.ReadArrayCount{arguments}";
        if (field.IsNullable && nullable.Length > 0)
        {
            count = $"{nullable} ? {count} : reader.ReadArrayCount{arguments}";
        }

        var element = Types.Element(field);
        text.Open();
        text.Line($"var count = {count};");
        if (field.IsHandedOver)
        {
            text.Open($"for (; count > 0 && {Taker(field)} is not null; count--)");
            text.Line($"{Taker(field)}(message, {message.Name}.{element}.Read(ref reader, version));");
            text.Close();
            text.Line();
        }

        text.Open("if (count > 0)");
        text.Line($"var elements = new {element}[count];");
        text.Open("for (var i = 0; i < elements.Length; i++)");
        text.Line(field.Kind == FieldKind.Struct
            ? $"elements[i] = {message.Name}.{element}.Read(ref reader, version);"
            : $"elements[i] = {Value(field, nullable: false)};");
        text.Close();
        text.Line();
        text.Line($"message.{field.Name} = elements;");
        text.Close();
        text.Open("else");
        text.Line($"message.{field.Name} = {(field.IsNullable ? "count < 0 ? null : []" : "[]")};");
        text.Close();
        text.Close();
    }

    /// <summary>The parameter that takes the elements of a field.</summary>
    private static string Taker(FieldSpec field) => $"take{field.Name}";

    private string Value(FieldSpec field, bool nullable)
    {
        if (Types.HasLength(field.Kind))
        {
            var prefix = nullable && field.Kind != FieldKind.Records ? "Nullable" : "";
            return $"reader.Read{prefix}{field.Kind}({Flexible.Expression(message, field)})";
        }

        var read = $"reader.Read{Types.Primitive(field.Kind)}()";
        return field.Enum.Length > 0 ? $"({field.Enum}){read}" : read;
    }
}
