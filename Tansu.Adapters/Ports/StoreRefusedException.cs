namespace Tansu.Adapters.Ports;

/// <summary>
/// The store will not do it until somebody acts: wrong credentials, a missing bucket, a held lock, damaged data, a bad URL.
/// The message is one line that says what is wrong and what to do; it never holds secrets.
/// </summary>
public sealed class StoreRefusedException : Exception
{
    /// <summary>Creates the exception.</summary>
    /// <param name="message">One line: what is wrong, and what to do.</param>
    /// <param name="innerException">The driver's own error, if any.</param>
    public StoreRefusedException(string message, Exception? innerException = null)
        : base(message, innerException)
    {
    }
}
