/// When a rebalance ends, with whom, and who is removed.
module Tansu.PropertyTests.Domain.GroupRebalances

open Expecto
open Tansu.Domain
open Tansu.PropertyTests.Domain.GroupGiven

let private leaving (members: string list) =
    Leave [| for memberId in members -> { MemberId = memberId; InstanceId = null } |]

let private initial =
    testList "the initial rebalance" [
        let joined = nothing |> joins (newcomer "m1") |> joins (newcomer "m2")

        testCase "goes on although everybody has joined"
        <| fun () -> expectPhase (PreparingRebalance true) joined

        testCase "ends when the delay has passed since the last join"
        <| fun () ->
            let world = endDelay joined
            expectPhase CompletingRebalance world
            expectMembers 1 [ "m1"; "m2" ] world
            Expect.equal (groupOf world).PhaseEntry world.Entry "the phase begins here"

        testCase "does not end when somebody has joined since"
        <| fun () ->
            let group = groupOf (nothing |> joins (newcomer "m1"))

            joined
            |> ask (EndJoin(group.PhaseEntry, group.LastJoinEntry))
            |> expectOnly GroupDone

        testCase "ends at the rebalance timeout however many join"
        <| fun () ->
            let group = groupOf (nothing |> joins (newcomer "m1"))

            joined
            |> ask (EndJoin(group.PhaseEntry, -1L))
            |> expectPhase CompletingRebalance

        testCase "does not end by another phase's clock"
        <| fun () ->
            let group = groupOf joined

            for lastJoin in [ -1L; group.LastJoinEntry ] do
                joined |> ask (EndJoin(group.PhaseEntry + 1L, lastJoin)) |> expectOnly GroupDone

        testCase "goes on when one of several leaves"
        <| fun () ->
            let world = joined |> ask (leaving [ "m1" ])
            expectPhase (PreparingRebalance true) world
            expectMembers 1 [ "m2" ] (endDelay world)

        testCase "is over when the last one leaves"
        <| fun () ->
            let world = joined |> ask (leaving [ "m1"; "m2" ])
            expectPhase Empty world
            expectMembers 1 [] world
    ]

let private ends =
    testList "a rebalance" [
        testCase "ends in the entry in which the last known member rejoins"
        <| fun () ->
            let world = stable [ "m1"; "m2" ] |> joins (newcomer "m3") |> joins (known "m1")
            expectPhase (PreparingRebalance false) world
            let world = world |> joins (known "m2")
            expectPhase CompletingRebalance world
            expectMembers 2 [ "m1"; "m2"; "m3" ] world
            Expect.equal (leader world) "m1" "the leader stays"

        testCase "ends when the one it waits for leaves"
        <| fun () ->
            let world =
                stable [ "m1"; "m2" ]
                |> joins (newcomer "m3")
                |> joins (known "m2")
                |> ask (leaving [ "m1" ])

            expectPhase CompletingRebalance world
            expectMembers 2 [ "m2"; "m3" ] world
            Expect.equal (leader world) "m2" "a new leader"

        testCase "ends when the one it waits for gives no sign of life"
        <| fun () ->
            let world = stable [ "m1"; "m2" ] |> joins (newcomer "m3") |> joins (known "m2")
            let silent = struct ("m1", (groupOf world).Members["m1"].SeenAtEntry)
            world |> ask (ExpireMembers [| silent |]) |> expectMembers 2 [ "m2"; "m3" ]

        testCase "leaves out those who have not rejoined at the timeout"
        <| fun () ->
            let world = stable [ "m1"; "m2" ] |> joins (newcomer "m3") |> endRebalance
            expectPhase CompletingRebalance world
            expectMembers 2 [ "m3" ] world
            Expect.equal (progress "m1" 1 world) (JoinFailed UnknownMemberId) "one that was left out"

        testCase "keeps static members that have not rejoined at the timeout, but not as the leader"
        <| fun () ->
            let world =
                stableWith [ instance "i1" "m1"; newcomer "m2" ]
                |> joins (newcomer "m3")
                |> endRebalance

            expectMembers 2 [ "m1"; "m3" ] world
            Expect.equal (leader world) "m3" "one that has joined"
            Expect.isEmpty (groupOf world).Members["m1"].Assignment "it has none in this generation"

        testCase "that nobody has joined waits for static members until their sessions end"
        <| fun () ->
            let world =
                stableWith [ instance "i1" "m1"; newcomer "m2"; newcomer "m3" ]
                |> ask (leaving [ "m2" ])
                |> endRebalance

            expectPhase (PreparingRebalance false) world
            expectMembers 1 [ "m1" ] world
            world |> endRebalance |> expectOnly GroupDone
            let silent = struct ("m1", (groupOf world).Members["m1"].SeenAtEntry)
            let world = world |> ask (ExpireMembers [| silent |])
            expectPhase Empty world
            expectMembers 2 [] world

        testCase "that nobody has joined ends with an empty group"
        <| fun () ->
            let world = stable [ "m1"; "m2" ] |> ask (leaving [ "m1" ]) |> endRebalance
            expectPhase Empty world
            expectMembers 2 [] world

        testCase "does not end by a clock of the phase before"
        <| fun () ->
            let before = (groupOf (completing [ "m1" ])).PhaseEntry

            stable [ "m1" ]
            |> joins (newcomer "m2")
            |> ask (EndJoin(before, -1L))
            |> expectOnly GroupDone

        testCase "has nothing to end in a stable group"
        <| fun () -> stable [ "m1" ] |> endRebalance |> expectOnly GroupDone

        testCase "counts as a sign of life of those who waited for it"
        <| fun () ->
            let world = completing [ "m1" ]
            Expect.equal (groupOf world).Members["m1"].SeenAtEntry world.Entry "the entry that answered it"
    ]

let private leaves =
    testList "leaving" [
        testCase "has the others rejoin"
        <| fun () ->
            let world = stable [ "m1"; "m2" ] |> ask (leaving [ "m2" ])
            Expect.equal world.Reply (MembersLeft [| ValueNone |]) "it may"
            expectPhase (PreparingRebalance false) world
            Expect.equal (memberIds world) [ "m1" ] "who stays"

        testCase "is judged member by member"
        <| fun () ->
            let world =
                stable [ "m1"; "m2"; "m3" ] |> ask (leaving [ "m2"; "nobody"; "m2"; "m3" ])

            Expect.equal
                world.Reply
                (MembersLeft [| ValueNone; ValueSome UnknownMemberId; ValueSome UnknownMemberId; ValueNone |])
                "each by itself"

            Expect.equal (memberIds world) [ "m1" ] "who stays"

        testCase "as the last one empties the group and keeps its offsets"
        <| fun () ->
            let world =
                stable [ "m1" ]
                |> commits (commitOf "m1" 1 [ offset 1 0 5L ])
                |> later 7L
                |> ask (leaving [ "m1" ])

            expectPhase Empty world
            expectMembers 2 [] world
            Expect.equal (groupOf world).EmptySinceMs world.NowMs "since now"
            Expect.isNull (leader world) "nobody leads"
            Expect.equal (committed world).Length 1 "the offset stays"

        testCase "an unknown group is refused to each"
        <| fun () ->
            nothing
            |> ask (leaving [ "m1" ])
            |> expectOnly (MembersLeft [| ValueSome UnknownMemberId |])

        testCase "fails the JoinGroup that waits"
        <| fun () ->
            let world =
                nothing
                |> joins (newcomer "m1")
                |> joins (newcomer "m2")
                |> ask (leaving [ "m1" ])

            Expect.equal (progress "m1" 0 world) (JoinFailed UnknownMemberId) "it is out"
    ]

let private sessions =
    testList "a session" [
        testCase "that ends removes the member, and the others rejoin"
        <| fun () ->
            let world = stable [ "m1"; "m2" ]
            let silent = struct ("m2", (groupOf world).Members["m2"].SeenAtEntry)
            let world = world |> ask (ExpireMembers [| silent |])
            expectPhase (PreparingRebalance false) world
            Expect.equal (memberIds world) [ "m1" ] "who stays"

        testCase "does not end by a clock that missed a sign of life"
        <| fun () ->
            let world = stable [ "m1" ]
            let old = struct ("m1", (groupOf world).Members["m1"].SeenAtEntry)
            let seen = world |> submit (MarkMembersSeen [| struct (groupId, [| "m1" |]) |])
            Expect.equal seen.Events [ MembersSeen [| "m1" |] ] "it is stored"
            seen |> ask (ExpireMembers [| old |]) |> expectOnly GroupDone

        testCase "of nobody who is known ends nothing"
        <| fun () ->
            stable [ "m1" ]
            |> ask (ExpireMembers [| struct ("m9", 1L) |])
            |> expectOnly GroupDone

        testCase "goes on by marks of members only"
        <| fun () ->
            let world = stable [ "m1" ]

            let marked =
                world
                |> submit (MarkMembersSeen [| struct (groupId, [| "m9"; "m1" |]); struct ("other", [| "m1" |]) |])

            Expect.equal marked.Events [ MembersSeen [| "m1" |] ] "the one that is a member"
            Expect.equal (groupOf marked).Members["m1"].SeenAtEntry marked.Entry "the mark"

            world
            |> submit (MarkMembersSeen [| struct (groupId, [| "m9" |]) |])
            |> expectOnly GroupDone

        testCase "goes on by a join and by a commit"
        <| fun () ->
            let world = stable [ "m1"; "m2" ] |> joins (known "m1")
            Expect.equal (groupOf world).Members["m1"].SeenAtEntry world.Entry "a join"
            let world = stable [ "m1" ] |> commits (commitOf "m1" 1 [ offset 1 0 5L ])
            Expect.equal (groupOf world).Members["m1"].SeenAtEntry world.Entry "a commit"
    ]

let tests = testList "group rebalances" [ initial; ends; leaves; sessions ]
