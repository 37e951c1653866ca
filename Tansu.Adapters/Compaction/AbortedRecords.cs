using Tansu.Codec.Records;
using Tansu.Domain;

namespace Tansu.Adapters.Compaction;

/// <summary>Which batches of a partition belong to transactions that were aborted.</summary>
internal sealed class AbortedRecords
{
    private readonly Dictionary<long, List<AbortedTransaction>> _byProducer = [];

    /// <param name="aborted">The transactions.</param>
    public AbortedRecords(IEnumerable<AbortedTransaction> aborted)
    {
        foreach (var transaction in aborted)
        {
            if (!_byProducer.TryGetValue(transaction.ProducerId, out var ofProducer))
            {
                _byProducer.Add(transaction.ProducerId, ofProducer = []);
            }

            ofProducer.Add(transaction);
        }
    }

    /// <summary>Whether a transactional batch is one of theirs: a producer has one transaction at a time.</summary>
    public bool Contains(RecordBatchHeader header)
    {
        if (!_byProducer.TryGetValue(header.ProducerId, out var ofProducer))
        {
            return false;
        }

        foreach (var transaction in ofProducer)
        {
            if (header.BaseOffset >= transaction.FirstOffset && header.BaseOffset <= transaction.LastOffset)
            {
                return true;
            }
        }

        return false;
    }
}
