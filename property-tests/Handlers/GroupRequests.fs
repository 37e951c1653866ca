/// What members of consumer groups ask of brokers.
module Tansu.PropertyTests.Handlers.GroupRequests

open System
open System.Text
open System.Threading.Tasks
open Expecto
open Tansu.Codec
open Tansu.Codec.Messages
open Tansu.PropertyTests.Handlers.GroupRig

let utf8 (text: string) =
    ReadOnlyMemory(Encoding.UTF8.GetBytes text)

let text (bytes: ReadOnlyMemory<byte>) = Encoding.UTF8.GetString bytes.Span

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
        let! response =
            node.Do(fun desk -> desk.Ask<_, OffsetCommitResponse>(request, version))

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
        let! _ =
            Task.WhenAll [| for one, node in members -> rig.Spawn(fun () -> one.Join node) |]

        let generations =
            members |> List.map (fun (one, _) -> one.Generation) |> List.distinct

        Expect.equal generations.Length 1 "one generation"

        let! _ =
            Task.WhenAll [| for one, node in members -> rig.Spawn(fun () -> one.Sync node) |]

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
