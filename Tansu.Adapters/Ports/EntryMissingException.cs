namespace Tansu.Adapters.Ports;

/// <summary>An entry is not in its log: it has been trimmed, or was never created.</summary>
public sealed class EntryMissingException : Exception
{
    /// <summary>Creates the exception.</summary>
    /// <param name="logName">The log's name.</param>
    /// <param name="number">The number of the missing entry.</param>
    public EntryMissingException(string logName, long number)
        : base($"Entry {number} is not in log {logName}.")
    {
        LogName = logName;
        Number = number;
    }

    /// <summary>The log's name.</summary>
    public string LogName { get; }

    /// <summary>The number of the missing entry.</summary>
    public long Number { get; }
}
