using Tansu.Host.Network;

namespace Tansu.Host.Requests;

/// <summary>What a handler may want to know of a request besides its content.</summary>
internal sealed class RequestContext
{
    private readonly FrameBuffer? _frame;
    private readonly long _number;
    private List<IDisposable>? _borrowed;

    /// <summary>Creates the context of one request.</summary>
    /// <param name="connection">Where it came from.</param>
    /// <param name="version">The version of the API.</param>
    /// <param name="correlationId">The number the client gave it.</param>
    /// <param name="clientId">The name the client gives itself.</param>
    /// <param name="frame">The memory it lies in, if it came from a socket.</param>
    public RequestContext(ConnectionInfo connection, short version, int correlationId, string? clientId, FrameBuffer? frame = null)
    {
        _frame = frame;
        _number = connection.Answers.Newest;
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
    /// Does something that the connection's next request must not overtake: it is started when this has ended, or has said before that it may be. To be
    /// called before the handler first awaits.
    /// </summary>
    /// <param name="work">What to do; given what says that the next request may be started.</param>
    public async ValueTask<TResult> HoldFollowingAsync<TResult>(Func<TaskCompletionSource, ValueTask<TResult>> work)
    {
        var passed = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        Connection.HoldFollowing(passed.Task);
        try
        {
            return await work(passed);
        }
        finally
        {
            passed.TrySetResult();
        }
    }

    /// <summary>
    /// Waits until every request before this one on its connection has its reply. To be called by who is about to hold much until its own was sent.
    /// </summary>
    /// <exception cref="OperationCanceledException">Nobody waits for the reply any more.</exception>
    public ValueTask UntilInTurnAsync(CancellationToken cancellationToken) => Connection.Answers.UntilInTurnAsync(_number, cancellationToken);

    /// <summary>Leaves the request's memory to the garbage collector: whoever still reads it may go on.</summary>
    public void AbandonFrame() => _frame?.Abandon();

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
