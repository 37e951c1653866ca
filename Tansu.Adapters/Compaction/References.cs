using Tansu.Domain;

namespace Tansu.Adapters.Compaction;

/// <summary>Counts how many chunks are in which object.</summary>
internal sealed class References
{
    private readonly SortedDictionary<string, int> _counts = new(StringComparer.Ordinal);

    /// <summary>Counts chunks.</summary>
    public static References Of(IEnumerable<Chunk> chunks)
    {
        var references = new References();
        references.Add(chunks, 1);
        return references;
    }

    /// <summary>Counts each chunk so often.</summary>
    public void Add(IEnumerable<Chunk> chunks, int change)
    {
        foreach (var chunk in chunks)
        {
            if (chunk.Source.ObjectName is { } name)
            {
                _counts[name] = _counts.GetValueOrDefault(name) + change;
            }
        }
    }

    /// <summary>The counts that are not 0, by name.</summary>
    public (string Name, int Count)[] ToArray() =>
        [.. _counts.Where(static item => item.Value != 0).Select(static item => (item.Key, item.Value))];
}
