using Tansu.Adapters;

namespace Tansu.Host.Network;

/// <summary>
/// How much memory the requests of all connections may take. Three budgets, so that no two requests can wait for each other, and small
/// ones (a heartbeat) never wait for large ones: the beginning of a large request takes from one where nothing is held that waits for memory
/// except to move on to the last; the whole of it takes from the last, once its beginning has arrived.
/// </summary>
public sealed class RequestBudget
{
    /// <summary>So many bytes of arrays of small requests wait for use at most: enough for a thousand default batches of Kafka's own client.</summary>
    private const long MostSmallArrayBytes = 20L * 1024 * 1024;

    /// <summary>Creates budgets of which nothing is held.</summary>
    public RequestBudget(NetworkOptions options)
    {
        ArgumentNullException.ThrowIfNull(options);
        Small = new ByteBudget(options.MaxSmallRequestBytes);
        Beginnings = new ByteBudget(options.MaxBeginningBytes);
        Large = new ByteBudget(options.MaxLargeRequestBytes);
        SmallArrays = new SmallArrays(Math.Min(MostSmallArrayBytes, options.MaxSmallRequestBytes / 2));
    }

    /// <summary>For requests of up to <see cref="FrameBuffer.FirstBytes"/>.</summary>
    public ByteBudget Small { get; }

    /// <summary>For the first bytes of larger requests.</summary>
    public ByteBudget Beginnings { get; }

    /// <summary>For larger requests.</summary>
    public ByteBudget Large { get; }

    /// <summary>Whether a request waits for memory that others hold.</summary>
    public bool HasWaiters => Small.HasWaiters || Beginnings.HasWaiters || Large.HasWaiters;

    /// <summary>The memory of small requests, and of the first bytes of larger ones.</summary>
    internal SmallArrays SmallArrays { get; }

    /// <summary>The memory of larger requests.</summary>
    internal LargeArrays LargeArrays { get; } = new();
}
