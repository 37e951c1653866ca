namespace Tansu.PropertyTests.Simulation

open System
open System.Collections.Generic
open System.Threading
open System.Threading.Tasks
open Tansu.Adapters.Compaction
open Tansu.Adapters.Groups
open Tansu.Adapters.Ports
open Tansu.Adapters.Reading
open Tansu.Adapters.Replica
open Tansu.Adapters.Transactions
open Tansu.Domain

/// What one run is like; drawn from its seed.
type Settings = {
    Brokers: int
    /// Partition p is on shard p mod this.
    Shards: int
    Partitions: int
    IdempotentProducers: int
    PlainProducers: int
    Readers: int
    /// Members of the consumer group.
    Members: int
    /// Transactional ids.
    TransactionalIds: int
    /// How often a transactional id is taken, by one producer after another.
    Takeovers: int
    TransactionsPerProducer: int
    TransactionTimeout: TimeSpan
    BatchesPerProducer: int
    /// The longest a producer waits between batches.
    LongestThought: TimeSpan
    InlinePayloadBytes: int
    /// 0: no bundles.
    DataObjectBytes: int
    ReadAheadBytes: int
    /// How old, by the collecting broker's clock, a data object nothing refers to must be. Any span has to be safe.
    ObjectGrace: TimeSpan
    /// What becomes of the records of each partition; nothing for a partition whose topic brokers do not know.
    Cleanups: Cleanup voption[]
    CompactionLimits: CompactionLimits
    CompactionMemoryBytes: int64
    /// Zero: everybody compacts at any time.
    ClaimLease: TimeSpan
    /// The longest time from one compaction to the next at a broker.
    LongestCompactionRest: TimeSpan
    /// Whether brokers read other brokers' entries all the time.
    Follows: bool
    SnapshotEveryEntries: int
    CommitInterval: TimeSpan
    /// How long a broker tries before it answers a request with a timeout.
    BrokerPatience: TimeSpan
    Faults: Faults
    /// The mean time between crashes, pauses and cut networks; zero for none.
    MeanPeace: TimeSpan
    /// The longest pause.
    LongestPause: TimeSpan
    Control: Control
    /// Whether everything that happens is written out.
    IsTold: bool
}

/// The partitions of a run: each is that of a topic of its own.
[<RequireQualifiedAccess>]
module Topics =
    let partition number : TopicPartition = {
        TopicId = TopicId(Guid(number + 1, 0s, 0s, 0uy, 0uy, 0uy, 0uy, 0uy, 0uy, 0uy, 0uy))
        Partition = number
    }

    let cleanup (settings: Settings) (topicId: TopicId) =
        Seq.tryFindIndex
            (fun number -> (partition number).TopicId = topicId)
            (seq { 0 .. settings.Cleanups.Length - 1 })
        |> function
            | Some number -> settings.Cleanups[number]
            | None -> ValueNone

/// The store, and what is known of everything.
type World(scheduler: Scheduler, settings: Settings) =
    let space = ObjectSpace()
    let store = scheduler.NewProcess("store", TimeSpan.Zero)
    // Those of producers without transactions are below.
    let mutable producerIds = 1000L

    let logNames = Array.init settings.Shards (fun index -> $"shard-{index}")

    let judge =
        Judge(
            logNames,
            (fun () -> scheduler.Now),
            (fun name -> space.TryGet name),
            Topics.cleanup settings,
            settings.IsTold
        )

    do
        space.OnCreated <-
            fun name content ->
                for log in judge.Logs do
                    if name.StartsWith(ObjectLayout.entryPrefix log.LogName, StringComparison.Ordinal) then
                        log.OnEntryCreated(ObjectLayout.number name, content)
                    elif name.StartsWith(ObjectLayout.snapshotPrefix log.LogName, StringComparison.Ordinal) then
                        log.OnSnapshot(ObjectLayout.number name, content)

        space.OnDeleted <-
            fun name ->
                for log in judge.Logs do
                    if name.StartsWith(ObjectLayout.entryPrefix log.LogName, StringComparison.Ordinal) then
                        log.OnEntryDeleted(ObjectLayout.number name)
                    elif name.StartsWith(DataObjectName.Prefix log.LogName, StringComparison.Ordinal) then
                        log.OnObjectDeleted name

    member _.Scheduler = scheduler
    member _.Settings = settings
    member _.Space = space
    member _.Store = store
    member _.Judge = judge

    /// All that compactors have done.
    member val Compaction = CompactionCounts() with get, set

    /// How often a broker was stopped while it was compacting.
    member val StopsWhileCompacting = 0 with get, set

    /// A producer id that nobody has, from a catalog that is always there.
    member _.NextProducerId(asking: Process, _timeout: TimeSpan) : Task<int64> =
        task {
            do! Task.Delay(TimeSpan.FromMilliseconds(scheduler.Random.NextDouble() * 20.0), asking.Time)
            producerIds <- producerIds + 1L
            return producerIds
        }

    /// What goes wrong at present.
    member val Faults = settings.Faults with get, set

/// A broker that is not there to answer.
exception NotThereException of unit

/// One shard at one life of a broker.
[<Sealed; AllowNullLiteral>]
type BrokerShard(replica: ShardReplica, reader: RecordsReader, groups: GroupCoordinator, compactor: Compactor) =
    let mutable last: Published<ShardState> = null
    let mutable changes = 0

    member _.Replica = replica
    member _.Reader = reader
    member _.Groups = groups
    member _.Compactor = compactor

    /// How many entries it has taken since its state was looked at.
    member val Taken = 0 with get, set

    /// Looks at the published state, if it is a new one.
    member this.Check(judge: LogJudge, broker: string) =
        let current = replica.Current

        if not (obj.ReferenceEquals(current, last)) then
            changes <- changes + 1

            let isReload =
                isNull last || current.EntryNumber - last.EntryNumber > int64 this.Taken

            judge.OnPublished(broker, last, current, isReload || changes % 16 = 0)
            last <- current
            this.Taken <- 0

/// One broker through its crashes and restarts: the real replicas over its own faulty way to the store.
[<Sealed; AllowNullLiteral>]
type Broker(number: int, cluster: World) =
    let scheduler = cluster.Scheduler
    let settings = cluster.Settings
    let mutable incarnation = 0

    member val Name = $"broker {number}" with get, set
    member val Process: Process = null with get, set

    /// By number; null while the broker is down or starting.
    member val Shards: BrokerShard[] = null with get, set
    member val Transactions: TransactionCoordinator = null with get, set
    member val IsCut = false with get, set

    /// Whether it is compacting now.
    member val IsCompacting = false with get, set

    member _.Incarnation = incarnation

    /// The shard of a partition.
    member this.ShardOf(key: TopicPartition) =
        this.Shards[key.Partition % settings.Shards]

    /// The shard of a group or a transactional id.
    member this.ShardOfName(key: string) =
        this.Shards[Placement.shardOfKey settings.Shards key]

    member private this.Watch(replica: ShardReplica, itsProcess: Process) =
        task {
            try
                do! replica.Completion
            with failure ->
                cluster.Judge.Violation $"{this.Name} ended: {failure.GetType().Name}: {failure.Message}"

            if obj.ReferenceEquals(itsProcess, this.Process) then
                this.Crash()
                this.Start()
        }

    /// It never ends by itself.
    member private this.WatchGroups(groups: GroupCoordinator) =
        task {
            try
                do! groups.Completion
            with failure ->
                cluster.Judge.Violation $"groups of {this.Name} ended: {failure.GetType().Name}: {failure.Message}"
        }

    /// Published states are looked at after every step of the broker.
    member this.Check() =
        if not (isNull this.Shards) then
            for index in 0 .. this.Shards.Length - 1 do
                this.Shards[index].Check(cluster.Judge.Logs[index], this.Name)

    member private this.OpenShard(index: int, itsProcess: Process, objects: IObjects) : Task<BrokerShard> =
        let random = scheduler.Random
        let judge = cluster.Judge.Logs[index]

        let note text =
            cluster.Judge.Note $"{this.Name}: {text}"

        let log =
            ObjectLog(judge.LogName, objects, itsProcess.Time, Controls.safeguard settings.Control)
            |> Controls.log settings.Control

        let blobs = ObjectBlobs objects |> Controls.blobs settings.Control

        let reader =
            RecordsReader(index, log, blobs, RecordCache 2000L, settings.ReadAheadBytes)

        let shardObserver = ShardObserver(reader, PartitionWaiters())
        let inner = shardObserver :> ICommitObserver<ShardEvent>
        let opened: BrokerShard ref = ref null

        let observer = {
            new ICommitObserver<ShardEvent> with
                member _.OnAppending(number, events, written) =
                    inner.OnAppending(number, events, written)

                member _.OnCommitted(number, events, isOwn) =
                    if not (isNull opened.Value) then
                        opened.Value.Taken <- opened.Value.Taken + 1

                    judge.OnCommitted(this.Name, number, events)
                    inner.OnCommitted(number, events, isOwn)

                member _.OnPublished events = inner.OnPublished events
                member _.OnSkipped() = inner.OnSkipped()
        }

        let options =
            ReplicaOptions(
                CommitInterval = settings.CommitInterval,
                InlinePayloadBytes = settings.InlinePayloadBytes,
                DataObjectBytes = settings.DataObjectBytes,
                SnapshotEveryEntries = settings.SnapshotEveryEntries,
                SnapshotLeastShareOfState = 0.0,
                TimeProvider = itsProcess.Time,
                Random = Random(random.Next()),
                OnNotice = note
            )

        let decider =
            ShardDecider {
                ProducerIdExpirationMs = 86_400_000L
                Groups = GroupSettings.Default
                Transactions = TransactionSettings.Default
            }
            |> Controls.decider settings.Control

        task {
            while isNull opened.Value do
                try
                    let! replica =
                        ShardReplica.OpenAsync(
                            log,
                            blobs,
                            decider,
                            ShardCodec(),
                            observer,
                            options,
                            CancellationToken.None
                        )

                    let groups =
                        GroupCoordinator(
                            replica,
                            GroupCoordinatorOptions(
                                StoreTimeout = settings.BrokerPatience,
                                Random = Random(random.Next()),
                                TimeProvider = itsProcess.Time,
                                OnNotice = note
                            )
                        )

                    shardObserver.Groups <- groups

                    let compactor =
                        Compactor(
                            replica,
                            reader,
                            log,
                            blobs,
                            Controls.cleanup settings.Control (Topics.cleanup settings),
                            CompactorOptions(
                                MemoryBytes = settings.CompactionMemoryBytes,
                                Limits = settings.CompactionLimits,
                                Grace = settings.ObjectGrace,
                                TrimGrace = ObjectLayout.grace,
                                ClaimLease = settings.ClaimLease,
                                StoreTimeout = settings.BrokerPatience,
                                TimeProvider = itsProcess.Time,
                                Random = Random(random.Next()),
                                OnNotice = note
                            )
                        )

                    shardObserver.Compactor <- compactor
                    opened.Value <- BrokerShard(replica, reader, groups, compactor)
                    this.WatchGroups groups |> ignore

                    if settings.Follows then
                        replica.Follow() |> ignore

                    this.Watch(replica, itsProcess) |> ignore
                with
                | :? StoreUnavailableException -> do! Task.Delay(TimeSpan.FromMilliseconds 300.0, itsProcess.Time)
                | failure ->
                    cluster.Judge.Violation $"{this.Name} cannot start: {failure.GetType().Name}: {failure.Message}"
                    do! Task.Delay(TimeSpan.FromSeconds 5.0, itsProcess.Time)

            return opened.Value
        }

    member this.Start() =
        incarnation <- incarnation + 1
        let random = scheduler.Random
        let skew = TimeSpan.FromMilliseconds(float (random.Next(-5000, 5000)))
        let itsProcess = scheduler.NewProcess($"{this.Name}.{incarnation}", skew)
        this.Process <- itsProcess

        let objects =
            FaultyObjects(
                scheduler,
                cluster.Space,
                cluster.Store,
                itsProcess,
                (fun () -> cluster.Faults),
                (fun () -> this.IsCut)
            )

        let start () =
            task {
                let opening = [|
                    for index in 0 .. settings.Shards - 1 -> this.OpenShard(index, itsProcess, objects)
                |]

                let shards = Array.zeroCreate opening.Length

                for index in 0 .. opening.Length - 1 do
                    let! shard = opening[index]
                    shards[index] <- shard

                let leaders = Placement.leaders shards.Length [| 1 .. settings.Brokers |]

                let coordinator =
                    new TransactionCoordinator(
                        Array.map (fun (shard: BrokerShard) -> shard.Replica) shards,
                        (fun timeout -> cluster.NextProducerId(itsProcess, timeout) |> ValueTask<int64>),
                        TransactionCoordinatorOptions(
                            IsLeaderOf = (fun shard -> leaders[shard] = number),
                            StoreTimeout = settings.BrokerPatience,
                            TimeProvider = itsProcess.Time,
                            OnNotice = (fun text -> cluster.Judge.Note $"{this.Name}: {text}")
                        )
                    )

                if obj.ReferenceEquals(itsProcess, this.Process) then
                    this.Transactions <- coordinator
                    this.Shards <- shards
            }

        scheduler.Spawn(itsProcess, start) |> ignore

        scheduler.Spawn(itsProcess, (fun () -> this.CompactNowAndThen itsProcess))
        |> ignore

    member this.Crash() =
        if not (isNull this.Process) then
            scheduler.Kill this.Process

        this.Shards <- null
        this.Transactions <- null
        this.IsCompacting <- false

    /// A collector that does not look again after it has said how far it goes.
    member private this.CollectCarelessly(shard: BrokerShard, logName: string, itsProcess: Process) =
        task {
            let prefix = DataObjectName.Prefix logName
            let state = shard.Replica.Current.State

            let beforeMs =
                (itsProcess.Time.GetUtcNow() - settings.ObjectGrace).ToUnixTimeMilliseconds()

            let doomed = [|
                for found in cluster.Space.List(scheduler.NowTicks, prefix) do
                    match DataObjectName.TryGetTime(logName, found.Name) with
                    | true, namedAtMs when namedAtMs < beforeMs && not (state.Objects.ContainsKey found.Name) ->
                        found.Name
                    | _ -> ()
            |]

            if doomed.Length > 0 then
                let! _ =
                    shard.Replica.SubmitAsync(CollectObjects beforeMs, Payload.None, settings.BrokerPatience)

                Array.iter cluster.Space.Delete doomed
        }

    /// Compacts, and deletes old objects that nothing refers to, as housekeeping does.
    member private this.CompactNowAndThen(itsProcess: Process) =
        task {
            while true do
                do! Task.Delay(settings.LongestCompactionRest * scheduler.Random.NextDouble(), itsProcess.Time)
                let shards = this.Shards

                if not (isNull shards) then
                    this.IsCompacting <- true

                    for index in 0 .. shards.Length - 1 do
                        try
                            if settings.Control = CarelessCollector then
                                do! this.CollectCarelessly(shards[index], cluster.Judge.Logs[index].LogName, itsProcess)

                            let! counts = shards[index].Compactor.PassAsync CancellationToken.None
                            cluster.Compaction <- cluster.Compaction + counts
                        with
                        | :? StoreUnavailableException
                        | :? TimeoutException -> ()
                        | failure ->
                            cluster.Judge.Violation
                                $"compaction at {this.Name} fails: {failure.GetType().Name}: {failure.Message}"

                    if obj.ReferenceEquals(itsProcess, this.Process) then
                        this.IsCompacting <- false
        }

/// The brokers and all they share.
[<Sealed>]
type Cluster(scheduler: Scheduler, settings: Settings) as this =
    inherit World(scheduler, settings)

    let brokers = [| for number in 1 .. settings.Brokers -> Broker(number, this) |]

    do
        scheduler.AfterStep <-
            fun owner ->
                for broker in brokers do
                    if obj.ReferenceEquals(broker.Process, owner) then
                        broker.Check()

    member _.Brokers = brokers

    member _.AnyBroker() =
        brokers[scheduler.Random.Next brokers.Length]

    member _.Partition number = Topics.partition number

/// A client's connection to one life of a broker: requests arrive in their order, or never. A client that did not get an
/// answer in time opens another one.
[<Sealed>]
type Connection(cluster: Cluster, client: Process, broker: Broker) =
    let scheduler = cluster.Scheduler
    let target = broker.Process
    let requests = Queue<unit -> unit>()
    let mutable latest = 0L
    let mutable isRefused = false
    let mutable isClosed = false

    let chain =
        if cluster.Settings.Control = NoChains then
            null
        else
            CommandChain()

    let latency () =
        TimeSpan.FromMilliseconds(0.1 + scheduler.Random.NextDouble() * 3.0)

    /// Appends of this connection take effect in their order.
    member _.Chain = chain

    /// What a handler asks before it does what the client may have had done elsewhere since.
    member _.IsClientGone = isClosed

    /// The client gives it up: what has not been read by then is not taken any more.
    member _.Close() = isClosed <- true

    /// Runs a request at the broker; `TimeoutException` when there is no answer in time.
    member _.Call(timeout: TimeSpan, request: Broker -> Task<'Reply>) : Task<'Reply> =
        let reply = TaskCompletionSource<'Reply>()

        let run () =
            task {
                try
                    // A broker listens once it is ready: a connection is refused from its beginning or not at all.
                    isRefused <- isRefused || isNull broker.Shards

                    if isRefused || isClosed then
                        raise (NotThereException())

                    let! answer = request broker
                    scheduler.After(client, latency (), (fun () -> reply.TrySetResult answer |> ignore))
                with failure ->
                    scheduler.After(client, latency (), (fun () -> reply.TrySetException failure |> ignore))
            }

        requests.Enqueue(fun () -> run () |> ignore)
        latest <- max latest (scheduler.NowTicks + latency().Ticks)

        scheduler.After(target, TimeSpan.FromTicks(latest - scheduler.NowTicks), fun () -> requests.Dequeue () ())

        scheduler.After(client, timeout, (fun () -> reply.TrySetException(TimeoutException()) |> ignore))
        reply.Task
