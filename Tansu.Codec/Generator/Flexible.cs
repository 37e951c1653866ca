namespace Tansu.Codec.Generator;

/// <summary>Where the generated code has to ask whether a version is flexible, and where it is known.</summary>
internal static class Flexible
{
    /// <summary>What to pass as "compact" for a field: true, false or the local variable.</summary>
    public static string Expression(MessageSpec message, FieldSpec field) =>
        field.NeverCompact || field.Versions.High < message.FirstFlexible ? "false"
        : field.Versions.Low >= message.FirstFlexible ? "true"
        : "flexible";

    /// <summary>The condition for tagged fields: "" if all versions in scope have them or none does.</summary>
    public static string TagsCondition(MessageSpec message, VersionRange scope) =>
        scope.Low < message.FirstFlexible && scope.High >= message.FirstFlexible ? "flexible" : "";

    public static bool NeedsVariable(MessageSpec message, VersionRange scope, IReadOnlyList<FieldSpec> fields) =>
        TagsCondition(message, scope).Length > 0
        || fields.Any(field => (field.IsArray || Types.HasLength(field.Kind)) && Expression(message, field) == "flexible");
}
