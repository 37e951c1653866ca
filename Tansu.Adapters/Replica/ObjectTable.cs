using Tansu.Codec;

namespace Tansu.Adapters.Replica;

/// <summary>Object names of a stored structure in the order in which they were first met: the rest refers to them by their place.</summary>
internal sealed class ObjectTable
{
    private readonly Dictionary<string, int> _indexes = [];

    public int IndexOf(string name)
    {
        if (!_indexes.TryGetValue(name, out var index))
        {
            index = _indexes.Count;
            _indexes.Add(name, index);
        }

        return index;
    }

    public string[] Names()
    {
        var names = new string[_indexes.Count];
        foreach (var (name, index) in _indexes)
        {
            names[index] = name;
        }

        return names;
    }

    /// <summary>The name at a place.</summary>
    /// <exception cref="KafkaFormatException">There is none.</exception>
    public static string NameOf(string[] names, int index) => (uint)index < (uint)names.Length
        ? names[index]
        : throw new KafkaFormatException($"something refers to object {index} of {names.Length}");
}
