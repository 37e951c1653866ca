using Tansu.Codec.Messages;
using Tansu.Codec.Records;

namespace Tansu.Host.Client;

/// <summary>Which batches of a partition a reader of committed records may see, by what fetches say of aborted transactions (KIP-98).</summary>
internal sealed class AbortedTransactions
{
    private readonly HashSet<long> _active = [];
    private readonly Queue<FetchResponse.AbortedTransaction> _next = [];

    /// <summary>Begins with the batches of an answer.</summary>
    /// <param name="aborted">The aborted transactions that it names; null for a reader of everything.</param>
    public void Begin(FetchResponse.AbortedTransaction[]? aborted)
    {
        _active.Clear();
        _next.Clear();
        FetchResponse.AbortedTransaction[] ordered = [.. aborted ?? []];
        Array.Sort(ordered, (one, other) => one.FirstOffset.CompareTo(other.FirstOffset));
        foreach (var transaction in ordered)
        {
            _next.Enqueue(transaction);
        }
    }

    /// <summary>Whether a reader sees the next batch: not a marker, and not of an aborted transaction.</summary>
    /// <param name="header">Its header.</param>
    /// <param name="batch">The whole batch.</param>
    public bool IsSeen(in RecordBatchHeader header, ReadOnlyMemory<byte> batch)
    {
        while (_next.TryPeek(out var transaction) && transaction.FirstOffset <= header.LastOffset)
        {
            _active.Add(_next.Dequeue().ProducerId);
        }

        if (!header.IsControl)
        {
            return !header.IsTransactional || !_active.Contains(header.ProducerId);
        }

        if (_active.Contains(header.ProducerId))
        {
            using var records = new RecordReader(batch);
            foreach (var record in records)
            {
                if (EndTransactionMarker.TryRead(record, out var marker) && marker.Type == ControlRecordType.Abort)
                {
                    _active.Remove(header.ProducerId);
                }
            }
        }

        return false;
    }
}
