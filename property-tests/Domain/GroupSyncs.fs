/// SyncGroup and Heartbeat.
module Tansu.PropertyTests.Domain.GroupSyncs

open Expecto
open Tansu.Domain
open Tansu.PropertyTests.Domain.GroupGiven

let private syncProgress (sync: GroupSync) (world: World) = Group.syncProgress sync (groupOf world)

let private progressOf memberId (world: World) =
    syncProgress (syncOf memberId world) world

let private assigning (assignments: (string * string) list) (sync: GroupSync) = {
    sync with
        Assignments = [| for memberId, text in assignments -> struct (memberId, bytes text) |]
}

let private assigned text =
    IsAssigned("consumer", "range", bytes text)

let private syncs =
    testList "SyncGroup" [
        testCase "of a follower waits for the leader"
        <| fun () ->
            let world = completing [ "m1"; "m2" ]
            Expect.equal (progressOf "m2" world) StillSyncing "it waits"
            Expect.equal (progressOf "m1" world) BringsAssignment "the leader's is awaited"

        testCase "of a follower assigns nothing"
        <| fun () ->
            let world = completing [ "m1"; "m2" ]

            world
            |> ask (Sync(syncOf "m2" world |> assigning [ "m2", "everything" ]))
            |> expectOnly SyncTaken

        testCase "of the leader gives everybody its assignment"
        <| fun () ->
            let world = completing [ "m1"; "m2" ]

            let world =
                world |> ask (Sync(syncOf "m1" world |> assigning [ "m1", "a"; "m2", "b" ]))

            Expect.equal world.Reply SyncTaken "taken"
            expectPhase Stable world
            Expect.equal (progressOf "m1" world) (assigned "a") "the leader's own"
            Expect.equal (progressOf "m2" world) (assigned "b") "the follower's"

        testCase "of the leader that forgets somebody gives that one nothing"
        <| fun () ->
            let world = completing [ "m1"; "m2" ]
            let world = world |> ask (Sync(syncOf "m1" world |> assigning [ "m1", "a" ]))
            Expect.equal (progressOf "m2" world) (assigned "") "empty"

        testCase "of the leader that names strangers stores nothing of them"
        <| fun () ->
            let world = completing [ "m1" ]

            let world =
                world |> ask (Sync(syncOf "m1" world |> assigning [ "m9", "x"; "m1", "a" ]))

            Expect.equal world.Events [ MembersAssigned [| struct ("m1", bytes "a") |] ] "members only"

        testCase "of the leader, repeated, changes nothing"
        <| fun () ->
            let world = stable [ "m1" ]

            world
            |> ask (Sync(syncOf "m1" world |> assigning [ "m1", "other" ]))
            |> expectOnly SyncTaken

            Expect.equal (progressOf "m1" world) (assigned "m1") "the first one's"

        testCase "of the generation before is refused, and the leader's too"
        <| fun () ->
            let world = stable [ "m1" ] |> joins (known "m1")
            let old = { syncOf "m1" world with Generation = 1 } |> assigning [ "m1", "old" ]
            Expect.equal (syncProgress old world) (SyncFailed IllegalGeneration) "another generation"
            world |> ask (Sync old) |> expectOnly SyncTaken

        testCase "of another protocol or type is refused"
        <| fun () ->
            let world = completing [ "m1" ]

            for sync in
                [
                    { syncOf "m1" world with ProtocolName = "sticky" }
                    { syncOf "m1" world with ProtocolType = "connect" }
                ] do
                Expect.equal (syncProgress sync world) (SyncFailed InconsistentGroupProtocol) "another protocol"
                world |> ask (Sync sync) |> expectOnly SyncTaken

        testCase "of an old client that names no protocol is taken"
        <| fun () ->
            let world = completing [ "m1" ]
            let sync = { syncOf "m1" world with ProtocolName = null; ProtocolType = null }
            Expect.equal (syncProgress sync world) BringsAssignment "it need not say"

        testCase "during a rebalance says so, even to a follower that waited"
        <| fun () ->
            let world = completing [ "m1"; "m2" ] |> joins (newcomer "m3")
            Expect.equal (progressOf "m2" world) (SyncFailed RebalanceInProgress) "it has to join again"

        testCase "of a stranger, and of an unknown group, is refused"
        <| fun () ->
            Expect.equal (progressOf "m9" (stable [ "m1" ])) (SyncFailed UnknownMemberId) "a stranger"
            Expect.equal (progressOf "m1" nothing) (SyncFailed UnknownMemberId) "no group"
    ]

let private silentLeader =
    testList "a leader that never assigns" [
        testCase "is removed, and the others rejoin"
        <| fun () ->
            let world = completing [ "m1"; "m2" ]
            let world = world |> ask (EndSync (groupOf world).PhaseEntry)
            expectPhase (PreparingRebalance false) world
            let world = world |> joins (known "m2")
            expectMembers 2 [ "m2" ] world
            Expect.equal (leader world) "m2" "the next leader"

        testCase "leaves an empty group if it was alone"
        <| fun () ->
            let world = completing [ "m1" ]
            world |> ask (EndSync (groupOf world).PhaseEntry) |> expectPhase Empty

        testCase "is not removed by a clock of another phase, nor once it has assigned"
        <| fun () ->
            let world = completing [ "m1" ]
            let phase = (groupOf world).PhaseEntry
            world |> ask (EndSync(phase - 1L)) |> expectOnly GroupDone
            world |> assigns |> ask (EndSync phase) |> expectOnly GroupDone
    ]

let private heartbeats =
    testList "Heartbeat" [
        let beat memberId generation (world: World) =
            Group.heartbeat memberId null generation (groupOf world)

        testCase "of a member is fine while the leader assigns and after"
        <| fun () ->
            Expect.equal (beat "m1" 1 (completing [ "m1" ])) ValueNone "while it assigns"
            Expect.equal (beat "m1" 1 (stable [ "m1" ])) ValueNone "after"

        testCase "of a member tells of a rebalance"
        <| fun () ->
            let world = stable [ "m1" ] |> joins (newcomer "m2")
            Expect.equal (beat "m1" 1 world) (ValueSome RebalanceInProgress) "it has to join again"

        testCase "of another generation or a stranger is refused"
        <| fun () ->
            let world = stable [ "m1" ]
            Expect.equal (beat "m1" 0 world) (ValueSome IllegalGeneration) "another generation"
            Expect.equal (beat "m9" 1 world) (ValueSome UnknownMemberId) "a stranger"
            Expect.equal (beat "m1" 1 nothing) (ValueSome UnknownMemberId) "no group"
    ]

let tests = testList "group syncs" [ syncs; silentLeader; heartbeats ]
