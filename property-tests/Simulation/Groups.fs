/// Members of a consumer group at a simulated cluster: they join at one broker, beat their hearts at another and commit at a third.
module Tansu.PropertyTests.Simulation.Groups

open System
open System.Threading
open System.Threading.Tasks
open Tansu.Adapters.Ports
open Tansu.Domain

/// The one group.
[<Literal>]
let GroupId = "group"

let private sessionTimeout = TimeSpan.FromSeconds 10.0
let private rebalanceTimeout = TimeSpan.FromSeconds 20.0

/// What a call came to, for the member.
[<NoComparison; NoEquality>]
type private Answer<'Reply> =
    | Said of 'Reply
    | Refusal of Refusal
    | NoAnswer

let private isRetriable (failure: exn) =
    match failure with
    | :? TimeoutException
    | :? StoreUnavailableException
    | :? OperationCanceledException
    | :? NotThereException -> true
    | _ -> false

/// One member through its generations, pauses and restarts; it ends once it is told to and has seen a generation in which all is well.
type private Member(cluster: Cluster, number: int, isLast: unit -> bool) =
    let scheduler = cluster.Scheduler
    let random = scheduler.Random
    let client = scheduler.NewProcess($"member {number}", TimeSpan.Zero)
    let judge = cluster.Judge

    /// Some are static members.
    let instanceId = if random.Next 3 = 0 then $"instance-{number}" else null

    let mutable memberId = ""
    let mutable generation = -1
    let mutable owned: int list = []
    let mutable positions: Map<int, int64> = Map.empty

    let rest (longest: TimeSpan) =
        Task.Delay(longest * random.NextDouble(), client.Time)

    /// To the broker that the client takes for the coordinator.
    let mutable connection = Connection(cluster, client, cluster.AnyBroker())

    let reconnect () =
        connection.Close()
        connection <- Connection(cluster, client, cluster.AnyBroker())

    let call (timeout: TimeSpan) (request: Broker -> Task<Answer<'Reply>>) : Task<Answer<'Reply>> =
        task {
            if random.Next 10 = 0 then
                reconnect ()

            try
                return! connection.Call(timeout, request)
            with failure when isRetriable failure ->
                reconnect ()
                do! rest (TimeSpan.FromMilliseconds 400.0)
                return NoAnswer
        }

    let patience = cluster.Settings.BrokerPatience

    /// Some clients give up while the broker still tries, and go to another one.
    let clientPatience = TimeSpan.FromSeconds 1.0 + patience * 2.0 * random.NextDouble()

    let newMemberId () =
        let bytes = Array.zeroCreate<byte> 10
        random.NextBytes bytes
        let now = client.Time.GetUtcNow()
        let id = Guid.CreateVersion7(now).ToByteArray(true)
        Array.blit bytes 0 id 6 10
        id[6] <- (id[6] &&& 0x0Fuy) ||| 0x70uy
        id[8] <- (id[8] &&& 0x3Fuy) ||| 0x80uy
        let guid = Guid(ReadOnlySpan id, true)
        $"client-{guid}"

    // What a request says is what holds when it is sent: it may arrive much later.

    let join () =
        let known = memberId

        call (rebalanceTimeout + TimeSpan.FromSeconds 5.0) (fun broker ->
            task {
                let join: GroupJoin = {
                    MemberId = known
                    NewMemberId = newMemberId ()
                    InstanceId = instanceId
                    ClientId = "client"
                    ClientHost = "/127.0.0.1"
                    SessionTimeoutMs = int sessionTimeout.TotalMilliseconds
                    RebalanceTimeoutMs = int rebalanceTimeout.TotalMilliseconds
                    ProtocolType = ConsumerProtocol.Type
                    Protocols = [| { Name = "range"; Metadata = [| 1uy |] } |]
                    RequiresKnownMemberId = true
                    CanSkipAssignment = true
                }

                match!
                    (broker.ShardOfName GroupId).Groups.JoinAsync(GroupId, join, patience, CancellationToken.None)
                with
                | JoinedAtOnce joined -> return Said(Choice1Of2 joined)
                | JoinRefused(MemberIdRequired, id) -> return Said(Choice2Of2 id)
                | JoinRefused(refusal, _) -> return Refusal refusal
                | other -> return failwith $"not the answer to a JoinGroup: {other.GetType().Name}"
            })

    /// The leader deals the partitions out.
    let assignments (joined: JoinedGroup) = [|
        for index in 0 .. joined.Members.Length - 1 do
            struct (joined.Members[index].MemberId,
                    [|
                        for partition in 0 .. cluster.Settings.Partitions - 1 do
                            if partition % joined.Members.Length = index then
                                byte partition
                    |])
    |]

    let sync (joined: JoinedGroup) =
        let memberId = joined.MemberId

        call clientPatience (fun broker ->
            task {
                let sync: GroupSync = {
                    MemberId = memberId
                    InstanceId = instanceId
                    Generation = joined.Generation
                    ProtocolType = ConsumerProtocol.Type
                    ProtocolName = "range"
                    Assignments =
                        if joined.Leader = memberId && not joined.SkipAssignment then
                            assignments joined
                        else
                            [||]
                }

                match!
                    (broker.ShardOfName GroupId).Groups.SyncAsync(GroupId, sync, patience, CancellationToken.None)
                with
                | IsAssigned(_, _, assignment) -> return Said assignment
                | SyncFailed refusal -> return Refusal refusal
                | other -> return failwith $"not the answer to a SyncGroup: {other.GetType().Name}"
            })

    let heartbeat () =
        let memberId = memberId
        let generation = generation

        call clientPatience (fun broker ->
            task {
                let! refusal =
                    (broker.ShardOfName GroupId)
                        .Groups.HeartbeatAsync(GroupId, memberId, instanceId, generation, patience)

                return if isNull (box refusal) then Said() else Refusal refusal
            })

    let fetchOffsets () =
        let acknowledged = judge.CommitsAcknowledged GroupId

        call clientPatience (fun broker ->
            task {
                if cluster.Settings.Control <> OffsetsAsKnown then
                    do! (broker.ShardOfName GroupId).Groups.CatchUpAsync patience

                let group =
                    Shard.group GroupId (broker.ShardOfName GroupId).Replica.Current.State
                    |> ValueOption.defaultValue Group.initial

                return
                    Said(
                        Map.ofSeq (
                            seq {
                                for KeyValue(key, offset) in group.Offsets do
                                    key.Partition, offset.Offset
                            }
                        )
                    )
            })
        |> fun fetching ->
            task {
                let! fetched = fetching

                match fetched with
                | Said offsets -> judge.OnOffsetsFetched($"member {number}", GroupId, acknowledged, offsets)
                | _ -> ()

                return fetched
            }

    let commit () =
        let offsets = [|
            for partition in owned do
                {
                    Partition = cluster.Partition partition
                    Offset = positions[partition]
                    LeaderEpoch = -1
                    Metadata = ""
                }
        |]

        let memberId = memberId
        let generation = generation

        task {
            let! answer =
                call clientPatience (fun broker ->
                    task {
                        match!
                            (broker.ShardOfName GroupId)
                                .Groups.CommitAsync(GroupId, memberId, instanceId, generation, offsets, patience)
                        with
                        | OffsetsJudged _ -> return Said()
                        | GroupRefused refusal -> return Refusal refusal
                        | other -> return failwith $"not the answer to an OffsetCommit: {other.GetType().Name}"
                    })

            match answer with
            | Said() ->
                for offset in offsets do
                    judge.OnCommitAcknowledged(GroupId, offset.Partition, offset.Offset)
            | _ -> ()

            return answer
        }

    /// What a client does about a refusal.
    let react (refusal: Refusal) =
        judge.Note $"member {number} is told {refusal.GetType().Name}"
        owned <- []
        generation <- -1

        match refusal with
        | UnknownMemberId
        | FencedInstanceId -> memberId <- ""
        | IllegalGeneration
        | RebalanceInProgress
        | CommitOvertaken -> ()
        | other -> judge.Violation $"member {number} is refused with {other.GetType().Name}"

    /// Joins until it owns something, or nothing, in a generation.
    let enter () =
        task {
            let mutable isIn = false

            while not isIn do
                match! join () with
                | Said(Choice2Of2 id) -> memberId <- id
                | Said(Choice1Of2 joined) ->
                    memberId <- joined.MemberId

                    match! sync joined with
                    | Said assignment ->
                        generation <- joined.Generation
                        owned <- [ for partition in assignment -> int partition ]
                        judge.OnOwned($"member {number}", GroupId, generation, owned)
                        let mutable isKnown = false

                        while not isKnown do
                            match! fetchOffsets () with
                            | Said offsets ->
                                positions <-
                                    Map.ofList [
                                        for partition in owned ->
                                            partition, Map.tryFind partition offsets |> Option.defaultValue 0L
                                    ]

                                isKnown <- true
                            | _ -> ()

                        isIn <- true
                    | Refusal refusal -> react refusal
                    | NoAnswer -> ()
                | Refusal refusal -> react refusal
                | NoAnswer -> ()
        }

    let live () =
        task {
            let mutable isDone = false

            while not isDone do
                if generation < 0 then
                    do! enter ()

                // The heartbeat's interval, with some work in between.
                do! rest (TimeSpan.FromSeconds 5.0)

                match random.Next 12 with
                | 0 ->
                    // Away for longer than its session, perhaps: what it believed may no longer hold.
                    scheduler.Pause(client, sessionTimeout * 2.0 * random.NextDouble(), random.Next 2 = 0)
                    do! rest (TimeSpan.FromMilliseconds 1.0)
                | 1 when not (isLast ()) ->
                    // It restarts: a static member comes back for its place, another one's is given away after its session.
                    owned <- []
                    generation <- -1
                    memberId <- ""
                | _ -> ()

                if generation >= 0 then
                    for partition in owned do
                        positions <- Map.add partition (positions[partition] + int64 (random.Next 3)) positions

                    let isFinal = isLast ()
                    let! committed = if owned.IsEmpty then Task.FromResult(Said()) else commit ()

                    match committed with
                    | Refusal refusal -> react refusal
                    | Said()
                    | NoAnswer ->
                        match! heartbeat () with
                        | Refusal refusal -> react refusal
                        | Said() -> isDone <- isFinal
                        | NoAnswer -> ()
        }

    let leave () =
        task {
            let mutable isOut = false

            while not isOut do
                let! answer =
                    call clientPatience (fun broker ->
                        task {
                            let leaving = [| { MemberId = memberId; InstanceId = instanceId } |]

                            match! (broker.ShardOfName GroupId).Groups.AskAsync(GroupId, Leave leaving, patience) with
                            | MembersLeft _ -> return Said()
                            | other -> return failwith $"not the answer to a LeaveGroup: {other.GetType().Name}"
                        })

                isOut <- answer.IsSaid
        }

    member _.Run() =
        scheduler.Spawn(
            client,
            fun () ->
                task {
                    do! live ()
                    do! leave ()
                }
        )

/// A member of the group.
let groupMember (cluster: Cluster) (number: int) (isLast: unit -> bool) = Member(cluster, number, isLast).Run()
