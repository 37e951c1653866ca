/// JoinGroup of dynamic members: who is let in, under which id, and with which protocol.
module Tansu.PropertyTests.Domain.GroupJoins

open System
open Expecto
open Tansu.Domain
open Tansu.PropertyTests.Domain.GroupGiven

let private newcomers =
    testList "a newcomer" [
        testCase "begins the initial rebalance of an empty group and waits for its generation"
        <| fun () ->
            let world = nothing |> joins (newcomer "m1")
            Expect.equal world.Reply (JoinAwaits("m1", 0)) "it waits"
            expectPhase (PreparingRebalance true) world
            Expect.equal (progress "m1" 0 world) StillJoining "no generation yet"

        testCase "has everybody rejoin in a stable group"
        <| fun () ->
            let world = stable [ "m1" ] |> joins (newcomer "m2")
            Expect.equal world.Reply (JoinAwaits("m2", 1)) "it waits"
            expectPhase (PreparingRebalance false) world
            Expect.isFalse (groupOf world).Members["m1"].HasJoined "m1 has to come back"

        testCase "has everybody rejoin while the leader assigns"
        <| fun () ->
            completing [ "m1" ]
            |> joins (newcomer "m2")
            |> expectPhase (PreparingRebalance false)

        testCase "gets what the leader needs if it leads, and no members otherwise"
        <| fun () ->
            let world = completing [ "m1"; "m2" ]

            match progress "m1" 0 world, progress "m2" 0 world with
            | HasJoinedGroup leading, HasJoinedGroup following ->
                Expect.equal leading.Leader "m1" "who leads"
                Expect.equal following.Leader "m1" "both know"
                Expect.equal [ for one in leading.Members -> one.MemberId ] [ "m1"; "m2" ] "everybody"
                Expect.isEmpty following.Members "nobody"
                Expect.equal (leading.ProtocolName, leading.ProtocolType) ("range", "consumer") "the protocol"
                Expect.isFalse leading.SkipAssignment "it is to assign"
            | _ -> failtest "both have joined"

        testCase "without a protocol type or protocols is refused even by an empty group"
        <| fun () ->
            for join in [ { newcomer "m1" with ProtocolType = "" }; offering [] (newcomer "m1") ] do
                nothing |> joins join |> expectOnly (JoinRefused(InconsistentGroupProtocol, ""))
    ]

let private memberIds =
    testList "a member id (KIP-394)" [
        testCase "must be brought back by newcomers that know how to"
        <| fun () ->
            nothing
            |> joins { newcomer "m1" with RequiresKnownMemberId = true }
            |> expectOnly (JoinRefused(MemberIdRequired, "m1"))

        testCase "is not required of static members"
        <| fun () ->
            let world = nothing |> joins { instance "i" "m1" with RequiresKnownMemberId = true }
            Expect.equal world.Reply (JoinAwaits("m1", 0)) "it waits"

        testCase "that was handed out is the member's"
        <| fun () ->
            let memberId = handedOut startMs

            let world =
                nothing
                |> later 1000L
                |> joins { known memberId with RequiresKnownMemberId = true }

            Expect.equal world.Reply (JoinAwaits(memberId, 0)) "it waits under that id"

        testCase "that nobody handed out is unknown"
        <| fun () -> nothing |> joins (known "m1") |> expectOnly (JoinRefused(UnknownMemberId, "m1"))

        testCase "that was handed out does not make a static member known"
        <| fun () ->
            let memberId = handedOut startMs

            nothing
            |> joins { known memberId with InstanceId = "i" }
            |> expectOnly (JoinRefused(UnknownMemberId, memberId))

        testCase "may be used for five minutes, by clocks that differ as much"
        <| fun () ->
            let memberId = handedOut startMs

            for age, isTaken in [ 0L, true; 300_000L, true; 300_001L, false; -300_000L, true; -300_001L, false ] do
                Expect.equal (GroupRules.isHandedOut (startMs + age) memberId) isTaken $"at {age} ms"

        testCase "of another form was not handed out"
        <| fun () ->
            let uuid = (handedOut startMs).Substring 7

            for malformed in
                [
                    ""
                    "-"
                    uuid
                    "client" + uuid
                    "client-" + uuid.Substring 1
                    "client-" + uuid + "0"
                    "client-" + uuid.Replace('-', '0')
                    "client-{" + uuid.Substring 2 + "}"
                    $"client-{Guid.NewGuid()}"
                    "client-" + String('g', 36)
                ] do
                Expect.isFalse (GroupRules.isHandedOut startMs malformed) malformed

            Expect.isTrue (GroupRules.isHandedOut startMs ("-" + uuid)) "the client id may be empty"

            // A pair of surrogates at the end is not cut in two.
            for name, kept in
                [
                    String('x', 30_000), 255
                    String('x', 254) + "\U0001F600" + "x", 254
                    "short", 5
                ] do
                let memberId = GroupRules.memberId name (Guid.Parse uuid)
                Expect.equal memberId $"{name.Substring(0, kept)}-{uuid}" "as much of the name"
                Expect.isTrue (GroupRules.isHandedOut startMs memberId) "and it may come back"

            let long = String('x', 256) + "-" + uuid
            Expect.isFalse (GroupRules.isHandedOut startMs long) "no broker has handed it out"
    ]

let private rejoins =
    testList "a member that joins again" [
        testCase "while it waits, unchanged, stores nothing"
        <| fun () ->
            nothing
            |> joins (newcomer "m1")
            |> joins (known "m1")
            |> expectOnly (JoinAwaits("m1", 0))

        testCase "while it waits, changed, is known by what it said last"
        <| fun () ->
            let world =
                nothing |> joins (newcomer "m1") |> joins (offering [ "sticky" ] (known "m1"))

            Expect.equal world.Reply (JoinRefused(InconsistentGroupProtocol, "m1")) "it must share one with itself"
            let world = world |> joins (offering [ "range"; "sticky" ] (known "m1"))
            Expect.equal world.Reply (JoinAwaits("m1", 0)) "it waits"
            Expect.equal (groupOf world).Members["m1"].Protocols.Length 2 "both"

        testCase "unchanged while the leader assigns gets the generation again"
        <| fun () ->
            let world = completing [ "m1"; "m2" ]

            for memberId, members in [ "m1", 2; "m2", 0 ] do
                let again = world |> joins (known memberId)
                Expect.isEmpty again.Events "nothing is stored"
                let joined = joinedAtOnce again
                Expect.equal (joined.Generation, joined.Leader, joined.Members.Length) (1, "m1", members) memberId

        testCase "changed while the leader assigns starts a rebalance"
        <| fun () ->
            let world =
                completing [ "m1"; "m2" ] |> joins (offering [ "range"; "sticky" ] (known "m2"))

            Expect.equal world.Reply (JoinAwaits("m2", 1)) "it waits"
            expectPhase (PreparingRebalance false) world

        testCase "unchanged as a follower of a stable group gets the generation at once"
        <| fun () ->
            let world = stable [ "m1"; "m2" ] |> joins (known "m2")
            Expect.isEmpty world.Events "nothing is stored"
            let joined = joinedAtOnce world
            Expect.equal (joined.MemberId, joined.Generation, joined.Members.Length) ("m2", 1, 0) "as before"

        testCase "changed as a follower of a stable group starts a rebalance"
        <| fun () ->
            let world =
                stable [ "m1"; "m2" ] |> joins (offering [ "range"; "sticky" ] (known "m2"))

            Expect.equal world.Reply (JoinAwaits("m2", 1)) "it waits"
            expectPhase (PreparingRebalance false) world

        testCase "as the leader of a stable group starts a rebalance even if unchanged"
        <| fun () ->
            let world = stable [ "m1"; "m2" ] |> joins (known "m1")
            Expect.equal world.Reply (JoinAwaits("m1", 1)) "it waits"
            expectPhase (PreparingRebalance false) world

        testCase "alone gets the next generation in the same entry"
        <| fun () ->
            let world = stable [ "m1" ] |> joins (known "m1")
            expectPhase CompletingRebalance world
            expectMembers 2 [ "m1" ] world
    ]

let private protocols =
    testList "the protocol" [
        let chosen members =
            (groupOf (completingWith members)).ProtocolName

        testCase "is the one most members prefer"
        <| fun () ->
            let members = [
                offering [ "range"; "sticky" ] (newcomer "m1")
                offering [ "sticky"; "range" ] (newcomer "m2")
                offering [ "sticky"; "range" ] (newcomer "m3")
            ]

            Expect.equal (chosen members) "sticky" "two of three"

        testCase "is one that all offer, whatever else they prefer"
        <| fun () ->
            let members = [
                offering [ "sticky"; "range" ] (newcomer "m1")
                offering [ "range" ] (newcomer "m2")
                offering [ "sticky"; "range" ] (newcomer "m3")
            ]

            Expect.equal (chosen members) "range" "in common"

        testCase "is the first by name among equals"
        <| fun () ->
            let members = [
                offering [ "sticky"; "range" ] (newcomer "m1")
                offering [ "range"; "sticky" ] (newcomer "m2")
            ]

            Expect.equal (chosen members) "range" "one vote each"

        testCase "in common is missing: the newcomer is refused and the others go on"
        <| fun () ->
            stable [ "m1" ]
            |> joins (offering [ "sticky" ] (newcomer "m2"))
            |> expectOnly (JoinRefused(InconsistentGroupProtocol, ""))

        testCase "type differs: refused"
        <| fun () ->
            stable [ "m1" ]
            |> joins { newcomer "m2" with ProtocolType = "connect" }
            |> expectOnly (JoinRefused(InconsistentGroupProtocol, ""))

        testCase "type may change when the group is empty"
        <| fun () ->
            let world =
                stable [ "m1" ]
                |> ask (Leave [| { MemberId = "m1"; InstanceId = null } |])
                |> joins { newcomer "m2" with ProtocolType = "connect" }

            Expect.equal (groupOf world).ProtocolType "connect" "the newcomer's"
    ]

let private limits =
    testList "a limit" [
        testCase "of the session timeout refuses what is outside, and nothing else"
        <| fun () ->
            for timeoutMs, isTaken in [ 5_999, false; 6_000, true; 1_800_000, true; 1_800_001, false ] do
                let world = nothing |> joins { newcomer "m1" with SessionTimeoutMs = timeoutMs }

                let expected =
                    if isTaken then
                        JoinAwaits("m1", 0)
                    else
                        JoinRefused(InvalidSessionTimeout, "")

                Expect.equal world.Reply expected $"{timeoutMs} ms"

        let full = limited { GroupSettings.Default with MaxSize = 2 }

        let fullAndStable =
            full |> joins (newcomer "m1") |> joins (newcomer "m2") |> endDelay |> assigns

        testCase "of the size refuses a newcomer to a stable group, with no id to come back with"
        <| fun () ->
            for join in
                [
                    newcomer "m3"
                    known (handedOut startMs)
                    { newcomer "m3" with RequiresKnownMemberId = true }
                ] do
                fullAndStable |> joins join |> expectOnly (JoinRefused(GroupMaxSizeReached, ""))

        testCase "of the size does not refuse members"
        <| fun () ->
            let world = fullAndStable |> joins (known "m1") |> joins (known "m2")
            expectMembers 2 [ "m1"; "m2" ] world

        testCase
            "of the size counts only those who have joined during a rebalance, so that newcomers take the places of the missing"
        <| fun () ->
            let world = fullAndStable |> joins (known "m1") |> joins (newcomer "m3")
            Expect.equal world.Reply (JoinAwaits("m3", 1)) "m2 has not come back yet"

            world
            |> joins (newcomer "m4")
            |> expectOnly (JoinRefused(GroupMaxSizeReached, ""))

        testCase "of the size turns away a member that rejoins too late"
        <| fun () ->
            let world =
                fullAndStable
                |> joins (known "m1")
                |> joins (newcomer "m3")
                |> joins (known "m2")

            Expect.equal world.Reply (JoinRefused(GroupMaxSizeReached, "")) "its place is taken"
            expectMembers 2 [ "m1"; "m3" ] world
    ]

let tests =
    testList "group joins" [ newcomers; memberIds; rejoins; protocols; limits ]
