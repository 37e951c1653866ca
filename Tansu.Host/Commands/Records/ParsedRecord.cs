using Tansu.Codec.Records;

namespace Tansu.Host.Commands.Records;

/// <summary>A record as it was read from a line; its bytes are good until the next line.</summary>
internal sealed class ParsedRecord
{
    /// <summary>Stands for a partition or a timestamp that the line does not say.</summary>
    public const int Unsaid = -1;

    /// <summary>The key, or null.</summary>
    public ReadOnlyMemory<byte>? Key { get; set; }

    /// <summary>The value, or null.</summary>
    public ReadOnlyMemory<byte>? Value { get; set; }

    /// <summary>The headers.</summary>
    public List<RecordHeader> Headers { get; } = [];

    /// <summary>The partition.</summary>
    public int Partition { get; set; } = Unsaid;

    /// <summary>In milliseconds since 1970.</summary>
    public long TimestampMs { get; set; } = Unsaid;

    /// <summary>Begins a new record.</summary>
    public void Clear()
    {
        Key = null;
        Value = null;
        Headers.Clear();
        Partition = Unsaid;
        TimestampMs = Unsaid;
    }
}
