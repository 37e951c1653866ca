/// Brokers on one store in virtual time, and what members of consumer groups ask of them.
module Tansu.PropertyTests.Handlers.GroupRig

open System
open System.Text
open System.Threading
open System.Threading.Tasks
open Expecto
open Tansu.Adapters
open Tansu.Adapters.Ports
open Tansu.Codec
open Tansu.Codec.Messages
open Tansu.PropertyTests
open Tansu.PropertyTests.Handlers.Desk
open Tansu.PropertyTests.Simulation

let seconds (count: float) = TimeSpan.FromSeconds count

let utf8 (text: string) =
    ReadOnlyMemory(Encoding.UTF8.GetBytes text)

let text (bytes: ReadOnlyMemory<byte>) = Encoding.UTF8.GetString bytes.Span

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

    member this.Log(inner: IEventLog) : IEventLog =
        let check () =
            if this.IsCut then
                raise (StoreUnavailableException "cut")

        {
            new IEventLog with
                member _.Name = inner.Name

                member _.TryAppendAsync(number, head, payload, token) =
                    check ()
                    inner.TryAppendAsync(number, head, payload, token)

                member _.ReadHeadsAsync(after, maxEntries, token) =
                    check ()
                    inner.ReadHeadsAsync(after, maxEntries, token)

                member _.ReadPayloadAsync(number, position, destination, token) =
                    check ()
                    inner.ReadPayloadAsync(number, position, destination, token)

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
            member _.Limits = inner.Limits
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
    member _.Start(?delay: TimeSpan) =
        task {
            let skew = TimeSpan.FromSeconds(float (scheduler.Random.Next(-5, 5)))
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

// Requests.

let joinRequest (group: string) (memberId: string) =
    JoinGroupRequest(
        GroupId = group,
        MemberId = memberId,
        SessionTimeoutMs = 10_000,
        RebalanceTimeoutMs = 30_000,
        ProtocolType = "consumer",
        Protocols = [|
            JoinGroupRequest.JoinGroupRequestProtocol(Name = "range", Metadata = utf8 "metadata")
        |]
    )

let join (node: Node) (request: JoinGroupRequest) version =
    node.Do(fun desk -> desk.Ask<_, JoinGroupResponse>(request, version))

let syncRequest (group: string) (memberId: string) generation (assignments: (string * string) list) =
    SyncGroupRequest(
        GroupId = group,
        MemberId = memberId,
        GenerationId = generation,
        ProtocolType = "consumer",
        ProtocolName = "range",
        Assignments = [|
            for memberId, assignment in assignments ->
                SyncGroupRequest.SyncGroupRequestAssignment(MemberId = memberId, Assignment = utf8 assignment)
        |]
    )

let sync (node: Node) (request: SyncGroupRequest) version =
    node.Do(fun desk -> desk.Ask<_, SyncGroupResponse>(request, version))

let heartbeatRequest (group: string) (memberId: string) generation =
    HeartbeatRequest(GroupId = group, MemberId = memberId, GenerationId = generation)

let heartbeatIn version (node: Node) (request: HeartbeatRequest) =
    task {
        let! response = node.Do(fun desk -> desk.Ask<_, HeartbeatResponse>(request, version))
        return response.ErrorCode
    }

let heartbeat (node: Node) (group: string) (memberId: string) generation =
    heartbeatIn 4 node (heartbeatRequest group memberId generation)

let leave (node: Node) (request: LeaveGroupRequest) version =
    node.Do(fun desk -> desk.Ask<_, LeaveGroupResponse>(request, version))

let leaveRequest (group: string) (members: (string * string) list) =
    LeaveGroupRequest(
        GroupId = group,
        Members = [|
            for memberId, instanceId in members ->
                LeaveGroupRequest.MemberIdentity(MemberId = memberId, GroupInstanceId = instanceId)
        |]
    )

/// Offsets of partitions of one topic, each with metadata.
let commitRequest (group: string) (topic: string) (offsets: (int * int64) list) =
    OffsetCommitRequest(
        GroupId = group,
        Topics = [|
            OffsetCommitRequest.OffsetCommitRequestTopic(
                Name = topic,
                Partitions = [|
                    for partition, offset in offsets ->
                        OffsetCommitRequest.OffsetCommitRequestPartition(
                            PartitionIndex = partition,
                            CommittedOffset = offset,
                            CommittedLeaderEpoch = 3,
                            CommittedMetadata = $"at {offset}"
                        )
                |]
            )
        |]
    )

/// The errors of a commit, in order.
let commitIn version (node: Node) (request: OffsetCommitRequest) =
    task {
        let! response = node.Do(fun desk -> desk.Ask<_, OffsetCommitResponse>(request, version))

        return [
            for topic in response.Topics do
                for partition in topic.Partitions -> partition.ErrorCode
        ]
    }

let commit node request = commitIn 9 node request

let fetchAll (node: Node) (groups: string list) =
    let request =
        OffsetFetchRequest(
            Groups = [|
                for group in groups -> OffsetFetchRequest.OffsetFetchRequestGroup(GroupId = group, Topics = null)
            |]
        )

    node.Do(fun desk -> desk.Ask<_, OffsetFetchResponse>(request, 9))

/// All committed offsets of a group, by topic and partition.
let committed (node: Node) (group: string) =
    task {
        let! response = fetchAll node [ group ]
        Expect.equal response.Groups[0].ErrorCode ErrorCode.None "fetched"

        return
            [
                for topic in response.Groups[0].Topics do
                    for partition in topic.Partitions ->
                        (topic.Name, partition.PartitionIndex), partition.CommittedOffset
            ]
            |> List.sort
    }

let describe (node: Node) (group: string) =
    task {
        let! response =
            node.Do(fun desk -> desk.Ask<_, DescribeGroupsResponse>(DescribeGroupsRequest(Groups = [| group |]), 5))

        return response.Groups[0]
    }

let stateOf (node: Node) (group: string) =
    task {
        let! described = describe node group
        return described.GroupState
    }

let create (node: Node) (topic: string) partitions =
    node.Do(fun desk -> desk.Create(topic, partitions, []))

// A member.

/// A member of a group, as a client library would be one. Every request may go to another broker.
type Consumer(group: string, ?instanceId: string, ?change: JoinGroupRequest -> unit) =
    let instanceId = Option.toObj instanceId
    member val Id = "" with get, set
    member val Generation = -1 with get, set
    member val IsLeader = false with get, set
    member val Members: string list = [] with get, set
    member val Assignment = "" with get, set

    /// Asks to join until there is another answer than an id to come back with.
    member this.TryJoin(node: Node) =
        task {
            let request = joinRequest group this.Id
            request.GroupInstanceId <- instanceId
            change |> Option.iter (fun change -> change request)
            let! response = join node request 9

            if response.ErrorCode = ErrorCode.MemberIdRequired then
                this.Id <- response.MemberId
                return! this.TryJoin node
            else
                if response.ErrorCode = ErrorCode.None then
                    this.Id <- response.MemberId
                    this.Generation <- response.GenerationId
                    this.IsLeader <- response.Leader = response.MemberId
                    this.Members <- [ for one in response.Members -> one.MemberId ]

                return response.ErrorCode
        }

    member this.Join(node: Node) =
        task {
            let! error = this.TryJoin node
            Expect.equal error ErrorCode.None "joined"
        }

    /// The leader gives everybody their own id.
    member this.TrySync(node: Node) =
        task {
            let assignments =
                if this.IsLeader then
                    [ for one in this.Members -> one, one ]
                else
                    []

            let request = syncRequest group this.Id this.Generation assignments
            request.GroupInstanceId <- instanceId
            let! response = sync node request 5

            if response.ErrorCode = ErrorCode.None then
                this.Assignment <- text response.Assignment

            return response.ErrorCode
        }

    member this.Sync(node: Node) =
        task {
            let! error = this.TrySync node
            Expect.equal error ErrorCode.None "synced"
            Expect.equal this.Assignment this.Id "assigned"
        }

    member this.Heartbeat(node: Node) =
        task {
            let request = heartbeatRequest group this.Id this.Generation
            request.GroupInstanceId <- instanceId
            return! heartbeatIn 4 node request
        }

    member this.TryCommit(node: Node, topic, partition, offset) =
        task {
            let request = commitRequest group topic [ partition, offset ]
            request.MemberId <- this.Id
            request.GroupInstanceId <- instanceId
            request.GenerationIdOrMemberEpoch <- this.Generation
            let! errors = commit node request
            return List.exactlyOne errors
        }

    member this.Leave(node: Node) =
        task {
            let! response = leave node (leaveRequest group [ this.Id, instanceId ]) 5
            Expect.equal response.Members[0].ErrorCode ErrorCode.None "left"
        }

/// Everybody joins, each at its broker, until all are in one generation and have their assignments.
let gather (rig: Rig) (members: (Consumer * Node) list) =
    task {
        let! _ = Task.WhenAll [| for one, node in members -> rig.Spawn(fun () -> one.Join node) |]

        let generations = members |> List.map (fun (one, _) -> one.Generation) |> List.distinct
        Expect.equal generations.Length 1 "one generation"
        let! _ = Task.WhenAll [| for one, node in members -> rig.Spawn(fun () -> one.Sync node) |]
        return ()
    }

/// Heartbeats of a member every so often until some time has passed; the errors it was told.
let beat (rig: Rig) (one: Consumer) (node: Node) (every: TimeSpan) (span: TimeSpan) =
    rig.Spawn(fun () ->
        task {
            let until = rig.Time.GetUtcNow() + span
            let errors = ResizeArray()

            while rig.Time.GetUtcNow() < until do
                let! error = one.Heartbeat node

                if error <> ErrorCode.None then
                    errors.Add error

                do! rig.Sleep every

            return List.ofSeq errors
        })
