using System.Collections.Immutable;

namespace Tansu.Adapters.Replica;

/// <summary>Makes large immutable dictionaries.</summary>
internal static class HashTree
{
    /// <summary>
    /// A dictionary of these items, whose order changes. It is a tree by hash code: in that order each item goes where the one before it
    /// went, which the processor has at hand.
    /// </summary>
    /// <exception cref="ArgumentException">Two have the same key.</exception>
    public static ImmutableDictionary<TKey, TValue> Of<TKey, TValue>(KeyValuePair<TKey, TValue>[] items)
        where TKey : notnull
    {
        if (items.Length < 2)
        {
            return items.Length == 0 ? ImmutableDictionary<TKey, TValue>.Empty : ImmutableDictionary<TKey, TValue>.Empty.Add(items[0].Key, items[0].Value);
        }

        Array.Sort(Array.ConvertAll(items, static item => item.Key.GetHashCode()), items);
        return ImmutableDictionary.CreateRange(items);
    }
}
