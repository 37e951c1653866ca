namespace Tansu.Adapters.Reading;

/// <summary>How much of a partition a read may give.</summary>
/// <param name="MaxBytes">No more than this …</param>
/// <param name="AtLeastOneBatch">… but the first batch even if it alone is larger.</param>
public readonly record struct ReadLimits(int MaxBytes, bool AtLeastOneBatch)
{
    /// <summary>How many partitions there are that its reader is behind in and reads in turn, this one among them.</summary>
    public int Partitions { get; init; } = 1;
}
