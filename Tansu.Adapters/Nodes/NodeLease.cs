using Tansu.Adapters.Ports;
using Tansu.Domain;

namespace Tansu.Adapters.Nodes;

/// <summary>
/// Keeps this broker's node registered, and learns of the others: looks at the catalog every third of a lease while other nodes are
/// there and once per lease while none is. Looking only reads; a broker without others writes nothing.
/// </summary>
internal sealed class NodeLease : IAsyncDisposable
{
    private readonly Cluster _cluster;
    private readonly NodeRegistry _registry;
    private readonly ClusterOptions _options;
    private readonly CancellationTokenSource _stopping = new();
    private readonly Task _loop;
    private bool _hasLeft;

    public NodeLease(Cluster cluster, NodeRegistry registry, ClusterOptions options)
    {
        _cluster = cluster;
        _registry = registry;
        _options = options;
        _loop = RunAsync();
    }

    /// <summary>Looks at the catalog, and writes to it if that is due.</summary>
    public async Task LookAsync()
    {
        await _cluster.CatchUpCatalogAsync(_options.StoreTimeout);
        _registry.Learn(_cluster.Catalog.Nodes);
        if (_registry.IsRegistrationDue && !_stopping.IsCancellationRequested)
        {
            await RegisterAsync(_cluster.SubmitAsync, _registry, _options);
            _registry.Learn(_cluster.Catalog.Nodes);
        }
    }

    /// <summary>Registers this broker's address, or renews its lease.</summary>
    public static async Task<Node> RegisterAsync(
        Func<CatalogCommand, TimeSpan, Task<CatalogReply>> submit,
        NodeRegistry registry,
        ClusterOptions options)
    {
        var command = CatalogCommand.NewRegisterNode(options.AdvertisedHost, options.AdvertisedPort, registry.LeaseMs);
        return ((CatalogReply.NodeIs)await submit(command, options.StoreTimeout)).node;
    }

    /// <summary>
    /// Tells the others, if there are any, that this node has left, so that none waits for its lease to end. A broker that goes on at the
    /// same address sees that at its next look, and registers again. A second call does nothing.
    /// </summary>
    public async Task LeaveAsync(TimeSpan timeout)
    {
        await StopAsync();
        if (_hasLeft)
        {
            return;
        }

        _hasLeft = true;
        try
        {
            // Another may have come since the last look, which can be a lease ago.
            await _cluster.CatchUpCatalogAsync(timeout / 2);
            _registry.Learn(_cluster.Catalog.Nodes);
            if (_registry.HasLiveOthers)
            {
                await _cluster.SubmitAsync(CatalogCommand.NewDeregisterNode(_cluster.Self.Id), timeout / 2);
            }
        }
        catch (Exception failure) when (failure is TimeoutException or StoreUnavailableException or StoreRefusedException)
        {
            // The lease ends by itself.
        }
    }

    public async Task StopAsync()
    {
        _stopping.Cancel();
        await _loop;
    }

    public async ValueTask DisposeAsync()
    {
        await StopAsync();
        _stopping.Dispose();
    }

    private async Task RunAsync()
    {
        await Task.Yield();
        while (true)
        {
            try
            {
                await Task.Delay(_registry.LookInterval, _options.TimeProvider, _stopping.Token);
                await LookAsync().WaitAsync(_stopping.Token);
            }
            catch (OperationCanceledException) when (_stopping.IsCancellationRequested)
            {
                return;
            }
            catch (StoreRefusedException)
            {
                // The replica's own loop has ended with it, and ends the broker.
                return;
            }
#pragma warning disable CA1031 // Whatever a look comes to, the next one is tried: otherwise the lease would end.
            catch (Exception failure)
#pragma warning restore CA1031
            {
                _options.OnNotice?.Invoke($"the nodes of the cluster are looked at later: {Failures.Describe(failure)}");
            }
        }
    }
}
