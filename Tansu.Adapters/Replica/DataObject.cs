namespace Tansu.Adapters.Replica;

/// <summary>The record batches of one or more commands that go into a data object together.</summary>
/// <param name="slices">The batches, in order.</param>
/// <param name="length">The sum of their lengths, in bytes.</param>
/// <param name="isWanted">False once every submitter has given up: then nobody needs the object.</param>
internal sealed class DataObject(List<ReadOnlyMemory<byte>> slices, int length, Func<bool> isWanted)
{
    /// <summary>The batches; none once nobody needs the object.</summary>
    public List<ReadOnlyMemory<byte>> Slices { get; set; } = slices;

    public int Length => length;

    public bool IsWanted => isWanted();

    /// <summary>Its name in the store: of the newest upload.</summary>
    public string Name { get; set; } = "";

    /// <summary>The time in its name, in milliseconds since 1970.</summary>
    public long NamedAtMs { get; set; }

    /// <summary>Completes when the object is in the store, or nobody wants it any more. Faults when the store refuses.</summary>
    public Task Upload { get; set; } = Task.CompletedTask;
}
