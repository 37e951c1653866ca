namespace Tansu.Host.Client;

/// <summary>What a leader answered when it was asked for an offset.</summary>
/// <param name="Offset">The offset; -1 if no record is that young, or with an error.</param>
/// <param name="Error">Why there is none; null if there is.</param>
internal sealed record FoundOffset(long Offset, KafkaError? Error);
