namespace Tansu.Adapters.Replica;

/// <summary>The record batches of one or more commands that go into a data object together.</summary>
/// <param name="layout">The batches.</param>
/// <param name="isWanted">False once every submitter has given up: then nobody needs the object.</param>
internal sealed class DataObject(PayloadLayout layout, Func<bool> isWanted)
{
    /// <summary>The batches, from the first byte to the last; none once nobody needs the object.</summary>
    public ReadOnlyMemory<byte>[] Slices { get; set; } = layout.Slices;

    public int Length { get; } = layout.Length;

    public bool IsWanted => isWanted();

    /// <summary>Its name in the store: of the newest upload.</summary>
    public string Name { get; set; } = "";

    /// <summary>The time in its name, in milliseconds since 1970.</summary>
    public long NamedAtMs { get; set; }

    /// <summary>Completes when the object is in the store, or nobody wants it any more. Faults when the store refuses.</summary>
    public Task Upload { get; set; } = Task.CompletedTask;
}
