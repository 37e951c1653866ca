namespace Tansu.Codec.Generator;

/// <summary>Writes what hands a response's error codes to a counter, where there are any.</summary>
internal sealed class CountMethod(SourceText text, MessageSpec message)
{
    /// <summary>Whether the message is a response with an error code anywhere in it.</summary>
    public static bool IsNeeded(MessageSpec message) => message.Type == "response" && HasErrors(message, message.Fields);

    public void Emit(IReadOnlyList<FieldSpec> fields, bool isMessage)
    {
        if (!IsNeeded(message) || !HasErrors(message, fields))
        {
            return;
        }

        text.Line();
        text.Line(isMessage ? "/// <inheritdoc/>" : "/// <summary>Counts every error code in it.</summary>");
        text.Open("public void CountErrors(IErrorCounter errors)");
        text.Line("ArgumentNullException.ThrowIfNull(errors);");
        foreach (var field in fields)
        {
            Count(field);
        }

        text.Close();
    }

    private static bool HasErrors(MessageSpec message, IReadOnlyList<FieldSpec> fields) =>
        fields.Any(field => IsError(field) || (IsStruct(field) && HasErrors(message, message.Struct(field.StructName).Fields)));

    private static bool IsError(FieldSpec field) => field.Enum == "ErrorCode" && !field.IsArray;

    private static bool IsStruct(FieldSpec field) => field.Kind == FieldKind.Struct;

    private void Count(FieldSpec field)
    {
        if (IsError(field))
        {
            text.If($"{field.Name} != ErrorCode.None", () => text.Line($"errors.Count({field.Name});"));
        }
        else if (IsStruct(field) && HasErrors(message, message.Struct(field.StructName).Fields))
        {
            if (field.IsArray)
            {
                text.Open($"foreach (var element in {field.Name}{(field.HasNull ? " ?? []" : "")})");
                text.Line("element.CountErrors(errors);");
                text.Close();
            }
            else
            {
                text.Line($"{field.Name}{(field.HasNull ? "?" : "")}.CountErrors(errors);");
            }
        }
    }
}
