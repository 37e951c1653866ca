/// When members of groups are out: sessions and rebalances, by the clocks of brokers that do not agree.
module Tansu.PropertyTests.Handlers.GroupTimes

open System
open System.Threading.Tasks
open Expecto
open Tansu.Codec
open Tansu.Codec.Messages
open Tansu.PropertyTests.Handlers.GroupRig
open Tansu.PropertyTests.Handlers.GroupRequests

let private test name body = ordersTest 3 name body

let private sessionSeconds (count: int) (request: JoinGroupRequest) =
    request.SessionTimeoutMs <- count * 1000

let private between (low: float) (high: float) (span: TimeSpan) what =
    Expect.isGreaterThanOrEqual span.TotalSeconds low what
    Expect.isLessThanOrEqual span.TotalSeconds high what

/// Asks until there is another state; how long that took.
let private untilState (rig: Rig) (node: Node) group state =
    rig.Timed(fun () ->
        task {
            let mutable now = ""

            while now <> state do
                let! found = stateOf node group
                now <- found

                if now <> state then
                    do! rig.Sleep(seconds 0.5)
        })

/// A member asks every second until it is told to join again.
let private untilRebalance (rig: Rig) (one: Consumer) (node: Node) =
    rig.Timed(fun () ->
        task {
            let mutable error = ErrorCode.None

            while error = ErrorCode.None do
                do! rig.Sleep(seconds 1.0)
                let! told = one.Heartbeat node
                error <- told

            Expect.equal error ErrorCode.RebalanceInProgress "told"
        })

/// Two who have joined at brokers of their own and wait for the assignment: the leader, and the other one.
let private joinedAtTwo (rig: Rig) =
    task {
        let! one = rig.Start()
        let! other = rig.Start()
        let a, b = Consumer "group", Consumer "group"
        let joining = rig.Spawn(fun () -> a.Join one)
        do! b.Join other
        do! joining

        return
            if a.IsLeader then
                (a, one), (b, other)
            else
                (b, other), (a, one)
    }

let private sessions =
    testList "a session" [
        test "of a silent member ends in time, and not before" (fun rig ->
            task {
                let! node = rig.Start()
                let alive, silent = Consumer "group", Consumer "group"
                do! gather rig [ alive, node; silent, node ]
                let! took = untilRebalance rig alive node
                between 10.0 11.5 took "told"
                do! alive.Join node
                Expect.equal alive.Members [ alive.Id ] "it is alone"
                let! error = silent.Heartbeat node
                Expect.equal error ErrorCode.UnknownMemberId "the silent one"
            })

        test "of the last member ends too, and the group is empty" (fun rig ->
            task {
                let! node = rig.Start()
                do! gather rig [ Consumer "group", node ]
                let! took = untilState rig node "group" "Empty"
                between 10.0 11.0 took "empty"
            })

        test "of a member whose broker was killed ends by whichever broker lives" (fun rig ->
            task {
                let! one = rig.Start()
                let! other = rig.Start()
                let alive, silent = Consumer "group", Consumer "group"
                do! gather rig [ alive, one; silent, other ]
                other.Kill()
                let! took = untilRebalance rig alive one
                between 10.0 11.5 took "told"
            })

        test "of members that a broker knows only from the log ends there too, somewhat later" (fun rig ->
            task {
                let! one = rig.Start()
                let! other = rig.Start()
                do! gather rig [ Consumer "group", other ]
                let! state = stateOf one "group"
                Expect.equal state "Stable" "it has heard of it"
                other.Kill()
                let! took = untilState rig one "group" "Empty"
                between 10.0 16.0 took "empty"
            })

        test "ends also where every commit is slow" (fun rig ->
            task {
                let! node = rig.Start()
                let alive, silent = Consumer "group", Consumer "group"
                do! gather rig [ alive, node; silent, node ]
                node.Slow(seconds 2.5)
                let! took = untilRebalance rig alive node
                between 10.0 30.0 took "told"
            })

        test "goes on as long as any broker hears the member" (fun rig ->
            task {
                let! one = rig.Start()
                let! other = rig.Start()
                // One that looks at the group and has none of its members.
                let! third = rig.Start()
                let a, b = Consumer "group", Consumer "group"
                do! gather rig [ a, one; b, other ]
                let! state = stateOf third "group"
                Expect.equal state "Stable" "it has heard of it"
                let beats = [ one, a; other, b ]

                let beating =
                    beats
                    |> List.map (fun (node, member') ->
                        beat rig member' node (seconds 3.0) (TimeSpan.FromMinutes 10.0))

                let! errors = Task.WhenAll beating
                Expect.isEmpty (List.concat errors) "nobody is told anything"
                let! described = describe third "group"
                Expect.equal (described.GroupState, described.Members.Length) ("Stable", 2) "all are there"
            })

        test "goes on while a member goes from broker to broker" (fun rig ->
            task {
                let! nodes = Task.WhenAll [| for _ in 1..3 -> rig.Spawn(fun () -> rig.Start()) |]
                let one, other = Consumer "group", Consumer "group"
                do! gather rig [ one, nodes[0]; other, nodes[1] ]

                for number in 1..60 do
                    for member' in [ one; other ] do
                        let! error = member'.Heartbeat nodes[rig.Scheduler.Random.Next 3]
                        Expect.equal error ErrorCode.None $"heartbeat {number}"

                    do! rig.Sleep(seconds (4.0 + rig.Scheduler.Random.NextDouble() * 5.0))
            })

        test "goes on while the member commits offsets and sends nothing else" (fun rig ->
            task {
                let! node = rig.Start()
                let! _ = create node "t" 1
                let one = Consumer "group"
                do! gather rig [ one, node ]

                for number in 1..10 do
                    do! rig.Sleep(seconds 8.0)
                    let! error = one.TryCommit(node, "t", 0, int64 number)
                    Expect.equal error ErrorCode.None $"commit {number}"
            })

        test "goes on while its JoinGroup waits, at whichever broker" (fun rig ->
            task {
                let! one = rig.Start()
                let! other = rig.Start()
                let slow, waits = Consumer "group", Consumer "group"
                do! gather rig [ slow, one ]
                let joining = rig.Spawn(fun () -> waits.TryJoin other)

                // It has revoking to do, and says that it is alive.
                for _ in 1..9 do
                    do! rig.Sleep(seconds 3.0)
                    let! error = slow.Heartbeat one
                    Expect.equal error ErrorCode.RebalanceInProgress "it is to join"

                Expect.isFalse joining.IsCompleted "nearly three sessions"
                do! slow.Join one
                let! error = joining
                Expect.equal error ErrorCode.None "it is in"
                Expect.equal (slow.Generation, waits.Generation) (2, 2) "generation"
            })

        test "goes on while its SyncGroup waits" (fun rig ->
            task {
                let! (leader, atLeader), (follower, atFollower) = joinedAtTwo rig
                let syncing = rig.Spawn(fun () -> follower.TrySync atFollower)
                let! errors = beat rig leader atLeader (seconds 3.0) (seconds 25.0)
                Expect.isEmpty errors "it computes the assignment"
                do! leader.Sync atLeader
                let! error = syncing
                Expect.equal error ErrorCode.None "it is there still"
            })

        test "is whole again after the broker has slept" (fun rig ->
            task {
                let! node = rig.Start()
                let a, b = Consumer "group", Consumer "group"
                do! gather rig [ a, node; b, node ]

                let beating =
                    [ a; b ]
                    |> List.map (fun one -> beat rig one node (seconds 3.0) (TimeSpan.FromMinutes 2.0))

                do! rig.Sleep(seconds 7.0)
                node.Pause(seconds 60.0)
                let! errors = Task.WhenAll beating
                Expect.isEmpty (List.concat errors) "nobody could be heard, so nobody is out"
            })

        test "is not ended by others while its broker sleeps for half of it" (fun rig ->
            task {
                let! one = rig.Start()
                let! other = rig.Start()
                let a, b = Consumer "group", Consumer "group"
                do! gather rig [ a, one; b, other ]

                let beating =
                    [ a, one; b, other ]
                    |> List.map (fun (member', node) -> beat rig member' node (seconds 3.0) (TimeSpan.FromMinutes 4.0))

                for _ in 1..10 do
                    do! rig.Sleep(seconds (10.0 + 10.0 * rig.Scheduler.Random.NextDouble()))
                    one.Pause(seconds 5.5)

                let! errors = Task.WhenAll beating
                Expect.isEmpty (List.concat errors) "it tells of them as soon as it is awake"
            })

        test "is not ended by a broker that has slept while others heard the member" (fun rig ->
            task {
                let! one = rig.Start()
                let! other = rig.Start()
                let a, b = Consumer "group", Consumer "group"
                do! gather rig [ a, one; b, other ]
                let! error = b.Heartbeat one
                Expect.equal error ErrorCode.None "both are its business"

                let beating =
                    [ a; b ]
                    |> List.map (fun member' -> beat rig member' other (seconds 3.0) (TimeSpan.FromMinutes 2.0))

                do! rig.Sleep(seconds 7.0)
                one.Pause(seconds 60.0)
                let! errors = Task.WhenAll beating
                Expect.isEmpty (List.concat errors) "nobody is out"
            })
    ]

let private storms =
    testList "while the store is away" [
        test "members are told that all is well, and nobody is out when it is back" (fun rig ->
            task {
                let! one = rig.Start()
                let! other = rig.Start()
                let a, b = Consumer "group", Consumer "group"
                do! gather rig [ a, one; b, other ]

                let beating =
                    [ a, one; b, other ]
                    |> List.map (fun (member', node) -> beat rig member' node (seconds 3.0) (TimeSpan.FromMinutes 3.0))

                do! rig.Sleep(seconds (10.0 * rig.Scheduler.Random.NextDouble()))

                for node in [ one; other ] do
                    node.Cut true

                do! rig.Sleep(seconds 20.0)
                let! error = (Consumer "other").TryJoin one
                Expect.equal error ErrorCode.CoordinatorNotAvailable "nobody can join"
                do! rig.Sleep(seconds 20.0)

                for node in [ one; other ] do
                    node.Cut false

                let! errors = Task.WhenAll beating
                Expect.isEmpty (List.concat errors) "nobody is told anything else"
                let! state = stateOf one "group"
                Expect.equal state "Stable" "state"
            })
    ]

let private retention =
    rigTest "offsets without members are forgotten after a week, and not before" (fun rig ->
        task {
            let! node = rig.Start()
            let! _ = create node "t" 1
            let! errors = commit node (commitRequest "simple" "t" [ 0, 1L ])
            Expect.equal errors [ ErrorCode.None ] "committed"
            let one = Consumer "group"
            do! gather rig [ one, node ]
            let! error = one.TryCommit(node, "t", 0, 2L)
            Expect.equal error ErrorCode.None "committed"
            let! errors = beat rig one node (seconds 8.0) (TimeSpan.FromHours 1.0)
            Expect.isEmpty errors "all is well"
            do! one.Leave node
            do! rig.Sleep(TimeSpan.FromHours(7.0 * 24.0 - 1.5))
            let! offsets = committed node "simple"
            Expect.equal offsets.Length 1 "within a week"
            do! rig.Sleep(TimeSpan.FromHours 1.0)
            let! state = stateOf node "simple"
            Expect.equal state "Dead" "a week after the commit"
            let! offsets = committed node "group"
            Expect.equal offsets.Length 1 "within a week after the last member left"
            do! rig.Sleep(TimeSpan.FromHours 1.0)
            let! state = stateOf node "group"
            Expect.equal state "Dead" "after it"
        })

let private rebalances =
    testList "a rebalance" [
        test "ends at the rebalance timeout without the absent" (fun rig ->
            task {
                let! one = rig.Start()
                let! other = rig.Start()
                let change = sessionSeconds 60

                let here, absent =
                    Consumer("group", change = change), Consumer("group", change = change)

                do! gather rig [ here, one; absent, other ]
                let fresh = Consumer("group", change = change)

                let! took =
                    rig.Timed(fun () ->
                        task {
                            let joining = rig.Spawn(fun () -> fresh.Join other)
                            do! rig.Sleep(seconds 1.0)
                            do! here.Join one
                            do! joining
                        })

                between 30.0 31.0 took "by the longest of the members' timeouts"
                let leader = [ here; fresh ] |> List.find _.IsLeader
                Expect.equal (List.sort leader.Members) (List.sort [ here.Id; fresh.Id ]) "members"
                let! error = absent.Heartbeat other
                Expect.equal error ErrorCode.UnknownMemberId "the absent"
            })

        test "goes on at another broker when the one that began it is killed" (fun rig ->
            task {
                let! one = rig.Start()
                let! other = rig.Start()
                let change = sessionSeconds 60

                let here, absent =
                    Consumer("group", change = change), Consumer("group", change = change)

                do! gather rig [ here, one; absent, other ]
                let lost = Consumer("group", change = change)
                rig.Spawn(fun () -> lost.TryJoin other) |> ignore
                do! rig.Sleep(seconds 5.0)
                other.Kill()
                let! took = rig.Timed(fun () -> here.Join one)
                between 24.0 31.0 took "it ends all the same"
                // The lost one's request was in the store, and its session is not over.
                Expect.isFalse (List.contains absent.Id here.Members) "without the absent"
            })

        test "of a new group waits for more members a little, and not for ever" (fun rig ->
            task {
                let! node = rig.Start(seconds 3.0)
                let first = Consumer "group"
                let! took = rig.Timed(fun () -> first.Join node)
                between 3.0 3.5 took "one"

                let! took =
                    rig.Timed(fun () ->
                        task {
                            let members = [ for _ in 1..3 -> Consumer "other" ]

                            let joining = [
                                for index, one in List.indexed members ->
                                    rig.Spawn(fun () ->
                                        task {
                                            do! rig.Sleep(seconds (2.0 * float index))
                                            do! one.Join node
                                        })
                            ]

                            let! _ = Task.WhenAll joining
                            Expect.allEqual [ for one in members -> one.Generation ] 1 "one generation"
                        })

                between 7.0 7.5 took "three seconds after the last of three"
            })

        test "without the leader's assignment ends without the leader" (fun rig ->
            task {
                let! (leader, atLeader), (follower, atFollower) = joinedAtTwo rig
                let beating = beat rig leader atLeader (seconds 3.0) (seconds 29.0)
                let mutable error = ErrorCode.None

                let! took =
                    rig.Timed(fun () ->
                        task {
                            let! told = follower.TrySync atFollower
                            error <- told
                        })

                Expect.equal error ErrorCode.RebalanceInProgress "the follower is to join again"
                between 29.0 31.0 took "after the rebalance timeout"
                let! errors = beating
                Expect.isEmpty errors "the leader was alive"
                let! error = leader.Heartbeat atLeader
                Expect.equal error ErrorCode.UnknownMemberId "but is out"
                do! follower.Join atFollower
                Expect.isTrue follower.IsLeader "the follower leads"
                do! follower.Sync atFollower
            })
    ]

let tests = testList "times of groups" [ sessions; storms; rebalances; retention ]
