using System.Diagnostics;
using System.Runtime;
using System.Runtime.InteropServices;
using Serilog;
using Tansu.Adapters.Ports;
using Tansu.Host.CommandLine;
using Tansu.Host.Handlers;
using Tansu.Host.Metrics;
using Tansu.Host.Network;
using Tansu.Host.Requests;

namespace Tansu.Host;

/// <summary>`tansu broker`: starts, serves until it is told to stop, and stops within <see cref="StopTimeout"/>.</summary>
public static class BrokerCommand
{
    /// <summary>How long replies that are under way may take to leave once the broker was told to stop.</summary>
    public static readonly TimeSpan Grace = TimeSpan.FromSeconds(3);

    /// <summary>How long stopping may take altogether. What was acknowledged is durable, so ending hard loses nothing.</summary>
    public static readonly TimeSpan StopTimeout = TimeSpan.FromSeconds(4.5);

    /// <summary>Runs a broker until SIGTERM or SIGINT.</summary>
    /// <param name="options">How the broker is configured.</param>
    /// <param name="version">For the start line.</param>
    /// <param name="startedAt">The <see cref="Stopwatch"/> timestamp at which the program was entered, for the start line.</param>
    /// <returns>The exit code: 0 after a signal, 1 if the broker could not start or the store refused to go on.</returns>
    public static async Task<int> RunAsync(BrokerOptions options, string version, long startedAt)
    {
        ArgumentNullException.ThrowIfNull(options);
        var log = Logging.Create(options.LogLevel);
        await using var _ = log.ConfigureAwait(false);
        using var signalled = new CancellationTokenSource();
        using var terminate = PosixSignalRegistration.Create(PosixSignal.SIGTERM, context => OnSignal(context, signalled));
        using var interrupt = PosixSignalRegistration.Create(PosixSignal.SIGINT, context => OnSignal(context, signalled));
        try
        {
            await ServeAsync(options, version, startedAt, log, signalled.Token).ConfigureAwait(false);
            return 0;
        }
        catch (OperationCanceledException) when (signalled.IsCancellationRequested)
        {
            return 0;
        }
        catch (Exception error) when (error is ListenException or StoreRefusedException or StoreUnavailableException)
        {
            log.Fatal("{Reason:l}", error.Message);
            return 1;
        }
    }

    private static async Task ServeAsync(
        BrokerOptions options,
        string version,
        long startedAt,
        Serilog.Core.Logger log,
        CancellationToken signalled)
    {
        var heapBytes = MemoryLimit.Apply(options.MemoryLimitBytes, options.CompactionMemoryBytes);
        var memory = MemoryPlan.For(options, heapBytes);
        var network = new NetworkOptions
        {
            MaxRequestBytes = memory.MaxRequestBytes,
            MaxSmallRequestBytes = memory.SmallRequestBytes,
            MaxBeginningBytes = memory.BeginningBytes,
            MaxLargeRequestBytes = memory.LargeRequestBytes,
            MaxConnections = memory.MaxConnections,
            MaxConnectionsPerAddress = options.MaxConnectionsPerIp,
            SlowClientTimeout = TimeSpan.FromMilliseconds(options.SlowClientMs),
            IdleTimeout = TimeSpan.FromMilliseconds(options.ConnectionIdleMs),
        };
        // The address first: a second broker by mistake is told so before it touches the store.
        var listener = KafkaListener.Bind(options.Listener, network, log);
        await using var listenerScope = listener.ConfigureAwait(false);
        var metrics = new BrokerMetrics(version, TimeProvider.System.GetUtcNow() - Stopwatch.GetElapsedTime(startedAt), listener);
        await using var metricsListener = StartMetrics(options, metrics, log);
        var advertised = options.AdvertisedListener ?? new Endpoint("localhost", listener.Endpoint.Port);
        var broker = await StartAsync(options, heapBytes, memory, listener.Endpoint, advertised, log, signalled).ConfigureAwait(false);
        var apis = HandlerList.Create(broker);
        listener.Start(new RequestDispatcher(apis, log) { ReplyBudget = broker.FetchBudget });
        metrics.Open(broker, apis);
        log.Information(
            "Tansu {Version} listens on {Listener}, advertised as {Advertised}, store {Store}, cluster {ClusterId}, started in {ElapsedMs} ms",
            version, listener.Endpoint.Url, advertised.Url, broker.StoreDescription, broker.Cluster.ClusterId, (long)Stopwatch.GetElapsedTime(startedAt).TotalMilliseconds);

        log.Debug("The heap may grow to {HeapBytes} bytes: {Memory}", heapBytes, memory);

        await UntilAsync(broker.Cluster.Completion, signalled).ConfigureAwait(false);
        log.Information("Stopping");
        metrics.Stop();
        await StopAsync(listener, broker, log).ConfigureAwait(false);
    }

    private static async Task<Broker> StartAsync(
        BrokerOptions options,
        long heapBytes,
        MemoryPlan memory,
        Endpoint listener,
        Endpoint advertised,
        Serilog.Core.Logger log,
        CancellationToken signalled)
    {
        var heap = new StartHeap(heapBytes);
        heap.Begin();
        try
        {
            return await Broker.StartAsync(options, memory, listener, advertised, log, TimeProvider.System, heap.Expect, signalled).ConfigureAwait(false);
        }
        catch (OutOfMemoryException)
        {
            throw new StoreRefusedException(
                $"The cluster's state does not fit into a heap of {heapBytes >> 20} MiB; start with a larger --memory-limit, or on a machine with more memory.");
        }
        finally
        {
            heap.End();
        }
    }

    // The default port may well be taken, by another broker on this machine: that is no reason not to run.
    private static MetricsListener? StartMetrics(BrokerOptions options, BrokerMetrics metrics, Serilog.Core.Logger log)
    {
        try
        {
            return MetricsListener.Start(options.MetricsListener, metrics, log, TimeProvider.System);
        }
        catch (ListenException refusal) when (!options.NeedsMetricsListener)
        {
            log.Warning("There is no metrics and health port: {Reason:l}", refusal.Message);
            return null;
        }
    }

    private static async Task StopAsync(KafkaListener listener, Broker broker, Serilog.Core.Logger log)
    {
        var stopping = StopInOrderAsync(listener, broker);
        try
        {
            await stopping.WaitAsync(StopTimeout).ConfigureAwait(false);
            log.Information("Stopped");
        }
        catch (TimeoutException)
        {
            log.Warning("Stopped without waiting any longer for the store");
            await log.DisposeAsync().ConfigureAwait(false);
            Environment.Exit(0);
        }
    }

    private static async Task StopInOrderAsync(KafkaListener listener, Broker broker)
    {
        // Leaving comes first: until the other brokers know, they send clients here.
        await Task.WhenAll(broker.Cluster.LeaveAsync(Grace), listener.StopAsync(Grace)).ConfigureAwait(false);
        await broker.DisposeAsync().ConfigureAwait(false);
    }

    // A log that can no longer be used ends the broker; its exception says why.
    private static async Task UntilAsync(Task cluster, CancellationToken signalled)
    {
        var stop = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        using var registration = signalled.UnsafeRegister(static state => ((TaskCompletionSource)state!).TrySetResult(), stop);
        await (await Task.WhenAny(stop.Task, cluster).ConfigureAwait(false)).ConfigureAwait(false);
    }

    // The first signal stops in order; a second one has its usual effect.
    private static void OnSignal(PosixSignalContext context, CancellationTokenSource signalled)
    {
        context.Cancel = !signalled.IsCancellationRequested;
        signalled.Cancel();
    }
}
