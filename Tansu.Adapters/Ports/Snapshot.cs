namespace Tansu.Adapters.Ports;

/// <summary>A state as of one entry: a cache that saves reading the log from its start, never the truth.</summary>
/// <param name="Number">The last entry that the state includes.</param>
/// <param name="Content">The bytes that were saved, checked by the store against damage.</param>
public sealed record Snapshot(long Number, ReadOnlyMemory<byte> Content);
