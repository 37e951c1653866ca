namespace Tansu.Codec.Records;

/// <summary>A header of a record (KIP-82).</summary>
/// <param name="Key">The name, in UTF-8; names may repeat.</param>
/// <param name="Value">Any bytes, or null.</param>
public readonly record struct RecordHeader(ReadOnlyMemory<byte> Key, ReadOnlyMemory<byte>? Value);
