using Tansu.Adapters.Reading;
using Tansu.Adapters.Replica;
using Tansu.Codec.Records;
using Tansu.Domain;

namespace Tansu.Adapters.Transactions;

/// <summary>
/// The control batch that ends a transaction. It is the same in every partition but for its offset, so one entry holds it once, whatever the
/// number of partitions.
/// </summary>
/// <param name="Marker">What the rules know of it.</param>
/// <param name="Payload">Its bytes.</param>
internal readonly record struct MarkerBatch(MarkerToAppend Marker, Payload Payload)
{
    /// <summary>Every coordinator is the first and only one: nothing is ever fenced by this epoch.</summary>
    private const int CoordinatorEpoch = 0;

    public static MarkerBatch Of(long producerId, short producerEpoch, bool isCommit, long timestampMs)
    {
        var type = isCommit ? ControlRecordType.Commit : ControlRecordType.Abort;
        var bytes = new EndTransactionMarker(type, CoordinatorEpoch).ToBatch(producerId, producerEpoch, timestampMs);
        RecordBatchEditor.SetPartitionLeaderEpoch(bytes, BatchOffsets.LeaderEpoch);

        // What follows a marker in an entry must not be taken for the same run of batches: it has one partition, the marker has many.
        return new MarkerBatch(new MarkerToAppend(producerEpoch, bytes.Length, timestampMs), new Payload([bytes, PayloadLayout.Gap]));
    }
}
