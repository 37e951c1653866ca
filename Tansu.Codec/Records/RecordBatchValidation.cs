namespace Tansu.Codec.Records;

/// <summary>The result of validating what a client sent for one partition.</summary>
/// <param name="Outcome">Valid, or the first fault found.</param>
/// <param name="Header">The header of the batch; empty when there is none to read.</param>
/// <param name="RecordIndex">The place of the record at fault in the batch (for Produce's record errors), or -1.</param>
/// <param name="MaxTimestampMs">
/// The largest timestamp of the records where they were looked into, else what the header says. The two may differ;
/// <see cref="RecordBatchEditor.SetMaxTimestamp"/> puts it right.
/// </param>
public readonly record struct RecordBatchValidation(
    RecordBatchOutcome Outcome,
    RecordBatchHeader Header,
    int RecordIndex,
    long MaxTimestampMs)
{
    /// <summary>Whether the batch may be stored.</summary>
    public bool IsValid => Outcome == RecordBatchOutcome.Valid;
}
