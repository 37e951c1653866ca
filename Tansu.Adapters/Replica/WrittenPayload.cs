namespace Tansu.Adapters.Replica;

/// <summary>Record batch bytes that this broker has just written: an entry's inline payload, or a data object.</summary>
/// <param name="DataObject">The data object's name; null for the entry's inline payload.</param>
/// <param name="Slices">The bytes, in order. Valid only during the call that brings them.</param>
/// <param name="Length">The sum of the slices' lengths, in bytes.</param>
public readonly record struct WrittenPayload(string? DataObject, ReadOnlyMemory<byte>[] Slices, int Length);
