namespace Tansu.Host.Network;

/// <summary>The broker cannot listen where it was told to. The message is one line that says why.</summary>
public sealed class ListenException : Exception
{
    /// <summary>Creates the exception.</summary>
    /// <param name="message">One line: where, and why not.</param>
    /// <param name="innerException">The operating system's error.</param>
    public ListenException(string message, Exception? innerException = null)
        : base(message, innerException)
    {
    }
}
