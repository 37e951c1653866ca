namespace Tansu.Adapters.Replica;

/// <summary>
/// The record batches that a command brings, laid end to end. The slices belong to the submitter (they point into its request
/// frame) and must stay as they are until the command's task has completed.
/// </summary>
public readonly struct Payload
{
    private readonly ReadOnlyMemory<byte>[]? _slices;

    /// <summary>Makes a payload of slices.</summary>
    /// <param name="slices">The batches, in the order of the command's positions.</param>
    public Payload(ReadOnlyMemory<byte>[] slices)
    {
        _slices = slices;
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
}
