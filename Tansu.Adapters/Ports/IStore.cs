namespace Tansu.Adapters.Ports;

/// <summary>A durable place that holds a whole cluster: its logs, its objects and its first object.</summary>
/// <remarks>
/// All members may be called from any thread. Disposing the store waits for writes under way, disposes its logs and lets go
/// of locks and connections.
/// </remarks>
public interface IStore : IAsyncDisposable
{
    /// <summary>What and where, for the start line, such as <c>file /var/lib/tansu</c>. Never holds secrets.</summary>
    string Description { get; }

    /// <summary>What callers should keep to on this store.</summary>
    StoreLimits Limits { get; }

    /// <summary>Objects outside of the logs.</summary>
    IBlobStore Blobs { get; }

    /// <summary>
    /// Opens a log, creating it if need be; the same instance for the same name until it is disposed. Where the store can tell, damage is
    /// found here: a torn end (which nobody was ever promised) is cut and reported as a notice, anything else is refused.
    /// </summary>
    /// <param name="name">Lower-case letters, digits and <c>-</c>, beginning with a letter, 64 characters at most.</param>
    /// <param name="cancellationToken">Abandons the opening.</param>
    /// <exception cref="ArgumentException">The name is not allowed.</exception>
    /// <exception cref="StoreRefusedException">The log is damaged or cannot be reached; the message says where and what to do.</exception>
    ValueTask<IEventLog> OpenLogAsync(string name, CancellationToken cancellationToken);

    /// <summary>
    /// The cluster's first object (shard count, cluster id, format version): <paramref name="proposed"/> becomes it only if there is
    /// none. Of several callers at once, in any process, exactly one wins. Durable when the task completes.
    /// </summary>
    /// <param name="proposed">What to store if nothing is stored. Not empty.</param>
    /// <param name="cancellationToken">Abandons the call; the object may then exist or not.</param>
    /// <returns>What is stored, which every caller at every time sees the same.</returns>
    ValueTask<ReadOnlyMemory<byte>> GetOrCreateClusterAsync(ReadOnlyMemory<byte> proposed, CancellationToken cancellationToken);
}
