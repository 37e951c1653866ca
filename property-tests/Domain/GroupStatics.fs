/// Static membership (KIP-345), and a leader that need not assign (KIP-814).
module Tansu.PropertyTests.Domain.GroupStatics

open Expecto
open Tansu.Domain
open Tansu.PropertyTests.Domain.GroupGiven

let private two = [ instance "i1" "m1"; instance "i2" "m2" ]

let private replacement =
    testList "a static member that comes back without its id" [
        testCase "takes its place in a stable group and nobody has to rejoin"
        <| fun () ->
            let world = stableWith two |> joins (instance "i2" "m9")
            let joined = joinedAtOnce world
            Expect.equal (joined.MemberId, joined.Generation, joined.Leader) ("m9", 1, "m1") "the same generation"
            expectPhase Stable world
            expectMembers 1 [ "m1"; "m9" ] world
            Expect.equal (groupOf world).Members["m9"].Assignment (bytes "m2") "the assignment stays"
            let sync = { syncOf "m9" world with InstanceId = "i2" }

            Expect.equal
                (Group.syncProgress sync (groupOf world))
                (IsAssigned("consumer", "range", bytes "m2"))
                "and is told"

        testCase "is counted from now on by its new timeouts and protocols"
        <| fun () ->
            let world =
                stableWith two
                |> joins { offering [ "range"; "new" ] (instance "i2" "m9") with SessionTimeoutMs = 20_000 }

            let groupMember = (groupOf world).Members["m9"]
            Expect.equal (groupMember.SessionTimeoutMs, groupMember.Protocols.Length) (20_000, 2) "as it says"
            Expect.equal groupMember.SeenAtEntry world.Entry "a sign of life"

        testCase "as the leader, and able to skip: leads, with everybody's metadata and nothing to assign"
        <| fun () ->
            let world =
                stableWith two |> joins { instance "i1" "m9" with CanSkipAssignment = true }

            let joined = joinedAtOnce world
            Expect.equal (joined.Leader, joined.SkipAssignment, joined.Members.Length) ("m9", true, 2) "it leads"
            expectPhase Stable world

        testCase "as the leader, and unable to skip: is not told that it leads"
        <| fun () ->
            let world = stableWith two |> joins (instance "i1" "m9")
            let joined = joinedAtOnce world
            Expect.equal (joined.Leader, joined.SkipAssignment, joined.Members.Length) ("m1", false, 0) "by its old id"
            Expect.equal (leader world) "m9" "it does lead"

        testCase "as a follower skips nothing"
        <| fun () ->
            let joined =
                stableWith two
                |> joins { instance "i2" "m9" with CanSkipAssignment = true }
                |> joinedAtOnce

            Expect.equal (joined.Leader, joined.SkipAssignment) ("m1", false) "as ever"

        testCase "has everybody rejoin if another protocol would be chosen"
        <| fun () ->
            let members = [
                offering [ "range"; "sticky" ] (instance "i1" "m1")
                offering [ "range"; "sticky" ] (instance "i2" "m2")
            ]

            let world = stableWith members |> joins (offering [ "sticky" ] (instance "i2" "m9"))
            Expect.equal world.Reply (JoinAwaits("m9", 1)) "it waits"
            expectPhase (PreparingRebalance false) world

        testCase "has everybody rejoin while the leader assigns, since the assignment would name the old id"
        <| fun () ->
            let world = completingWith two |> joins (instance "i2" "m9")
            Expect.equal world.Reply (JoinAwaits("m9", 1)) "it waits"
            expectPhase (PreparingRebalance false) world
            Expect.equal (memberIds world) [ "m1"; "m9" ] "in its place"

        testCase "during a rebalance replaces the one that waits, which is fenced"
        <| fun () ->
            let world = nothing |> joins (instance "i1" "m1") |> joins (instance "i1" "m9")

            Expect.equal world.Reply (JoinAwaits("m9", 0)) "it waits"
            Expect.equal (memberIds world) [ "m9" ] "in its place"

            Expect.equal
                (Group.joinProgress "m1" "i1" 0 (groupOf world))
                (JoinFailed FencedInstanceId)
                "the older request"

        testCase "is let in even if the group is full"
        <| fun () ->
            let world =
                limited { GroupSettings.Default with MaxSize = 1 }
                |> joins (instance "i1" "m1")
                |> endDelay
                |> assigns
                |> joins (instance "i1" "m9")

            Expect.equal (joinedAtOnce world).MemberId "m9" "it is no newcomer"
    ]

let private fencing =
    testList "a fenced instance" [
        let world = stableWith two |> joins (instance "i2" "m9")

        testCase "is refused JoinGroup"
        <| fun () ->
            world
            |> joins { known "m2" with InstanceId = "i2" }
            |> expectOnly (JoinRefused(FencedInstanceId, "m2"))

        testCase "is refused SyncGroup, Heartbeat and OffsetCommit"
        <| fun () ->
            let group = groupOf world
            let sync = { syncOf "m2" world with InstanceId = "i2" }
            Expect.equal (Group.syncProgress sync group) (SyncFailed FencedInstanceId) "SyncGroup"
            Expect.equal (Group.heartbeat "m2" "i2" 1 group) (ValueSome FencedInstanceId) "Heartbeat"

            world
            |> commits { commitOf "m2" 1 [ offset 1 0 5L ] with InstanceId = "i2" }
            |> expectOnly (GroupRefused FencedInstanceId)

        testCase "is refused LeaveGroup, and the holder stays"
        <| fun () ->
            world
            |> ask (Leave [| { MemberId = "m2"; InstanceId = "i2" } |])
            |> expectOnly (MembersLeft [| ValueSome FencedInstanceId |])

        testCase "that does not say which instance it is, is unknown"
        <| fun () -> world |> joins (known "m2") |> expectOnly (JoinRefused(UnknownMemberId, "m2"))
    ]

let private identity =
    testList "a static member" [
        testCase "that rejoins with its id stays"
        <| fun () ->
            let world = stableWith two |> joins { known "m2" with InstanceId = "i2" }
            Expect.isEmpty world.Events "nothing has changed"
            Expect.equal (joinedAtOnce world).Generation 1 "at once"

        testCase "that rejoins without naming its instance remains static"
        <| fun () ->
            let world = stableWith two |> joins (known "m1")
            Expect.equal (groupOf world).Members["m1"].InstanceId "i1" "its instance"

        testCase "of an instance that nobody holds is unknown with an id"
        <| fun () ->
            stableWith two
            |> joins { known "m2" with InstanceId = "i3" }
            |> expectOnly (JoinRefused(UnknownMemberId, "m2"))

        testCase "leaves by its instance alone"
        <| fun () ->
            let world =
                stableWith two
                |> ask (
                    Leave [|
                        { MemberId = ""; InstanceId = "i2" }
                        { MemberId = ""; InstanceId = "i3" }
                        { MemberId = ""; InstanceId = "i2" }
                        { MemberId = ""; InstanceId = null }
                    |]
                )

            Expect.equal
                world.Reply
                (MembersLeft [|
                    ValueNone
                    ValueSome UnknownMemberId
                    ValueSome UnknownMemberId
                    ValueSome UnknownMemberId
                |])
                "the first"

            Expect.equal (memberIds world) [ "m1" ] "the other is still in"
    ]

let tests = testList "static group members" [ replacement; fencing; identity ]
