namespace Tansu.Adapters.Replica;

/// <summary>
/// Told of every entry that becomes part of a replica's state, its own and other brokers', in log order, one at a time.
/// Must not block or throw.
/// </summary>
/// <typeparam name="TEvent">The log's events.</typeparam>
public interface ICommitObserver<TEvent>
{
    /// <summary>
    /// An entry of this broker is on its way into the store; whether it gets there is not known yet. What its commit will need can be prepared while the store
    /// works.
    /// </summary>
    /// <param name="entryNumber">The entry's number.</param>
    /// <param name="events">Its events.</param>
    /// <param name="written">The record batches it brings.</param>
    void OnAppending(long entryNumber, IReadOnlyList<TEvent> events, IReadOnlyList<WrittenPayload> written);

    /// <summary>The entry is in the store, but no reader sees it yet.</summary>
    /// <param name="entryNumber">The entry's number.</param>
    /// <param name="events">Its events.</param>
    /// <param name="isOwn">Whether it is the one of which <see cref="OnAppending"/> told last.</param>
    void OnCommitted(long entryNumber, IReadOnlyList<TEvent> events, bool isOwn);

    /// <summary>Readers see the entry now.</summary>
    /// <param name="events">Its events.</param>
    void OnPublished(IReadOnlyList<TEvent> events);

    /// <summary>
    /// Readers see a newer state, but not entry by entry: a snapshot replaced entries that are no longer in the log. Anything may have
    /// changed.
    /// </summary>
    void OnSkipped();
}

/// <summary>Observes nothing.</summary>
/// <typeparam name="TEvent">The log's events.</typeparam>
public sealed class NoObserver<TEvent> : ICommitObserver<TEvent>
{
    /// <inheritdoc/>
    public void OnAppending(long entryNumber, IReadOnlyList<TEvent> events, IReadOnlyList<WrittenPayload> written)
    {
    }

    /// <inheritdoc/>
    public void OnCommitted(long entryNumber, IReadOnlyList<TEvent> events, bool isOwn)
    {
    }

    /// <inheritdoc/>
    public void OnPublished(IReadOnlyList<TEvent> events)
    {
    }

    /// <inheritdoc/>
    public void OnSkipped()
    {
    }
}
