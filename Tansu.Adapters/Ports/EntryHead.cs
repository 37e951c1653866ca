namespace Tansu.Adapters.Ports;

/// <summary>An entry without its payload.</summary>
/// <param name="Number">The entry's number in its log; the first is 1.</param>
/// <param name="Head">Header and events, as they were appended. Immutable, and owned by the garbage collector: it may be kept.</param>
/// <param name="PayloadLength">Length of the inline payload in bytes; 0 when there is none.</param>
public readonly record struct EntryHead(long Number, ReadOnlyMemory<byte> Head, int PayloadLength);
