namespace Tansu.Host.Network;

/// <summary>
/// A request that was started and whose reply was not sent yet. Owns the request's memory, which ends with <see cref="Dispose"/>:
/// after the reply was sent, or after the task completed if it is not sent any more.
/// </summary>
internal sealed class PendingRequest(FrameBuffer frame, ValueTask<Reply?> reply) : IDisposable
{
    private Reply? _taken;

    /// <summary>The length of the request in bytes.</summary>
    public int Length { get; } = frame.Length;

    /// <summary>Whether <see cref="TakeReplyAsync"/> completes at once.</summary>
    public bool IsCompleted => reply.IsCompleted;

    /// <summary>Waits for the reply, which stays this object's. To be called once.</summary>
    public async ValueTask<Reply?> TakeReplyAsync() => _taken = await reply.ConfigureAwait(false);

    public void Dispose()
    {
        _taken?.Dispose();
        _taken = null;
        frame.Dispose();
    }
}
