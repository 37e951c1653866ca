/// Brokers on one store in virtual time.
module Tansu.PropertyTests.Handlers.GroupRig

open System
open System.Threading
open System.Threading.Tasks
open Expecto
open Tansu.Adapters
open Tansu.Adapters.Ports
open Tansu.PropertyTests
open Tansu.PropertyTests.Handlers.Desk
open Tansu.PropertyTests.Simulation

let seconds (count: float) = TimeSpan.FromSeconds count

/// A memory store that says that it is open only once, as the file store does.
let private unshared (inner: IStore) = {
    new IStore with
        member _.Description = inner.Description
        member _.Limits = StoreLimits(8 * 1024 * 1024, TimeSpan.Zero, IsShared = false)
        member _.Blobs = inner.Blobs
        member _.OpenLogAsync(name, token) = inner.OpenLogAsync(name, token)

        member _.GetOrCreateClusterAsync(proposed, token) =
            inner.GetOrCreateClusterAsync(proposed, token)

        member _.DisposeAsync() = inner.DisposeAsync()
}

/// A way to the store that can be cut.
type Way() =
    member val IsCut = false with get, set

    /// Happens before every append.
    member val BeforeAppend: unit -> Task = (fun () -> Task.CompletedTask) with get, set

    /// Happens before every read of records.
    member val BeforeRecords: unit -> Task = (fun () -> Task.CompletedTask) with get, set

    /// What the store says is to be read in advance; 0: as it says.
    member val ReadAheadBytes = 0 with get, set

    member this.Log(inner: IEventLog) : IEventLog =
        let check () =
            if this.IsCut then
                raise (StoreUnavailableException "cut")

        {
            new IEventLog with
                member _.Name = inner.Name

                member _.TryAppendAsync(number, head, payload, token) =
                    check ()

                    task {
                        do! this.BeforeAppend()
                        return! inner.TryAppendAsync(number, head, payload, token)
                    }
                    |> ValueTask<AppendOutcome>

                member _.ReadHeadsAsync(after, maxEntries, token) =
                    check ()
                    inner.ReadHeadsAsync(after, maxEntries, token)

                member _.ReadPayloadAsync(number, position, destination, token) =
                    check ()

                    task {
                        do! this.BeforeRecords()
                        do! inner.ReadPayloadAsync(number, position, destination, token)
                    }
                    |> ValueTask

                member _.SaveSnapshotAsync(number, content, token) =
                    check ()
                    inner.SaveSnapshotAsync(number, content, token)

                member _.LoadSnapshotAsync(below, token) =
                    check ()
                    inner.LoadSnapshotAsync(below, token)

                member _.TrimAsync(below, token) =
                    check ()
                    inner.TrimAsync(below, token)

                member _.DisposeAsync() = inner.DisposeAsync()
        }

    member this.Store(inner: IStore) : IStore = {
        new IStore with
            member _.Description = inner.Description

            member _.Limits =
                match this.ReadAheadBytes with
                | 0 -> inner.Limits
                | bytes -> StoreLimits(8 * 1024 * 1024, TimeSpan.Zero, ReadAheadBytes = bytes)

            member _.Blobs = inner.Blobs

            member _.OpenLogAsync(name, token) =
                task {
                    let! log = inner.OpenLogAsync(name, token)
                    return this.Log log
                }
                |> ValueTask<IEventLog>

            member _.GetOrCreateClusterAsync(proposed, token) =
                inner.GetOrCreateClusterAsync(proposed, token)

            member _.DisposeAsync() = inner.DisposeAsync()
    }

/// A broker in a process of its own.
type Node(scheduler: Scheduler, owner: Process, desk: Desk, way: Way) =
    /// Cuts its way to the store, or mends it.
    member _.Cut isCut = way.IsCut <- isCut

    /// Every append takes so much longer from now on.
    member _.Slow(span: TimeSpan) =
        way.BeforeAppend <- fun () -> Task.Delay(span, owner.Time)

    member _.Desk = desk
    member _.Process = owner

    /// Does something at the broker.
    member _.Do(body: Desk -> Task<'Result>) : Task<'Result> =
        scheduler.Spawn(owner, (fun () -> body desk))

    /// As when the process is killed: nobody is told.
    member _.Kill() = scheduler.Kill owner

    /// Does nothing for some time; its clocks go on.
    member _.Pause span = scheduler.Pause(owner, span, false)

    /// In order, as at SIGTERM.
    member this.Stop() =
        this.Do(fun desk -> task { do! (desk :> IAsyncDisposable).DisposeAsync() })

/// The store and the clients' process.
type Rig(scheduler: Scheduler, clients: Process, isShared: bool) =
    let space = MemorySpace()

    member _.Scheduler = scheduler

    member _.Time = clients.Time

    member _.Sleep(span: TimeSpan) = Task.Delay(span, clients.Time)

    /// How long something takes.
    member _.Timed(body: unit -> Task<unit>) =
        task {
            let begun = clients.Time.GetUtcNow()
            do! body ()
            return clients.Time.GetUtcNow() - begun
        }

    /// Does something else at the same time.
    member _.Spawn(body: unit -> Task<'Result>) = scheduler.Spawn(clients, body)

    /// How many entries the log of the groups has.
    member _.Entries() =
        task {
            let store = new MemoryStore(space, StoreOptions.Default) :> IStore
            let! log = store.OpenLogAsync("shard-0", CancellationToken.None)
            let! heads = log.ReadHeadsAsync(0L, 1_000_000, CancellationToken.None)
            return heads.Count
        }

    /// Starts a broker; its clock differs from the others'.
    member _.Start(?delay: TimeSpan, ?skew: TimeSpan) =
        task {
            let skew =
                defaultArg skew (TimeSpan.FromSeconds(float (scheduler.Random.Next(-5, 5))))

            let owner = scheduler.NewProcess("broker", skew)

            let options =
                ClusterOptions(
                    AdvertisedHost = "localhost",
                    AdvertisedPort = 9092,
                    GroupInitialRebalanceDelay = defaultArg delay (TimeSpan.FromMilliseconds 200.0),
                    TimeProvider = owner.Time
                )

            let store = new MemoryStore(space, StoreOptions.Default) :> IStore
            let way = Way()
            let store = way.Store(if isShared then store else unshared store)

            let opening () =
                Desk.Open(time = owner.Time, store = store, options = options)

            let! desk = scheduler.Spawn(owner, opening)
            return Node(scheduler, owner, desk, way)
        }

let private run isShared (seed: int) (body: Rig -> Task<unit>) =
    let scheduler = Scheduler(Random seed, 5_000_000)
    let clients = scheduler.NewProcess("clients", TimeSpan.Zero)
    scheduler.Run(clients, (fun () -> body (Rig(scheduler, clients, isShared))))

/// A test in virtual time: nothing in it depends on how fast the machine is.
let rigTest name (body: Rig -> Task<unit>) =
    testCase name (fun () -> run true (int Check.seed) body)

/// The same several times, with other orders of what happens at the same time.
let ordersTest (times: int) name (body: Rig -> Task<unit>) =
    testCase name (fun () ->
        for number in 0 .. times - 1 do
            run true (int Check.seed + number) body)

/// The same on a store that admits one broker.
let aloneTest name (body: Rig -> Task<unit>) =
    testCase name (fun () -> run false (int Check.seed) body)

/// With one broker.
let nodeTest name (body: Rig -> Node -> Task<unit>) =
    rigTest name (fun rig ->
        task {
            let! node = rig.Start()
            do! body rig node
        })

/// With two.
let twoNodeTest name (body: Rig -> Node -> Node -> Task<unit>) =
    rigTest name (fun rig ->
        task {
            let! one = rig.Start()
            let! other = rig.Start()
            do! body rig one other
        })
