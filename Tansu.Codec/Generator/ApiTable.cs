namespace Tansu.Codec.Generator;

/// <summary>Writes the table of all APIs.</summary>
internal static class ApiTable
{
    public const string FileName = "ApiKeys.cs";

    public static string Emit(IEnumerable<MessageSpec> messages)
    {
        var requests = messages.Where(message => message.Type == "request").OrderBy(message => message.ApiKey).ToList();
        foreach (var request in requests)
        {
            RequireResponse(request, messages);
        }

        var text = new SourceText();
        SourceFile.Head(text, "Tansu.Codec");
        text.Summary("The numbers of the Kafka APIs and what the codec knows of each.");
        text.Open("public static class ApiKeys");
        text.Line("private static readonly ApiDescription?[] Known = Describe();");
        text.Line();
        foreach (var request in requests)
        {
            text.Summary($"{request.About}");
            text.Line($"public const short {Name(request)} = {request.ApiKey};");
            text.Line();
        }

        text.Summary("All APIs, in the order of their numbers.");
        text.Line("public static IReadOnlyList<ApiDescription> All { get; } =");
        text.Line("[");
        foreach (var request in requests)
        {
            text.Line($"    Known[{Name(request)}]!.Value,");
        }

        text.Line("];");
        text.Line();
        EmitLookup(text, requests);
        text.Close();
        return text.ToString();
    }

    private static void EmitLookup(SourceText text, List<MessageSpec> requests)
    {
        text.Summary("Finds what the codec knows of an API; false if it knows nothing.");
        text.Open("public static bool TryGet(short key, out ApiDescription api)");
        text.Line("var known = key >= 0 && key < Known.Length ? Known[key] : null;");
        text.Line("api = known.GetValueOrDefault();");
        text.Line("return known.HasValue;");
        text.Close();
        text.Line();
        text.Open("private static ApiDescription?[] Describe()");
        text.Line($"var known = new ApiDescription?[{requests[^1].ApiKey + 1}];");
        foreach (var request in requests)
        {
            var name = Name(request);
            text.Line($"known[{name}] = new({name}, \"{name}\", {request.Versions.Low}, {request.Versions.High}, {request.FirstFlexible});");
        }

        text.Line("return known;");
        text.Close();
    }

    private static string Name(MessageSpec request) => request.Name[..^"Request".Length];

    private static void RequireResponse(MessageSpec request, IEnumerable<MessageSpec> messages)
    {
        var response = messages.FirstOrDefault(one => one.Name == Name(request) + "Response")
            ?? throw new SpecException($"{request.Name} has no response");
        if (response.ApiKey != request.ApiKey
            || response.Versions != request.Versions
            || response.FirstFlexible != request.FirstFlexible)
        {
            throw new SpecException($"{request.Name} and {response.Name} differ in key or versions");
        }
    }
}
