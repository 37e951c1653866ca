namespace Tansu.Host.Network;

/// <summary>
/// How much memory the requests of all connections may take. Two budgets, so that no two requests can wait for each other: a
/// small request, and the beginning of a large one, take from the first, where nothing is held that waits for memory
/// except to move on to the second; the whole of a large one takes from the second, once its beginning has arrived.
/// </summary>
public sealed class RequestBudget
{
    /// <summary>Creates budgets of which nothing is held.</summary>
    public RequestBudget(NetworkOptions options)
    {
        ArgumentNullException.ThrowIfNull(options);
        Small = new ByteBudget(options.MaxSmallRequestBytes);
        Large = new ByteBudget(options.MaxLargeRequestBytes);
    }

    /// <summary>For requests of up to <see cref="FrameBuffer.FirstBytes"/> and the beginnings of larger ones.</summary>
    public ByteBudget Small { get; }

    /// <summary>For larger requests.</summary>
    public ByteBudget Large { get; }
}
