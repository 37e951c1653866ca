namespace Tansu.Codec.Generator;

/// <summary>How fields look in C#.</summary>
internal static class Types
{
    public static string Element(FieldSpec field) => field.Enum.Length > 0 ? field.Enum : field.Kind switch
    {
        FieldKind.Bool => "bool",
        FieldKind.Int8 => "sbyte",
        FieldKind.Int16 => "short",
        FieldKind.UInt16 => "ushort",
        FieldKind.Int32 => "int",
        FieldKind.UInt32 => "uint",
        FieldKind.Int64 => "long",
        FieldKind.Float64 => "double",
        FieldKind.Uuid => "Guid",
        FieldKind.String => "string",
        FieldKind.Bytes => "ReadOnlyMemory<byte>",
        FieldKind.Records => "RecordBytes",
        _ => field.StructName,
    };

    public static string Property(FieldSpec field)
    {
        var type = field.IsStreamed ? $"IReadOnlyCollection<{Element(field)}>" : Element(field) + (field.IsArray ? "[]" : "");
        return field.HasNull && field.Kind != FieldKind.Records ? type + "?" : type;
    }

    /// <summary>The name of the pair KafkaReader.ReadX and KafkaWriter.WriteX.</summary>
    public static string Primitive(FieldKind kind) => kind switch
    {
        FieldKind.Bool => "Boolean",
        _ => kind.ToString(),
    };

    public static bool HasLength(FieldKind kind) => kind is FieldKind.String or FieldKind.Bytes or FieldKind.Records;

    /// <summary>The initializer of the property with " = " and ";", or "" if C#'s own default is meant.</summary>
    public static string Initializer(FieldSpec field)
    {
        var value = Default(field);
        return value is "null" or "0" or "0L" or "0d" or "false" or "Guid.Empty" or "default" ? "" : $" = {value};";
    }

    /// <summary>The default as a C# expression.</summary>
    public static string Default(FieldSpec field)
    {
        if (field.DefaultsToNull)
        {
            return "null";
        }

        if (field.IsArray)
        {
            return "[]";
        }

        var text = field.Default;
        return field.Kind switch
        {
            FieldKind.Bool => text.Length == 0 ? "false" : text,
            FieldKind.String => $"\"{text}\"",
            FieldKind.Uuid => "Guid.Empty",
            FieldKind.Bytes when field.HasNull => "ReadOnlyMemory<byte>.Empty",
            FieldKind.Bytes or FieldKind.Records => "default",
            FieldKind.Struct => "new()",
            FieldKind.Int64 => text is "" or "0" ? "0" : text == "-9223372036854775808" ? "long.MinValue" : text == "9223372036854775807" ? "long.MaxValue" : text,
            FieldKind.Int32 => text is "" ? "0" : text == "-2147483648" ? "int.MinValue" : text is "2147483647" or "0x7fffffff" ? "int.MaxValue" : text,
            _ => text.Length == 0 ? "0" : text,
        };
    }

    /// <summary>The C# condition under which a tagged field is written: it is not its default.</summary>
    public static string DiffersFromDefault(FieldSpec field)
    {
        if (field.DefaultsToNull)
        {
            return $"{field.Name} is not null";
        }

        if (field.IsArray)
        {
            return field.HasNull ? $"{field.Name} is not {{ Length: 0 }}" : $"{field.Name}.Length != 0";
        }

        return field.Kind switch
        {
            FieldKind.Bool => Default(field) == "true" ? $"!{field.Name}" : field.Name,
            FieldKind.Bytes => field.HasNull ? $"{field.Name} is not {{ Length: 0 }}" : $"!{field.Name}.IsEmpty",
            _ when field.Enum.Length > 0 => $"{field.Name} != 0",
            _ => $"{field.Name} != {Default(field)}",
        };
    }
}
