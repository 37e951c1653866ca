namespace Tansu.Adapters.Replica;

/// <summary>
/// The record batches that a command brings, a slice for each. The slices belong to the submitter (they point into its request
/// frame) and must stay as they are until the command's task has completed.
/// </summary>
public readonly struct Payload
{
    private readonly ReadOnlyMemory<byte>[]? _slices;
    private readonly int[]? _groups;

    /// <summary>Makes a payload of slices.</summary>
    /// <param name="slices">The batches, in the command's order.</param>
    /// <param name="groups">A number for each, equal for those that are read together: of one partition. Null for 0.</param>
    public Payload(ReadOnlyMemory<byte>[] slices, int[]? groups = null)
    {
        _slices = slices;
        _groups = groups;
        long length = 0;
        foreach (var slice in slices)
        {
            length += slice.Length;
        }

        Length = checked((int)length);
    }

    /// <summary>No bytes at all.</summary>
    public static Payload None => default;

    /// <summary>The sum of the slices' lengths, in bytes.</summary>
    public int Length { get; }

    /// <summary>The slices, in order.</summary>
    public ReadOnlySpan<ReadOnlyMemory<byte>> Slices => _slices;

    /// <summary>Which of the slices, of whatever command, one had better lie beside.</summary>
    internal int GroupOf(int slice) => _groups is null ? 0 : _groups[slice];
}
