namespace Tansu.Adapters.Ports;

/// <summary>
/// The store cannot do it now but may later: unreachable, overloaded, disk full. Retry with backoff. From
/// <see cref="IEventLog.TryAppendAsync"/> it also promises that the entry was not created.
/// </summary>
public sealed class StoreUnavailableException : Exception
{
    /// <summary>Creates the exception.</summary>
    /// <param name="message">One line: what could not be done, and why.</param>
    /// <param name="innerException">The driver's own error, if any.</param>
    public StoreUnavailableException(string message, Exception? innerException = null)
        : base(message, innerException)
    {
    }
}
