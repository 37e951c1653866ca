namespace Tansu.Adapters.Reading;

/// <summary>What a cached block of record batches is a copy of.</summary>
/// <param name="Shard">The shard whose log or data object it comes from.</param>
/// <param name="EntryNumber">The entry whose payload it is from; 0 for a data object.</param>
/// <param name="ObjectName">The data object; null for an entry's payload.</param>
/// <param name="Position">Where the block begins, in bytes; <see cref="Whole"/> for all of a payload.</param>
public readonly record struct CacheKey(int Shard, long EntryNumber, string? ObjectName, int Position)
{
    /// <summary>The <see cref="Position"/> of a block that is the whole payload of an entry.</summary>
    public const int Whole = -1;
}
