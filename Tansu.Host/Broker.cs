using System.Runtime.CompilerServices;
using Serilog;
using Tansu.Adapters;
using Tansu.Adapters.Measuring;
using Tansu.Adapters.Ports;
using Tansu.Domain;
using Tansu.Host.CommandLine;
using Tansu.Host.Fetching;
using Tansu.Host.Network;

namespace Tansu.Host;

/// <summary>What every handler works with: the cluster, this broker's settings, its clock and its fetch sessions.</summary>
internal sealed class Broker(Cluster cluster, BrokerSettings settings, ILogger log, TimeProvider timeProvider) : IAsyncDisposable
{
    /// <summary>How long commits under way may take to end once the broker stops.</summary>
    private static readonly TimeSpan StopGrace = TimeSpan.FromSeconds(1);

    /// <summary>Entries that are trimmed stay this long at least: a writer that has been paused must find out that it has been left behind.</summary>
    private const int LeastTrimGraceMs = 60_000;

    /// <summary>Parsed configurations, for as long as the topic they belong to is the current one and the defaults of all are what they were.</summary>
    private readonly ConditionalWeakTable<Topic, TopicSettings> _settings = [];

    private IStore? _store;

    /// <summary>The store's contents and rules.</summary>
    public Cluster Cluster => cluster;

    /// <summary>What was configured.</summary>
    public BrokerSettings Settings => settings;

    /// <summary>Where notices go.</summary>
    public ILogger Log => log;

    /// <summary>The clock.</summary>
    public TimeProvider TimeProvider => timeProvider;

    /// <summary>Fetch sessions of this broker's clients (KIP-227).</summary>
    public FetchSessions FetchSessions { get; } = new(settings.MaxFetchSessions, settings.MaxFetchSessionPartitions, timeProvider);

    /// <summary>The memory of the records that are being read and sent, of all connections together.</summary>
    public ByteBudget FetchBudget { get; } = new(settings.FetchMemoryBytes);

    /// <summary>What the store is, for the start line and DescribeLogDirs; holds no secrets.</summary>
    public string StoreDescription => _store?.Description ?? "memory";

    /// <summary>What was sent to S3; null if the store is another one.</summary>
    public S3RequestCounts? StoreRequests => (_store as S3Store)?.Requests.Snapshot();

    /// <summary>What the store was asked for; null if that is not measured.</summary>
    public StoreMeasures? StoreMeasures { get; init; }

    /// <summary>The clock, in milliseconds since 1970.</summary>
    public long NowMs => timeProvider.GetUtcNow().ToUnixTimeMilliseconds();

    /// <summary>Opens the store and reads the state.</summary>
    /// <param name="options">How the broker was configured.</param>
    /// <param name="memory">How much memory is for what.</param>
    /// <param name="listener">Where it accepts connections.</param>
    /// <param name="advertised">Where clients are told to connect.</param>
    /// <param name="log">Where notices go.</param>
    /// <param name="timeProvider">The clock.</param>
    /// <param name="onSnapshot">Told of how many bytes of snapshots are about to be made into states (<see cref="ClusterOptions.OnSnapshot"/>).</param>
    /// <param name="cancellationToken">Gives up.</param>
    /// <exception cref="StoreRefusedException">The store cannot be used; the message says why and what to do.</exception>
    /// <exception cref="StoreUnavailableException">The store does not answer.</exception>
    public static async Task<Broker> StartAsync(
        BrokerOptions options,
        MemoryPlan memory,
        Endpoint listener,
        Endpoint advertised,
        ILogger log,
        TimeProvider timeProvider,
        Action<long>? onSnapshot,
        CancellationToken cancellationToken)
    {
        void Notice(string text) => log.Warning("{Notice:l}", text);
        var store = await StoreUrl.OpenAsync(
            options.StorageEngine,
            new StoreOptions
            {
                OnNotice = Notice,
                TimeProvider = timeProvider,
                S3TrimGrace = TimeSpan.FromMilliseconds(Math.Max(options.GcGraceMs, LeastTrimGraceMs)),
            },
            cancellationToken);
        try
        {
            var settings = BrokerSettings.From(options, memory, listener, advertised);
            var clusterOptions = new ClusterOptions
            {
                ClusterId = options.ClusterId,
                ShardCount = options.Shards,
                AdvertisedHost = advertised.Host,
                AdvertisedPort = advertised.Port,
                CommitInterval = options.CommitIntervalMs < 0 ? null : TimeSpan.FromMilliseconds(options.CommitIntervalMs),
                NodeLease = TimeSpan.FromMilliseconds(options.NodeLeaseMs),
                Groups = settings.Groups,
                Transactions = settings.Transactions,
                GroupInitialRebalanceDelay = TimeSpan.FromMilliseconds(settings.GroupInitialRebalanceDelayMs),
                CacheBytes = memory.CacheBytes,
                MaxEntryBytes = memory.EntryBytes,
                CompactionInterval = TimeSpan.FromMilliseconds(options.CompactionIntervalMs),
                CompactionMemoryBytes = memory.CompactionBytes,
                GarbageGrace = TimeSpan.FromMilliseconds(options.GcGraceMs),
                OnCompacted = text => log.Information("{Compacted:l}", text),
                TimeProvider = timeProvider,
                OnNotice = Notice,
                OnSnapshot = onSnapshot,
            };
            // A store that lets two writers win must never be used; asking takes no longer than opening, so both go on at once.
            // The one that takes more round trips begins.
            var measures = new StoreMeasures(timeProvider);
            var opening = Cluster.OpenAsync(new MeasuredStore(store, measures), clusterOptions, cancellationToken);
            var verifying = store.Limits.NeedsVerification ? StoreVerifier.VerifyAsync(store, rounds: 1, waitsForCleanUp: false, cancellationToken) : Task.CompletedTask;
            try
            {
                await verifying;
            }
            catch
            {
                await StopOpenedAsync(opening);
                throw;
            }

            var cluster = await opening;
            return new Broker(cluster, settings, log, timeProvider) { _store = store, StoreMeasures = measures };
        }
        catch
        {
            await store.DisposeAsync();
            throw;
        }
    }

    private static async Task StopOpenedAsync(Task<Cluster> opening)
    {
        try
        {
            // Registering at a store that takes no writes goes on for long; closing the store ends it.
            await (await opening.WaitAsync(StopGrace)).DisposeAsync();
        }
        catch (Exception failure) when (failure is StoreRefusedException or StoreUnavailableException or TimeoutException or OperationCanceledException)
        {
            // The other failure is the one to tell.
        }
    }

    /// <summary>Lets commits under way end, and closes the store.</summary>
    public async ValueTask DisposeAsync()
    {
        await cluster.StopAsync(StopGrace);
        await cluster.DisposeAsync();
        if (_store is not null)
        {
            await _store.DisposeAsync();
        }
    }

    /// <summary>A topic by id or by name, in the newest catalog this broker knows; null if there is none.</summary>
    public Topic? FindTopic(bool byId, Guid topicId, string? name)
    {
        var catalog = cluster.Catalog;
        Topic? topic;
        if (byId)
        {
            return catalog.TopicsById.TryGetValue(TopicId.NewTopicId(topicId), out topic) ? topic : null;
        }

        return name is not null && catalog.TopicsByName.TryGetValue(name, out topic) ? topic : null;
    }

    /// <summary>Whether there is such a partition, in the newest catalog this broker knows.</summary>
    public bool HasPartition(string topic, int partition) =>
        FindTopic(false, default, topic) is { } found && found.Has(partition);

    /// <summary>The shards of these partitions, as far as there are such in the newest catalog this broker knows.</summary>
    public IEnumerable<ClusterShard> ShardsOf(IEnumerable<(string Topic, int Partition)> partitions) =>
        from wanted in partitions
        let topic = FindTopic(false, default, wanted.Topic)
        where topic is not null && topic.Has(wanted.Partition)
        select cluster.ShardOf(topic, wanted.Partition);

    /// <summary>Learns what other brokers did to the catalog if one of these topics is not known.</summary>
    public async ValueTask CatchUpForAsync(IEnumerable<string> topics)
    {
        if (topics.Any(topic => FindTopic(false, default, topic) is null))
        {
            await CatchUpCatalogAsync();
        }
    }

    /// <summary>
    /// Learns what other brokers did to the catalog. A store that does not answer in time leaves the catalog as it was: the caller
    /// then says that it does not know the topic, which clients retry.
    /// </summary>
    public async Task CatchUpCatalogAsync()
    {
        try
        {
            await cluster.CatchUpCatalogAsync(settings.CatchUpTimeout);
        }
        catch (TimeoutException)
        {
            // Said above.
        }
    }

    /// <summary>
    /// Learns what other brokers appended to the shards of these partitions. False if a store did not answer in time: what is known may then be
    /// old.
    /// </summary>
    /// <param name="maxAge">How old the knowledge may be; zero for none.</param>
    /// <param name="shards">The shards; one that is named twice is asked once.</param>
    public async ValueTask<bool> CatchUpAsync(TimeSpan maxAge, IEnumerable<ClusterShard> shards)
    {
        try
        {
            await Task.WhenAll(shards.Distinct().Select(shard => maxAge == TimeSpan.Zero
                ? shard.Replica.CatchUpAsync(settings.CatchUpTimeout)
                : shard.Replica.CatchUpAsync(maxAge, settings.CatchUpTimeout)));
            return true;
        }
        catch (TimeoutException)
        {
            return false;
        }
    }

    /// <summary>The topic's configurations as the produce path needs them.</summary>
    public TopicSettings ConfigsOf(Topic topic)
    {
        var catalog = cluster.Catalog;
        if (_settings.TryGetValue(topic, out var settings) && ReferenceEquals(settings.Defaults, catalog.DefaultConfigs))
        {
            return settings;
        }

        settings = new TopicSettings(Catalog.configsOf(catalog, topic), catalog.DefaultConfigs);
        _settings.AddOrUpdate(topic, settings);
        return settings;
    }
}
