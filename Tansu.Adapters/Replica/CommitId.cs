namespace Tansu.Adapters.Replica;

/// <summary>
/// Tells one attempt's content from every other's: whoever finds an entry with its own commit id wrote it, even if the store
/// never said so.
/// </summary>
/// <param name="WriterNonce">Random, drawn once by the replica.</param>
/// <param name="CommitNumber">Counts the replica's different entries.</param>
public readonly record struct CommitId(Guid WriterNonce, long CommitNumber);
