using System.Net;

namespace Tansu.Host.Handlers;

/// <summary>The circumstances of one request. Used by one handler, from its start to its reply.</summary>
internal sealed class RequestContext
{
    /// <summary>The version of the request and of its response.</summary>
    public required short Version { get; init; }

    /// <summary>What the client calls itself; null if it does not say.</summary>
    public string? ClientId { get; init; }

    /// <summary>Where the request came from.</summary>
    public EndPoint? RemoteAddress { get; init; }

    /// <summary>Cancelled when the connection is gone or the broker stops: nobody waits for the answer any more.</summary>
    public CancellationToken CancellationToken { get; init; }

    /// <summary>What the connection waits for before it starts the next request; null for nothing.</summary>
    public Task? Hold { get; private set; }

    /// <summary>Whether the request's memory may still be in use after the reply, so that it must not be used again.</summary>
    public bool IsFrameAbandoned { get; private set; }

    /// <summary>
    /// Keeps the connection's next requests from starting until a task is done. To be called before the handler first awaits.
    /// </summary>
    public void HoldFollowing(Task task) => Hold = task;

    /// <summary>Leaves the request's frame to the garbage collector: whoever still reads it may go on.</summary>
    public void AbandonFrame() => IsFrameAbandoned = true;
}
