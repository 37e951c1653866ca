using System.Globalization;

namespace Tansu.Adapters.Replica;

/// <summary>
/// The names of data objects: <c>data/LOG/TIME-WRITER-NUMBER</c>, where TIME has 13 digits (milliseconds since 1970).
/// </summary>
public static class DataObjectName
{
    private const int TimeDigits = 13;

    /// <summary>What the names of a log's data objects begin with.</summary>
    /// <param name="logName">The log whose entries refer to them.</param>
    public static string Prefix(string logName) => $"data/{logName}/";

    /// <summary>A name.</summary>
    /// <param name="logName">The log whose entries will refer to the object.</param>
    /// <param name="timeMs">The time, in milliseconds since 1970.</param>
    /// <param name="writer">A number that no other writer has.</param>
    /// <param name="number">A number that the writer gives to no other object.</param>
    public static string Make(string logName, long timeMs, Guid writer, long number) => $"{Prefix(logName)}{timeMs:D13}-{writer:N}-{number}";

    /// <summary>The time in a name, in milliseconds since 1970; false if it is no such name.</summary>
    /// <param name="logName">The log.</param>
    /// <param name="name">The object's name.</param>
    /// <param name="timeMs">The time.</param>
    public static bool TryGetTime(string logName, string name, out long timeMs)
    {
        ArgumentNullException.ThrowIfNull(name);
        var prefix = Prefix(logName);
        timeMs = 0;
        return name.StartsWith(prefix, StringComparison.Ordinal)
            && name.Length > prefix.Length + TimeDigits
            && name[prefix.Length + TimeDigits] == '-'
            && long.TryParse(name.AsSpan(prefix.Length, TimeDigits), NumberStyles.None, CultureInfo.InvariantCulture, out timeMs);
    }
}
