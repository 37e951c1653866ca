using System.Globalization;

namespace Tansu.Adapters;

/// <summary>The keys of one log's objects. Numbers have 20 digits, so that keys sort as numbers do.</summary>
internal sealed class S3Keys(string prefix, string logName)
{
    /// <summary>What the keys of all of the log's objects begin with.</summary>
    public string Log { get; } = $"{prefix}{logName}/";

    /// <summary>What the keys of entries begin with.</summary>
    public string Entries => Log + "entries/";

    /// <summary>What the keys of snapshots begin with.</summary>
    public string Snapshots => Log + "snapshots/";

    /// <summary>The hint: which snapshots there are, and what has been trimmed.</summary>
    public string Hint => Log + "hint";

    /// <summary>What checks of the store write. Not the hint, which the log that they race for may read meanwhile.</summary>
    public string Scratch => Log + "scratch";

    public string Entry(long number) => string.Create(CultureInfo.InvariantCulture, $"{Entries}{number:D20}");

    public string Snapshot(long number) => string.Create(CultureInfo.InvariantCulture, $"{Snapshots}{number:D20}");

    /// <summary>The number at the end of a key; 0 when it does not end in one, so that a stranger's object is nobody's.</summary>
    public static long NumberOf(string key)
    {
        var digits = key.AsSpan(key.LastIndexOf('/') + 1);
        return digits.Length == 20 && long.TryParse(digits, NumberStyles.None, CultureInfo.InvariantCulture, out var number) ? number : 0;
    }
}
