using Tansu.Codec.Records;
using Tansu.Domain;

namespace Tansu.Adapters.Compaction;

/// <summary>
/// Tells the batches of aborted transactions. A producer has one transaction at a time in a partition, so whatever it has written between the
/// first record and the marker of an aborted one belongs to it.
/// </summary>
internal sealed class AbortedRanges
{
    private readonly Dictionary<long, List<AbortedTransaction>> _byProducer = [];

    /// <param name="aborted">In the order of their markers.</param>
    public AbortedRanges(AbortedTransaction[] aborted)
    {
        foreach (var transaction in aborted)
        {
            if (!_byProducer.TryGetValue(transaction.ProducerId, out var ranges))
            {
                _byProducer.Add(transaction.ProducerId, ranges = []);
            }

            ranges.Add(transaction);
        }
    }

    /// <summary>Whether a transactional batch belongs to an aborted transaction.</summary>
    public bool Contains(RecordBatchHeader header)
    {
        if (!_byProducer.TryGetValue(header.ProducerId, out var ranges))
        {
            return false;
        }

        // The first whose marker is behind the batch: those of one producer follow one another.
        var low = 0;
        var high = ranges.Count;
        while (low < high)
        {
            var middle = (low + high) / 2;
            if (ranges[middle].LastOffset < header.BaseOffset)
            {
                low = middle + 1;
            }
            else
            {
                high = middle;
            }
        }

        return low < ranges.Count && ranges[low].FirstOffset <= header.LastOffset;
    }
}
