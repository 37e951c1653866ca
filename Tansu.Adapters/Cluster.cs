using Microsoft.FSharp.Core;
using Tansu.Adapters.Compaction;
using Tansu.Adapters.Groups;
using Tansu.Adapters.Measuring;
using Tansu.Adapters.Nodes;
using Tansu.Adapters.Ports;
using Tansu.Adapters.Reading;
using Tansu.Adapters.Replica;
using Tansu.Adapters.Transactions;
using Tansu.Codec;
using Tansu.Codec.Storage;
using Tansu.Domain;

namespace Tansu.Adapters;

using CatalogReplica = Replica<CatalogState, CatalogCommand, CatalogEvent, CatalogReply>;
using ShardReplica = Replica<ShardState, ShardCommand, ShardEvent, ShardReply>;

/// <summary>
/// The cluster as one broker sees it: the replicas of the catalog and of every shard over one store, the record cache, and
/// this broker's node. Safe to use from any thread.
/// </summary>
public sealed class Cluster : IAsyncDisposable
{
    private readonly ClusterOptions _options;
    private readonly CatalogReplica _catalog;
    private readonly ClusterShard[] _shards;
    private readonly CatalogSettings _catalogSettings;
    private readonly Housekeeping _housekeeping;
    private readonly IDisposable? _signals;
    private readonly NodeRegistry _registry;
    private readonly NodeLease? _nodeLease;

    private Cluster(
        ClusterObject identity,
        ClusterOptions options,
        CatalogReplica catalog,
        CatalogSettings catalogSettings,
        ClusterShard[] shards,
        PartitionWaiters waiters,
        NodeRegistry registry,
        IStore store,
        RecordCache cache,
        Node self)
    {
        _options = options;
        _catalog = catalog;
        _catalogSettings = catalogSettings;
        _shards = shards;
        Completion = Task.WhenAny(
            [catalog.Completion, .. shards.Select(static shard => shard.Replica.Completion), .. shards.Select(static shard => shard.Groups.Completion)])
            .Unwrap();
        ClusterId = identity.ClusterId;
        Waiters = waiters;
        Cache = cache;
        Self = self;
        _registry = registry;
        ProducerIds = new ProducerIdSource(catalog, options);
        _housekeeping = new Housekeeping(this, options);
        Transactions = new TransactionCoordinator(
            Array.ConvertAll(shards, static shard => shard.Replica),
            ProducerIds.NextAsync,
            new TransactionCoordinatorOptions
            {
                IsShared = store.Limits.IsShared,
                IsLeaderOf = shard => Nodes.LeaderOf(shard).Id == self.Id,
                StoreTimeout = options.StoreTimeout,
                TimeProvider = options.TimeProvider,
                OnNotice = options.OnNotice,
            });
        _nodeLease = store.Limits.IsShared ? new NodeLease(this, registry, options) : null;
        _signals = (store as ILogSignal)?.Subscribe(Poke);
    }

    /// <summary>The id that clients see.</summary>
    public string ClusterId { get; }

    /// <summary>This broker's node.</summary>
    public Node Self { get; }

    /// <summary>The nodes that are there now, this broker's among them, and whom they name as leaders.</summary>
    public LiveNodes Nodes
    {
        get
        {
            _registry.Learn(Catalog.Nodes);
            return _registry.Live();
        }
    }

    /// <summary>Long polls.</summary>
    public PartitionWaiters Waiters { get; }

    /// <summary>Fresh producer ids.</summary>
    public ProducerIdSource ProducerIds { get; }

    /// <summary>Transactions.</summary>
    public TransactionCoordinator Transactions { get; }

    /// <summary>The newest published catalog.</summary>
    public CatalogState Catalog => _catalog.Current.State;

    /// <summary>Records in memory.</summary>
    public RecordCache Cache { get; }

    /// <summary>How far this broker is with every log, the catalog's first.</summary>
    public IEnumerable<LogStatus> Logs =>
    [
        new LogStatus("catalog", _catalog.Current.EntryNumber, _catalog.Age, _catalog.Measures),
        .. _shards.Select(static shard => new LogStatus(
            ClusterShard.LogName(shard.Index), shard.Replica.Current.EntryNumber, shard.Replica.Age, shard.Replica.Measures)),
    ];

    /// <summary>All shards, by number.</summary>
    public IReadOnlyList<ClusterShard> Shards => _shards;

    /// <summary>How long the state of an idle producer is kept, in milliseconds.</summary>
    public long ProducerIdExpirationMs => _options.ProducerIdExpirationMs;

    /// <summary>Faults when a log can no longer be used: the broker must end.</summary>
    public Task Completion { get; }

    /// <summary>Opens the logs, creating the cluster if the store is empty, and registers this broker's address.</summary>
    /// <exception cref="StoreRefusedException">The store cannot be used; the message says why and what to do.</exception>
    /// <exception cref="StoreUnavailableException">The store does not answer now.</exception>
    public static async Task<Cluster> OpenAsync(IStore store, ClusterOptions options, CancellationToken cancellationToken)
    {
        var identity = await IdentifyAsync(store, options, cancellationToken);
        var settings = new CatalogSettings(identity.ShardCount, options.MaxPartitionsPerTopic);
        var replicaOptions = new ReplicaOptions
        {
            CommitInterval = options.CommitInterval ?? store.Limits.DefaultCommitInterval,
            InlinePayloadBytes = Math.Min(store.Limits.InlinePayloadBytes, options.MaxEntryBytes),
            DataObjectBytes = Math.Min(store.Limits.DataObjectBytes, options.MaxEntryBytes),
            MaxHeadBytes = options.MaxHeadBytes,
            IsShared = store.Limits.IsShared,
            SnapshotEveryEntries = store.Limits.SnapshotEveryEntries,
            TimeProvider = options.TimeProvider,
            OnNotice = options.OnNotice,
            // The others' may be as large.
            OnSnapshot = bytes => options.OnSnapshot?.Invoke(bytes * identity.ShardCount),
        };
        var catalog = CatalogReplica.OpenAsync(
            await store.OpenLogAsync("catalog", cancellationToken),
            store.Blobs,
            new CatalogDecider(settings),
            new CatalogCodec(settings),
            new NoObserver<CatalogEvent>(),
            replicaOptions,
            cancellationToken).AsTask();
        var waiters = new PartitionWaiters();
        var cache = new RecordCache(options.CacheBytes);
        CatalogReplica? known = null;
        var shards = await Task.WhenAll(Enumerable.Range(0, identity.ShardCount)
            .Select(index => OpenShardAsync(
                store,
                index,
                options with { ShardCount = identity.ShardCount },
                replicaOptions,
                cache,
                waiters,
                store.Limits.Forgets ? static _ => KeepsNothing : topicId => CleanupOf(topicId, known?.Current.State),
                cancellationToken)));
        var opened = await catalog;
        known = opened;
        var registry = new NodeRegistry(
            options.AdvertisedHost,
            options.AdvertisedPort,
            options.NodeLease,
            isOnlyBroker: !store.Limits.IsShared,
            identity.ShardCount,
            options.TimeProvider);
        registry.Learn(opened.Current.State.Nodes);
        var self = await RegisterFirstAsync(opened, registry, options, store.Description);
        registry.Learn(opened.Current.State.Nodes);
        return new Cluster(identity, options, opened, settings, shards, waiters, registry, store, cache, self);
    }

    /// <summary>The shard that a partition was placed on when its topic was created.</summary>
    public ClusterShard ShardOf(Topic topic, int partition) => _shards[Tansu.Domain.Catalog.shardOf(_catalogSettings, topic, partition)];

    /// <summary>The shard of a group or a transactional id.</summary>
    public ClusterShard ShardOf(string key) => _shards[Placement.shardOfKey(_shards.Length, key)];

    /// <summary>Asks the catalog. See <see cref="Replica{TState,TCommand,TEvent,TReply}.SubmitAsync"/>.</summary>
    public Task<CatalogReply> SubmitAsync(CatalogCommand command, TimeSpan timeout) => _catalog.SubmitAsync(command, Payload.None, timeout);

    /// <summary>
    /// Learns what other brokers have done to the catalog: whoever does not find a topic catches up once before saying so.
    /// </summary>
    public Task CatchUpCatalogAsync(TimeSpan timeout) => _catalog.CatchUpAsync(timeout);

    /// <summary>Reads what others have appended to every log, which shows that the store answers.</summary>
    /// <exception cref="TimeoutException">It did not in time.</exception>
    public Task CatchUpAsync(TimeSpan timeout) =>
        Task.WhenAll([_catalog.CatchUpAsync(timeout), .. _shards.Select(shard => shard.Replica.CatchUpAsync(timeout))]);

    /// <summary>
    /// Deletes topics: gone for clients with the first write, then dropped by their shards. What a crash leaves half done, any
    /// broker's housekeeping finishes.
    /// </summary>
    /// <returns>What became of each, in order.</returns>
    public async Task<TopicReply[]> DeleteTopicsAsync(TopicReference[] topics, TimeSpan timeout)
    {
        var reply = (CatalogReply.TopicsJudged)await SubmitAsync(CatalogCommand.NewDeleteTopics(topics), timeout);
        foreach (var judged in reply.replies)
        {
            if (judged is TopicReply.TopicChanged changed)
            {
                await FinishRemovalAsync(changed.topic, timeout);
            }
        }

        return reply.replies;
    }

    /// <summary>
    /// Tells other nodes that this one leaves, so that they send it no more clients; everything else goes on. To be called before
    /// <see cref="StopAsync"/>, which does it too.
    /// </summary>
    public Task LeaveAsync(TimeSpan timeout) => _nodeLease?.LeaveAsync(timeout) ?? Task.CompletedTask;

    /// <summary>Tells other nodes that this one leaves, finishes what is in flight and stops.</summary>
    /// <param name="grace">
    /// What is not finished by then fails with <see cref="TimeoutException"/>. With none the other nodes are told nothing, as
    /// when the broker is killed.
    /// </param>
    public async Task StopAsync(TimeSpan grace)
    {
        _signals?.Dispose();
        await _housekeeping.StopAsync();
        Transactions.Stop();
        foreach (var shard in _shards)
        {
            shard.Groups.Stop();
        }

        await Task.WhenAll([StopCatalogAsync(grace), .. _shards.Select(shard => shard.Replica.StopAsync(grace))]);
    }

    /// <inheritdoc/>
    public async ValueTask DisposeAsync()
    {
        await StopAsync(TimeSpan.Zero);
        await _housekeeping.DisposeAsync();
        if (_nodeLease is not null)
        {
            await _nodeLease.DisposeAsync();
        }

        ProducerIds.Dispose();
        foreach (var shard in _shards)
        {
            await shard.Replica.DisposeAsync();
            await shard.Groups.DisposeAsync();
        }

        await Transactions.DisposeAsync();
        await _catalog.DisposeAsync();
    }

    /// <summary>Does once what is otherwise done in the background.</summary>
    internal Task HousekeepAsync() => _housekeeping.DoAsync();

    /// <summary>Looks at the other nodes now, and renews this one if that is due, as happens by itself every now and then.</summary>
    internal Task LookAtNodesAsync() => _nodeLease?.LookAsync() ?? Task.CompletedTask;

    /// <summary>The store says that somebody has appended to a log.</summary>
    private void Poke(string logName)
    {
        foreach (var shard in _shards)
        {
            if (ClusterShard.LogName(shard.Index) == logName)
            {
                shard.Replica.Poke();
            }
        }
    }

    /// <summary>Drops a deleted topic's records from every shard that may hold some.</summary>
    internal async Task FinishRemovalAsync(Topic topic, TimeSpan timeout)
    {
        await Task.WhenAll(_shards.Select(async shard => await shard.Replica.SubmitAsync(
            ShardCommand.NewRemoveTopic(topic.Id),
            Payload.None,
            timeout)));
        await SubmitAsync(CatalogCommand.NewConfirmTopicRemoved(topic.Id), timeout);
    }

    private async Task StopCatalogAsync(TimeSpan grace)
    {
        if (_nodeLease is not null)
        {
            // Half of the grace for leaving, half for what else is in flight.
            await (grace > TimeSpan.Zero ? _nodeLease.LeaveAsync(grace / 2) : _nodeLease.StopAsync());
        }

        await _catalog.StopAsync(grace / 2);
    }

    private static async Task<ClusterObject> IdentifyAsync(IStore store, ClusterOptions options, CancellationToken cancellationToken)
    {
        var proposed = new ClusterObject
        {
            ClusterId = options.ClusterId ?? Convert.ToBase64String(Guid.NewGuid().ToByteArray()).TrimEnd('=').Replace('+', '-').Replace('/', '_'),
            ShardCount = options.ShardCount,
            CreatedAtMs = options.TimeProvider.GetUtcNow().ToUnixTimeMilliseconds(),
        };
        var stored = await store.GetOrCreateClusterAsync(Encode(proposed), cancellationToken);
        var identity = Decode(stored, store.Description);
        if (options.ClusterId is not null && options.ClusterId != identity.ClusterId)
        {
            options.OnNotice?.Invoke($"the store belongs to cluster {identity.ClusterId}: --cluster-id {options.ClusterId} is ignored");
        }

        if (options.ShardCount != identity.ShardCount)
        {
            options.OnNotice?.Invoke($"the cluster was created with {identity.ShardCount} shard(s): --shards {options.ShardCount} is ignored");
        }

        return identity;
    }

    /// <summary>The first write: a store that can be read and takes none (too full, read-only) is found out here.</summary>
    private static async Task<Node> RegisterFirstAsync(CatalogReplica catalog, NodeRegistry registry, ClusterOptions options, string store)
    {
        try
        {
            return await NodeLease.RegisterAsync(
                (command, timeout) => catalog.SubmitAsync(command, Payload.None, timeout),
                registry,
                options);
        }
        catch (TimeoutException late)
        {
            throw new StoreUnavailableException(
                $"{store} can be read but took no write for {options.StoreTimeout.TotalSeconds:F0} s: the notices before this say why; put that right and start again.",
                late);
        }
    }

    private static byte[] Encode(ClusterObject identity)
    {
        using var writer = new KafkaWriter();
        EventFrame.WriteVersioned(writer, identity);
        return writer.ToArray();
    }

    private static ClusterObject Decode(ReadOnlyMemory<byte> stored, string store)
    {
        try
        {
            var reader = new KafkaReader(stored);
            var identity = EventFrame.Read<ClusterObject>(ref reader);
            return identity.ShardCount >= 1 ? identity : throw new KafkaFormatException($"it names {identity.ShardCount} shards");
        }
        catch (KafkaFormatException malformed)
        {
            throw new StoreRefusedException(
                $"the cluster object of {store} cannot be read: {malformed.Message.TrimEnd('.')}. "
                + "Either a newer version of Tansu wrote it (start that version), or it is damaged (restore the store from a backup).",
                malformed);
        }
    }

    /// <summary>What becomes of a topic's records; nothing for a topic that the catalog does not have.</summary>
    private static FSharpValueOption<Cleanup> CleanupOf(TopicId topicId, CatalogState? catalog) =>
        catalog is not null && catalog.TopicsById.TryGetValue(topicId, out var topic)
            ? FSharpValueOption<Cleanup>.NewValueSome(CleanupModule.ofConfigs(Domain.Catalog.configsOf(catalog, topic)))
            : FSharpValueOption<Cleanup>.ValueNone;

    /// <summary>Retention of a store that forgets anyway: nothing, so that the state does not grow with what can no longer be read.</summary>
    private static readonly FSharpValueOption<Cleanup> KeepsNothing = FSharpValueOption<Cleanup>.NewValueSome(new Cleanup(
        deletes: true,
        compacts: false,
        retentionMs: -1,
        retentionBytes: 0,
        deleteRetentionMs: 0,
        minCompactionLagMs: 0,
        maxCompactionLagMs: long.MaxValue,
        minCleanableDirtyRatio: 1));

    /// <summary>
    /// What another broker's claim to compact a shard is worth. Where passes follow one another quickly nobody may wait long for a broker that has died.
    /// </summary>
    private static TimeSpan ClaimLease(TimeSpan compactionInterval)
    {
        var (least, most) = (TimeSpan.FromSeconds(5), TimeSpan.FromMinutes(2));
        return compactionInterval < least ? least : compactionInterval > most ? most : compactionInterval;
    }

    private static async Task<ClusterShard> OpenShardAsync(
        IStore store,
        int index,
        ClusterOptions options,
        ReplicaOptions replicaOptions,
        RecordCache cache,
        PartitionWaiters waiters,
        Func<TopicId, FSharpValueOption<Cleanup>> cleanup,
        CancellationToken cancellationToken)
    {
        var log = await store.OpenLogAsync(ClusterShard.LogName(index), cancellationToken);
        var reader = new RecordsReader(index, log, store.Blobs, cache, Math.Min(store.Limits.ReadAheadBytes, options.MaxEntryBytes));
        var observer = new ShardObserver(reader, waiters);
        var replica = await ShardReplica.OpenAsync(
            log,
            store.Blobs,
            new ShardDecider(new ShardSettings(options.ProducerIdExpirationMs, options.Groups, options.Transactions)),
            new ShardCodec(),
            observer,
            replicaOptions,
            cancellationToken);
        observer.Groups = new GroupCoordinator(replica, new GroupCoordinatorOptions
        {
            InitialRebalanceDelay = options.GroupInitialRebalanceDelay,
            IsShared = store.Limits.IsShared,
            StoreTimeout = options.StoreTimeout,
            TimeProvider = options.TimeProvider,
            OnNotice = options.OnNotice,
        });
        observer.Compactor = new Compactor(replica, reader, log, store.Blobs, cleanup, new CompactorOptions
        {
            MemoryBytes = options.CompactionMemoryBytes,
            Grace = options.GarbageGrace,
            ClaimLease = ClaimLease(options.CompactionInterval),
            MostRest = Housekeeping.LeastPause(options) / options.ShardCount,
            StoreTimeout = options.StoreTimeout,
            TimeProvider = options.TimeProvider,
            OnNotice = options.OnNotice,
        });
        return new ClusterShard(index, replica, reader, observer.Groups, observer.Compactor);
    }
}
