using System.Buffers;
using Tansu.Adapters.Ports;

namespace Tansu.Adapters;

/// <summary>One broker's hold on a log in a <see cref="MemorySpace"/>.</summary>
internal sealed class MemoryEventLog(MemoryLogContent log) : IEventLog
{
    public string Name => log.Name;

    public bool IsDisposed { get; private set; }

    public ValueTask<AppendOutcome> TryAppendAsync(
        long number,
        ReadOnlySequence<byte> head,
        ReadOnlySequence<byte> payload,
        CancellationToken cancellationToken)
    {
        Check(cancellationToken);
        ArgumentOutOfRangeException.ThrowIfZero(head.Length, nameof(head));
        return new ValueTask<AppendOutcome>(log.TryAppend(number, head, payload));
    }

    public ValueTask<EntryHeads> ReadHeadsAsync(long after, int maxEntries, CancellationToken cancellationToken)
    {
        Check(cancellationToken);
        ArgumentOutOfRangeException.ThrowIfNegative(after);
        ArgumentOutOfRangeException.ThrowIfLessThan(maxEntries, 1);
        return new ValueTask<EntryHeads>(log.ReadHeads(after, maxEntries));
    }

    public ValueTask ReadPayloadAsync(
        long number,
        int position,
        Memory<byte> destination,
        CancellationToken cancellationToken)
    {
        Check(cancellationToken);
        log.ReadPayload(number, position, destination.Span);
        return ValueTask.CompletedTask;
    }

    public ValueTask SaveSnapshotAsync(long number, ReadOnlySequence<byte> content, CancellationToken cancellationToken)
    {
        Check(cancellationToken);
        log.SaveSnapshot(number, content);
        return ValueTask.CompletedTask;
    }

    public ValueTask<Snapshot?> LoadSnapshotAsync(long belowNumber, CancellationToken cancellationToken)
    {
        Check(cancellationToken);
        return new ValueTask<Snapshot?>(log.LoadSnapshot(belowNumber));
    }

    public ValueTask TrimAsync(long below, CancellationToken cancellationToken)
    {
        Check(cancellationToken);
        log.Trim(below);
        return ValueTask.CompletedTask;
    }

    public ValueTask DisposeAsync()
    {
        IsDisposed = true;
        return ValueTask.CompletedTask;
    }

    private void Check(CancellationToken cancellationToken)
    {
        ObjectDisposedException.ThrowIf(IsDisposed, this);
        cancellationToken.ThrowIfCancellationRequested();
    }
}
