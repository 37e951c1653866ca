using System.Buffers;
using Tansu.Adapters.Ports;

namespace Tansu.Adapters;

/// <summary>A log that counts its entries.</summary>
internal sealed class NullEventLog(string name) : IEventLog
{
    private long _tail;

    public string Name => name;

    public ValueTask<AppendOutcome> TryAppendAsync(
        long number, ReadOnlySequence<byte> head, ReadOnlySequence<byte> payload, CancellationToken cancellationToken)
    {
        cancellationToken.ThrowIfCancellationRequested();
        ArgumentOutOfRangeException.ThrowIfZero(head.Length, nameof(head));
        return new ValueTask<AppendOutcome>(
            Interlocked.CompareExchange(ref _tail, number, number - 1) == number - 1 ? AppendOutcome.Appended : AppendOutcome.Conflict);
    }

    public ValueTask<EntryHeads> ReadHeadsAsync(long after, int maxEntries, CancellationToken cancellationToken) =>
        after < Interlocked.Read(ref _tail)
            ? throw new EntryMissingException(name, after + 1)
            : new ValueTask<EntryHeads>(new EntryHeads([], isEnd: true));

    public ValueTask ReadPayloadAsync(long number, int position, Memory<byte> destination, CancellationToken cancellationToken) =>
        throw new EntryMissingException(name, number);

    public ValueTask SaveSnapshotAsync(long number, ReadOnlySequence<byte> content, CancellationToken cancellationToken) => ValueTask.CompletedTask;

    public ValueTask<Snapshot?> LoadSnapshotAsync(long belowNumber, CancellationToken cancellationToken) => new((Snapshot?)null);

    public ValueTask TrimAsync(long below, CancellationToken cancellationToken) => ValueTask.CompletedTask;

    public ValueTask DisposeAsync() => ValueTask.CompletedTask;
}
