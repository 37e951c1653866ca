using Tansu.Adapters.Replica;

namespace Tansu.Host.Network;

/// <summary>What is known of a connection for as long as it lives.</summary>
/// <param name="Id">Unique in this process.</param>
/// <param name="RemoteAddress">The client's address and port, for logs.</param>
/// <param name="Listener">The address and port the client connected to.</param>
/// <param name="Stopping">Cancelled when the broker stops: a reply that waits for something better should be sent as it is.</param>
public sealed record ConnectionInfo(long Id, string RemoteAddress, string Listener, CancellationToken Stopping)
{
    private Task? _hold;

    /// <summary>
    /// Whether the client has closed the connection behind what it sent: nobody waits for an answer, and the client may have gone on over
    /// another one.
    /// </summary>
    public Func<bool> IsClientGone { get; init; } = static () => false;

    /// <summary>What the connection's producers sent: it takes effect in that order, or from some point on not at all.</summary>
    public CommandChain Commands { get; } = new();

    /// <summary>Which of the connection's requests have their reply.</summary>
    internal AnswerOrder Answers { get; } = new();

    /// <summary>
    /// Keeps the connection's next request from being started until a task is done. For the handler of the newest request, before
    /// it first awaits.
    /// </summary>
    public void HoldFollowing(Task task) => _hold = task;

    /// <summary>What the next request has to wait for, once; null for nothing.</summary>
    internal Task? TakeHold()
    {
        var hold = _hold;
        _hold = null;
        return hold;
    }
}
