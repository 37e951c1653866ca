namespace Tansu.Adapters.Replica;

/// <summary>
/// Told of every entry that becomes part of a replica's state, its own and other brokers', in log order, one at a time.
/// Must not block or throw.
/// </summary>
/// <typeparam name="TEvent">The log's events.</typeparam>
public interface ICommitObserver<TEvent>
{
    /// <summary>The entry is in the store, but no reader sees it yet.</summary>
    /// <param name="entryNumber">The entry's number.</param>
    /// <param name="events">Its events.</param>
    /// <param name="payload">
    /// Its inline payload, if this broker wrote it; the slices are valid only during the call. Empty otherwise.
    /// </param>
    /// <param name="payloadLength">The sum of the slices' lengths, in bytes.</param>
    void OnCommitted(
        long entryNumber,
        IReadOnlyList<TEvent> events,
        IReadOnlyList<ReadOnlyMemory<byte>> payload,
        int payloadLength);

    /// <summary>Readers see the entry now.</summary>
    /// <param name="events">Its events.</param>
    void OnPublished(IReadOnlyList<TEvent> events);
}

/// <summary>Observes nothing.</summary>
/// <typeparam name="TEvent">The log's events.</typeparam>
public sealed class NoObserver<TEvent> : ICommitObserver<TEvent>
{
    /// <inheritdoc/>
    public void OnCommitted(
        long entryNumber,
        IReadOnlyList<TEvent> events,
        IReadOnlyList<ReadOnlyMemory<byte>> payload,
        int payloadLength)
    {
    }

    /// <inheritdoc/>
    public void OnPublished(IReadOnlyList<TEvent> events)
    {
    }
}
