using Tansu.Host.Network;

namespace Tansu.Host.Requests;

/// <summary>What a handler may want to know of a request besides its content.</summary>
public sealed class RequestContext
{
    private List<IDisposable>? _borrowed;

    /// <summary>Creates the context of one request.</summary>
    public RequestContext(ConnectionInfo connection, short version, int correlationId, string? clientId)
    {
        Connection = connection;
        Version = version;
        CorrelationId = correlationId;
        ClientId = clientId;
    }

    /// <summary>Where the request came from, the listener, and whether the broker is stopping.</summary>
    public ConnectionInfo Connection { get; }

    /// <summary>The version of the API that request and response are written in.</summary>
    public short Version { get; }

    /// <summary>The number the client gave the request.</summary>
    public int CorrelationId { get; }

    /// <summary>The name the client gives itself; null if none.</summary>
    public string? ClientId { get; }

    /// <summary>
    /// Cancelled when the broker stops: a long poll answers with what it has. (The token of the call says that nobody waits any more.)
    /// </summary>
    public CancellationToken Stopping => Connection.Stopping;

    /// <summary>
    /// Keeps something until the reply has been sent, such as memory that the response refers to. It is disposed once, also
    /// if nothing is sent.
    /// </summary>
    public void DisposeAfterReply(IDisposable borrowed) => (_borrowed ??= []).Add(borrowed);

    /// <summary>Hands over what was given to <see cref="DisposeAfterReply"/>; null if nothing was.</summary>
    internal IDisposable? TakeBorrowed()
    {
        if (_borrowed is null)
        {
            return null;
        }

        var all = new Borrowed(_borrowed);
        _borrowed = null;
        return all;
    }

    private sealed class Borrowed(List<IDisposable> items) : IDisposable
    {
        public void Dispose()
        {
            foreach (var item in items)
            {
                item.Dispose();
            }
        }
    }
}
