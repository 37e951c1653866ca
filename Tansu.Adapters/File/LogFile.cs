using System.Globalization;

namespace Tansu.Adapters;

/// <summary>One file of a log: <c>&lt;number of its first entry, 20 digits&gt;.log</c>, with an index file beside it once it is sealed.</summary>
internal sealed class LogFile
{
    private const int NumberDigits = 20;
    public const string Suffix = ".log";

    private const string IndexSuffix = ".index";

    private long _count;

    public LogFile(string directory, long firstNumber)
    {
        FirstNumber = firstNumber;
        var number = firstNumber.ToString(CultureInfo.InvariantCulture).PadLeft(NumberDigits, '0');
        Path = System.IO.Path.Combine(directory, number + Suffix);
        IndexPath = System.IO.Path.Combine(directory, number + IndexSuffix);
    }

    public string Path { get; }

    public string IndexPath { get; }

    public long FirstNumber { get; }

    /// <summary>How many durable entries it has. Setting it is what publishes the newest to readers.</summary>
    public long Count
    {
        get => Volatile.Read(ref _count);
        set => Volatile.Write(ref _count, value);
    }

    /// <summary>The number after that of its last entry.</summary>
    public long NextNumber => FirstNumber + Count;

    /// <summary>The log files in a directory, by first number.</summary>
    public static List<LogFile> List(string directory)
    {
        var files = new List<LogFile>();
        foreach (var path in Directory.EnumerateFiles(directory, "*" + Suffix))
        {
            if (TryParse(path, Suffix, out var number))
            {
                files.Add(new LogFile(directory, number));
            }
        }

        files.Sort(static (left, right) => left.FirstNumber.CompareTo(right.FirstNumber));
        return files;
    }

    /// <summary>Deletes index files whose log file is gone: a trim was interrupted between the two.</summary>
    public static void DeleteOrphanIndexes(string directory)
    {
        foreach (var path in Directory.EnumerateFiles(directory, "*" + IndexSuffix))
        {
            if (TryParse(path, IndexSuffix, out var number) && !File.Exists(new LogFile(directory, number).Path))
            {
                File.Delete(path);
            }
        }
    }

    private static bool TryParse(string path, string suffix, out long number)
    {
        number = 0;
        var name = System.IO.Path.GetFileName(path.AsSpan());
        return name.Length == NumberDigits + suffix.Length
            && name.EndsWith(suffix, StringComparison.Ordinal)
            && long.TryParse(name[..NumberDigits], NumberStyles.None, CultureInfo.InvariantCulture, out number)
            && number > 0;
    }
}
