namespace Tansu.Codec.Records;

/// <summary>
/// A record of a batch. Its bytes are slices of the batch, or of the buffer into which its reader decompressed it, and
/// live as long as these.
/// </summary>
/// <param name="Offset">The batch's base offset plus the record's delta.</param>
/// <param name="TimestampMs">In ms since 1970, or -1; the time of the append if the batch's timestamp type says so.</param>
/// <param name="Key">The key, or null.</param>
/// <param name="Value">The value, or null (a tombstone in a compacted topic).</param>
/// <param name="Headers">The headers, possibly none.</param>
public readonly record struct Record(
    long Offset,
    long TimestampMs,
    ReadOnlyMemory<byte>? Key,
    ReadOnlyMemory<byte>? Value,
    RecordHeaders Headers);
