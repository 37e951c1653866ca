namespace Tansu.Adapters.Ports;

/// <summary>
/// Implemented by stores that can tell a broker of the appends of others, so that it need not ask again and again. A hint only: signals
/// may be lost, late or spurious, so whoever uses them still looks for itself now and then.
/// </summary>
public interface ILogSignal
{
    /// <summary>Asks to be told when a log may have new entries that another store instance appended.</summary>
    /// <param name="onAppended">
    /// Told the log's name. Called on any thread, also by several at once, and for logs the caller does not know; must neither block
    /// nor throw.
    /// </param>
    /// <returns>Dispose it to be told no more; calls under way may still come.</returns>
    IDisposable Subscribe(Action<string> onAppended);
}
