namespace Tansu.Codec.Generator;

internal enum FieldKind
{
    Bool,
    Int8,
    Int16,
    UInt16,
    Int32,
    UInt32,
    Int64,
    Float64,
    Uuid,
    String,
    Bytes,
    Records,
    Struct,
}

/// <summary>One field of a message or struct, its version ranges cut to those of its owner.</summary>
internal sealed record FieldSpec(string Name, string About, FieldKind Kind, bool IsArray, VersionRange Versions)
{
    /// <summary>The struct's name if <see cref="Kind"/> is Struct.</summary>
    public string StructName { get; init; } = "";

    public VersionRange NullableVersions { get; init; } = VersionRange.None;

    /// <summary>The number of a tagged field, or null. A tagged field is one in every version that has it.</summary>
    public uint? Tag { get; init; }

    /// <summary>The default as written in the spec; "" if there is none.</summary>
    public string Default { get; init; } = "";

    /// <summary>Whether the length stays in its old form in flexible versions too.</summary>
    public bool NeverCompact { get; init; }

    /// <summary>
    /// Whether an array of structs is a collection of values in C#, so that whoever has a great many of them can hand them over one at a time instead of
    /// making an object of each.
    /// </summary>
    public bool IsStreamed { get; init; }

    /// <summary>
    /// Whether elements of an array of structs can be handed over one at a time as they are read, to someone who makes something else of them: a second
    /// Read method takes a delegate for each such field of a message.
    /// </summary>
    public bool IsHandedOver { get; init; }

    /// <summary>The C# enum of a number, or "".</summary>
    public string Enum { get; init; } = "";

    public bool IsNullable => !NullableVersions.IsEmpty;

    /// <summary>Whether the C# property can be null. A tagged struct that is not there needs no object.</summary>
    public bool HasNull => IsNullable || (Tag is not null && Kind == FieldKind.Struct && !IsArray);

    public bool DefaultsToNull => HasNull && (Default == "null" || (Kind == FieldKind.Struct && !IsArray));
}

/// <summary>A struct inside a message; a class in C#, unless it is a value.</summary>
internal sealed record StructSpec(string Name, string About, VersionRange Versions, bool IsValue, IReadOnlyList<FieldSpec> Fields);

/// <summary>What changed with a version.</summary>
internal sealed record VersionNote(int Version, string About);

/// <summary>One spec file.</summary>
internal sealed record MessageSpec(string Name, string About, VersionRange Versions, IReadOnlyList<FieldSpec> Fields)
{
    public required string Type { get; init; }

    public required string Namespace { get; init; }

    public required int ApiKey { get; init; }

    public required int FirstFlexible { get; init; }

    public required IReadOnlyList<VersionNote> Notes { get; init; }

    public required IReadOnlyList<StructSpec> Structs { get; init; }

    public StructSpec Struct(string name) =>
        Structs.FirstOrDefault(one => one.Name == name) ?? throw new SpecException($"{Name}: no struct {name}");
}
