using System.Collections;

namespace Tansu.Adapters.Ports;

/// <summary>What a read of a log found.</summary>
/// <param name="heads">Ascending and without gaps.</param>
/// <param name="isEnd">See <see cref="IsEnd"/>.</param>
public sealed class EntryHeads(IReadOnlyList<EntryHead> heads, bool isEnd) : IReadOnlyList<EntryHead>
{
    /// <summary>
    /// Whether nothing followed the last of them at some moment since the call. Without it there may be more. Always set when there is none at all.
    /// </summary>
    public bool IsEnd { get; } = isEnd || heads.Count == 0;

    /// <inheritdoc/>
    public int Count => heads.Count;

    /// <inheritdoc/>
    public EntryHead this[int index] => heads[index];

    /// <inheritdoc/>
    public IEnumerator<EntryHead> GetEnumerator() => heads.GetEnumerator();

    /// <inheritdoc/>
    IEnumerator IEnumerable.GetEnumerator() => GetEnumerator();
}
