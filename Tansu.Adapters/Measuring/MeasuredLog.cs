using System.Buffers;
using Tansu.Adapters.Ports;

namespace Tansu.Adapters.Measuring;

/// <summary>A log, measured.</summary>
internal sealed class MeasuredLog(IEventLog inner, StoreMeasures measures) : IEventLog
{
    public string Name => inner.Name;

    public ValueTask<AppendOutcome> TryAppendAsync(
        long number, ReadOnlySequence<byte> head, ReadOnlySequence<byte> payload, CancellationToken cancellationToken) =>
        measures.TimeAsync(StoreRequestKind.Append, head.Length + payload.Length, () => inner.TryAppendAsync(number, head, payload, cancellationToken));

    public async ValueTask<EntryHeads> ReadHeadsAsync(long after, int maxEntries, CancellationToken cancellationToken)
    {
        var heads = await measures.TimeAsync(StoreRequestKind.ReadEntries, 0, () => inner.ReadHeadsAsync(after, maxEntries, cancellationToken))
            .ConfigureAwait(false);
        measures.Of(StoreRequestKind.ReadEntries).AddBytes(heads.Sum(static head => (long)head.Head.Length));
        return heads;
    }

    public ValueTask ReadPayloadAsync(long number, int position, Memory<byte> destination, CancellationToken cancellationToken) =>
        measures.TimeAsync(StoreRequestKind.ReadRecords, destination.Length, () => inner.ReadPayloadAsync(number, position, destination, cancellationToken));

    public ValueTask SaveSnapshotAsync(long number, ReadOnlySequence<byte> content, CancellationToken cancellationToken) =>
        measures.TimeAsync(StoreRequestKind.SaveSnapshot, content.Length, () => inner.SaveSnapshotAsync(number, content, cancellationToken));

    public async ValueTask<Snapshot?> LoadSnapshotAsync(long belowNumber, CancellationToken cancellationToken)
    {
        var found = await measures.TimeAsync(StoreRequestKind.LoadSnapshot, 0, () => inner.LoadSnapshotAsync(belowNumber, cancellationToken))
            .ConfigureAwait(false);
        measures.Of(StoreRequestKind.LoadSnapshot).AddBytes(found?.Content.Length ?? 0);
        return found;
    }

    public ValueTask TrimAsync(long below, CancellationToken cancellationToken) =>
        measures.TimeAsync(StoreRequestKind.Trim, 0, () => inner.TrimAsync(below, cancellationToken));

    public ValueTask DisposeAsync() => inner.DisposeAsync();
}
