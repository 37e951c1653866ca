namespace Tansu.Codec.Generator;

/// <summary>What a spec must fulfil so that the C# made of it compiles and means what the spec says.</summary>
internal static class SpecRules
{
    private static readonly string[] MessageMembers =
        ["ApiKey", "LowestVersion", "HighestVersion", "FirstFlexibleVersion", "Read", "Write"];

    private static readonly string[] Types = ["request", "response", "header", "data"];

    public static void Check(MessageSpec message)
    {
        Require(Types.Contains(message.Type), $"no message type {message.Type}");
        Require(!message.Versions.IsEmpty, "no valid version");
        Require(
            message.Type is "request" or "response" == message.ApiKey >= 0,
            "requests and responses, and nothing else, have an apiKey");
        foreach (var reserved in MessageMembers)
        {
            Require(message.Fields.All(field => field.Name != reserved), $"field {reserved} has the name of a member");
        }

        foreach (var one in message.Structs)
        {
            Require(
                message.Fields.All(field => field.Name != one.Name) && one.Name != message.Name,
                $"struct {one.Name} has the name of a field or of the message; C# needs another name");
            CheckFields(message, one.Name, one.Versions, one.Fields);
        }

        CheckFields(message, message.Name, message.Versions, message.Fields);
    }

    private static void CheckFields(MessageSpec message, string owner, VersionRange versions, IReadOnlyList<FieldSpec> fields)
    {
        Require(fields.Select(field => field.Name).Distinct().Count() == fields.Count, $"{owner} has two fields of one name");
        var tags = fields.Where(field => field.Tag is not null).Select(field => field.Tag).ToList();
        Require(tags.Distinct().Count() == tags.Count, $"{owner} has two fields of one tag");
        foreach (var field in fields)
        {
            var where = $"{owner}.{field.Name}";
            Require(char.IsUpper(field.Name[0]), $"{where} must start with a capital");
            Require(field.Name != owner, $"{where} has the name of its owner; C# needs another name");
            Require(!field.Versions.IsEmpty, $"{where} is in no version of {owner} ({versions.Low}-{versions.High})");
            Require(field.Tag is null || field.Versions.Low >= message.FirstFlexible, $"{where} is tagged before versions are flexible");
            Require(!field.IsArray || field.Kind is not (FieldKind.Records or FieldKind.Bool or FieldKind.Float64), $"{where}: no such array");
            Require(field.Kind != FieldKind.Records || (field.Tag is null && field.NullableVersions == field.Versions), $"{where}: records are nullable and not tagged");
            var isPlainArrayOfStructs = field.IsArray && field.Kind == FieldKind.Struct && field.Tag is null && !field.IsNullable;
            Require(!field.IsStreamed || isPlainArrayOfStructs, $"{where} cannot be streamed");
            Require(!field.IsHandedOver || (isPlainArrayOfStructs && !field.IsStreamed && owner == message.Name), $"{where} cannot be handed over");
            Require(field.Enum.Length == 0 || (field.Kind is FieldKind.Int8 or FieldKind.Int16 && !field.IsArray && field.Default.Length == 0), $"{where} cannot be an enum");
            Require(field.Default != "null" || field.IsNullable, $"{where} is null by default and not nullable");
            if (field.Kind == FieldKind.Struct)
            {
                var inner = message.Struct(field.StructName);
                Require(field.Versions.Within(inner.Versions) == field.Versions, $"{where} is in versions that {inner.Name} lacks");
            }
            else
            {
                Require(!field.IsNullable || field.IsArray || field.Kind is FieldKind.String or FieldKind.Bytes or FieldKind.Records, $"{where} cannot be null");
            }
        }
    }

    private static void Require(bool holds, string otherwise)
    {
        if (!holds)
        {
            throw new SpecException(otherwise);
        }
    }
}
