/// What live members cost: entries of the log, which are PUTs on S3.
module Tansu.PropertyTests.Handlers.GroupMarks

open System
open System.Threading.Tasks
open Expecto
open Tansu.Codec.Messages
open Tansu.PropertyTests.Handlers.GroupRig
open Tansu.PropertyTests.Handlers.GroupRequests

let private halfMinute (request: JoinGroupRequest) = request.SessionTimeoutMs <- 30_000

/// Entries of ten minutes in which members do nothing but beat.
let private idle (rig: Rig) (members: (Consumer * Node) list) =
    task {
        let! before = rig.Entries()

        let! errors =
            Task.WhenAll [|
                for one, node in members -> beat rig one node (seconds 3.0) (TimeSpan.FromMinutes 10.0)
            |]

        Expect.isEmpty (List.concat errors) "all is well"
        let! after = rig.Entries()
        return after - before
    }

let tests =
    testList "an idle group" [
        ordersTest 3 "writes nothing for heartbeats within a third of the session" (fun rig ->
            task {
                let! node = rig.Start()
                let one = Consumer("group", change = halfMinute)
                do! gather rig [ one, node ]
                let! before = rig.Entries()
                let! _ = beat rig one node (seconds 0.5) (seconds 9.0)
                let! after = rig.Entries()
                Expect.equal after before "entries"
            })

        ordersTest 3 "writes at most once per third of the session, and sessions go on" (fun rig ->
            task {
                let! node = rig.Start()
                let members = [ for _ in 1..3 -> Consumer("group", change = halfMinute), node ]
                do! gather rig members
                let! entries = idle rig members
                Expect.isLessThanOrEqual entries 60 "ten minutes are sixty thirds of thirty seconds"
                Expect.isGreaterThanOrEqual entries 30 "other brokers are told"
            })

        ordersTest 2 "together with many others writes no more" (fun rig ->
            task {
                let! node = rig.Start()

                let members = [
                    for number in 1..15 -> Consumer($"group-{number}", change = halfMinute), node
                ]

                for one, _ in members do
                    do! one.Join node
                    do! one.Sync node

                let! entries = idle rig members
                Expect.isLessThanOrEqual entries 62 "once they have found each other"
            })

        aloneTest
            "on a store that only one broker uses writes nothing, and silent members are out all the same"
            (fun rig ->
                task {
                    let! node = rig.Start()
                    let members = [ for _ in 1..3 -> Consumer("group", change = halfMinute), node ]
                    do! gather rig members
                    let! entries = idle rig members
                    Expect.equal entries 0 "entries"
                    do! rig.Sleep(seconds 26.0)
                    let! state = stateOf node "group"
                    Expect.equal state "Stable" "within their sessions"
                    do! rig.Sleep(seconds 5.0)
                    let! state = stateOf node "group"
                    Expect.equal state "Empty" "after them"
                })
    ]
