/// Members of one group at different brokers, which come and go.
module Tansu.PropertyTests.Handlers.GroupsEverywhere

open System
open System.Threading.Tasks
open Expecto
open Tansu.Codec
open Tansu.Codec.Messages
open Tansu.PropertyTests.Handlers.GroupRig
open Tansu.PropertyTests.Handlers.GroupRequests

let private test name body = ordersTest 3 name body

let private moving =
    testList "at several brokers" [
        test "members form one generation, and each gets its own" (fun rig ->
            task {
                let! nodes = Task.WhenAll [| for _ in 1..3 -> rig.Spawn(fun () -> rig.Start()) |]
                let members = [ for index in 0..5 -> Consumer "group", nodes[index % 3] ]
                do! gather rig members
                Expect.equal (members |> List.filter (fun (one, _) -> one.IsLeader)).Length 1 "one leads"
                let leader, _ = members |> List.find (fun (one, _) -> one.IsLeader)
                Expect.equal leader.Members.Length 6 "it knows everybody"
            })

        test "a member may ask another one each time" (fun rig ->
            task {
                let! one = rig.Start()
                let! other = rig.Start()
                let! _ = create one "t" 1
                let leader, follower = Consumer "group", Consumer "group"
                let joining = rig.Spawn(fun () -> follower.Join one)
                do! leader.Join other
                do! joining
                let following = rig.Spawn(fun () -> follower.Sync other)
                do! leader.Sync one
                do! following

                for node, offset in [ one, 1L; other, 2L; one, 3L ] do
                    let! error = leader.Heartbeat node
                    Expect.equal error ErrorCode.None "Heartbeat"
                    let! error = leader.TryCommit(node, "t", 0, offset)
                    Expect.equal error ErrorCode.None "OffsetCommit"

                    let! offsets =
                        committed (if obj.ReferenceEquals(node, one) then other else one) "group"

                    Expect.equal offsets [ ("t", 0), offset ] "OffsetFetch at the other one"

                let again = [ leader; follower ] |> List.find _.IsLeader
                let rest = [ leader; follower ] |> List.find (fun one -> not one.IsLeader)
                let joining = rig.Spawn(fun () -> again.Join one)
                // A heartbeat may be answered from what was so a second ago.
                do! rig.Sleep(seconds 1.5)
                let! error = rest.Heartbeat other
                Expect.equal error ErrorCode.RebalanceInProgress "the other is told at the other"
                do! rest.Join other
                do! joining
                Expect.equal (leader.Generation, follower.Generation) (2, 2) "generation"
                let! state = stateOf one "group"
                Expect.equal state "CompletingRebalance" "state"
                do! leader.Leave one
                do! rig.Sleep(seconds 1.5)
                let! error = leader.Heartbeat other
                Expect.equal error ErrorCode.UnknownMemberId "it has left everywhere"
            })

        test "an id that one has handed out is good at another, whatever their clocks say" (fun rig ->
            task {
                let! one = rig.Start()
                let! other = rig.Start()
                let! refused = join one (joinRequest "group" "") 9
                Expect.equal refused.ErrorCode ErrorCode.MemberIdRequired "come back"
                let! joined = join other (joinRequest "group" refused.MemberId) 9
                Expect.equal (joined.ErrorCode, joined.MemberId) (ErrorCode.None, refused.MemberId) "joined"
            })

        test "members come in after a broker whose clock was ahead has written to the log" (fun rig ->
            task {
                let! ahead = rig.Start(skew = TimeSpan.FromHours 1.0)
                do! gather rig [ Consumer "other", ahead ]
                ahead.Kill()
                let! right = rig.Start()
                do! (Consumer "group").Join right
            })

        test "a JoinGroup that is asked again of another counts once, and both are answered" (fun rig ->
            task {
                let! one = rig.Start()
                let! other = rig.Start()
                let old, fresh = Consumer "group", Consumer "group"
                do! gather rig [ old, one ]
                let! refused = join one (joinRequest "group" "") 9
                fresh.Id <- refused.MemberId
                let first = rig.Spawn(fun () -> fresh.TryJoin one)
                do! rig.Sleep(seconds 1.0)
                let second = rig.Spawn(fun () -> fresh.TryJoin other)
                do! rig.Sleep(seconds 1.0)
                do! old.Join other
                let! errors = Task.WhenAll [| first; second |]
                Expect.allEqual errors ErrorCode.None "both"
                Expect.equal old.Members.Length 2 "two members"
            })
    ]

let private ending =
    testList "a broker that ends" [
        test "by a kill while it holds a JoinGroup: the member asks another and is in" (fun rig ->
            task {
                let! one = rig.Start()
                let! other = rig.Start()
                let old, fresh = Consumer "group", Consumer "group"
                do! gather rig [ old, other ]
                let! refused = join one (joinRequest "group" "") 9
                fresh.Id <- refused.MemberId
                let lost = rig.Spawn(fun () -> fresh.TryJoin one)
                do! rig.Sleep(seconds 1.0)
                one.Kill()
                let joining = rig.Spawn(fun () -> fresh.Join other)
                do! old.Join other
                do! joining
                Expect.isFalse lost.IsCompleted "nobody answers the first"
                Expect.equal (old.Generation, fresh.Generation) (2, 2) "generation"
                let syncing = rig.Spawn(fun () -> fresh.Sync other)
                do! old.Sync other
                do! syncing
            })

        test "in order answers what waits with COORDINATOR_NOT_AVAILABLE, and the members go on elsewhere" (fun rig ->
            task {
                let! one = rig.Start()
                let! other = rig.Start()
                let leader, follower = Consumer "group", Consumer "group"
                let joining = rig.Spawn(fun () -> leader.TryJoin one)
                let! error = follower.TryJoin one
                Expect.equal error ErrorCode.None "joined"
                let! error = joining
                Expect.equal error ErrorCode.None "joined"

                let leader, follower =
                    if leader.IsLeader then
                        leader, follower
                    else
                        follower, leader

                let syncing = rig.Spawn(fun () -> follower.TrySync one)
                let busy = Consumer "busy"
                do! gather rig [ busy, other ]
                let waits = rig.Spawn(fun () -> (Consumer "busy").TryJoin one)
                do! rig.Sleep(seconds 1.0)
                do! one.Stop()
                let! error = syncing
                Expect.equal error ErrorCode.CoordinatorNotAvailable "SyncGroup"
                let! error = waits
                Expect.equal error ErrorCode.CoordinatorNotAvailable "JoinGroup"
                let syncing = rig.Spawn(fun () -> follower.Sync other)
                do! leader.Sync other
                do! syncing
            })

        test "as all others do, and one starts again: offsets, members and generations are as they were" (fun rig ->
            task {
                let! one = rig.Start()
                let! other = rig.Start()
                let! _ = create one "t" 2
                let members = [ Consumer "group", one; Consumer "group", other ]
                do! gather rig members
                let a, b = fst members[0], fst members[1]
                let! error = a.TryCommit(one, "t", 0, 5L)
                Expect.equal error ErrorCode.None "committed"
                let! errors = commit other (commitRequest "simple" "t" [ 1, 6L ])
                Expect.equal errors [ ErrorCode.None ] "committed"
                one.Kill()
                other.Kill()
                do! rig.Sleep(TimeSpan.FromHours 1.0)
                let! again = rig.Start()
                let! offsets = committed again "group"
                Expect.equal offsets [ ("t", 0), 5L ] "offsets"
                let! offsets = committed again "simple"
                Expect.equal offsets [ ("t", 1), 6L ] "offsets without a group"
                do! rig.Sleep(seconds 9.0)
                let! error = b.Heartbeat again
                Expect.equal error ErrorCode.None "nobody could hear it for an hour: its session begins anew"
                let! error = b.TryCommit(again, "t", 1, 7L)
                Expect.equal error ErrorCode.None "it may commit"
                let! response = sync again (syncRequest "group" b.Id 1 []) 5
                Expect.equal (text response.Assignment) b.Id "it has its assignment"
                let! errors = commit again (commitRequest "group" "t" [ 0, 1L ])
                Expect.equal errors [ ErrorCode.UnknownMemberId ] "strangers may not"
                // The other one does not come back.
                do! rig.Sleep(seconds 3.0)
                let! error = b.Heartbeat again
                Expect.equal error ErrorCode.RebalanceInProgress "a was removed"
                do! b.Join again
                Expect.equal b.Members [ b.Id ] "it is alone"
                let! error = a.Heartbeat again
                Expect.equal error ErrorCode.UnknownMemberId "a"
            })
    ]

/// A consumer as clients are: it beats, joins again when it is told to, begins anew when it is unknown, and asks another broker
/// when one does not answer.
let private live (rig: Rig) (one: Consumer) (pick: unit -> Node) (isOver: unit -> bool) =
    rig.Spawn(fun () ->
        task {
            let attempt (ask: Node -> Task<ErrorCode>) =
                task {
                    let asked = rig.Spawn(fun () -> ask (pick ()))
                    let! _ = Task.WhenAny(asked :> Task, rig.Sleep(seconds 40.0))

                    if asked.IsCompletedSuccessfully then
                        return asked.Result
                    else
                        return ErrorCode.RequestTimedOut
                }

            let mutable isMember = false

            while not (isOver ()) do
                let! error =
                    if isMember then
                        attempt one.Heartbeat
                    else
                        task {
                            let! error = attempt one.TryJoin

                            if error = ErrorCode.None then
                                return! attempt one.TrySync
                            else
                                return error
                        }

                match error with
                | ErrorCode.None ->
                    isMember <- true
                    do! rig.Sleep(seconds 3.0)
                | ErrorCode.RebalanceInProgress -> isMember <- false
                | ErrorCode.UnknownMemberId
                | ErrorCode.IllegalGeneration ->
                    one.Id <- ""
                    isMember <- false
                | _ -> do! rig.Sleep(seconds 0.1)
        })

let private anything =
    ordersTest 5 "whatever happens to brokers, members come together again, each with its own assignment" (fun rig ->
        task {
            let random = rig.Scheduler.Random
            let! started = Task.WhenAll [| for _ in 1..3 -> rig.Spawn(fun () -> rig.Start()) |]
            let nodes = Array.copy started
            let mutable isOver = false
            let members = [ for _ in 1..5 -> Consumer "group" ]

            let living =
                members
                |> List.map (fun one -> live rig one (fun () -> nodes[random.Next nodes.Length]) (fun () -> isOver))

            for _ in 1..10 do
                do! rig.Sleep(seconds (random.NextDouble() * 30.0))
                let index = random.Next nodes.Length

                match random.Next 3 with
                | 0 -> nodes[index].Pause(seconds (random.NextDouble() * 30.0))
                | 1 ->
                    nodes[index].Kill()
                    let! fresh = rig.Start()
                    nodes[index] <- fresh
                | _ ->
                    let! fresh = rig.Start()
                    let old = nodes[index]
                    nodes[index] <- fresh
                    rig.Spawn(fun () -> old.Stop()) |> ignore

            do! rig.Sleep(TimeSpan.FromMinutes 3.0)
            let! described = describe nodes[0] "group"
            Expect.equal described.GroupState "Stable" "state"

            Expect.equal
                ([ for one in described.Members -> one.MemberId ] |> List.sort)
                (members |> List.map _.Id |> List.sort)
                "everybody, and nobody else"

            Expect.equal (members |> List.map _.Generation |> List.distinct |> List.length) 1 "one generation"

            for one in members do
                Expect.equal one.Assignment one.Id "its own"

            isOver <- true
            let! _ = Task.WhenAll living
            return ()
        })

let tests = testList "groups everywhere" [ moving; ending; anything ]
