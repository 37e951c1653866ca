/// JoinGroup, SyncGroup, Heartbeat and LeaveGroup at one broker.
module Tansu.PropertyTests.Handlers.GroupMembers

open System
open System.Threading.Tasks
open Expecto
open Tansu.Adapters
open Tansu.Codec
open Tansu.Codec.Messages
open Tansu.PropertyTests.Handlers.Desk
open Tansu.PropertyTests.Handlers.GroupRig
open Tansu.PropertyTests.Handlers.GroupRequests

let private joining =
    testList "JoinGroup" [
        nodeTest "lets a new member in, in every version, with the fields of that version" (fun _ node ->
            task {
                for version in 0..9 do
                    let group = $"group-{version}"
                    let! first = join node (joinRequest group "") version

                    let! response =
                        if version < 4 then
                            Task.FromResult first
                        else
                            Expect.equal first.ErrorCode ErrorCode.MemberIdRequired "come back"
                            Expect.isNonEmpty first.MemberId "with this id"
                            Expect.equal first.GenerationId -1 "no generation"
                            join node (joinRequest group first.MemberId) version

                    Expect.equal response.ErrorCode ErrorCode.None $"version {version}"
                    Expect.equal response.GenerationId 1 "generation"
                    Expect.equal response.ProtocolName "range" "protocol"

                    Expect.equal
                        response.ProtocolType
                        (if version >= 7 then "consumer" else null)
                        $"protocol type in version {version}"

                    Expect.equal response.Leader response.MemberId "it leads"
                    Expect.isFalse response.SkipAssignment "it assigns"
                    Expect.equal [ for one in response.Members -> one.MemberId ] [ response.MemberId ] "members"
                    Expect.equal (text response.Members[0].Metadata) "metadata" "metadata"

                    if version >= 4 then
                        Expect.equal response.MemberId first.MemberId "the id it was given"
            })

        nodeTest "refuses what Kafka refuses, with the member's own id" (fun _ node ->
            task {
                let one = Consumer "group"
                do! one.Join node
                do! one.Sync node

                let refusals: (string * (JoinGroupRequest -> unit) * ErrorCode) list = [
                    "an empty group id", (fun request -> request.GroupId <- ""), ErrorCode.InvalidGroupId
                    "a short session",
                    (fun request -> request.SessionTimeoutMs <- 5_999),
                    ErrorCode.InvalidSessionTimeout
                    "a long session",
                    (fun request -> request.SessionTimeoutMs <- 1_800_001),
                    ErrorCode.InvalidSessionTimeout
                    "an unknown member", (fun request -> request.MemberId <- "nobody"), ErrorCode.UnknownMemberId
                    "an unknown member of an unknown group",
                    (fun request ->
                        request.GroupId <- "none"
                        request.MemberId <- "nobody"),
                    ErrorCode.UnknownMemberId
                    "another protocol type",
                    (fun request -> request.ProtocolType <- "connect"),
                    ErrorCode.InconsistentGroupProtocol
                    "no protocol in common",
                    (fun request -> request.Protocols[0].Name <- "sticky"),
                    ErrorCode.InconsistentGroupProtocol
                    "no protocol at all",
                    (fun request ->
                        request.GroupId <- "new"
                        request.Protocols <- [||]),
                    ErrorCode.InconsistentGroupProtocol
                ]

                for name, change, expected in refusals do
                    for version in 0..9 do
                        let request = joinRequest "group" ""
                        change request
                        let! response = join node request version
                        Expect.equal response.ErrorCode expected $"{name} in version {version}"
                        Expect.equal response.MemberId request.MemberId "member id"
                        Expect.equal response.GenerationId -1 "generation"

                        Expect.equal response.ProtocolName (if version < 7 then "" else null) "protocol name"

                let! error = one.Heartbeat node
                Expect.equal error ErrorCode.None "nothing has happened to the group"
            })

        nodeTest "of two at the same time gives one generation, whose leader knows both" (fun rig node ->
            task {
                let members = [ Consumer "group"; Consumer "group" ]
                do! gather rig [ for one in members -> one, node ]
                let leader = members |> List.find _.IsLeader
                Expect.equal (List.sort leader.Members) (members |> List.map _.Id |> List.sort) "members"
                let follower = members |> List.find (fun one -> not one.IsLeader)
                Expect.isEmpty follower.Members "the other learns of nobody"
            })

        nodeTest "of one more makes the others join again" (fun rig node ->
            task {
                let one, other = Consumer "group", Consumer "group"
                do! gather rig [ one, node ]
                let joined = rig.Spawn(fun () -> other.Join node)
                do! rig.Sleep(seconds 3.0)
                Expect.isFalse joined.IsCompleted "it waits for the first"
                let! error = one.Heartbeat node
                Expect.equal error ErrorCode.RebalanceInProgress "the first is told"
                let! error = one.TrySync node
                Expect.equal error ErrorCode.RebalanceInProgress "SyncGroup tells too"
                do! one.Join node
                do! joined
                Expect.equal (one.Generation, other.Generation) (2, 2) "generation"
                Expect.isTrue one.IsLeader "the leader stays"
                let following = rig.Spawn(fun () -> other.Sync node)
                do! rig.Sleep(seconds 1.0)
                Expect.isFalse following.IsCompleted "it waits for the leader"
                do! one.Sync node
                do! following
            })

        nodeTest "again by a follower changes nothing, by the leader or with other metadata everything" (fun rig node ->
            task {
                let members = [ Consumer "group"; Consumer "group" ]
                do! gather rig [ for one in members -> one, node ]
                let follower = members |> List.find (fun one -> not one.IsLeader)
                let leader = members |> List.find _.IsLeader
                do! follower.Join node
                Expect.equal follower.Generation 1 "the same generation"
                do! follower.Sync node
                let again = rig.Spawn(fun () -> leader.Join node)
                do! rig.Sleep(seconds 1.0)
                let! error = follower.Heartbeat node
                Expect.equal error ErrorCode.RebalanceInProgress "the leader knows why"
                do! follower.Join node
                do! again
                Expect.equal (leader.Generation, follower.Generation) (2, 2) "the next"
            })
    ]

let private statics =
    testList "a static member" [
        nodeTest "comes back without its id and takes its place, and fences the one before" (fun rig node ->
            task {
                let leader, old = Consumer "group", Consumer("group", "instance")
                do! gather rig [ leader, node; old, node ]
                let again = Consumer("group", "instance")
                do! again.Join node
                Expect.notEqual again.Id old.Id "a new id"
                Expect.stringStarts again.Id "instance-" "named after the instance"
                Expect.equal again.Generation old.Generation "no rebalance"
                let! error = old.Heartbeat node
                Expect.equal error ErrorCode.FencedInstanceId "Heartbeat"
                let! error = old.TryJoin node
                Expect.equal error ErrorCode.FencedInstanceId "JoinGroup"
                let! error = old.TrySync node
                Expect.equal error ErrorCode.FencedInstanceId "SyncGroup"
                let! _ = create node "t" 1
                let! error = old.TryCommit(node, "t", 0, 1L)
                Expect.equal error ErrorCode.FencedInstanceId "OffsetCommit"
                let! left = leave node (leaveRequest "group" [ old.Id, "instance" ]) 5
                Expect.equal left.Members[0].ErrorCode ErrorCode.FencedInstanceId "LeaveGroup"
                let! error = again.TrySync node
                Expect.equal error ErrorCode.None "it syncs"
                Expect.equal again.Assignment old.Id "and has the assignment of the one before"
            })

        nodeTest "that led leads on: from version 9 it may skip the assignment, before it is not told" (fun rig node ->
            task {
                let one = Consumer("group", "instance")
                do! gather rig [ one, node ]
                let request = joinRequest "group" ""
                request.GroupInstanceId <- "instance"
                let! response = join node request 9
                Expect.isTrue response.SkipAssignment "skip"
                Expect.equal response.Leader response.MemberId "it leads"
                Expect.equal response.Members.Length 1 "and knows everybody"
                let before = response.MemberId
                let! response = join node request 8
                Expect.isFalse response.SkipAssignment "not in this version"
                Expect.equal response.Leader before "who was it before"
                Expect.isEmpty response.Members "nobody"
            })

        nodeTest "is named by its instance when an administrator removes it" (fun rig node ->
            task {
                let one = Consumer("group", "instance")
                do! gather rig [ one, node ]

                let! response =
                    leave node (leaveRequest "group" [ "", "instance"; "", "other"; "nobody", null; "", null ]) 3

                Expect.equal response.ErrorCode ErrorCode.None "as a whole"

                Expect.equal
                    [
                        for one in response.Members -> one.MemberId, one.GroupInstanceId, one.ErrorCode
                    ]
                    [
                        "", "instance", ErrorCode.None
                        "", "other", ErrorCode.UnknownMemberId
                        "nobody", null, ErrorCode.UnknownMemberId
                        "", null, ErrorCode.UnknownMemberId
                    ]
                    "one by one"

                let! state = stateOf node "group"
                Expect.equal state "Empty" "nobody is left"
            })
    ]

let private syncing =
    testList "SyncGroup" [
        nodeTest "gives everybody their own in every version, however often they ask" (fun rig node ->
            task {
                let members = [ Consumer "group"; Consumer "group" ]
                do! gather rig [ for one in members -> one, node ]

                for version in 0..5 do
                    for one in members do
                        let! response = sync node (syncRequest "group" one.Id 1 []) version
                        Expect.equal response.ErrorCode ErrorCode.None $"version {version}"
                        Expect.equal (text response.Assignment) one.Id "assignment"

                        Expect.equal
                            (response.ProtocolType, response.ProtocolName)
                            (if version >= 5 then "consumer", "range" else null, null)
                            $"protocol in version {version}"
            })

        nodeTest "refuses strangers, other generations and other protocols" (fun rig node ->
            task {
                let one = Consumer "group"
                do! gather rig [ one, node ]

                let refusals: (string * (SyncGroupRequest -> unit) * ErrorCode) list = [
                    "an empty group id", (fun request -> request.GroupId <- ""), ErrorCode.InvalidGroupId
                    "an unknown group", (fun request -> request.GroupId <- "none"), ErrorCode.UnknownMemberId
                    "an unknown member", (fun request -> request.MemberId <- "nobody"), ErrorCode.UnknownMemberId
                    "an old generation", (fun request -> request.GenerationId <- 0), ErrorCode.IllegalGeneration
                    "a generation to come", (fun request -> request.GenerationId <- 2), ErrorCode.IllegalGeneration
                ]

                let fromVersion5: (string * (SyncGroupRequest -> unit) * ErrorCode) list = [
                    "another type",
                    (fun request -> request.ProtocolType <- "connect"),
                    ErrorCode.InconsistentGroupProtocol
                    "another protocol",
                    (fun request -> request.ProtocolName <- "sticky"),
                    ErrorCode.InconsistentGroupProtocol
                    "no type", (fun request -> request.ProtocolType <- null), ErrorCode.InconsistentGroupProtocol
                    "no protocol", (fun request -> request.ProtocolName <- null), ErrorCode.InconsistentGroupProtocol
                ]

                for version in 0..5 do
                    for name, change, expected in refusals @ (if version >= 5 then fromVersion5 else []) do
                        let request = syncRequest "group" one.Id 1 []
                        change request
                        let! response = sync node request version
                        Expect.equal response.ErrorCode expected $"{name} in version {version}"
                        Expect.isEmpty (text response.Assignment) "no assignment"
            })
    ]

let private beating =
    testList "Heartbeat" [
        nodeTest "says what has become of the member, in every version" (fun rig node ->
            task {
                let one = Consumer "group"
                do! one.Join node

                for version in 0..4 do
                    for name, group, memberId, generation, expected in
                        [
                            "a member that has not synced", "group", one.Id, 1, ErrorCode.None
                            "an empty group id", "", one.Id, 1, ErrorCode.InvalidGroupId
                            "an unknown group", "none", one.Id, 1, ErrorCode.UnknownMemberId
                            "an unknown member", "group", "nobody", 1, ErrorCode.UnknownMemberId
                            "no member id", "group", "", 1, ErrorCode.UnknownMemberId
                            "an old generation", "group", one.Id, 0, ErrorCode.IllegalGeneration
                        ] do
                        let! error = heartbeatIn version node (heartbeatRequest group memberId generation)
                        Expect.equal error expected $"{name} in version {version}"
            })
    ]

let private leaving =
    testList "LeaveGroup" [
        nodeTest "in every version lets a member go, and the others join again" (fun rig node ->
            task {
                for version in 0..5 do
                    let group = $"group-{version}"
                    let leaves, stays = Consumer group, Consumer group
                    do! gather rig [ leaves, node; stays, node ]

                    let ask memberId =
                        let request =
                            if version < 3 then
                                LeaveGroupRequest(GroupId = group, MemberId = memberId)
                            else
                                leaveRequest group [ memberId, null ]

                        task {
                            let! response = leave node request version

                            if version >= 3 then
                                Expect.equal response.ErrorCode ErrorCode.None "as a whole"
                                return response.Members[0].ErrorCode
                            else
                                Expect.isEmpty response.Members "not in this version"
                                return response.ErrorCode
                        }

                    let! error = ask leaves.Id
                    Expect.equal error ErrorCode.None $"version {version}"
                    let! error = ask leaves.Id
                    Expect.equal error ErrorCode.UnknownMemberId "it is no longer a member"
                    let! error = stays.Heartbeat node
                    Expect.equal error ErrorCode.RebalanceInProgress "the other one is told"
                    do! stays.Join node
                    Expect.equal stays.Members [ stays.Id ] "it is alone, and leads"
                    do! stays.Sync node
                    do! stays.Leave node
                    let! state = stateOf node group
                    Expect.equal state "Empty" "nobody is left"
            })

        nodeTest "of an empty group id, and of a group that there is not" (fun _ node ->
            task {
                for version in 0..5 do
                    let! response =
                        leave
                            node
                            (LeaveGroupRequest(GroupId = "", MemberId = (if version < 3 then "x" else "")))
                            version

                    Expect.equal response.ErrorCode ErrorCode.InvalidGroupId $"version {version}"

                let! response = leave node (leaveRequest "none" [ "nobody", null ]) 5
                Expect.equal response.Members[0].ErrorCode ErrorCode.UnknownMemberId "nobody"
            })

        nodeTest "of many at once is one rebalance" (fun rig node ->
            task {
                let members = [ for _ in 1..4 -> Consumer "group" ]
                do! gather rig [ for one in members -> one, node ]
                let stays = members.Head

                let! response =
                    leave node (leaveRequest "group" [ for one in members.Tail -> one.Id, null ]) 5

                Expect.allEqual [ for one in response.Members -> one.ErrorCode ] ErrorCode.None "all left"
                do! stays.Join node
                Expect.equal stays.Generation 2 "one generation later"
            })
    ]

let private tooLarge =
    testCaseTask "what is too large for an entry is refused, and the broker goes on" (fun () ->
        task {
            let options =
                ClusterOptions(AdvertisedHost = "localhost", AdvertisedPort = 9092, MaxHeadBytes = 5_000)

            let! desk = Desk.Open(options = options)
            let! _ = desk.Create("topic", 1, [])
            let joining = joinRequest "group" ""
            joining.Protocols[0].Metadata <- ReadOnlyMemory(Array.zeroCreate 6_000)
            let! joined = desk.Ask<_, JoinGroupResponse>(joining, 3)
            Expect.equal joined.ErrorCode ErrorCode.UnknownServerError "JoinGroup"
            let committing = commitRequest "group" "topic" [ for _ in 1..300 -> 0, 1L ]
            let! committed = desk.Ask<_, OffsetCommitResponse>(committing, 8)

            for one in committed.Topics[0].Partitions do
                Expect.equal one.ErrorCode ErrorCode.InvalidCommitOffsetSize "OffsetCommit"

            let creating =
                CreateTopicsRequest(
                    Topics = [|
                        for number in 1..200 ->
                            CreateTopicsRequest.CreatableTopic(
                                Name = $"topic-{number}",
                                NumPartitions = 1,
                                ReplicationFactor = 1s
                            )
                    |]
                )

            let! created = desk.Ask<_, CreateTopicsResponse>(creating, 7)

            for one in created.Topics do
                Expect.equal one.ErrorCode ErrorCode.PolicyViolation "CreateTopics"

            let! _ = desk.Create("another", 1, [])

            let! committed =
                desk.Ask<_, OffsetCommitResponse>(commitRequest "group" "topic" [ 0, 1L ], 8)

            Expect.equal committed.Topics[0].Partitions[0].ErrorCode ErrorCode.None "a small one"
            do! (desk :> IAsyncDisposable).DisposeAsync()
        })

let tests =
    testList "members of groups" [ tooLarge; joining; statics; syncing; beating; leaving ]
