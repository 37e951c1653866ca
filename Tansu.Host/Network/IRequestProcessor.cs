using Tansu.Codec;

namespace Tansu.Host.Network;

/// <summary>Answers requests; knows nothing of sockets.</summary>
public interface IRequestProcessor
{
    /// <summary>Whether requests wait for memory that replies hold which were not sent yet.</summary>
    bool IsShortOfMemory => false;

    /// <summary>
    /// Judges the first four bytes of a connection's first request: until they have been found to be those of a client, nothing is kept of what it
    /// sends but these.
    /// </summary>
    /// <exception cref="KafkaFormatException">No such request is served: the connection is closed.</exception>
    void Recognize(short apiKey, short version)
    {
    }

    /// <summary>
    /// Starts to answer a request. Called in the order in which the requests of a connection arrived, and not again before the task of the
    /// earlier one was returned: what has to happen in that order is to be done before the first await.
    /// </summary>
    /// <param name="connection">Where the request came from.</param>
    /// <param name="frame">
    /// The request without its length. Its memory and slices of it are valid until the task has completed and the reply has
    /// been sent; who needs them longer calls <see cref="FrameBuffer.Abandon"/>.
    /// </param>
    /// <param name="cancellationToken">Cancelled when nobody waits for the reply any more. What was begun may be finished.</param>
    /// <returns>The reply, which the caller disposes; null if none is to be sent.</returns>
    /// <exception cref="KafkaFormatException">The request cannot be understood: the connection is closed.</exception>
    ValueTask<Reply?> ProcessAsync(ConnectionInfo connection, FrameBuffer frame, CancellationToken cancellationToken);
}
