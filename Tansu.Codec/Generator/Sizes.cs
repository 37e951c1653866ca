namespace Tansu.Codec.Generator;

/// <summary>How many bytes values take on the wire.</summary>
internal static class Sizes
{
    /// <summary>The size of a value that always has the same size, or null.</summary>
    public static int? Fixed(FieldSpec field) => field.IsArray ? null : FixedElement(field.Kind);

    /// <summary>The least size of one element of an array over all versions that have it: what a count is checked against.</summary>
    public static int LeastElement(MessageSpec message, FieldSpec array)
    {
        var least = int.MaxValue;
        for (var version = array.Versions.Low; version <= array.Versions.High; version++)
        {
            least = Math.Min(least, LeastElement(message, array, version));
        }

        return Math.Max(1, least);
    }

    private static int LeastElement(MessageSpec message, FieldSpec field, int version)
    {
        if (field.Kind == FieldKind.Struct)
        {
            return LeastStruct(message, message.Struct(field.StructName), version);
        }

        var compact = version >= message.FirstFlexible && !field.NeverCompact;
        return FixedElement(field.Kind) ?? (compact ? 1 : field.Kind == FieldKind.String ? 2 : 4);
    }

    private static int LeastStruct(MessageSpec message, StructSpec one, int version)
    {
        var flexible = version >= message.FirstFlexible;
        var size = flexible ? 1 : 0;
        foreach (var field in one.Fields)
        {
            if (field.Tag is not null || !field.Versions.Contains(version))
            {
                continue;
            }

            if (field.IsArray)
            {
                size += flexible ? 1 : 4;
            }
            else if (field.Kind == FieldKind.Struct && field.NullableVersions.Contains(version))
            {
                size += 1;
            }
            else
            {
                size += LeastElement(message, field, version);
            }
        }

        return size;
    }

    private static int? FixedElement(FieldKind kind) => kind switch
    {
        FieldKind.Bool or FieldKind.Int8 => 1,
        FieldKind.Int16 or FieldKind.UInt16 => 2,
        FieldKind.Int32 or FieldKind.UInt32 => 4,
        FieldKind.Int64 or FieldKind.Float64 => 8,
        FieldKind.Uuid => 16,
        _ => null,
    };
}
