using System.Text;
using Tansu.Codec.Generator;

// Usage: [--check] <spec directory> <output directory>
// Writes one C# file per spec file, removes those that have no spec any more. With --check nothing is written:
// the files that differ are named and the exit code is 1.
var check = args.Contains("--check");
var paths = args.Where(argument => argument != "--check").ToArray();
if (paths.Length != 2)
{
    Console.Error.WriteLine("usage: Tansu.Codec.Generator [--check] <spec directory> <output directory>");
    return 2;
}

try
{
    var wanted = Generate(paths[0]);
    return check ? Check(wanted, paths[1]) : Write(wanted, paths[1]);
}
catch (SpecException error)
{
    Console.Error.WriteLine(error.Message);
    return 2;
}

static SortedDictionary<string, string> Generate(string specDirectory)
{
    var files = new SortedDictionary<string, string>(StringComparer.Ordinal);
    var messages = ReadAll(specDirectory, "", "Tansu.Codec.Messages");
    var stored = ReadAll(specDirectory, "storage", "Tansu.Codec.Storage");
    foreach (var message in messages)
    {
        files.Add(message.Name + ".cs", new MessageClass(message).Emit());
    }

    foreach (var message in stored)
    {
        files.Add($"Storage/{message.Name}.cs", new MessageClass(message, isEvent: message.Name.EndsWith("Event", StringComparison.Ordinal)).Emit());
    }

    files.Add(ApiTable.FileName, ApiTable.Emit(messages));
    return files;
}

static List<MessageSpec> ReadAll(string specDirectory, string folder, string @namespace)
{
    var directory = Path.Combine(specDirectory, folder);
    return !Directory.Exists(directory)
        ? []
        : Directory.EnumerateFiles(directory, "*.json")
            .Order(StringComparer.Ordinal)
            .Select(path => SpecReader.Read(path, Path.Combine(folder, Path.GetFileName(path)), @namespace))
            .ToList();
}

static Dictionary<string, string> ReadExisting(string directory) =>
    !Directory.Exists(directory)
        ? []
        : Directory.EnumerateFiles(directory, "*.cs", SearchOption.AllDirectories)
            .ToDictionary(path => Path.GetRelativePath(directory, path).Replace('\\', '/'), File.ReadAllText);

static int Check(SortedDictionary<string, string> wanted, string directory)
{
    var existing = ReadExisting(directory);
    var differing = wanted.Keys.Union(existing.Keys)
        .Where(name => wanted.GetValueOrDefault(name) != existing.GetValueOrDefault(name))
        .Order(StringComparer.Ordinal)
        .ToList();
    foreach (var name in differing)
    {
        Console.Error.WriteLine($"{name} differs from what its spec says; run the generator");
    }

    return differing.Count == 0 ? 0 : 1;
}

static int Write(SortedDictionary<string, string> wanted, string directory)
{
    var existing = ReadExisting(directory);
    foreach (var stale in existing.Keys.Where(name => !wanted.ContainsKey(name)))
    {
        File.Delete(Path.Combine(directory, stale));
    }

    foreach (var (name, content) in wanted)
    {
        if (existing.GetValueOrDefault(name) != content)
        {
            var path = Path.Combine(directory, name);
            Directory.CreateDirectory(Path.GetDirectoryName(path)!);
            File.WriteAllText(path, content, new UTF8Encoding(encoderShouldEmitUTF8Identifier: false));
        }
    }

    return 0;
}
