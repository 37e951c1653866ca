namespace Tansu.Adapters.Compaction;

/// <summary>What cleaning leaves of a batch.</summary>
/// <param name="Bytes">
/// The batch that stays: the memory that was given, if nothing changes; no bytes, if the whole batch goes.
/// </param>
/// <param name="IsUnchanged">Whether the batch stays as it was, byte for byte.</param>
/// <param name="RecordsRead">The number of records that the batch had.</param>
/// <param name="RecordsKept">The number of records that it still has.</param>
/// <param name="TombstonesDropped">
/// How many of the removed records were the newest of their key: tombstones whose delete horizon is past.
/// </param>
public readonly record struct CleanedBatch(
    ReadOnlyMemory<byte> Bytes,
    bool IsUnchanged,
    int RecordsRead,
    int RecordsKept,
    int TombstonesDropped)
{
    /// <summary>Whether nothing of the batch stays.</summary>
    public bool IsRemoved => Bytes.IsEmpty;
}
