/// OffsetCommit, OffsetDelete, DeleteGroups, and what becomes of offsets with time.
module Tansu.PropertyTests.Domain.GroupCommits

open Expecto
open Tansu.Domain
open Tansu.PropertyTests.Domain.GroupGiven

let private one = [ offset 1 0 5L ]

let private fine = OffsetsJudged [| ValueNone |]

let private leaves memberId =
    ask (Leave [| { MemberId = memberId; InstanceId = null } |])

let private byMembers =
    testList "a commit" [
        testCase "of a member is kept, with its time"
        <| fun () ->
            let sent = { Partition = key 1 0; Offset = 5L; LeaderEpoch = 3; Metadata = "note" }

            let world = stable [ "m1" ] |> later 9L |> commits (commitOf "m1" 1 [ sent ])
            Expect.equal world.Reply fine "kept"

            Expect.equal
                (groupOf world).Offsets[key 1 0]
                { Offset = 5L; LeaderEpoch = 3; Metadata = "note"; CommitTimeMs = world.NowMs }
                "as sent"

        testCase "replaces the one before, even if it goes back"
        <| fun () ->
            let world =
                stable [ "m1" ]
                |> commits (commitOf "m1" 1 one)
                |> commits (commitOf "m1" 1 [ offset 1 0 2L; offset 1 1 9L ])

            Expect.equal [ for _, index, value in committed world -> index, value ] [ 0, 2L; 1, 9L ] "the newest"

        testCase "of a member is taken while others rejoin"
        <| fun () ->
            let world =
                stable [ "m1" ] |> joins (newcomer "m2") |> commits (commitOf "m1" 1 one)

            Expect.equal world.Reply fine "before it rejoins"

        testCase "is refused while the leader assigns"
        <| fun () ->
            completing [ "m1" ]
            |> commits (commitOf "m1" 1 one)
            |> expectOnly (GroupRefused RebalanceInProgress)

        testCase "of another generation is refused"
        <| fun () ->
            for generation in [ 0; 2; -1 ] do
                stable [ "m1" ]
                |> commits (commitOf "m1" generation one)
                |> expectOnly (GroupRefused IllegalGeneration)

        testCase "of a stranger is refused"
        <| fun () ->
            stable [ "m1" ]
            |> commits (commitOf "m9" 1 one)
            |> expectOnly (GroupRefused UnknownMemberId)

            stable [ "m1" ]
            |> commits (commitOf "" 1 one)
            |> expectOnly (GroupRefused UnknownMemberId)

        testCase "of a static member names its instance"
        <| fun () ->
            let world =
                stableWith [ instance "i" "m1" ]
                |> commits { commitOf "m1" 1 one with InstanceId = "i" }

            Expect.equal world.Reply fine "kept"

        testCase "of a member of an unknown group is refused"
        <| fun () ->
            nothing
            |> commits (commitOf "m1" 0 one)
            |> expectOnly (GroupRefused GroupIdNotFound)

        testCase "of a former member of a group that is empty now is refused"
        <| fun () ->
            stable [ "m1" ]
            |> leaves "m1"
            |> commits (commitOf "m1" 1 one)
            |> expectOnly (GroupRefused UnknownMemberId)
    ]

let private simple =
    testList "a commit without membership" [
        testCase "makes a group of its own kind"
        <| fun () ->
            let world = nothing |> commits (simpleCommit one)
            Expect.equal world.Reply fine "kept"
            Expect.isNull (groupOf world).ProtocolType "nobody has joined"
            expectPhase Empty world

        testCase "is taken by a group that is empty now"
        <| fun () ->
            let world = stable [ "m1" ] |> leaves "m1" |> commits (simpleCommit one)
            Expect.equal world.Reply fine "kept"

        testCase "is refused by a group that has members"
        <| fun () ->
            for world in [ stable [ "m1" ]; completing [ "m1" ]; nothing |> joins (newcomer "m1") ] do
                world |> commits (simpleCommit one) |> expectOnly (GroupRefused UnknownMemberId)

        testCase "does not keep a member out afterwards"
        <| fun () ->
            let world =
                nothing |> commits (simpleCommit one) |> joins (newcomer "m1") |> endDelay

            expectMembers 1 [ "m1" ] world
            Expect.equal (committed world).Length 1 "the offset stays"
    ]

let private judged =
    testList "each offset" [
        testCase "has metadata up to the limit"
        <| fun () ->
            let limits = { GroupSettings.Default with MaxMetadataLength = 4 }

            let world =
                limited limits
                |> commits (
                    simpleCommit [
                        { offset 1 0 1L with Metadata = "five!" }
                        { offset 1 1 2L with Metadata = "four" }
                    ]
                )

            Expect.equal world.Reply (OffsetsJudged [| ValueSome OffsetMetadataTooLarge; ValueNone |]) "each by itself"
            Expect.equal [ for _, index, _ in committed world -> index ] [ 1 ] "the other is kept"

        testCase "is of a topic that is not deleted"
        <| fun () ->
            let world =
                nothing
                |> submit (RemoveTopic(Given.topicId 1))
                |> commits (simpleCommit [ offset 1 0 1L; offset 2 0 2L ])

            Expect.equal world.Reply (OffsetsJudged [| ValueSome UnknownTopicId; ValueNone |]) "each by itself"
            Expect.equal [ for _, _, value in committed world -> value ] [ 2L ] "the other is kept"

        testCase "may be refused: nothing is stored then, and no group is made"
        <| fun () ->
            let world =
                nothing |> submit (RemoveTopic(Given.topicId 1)) |> commits (simpleCommit one)

            expectOnly (OffsetsJudged [| ValueSome UnknownTopicId |]) world
            Expect.isEmpty world.Shard.Groups "no group"

        testCase "goes with its topic"
        <| fun () ->
            let world =
                nothing
                |> commits (simpleCommit [ offset 1 0 1L; offset 1 1 1L; offset 2 0 2L ])
                |> submit (RemoveTopic(Given.topicId 1))

            Expect.equal [ for _, _, value in committed world -> value ] [ 2L ] "the other topic's"
    ]

let private deleting (partitions: (int * string) list) =
    ask (DeleteOffsets [| for topic, name in partitions -> struct (key topic 0, name) |])

let private deletions =
    testList "OffsetDelete" [
        let two = [ offset 1 0 1L; offset 2 0 2L ]

        testCase "deletes what no member reads, and says what they do"
        <| fun () ->
            let world =
                stable [ "m1" ]
                |> commits (commitOf "m1" 1 two)
                |> deleting [ 1, "t"; 2, "u"; 3, "v" ]

            Expect.equal world.Reply (OffsetsDeletion [| OffsetInUse; OffsetGone; OffsetGone |]) "t is read"
            Expect.equal world.Events [ OffsetsDeleted [| key 2 0 |] ] "only what there was"
            Expect.equal [ for _, _, value in committed world -> value ] [ 1L ] "t's is left"

        testCase "deletes anything of an empty group"
        <| fun () ->
            let world = nothing |> commits (simpleCommit two) |> deleting [ 1, "t" ]
            Expect.equal world.Reply (OffsetsDeletion [| OffsetGone |]) "nobody reads it"

        testCase "named twice deletes once"
        <| fun () ->
            let world = nothing |> commits (simpleCommit two) |> deleting [ 1, "t"; 1, "t" ]
            Expect.equal world.Events [ OffsetsDeleted [| key 1 0 |] ] "once"

        testCase "finds everything in use if it cannot tell what members read"
        <| fun () ->
            let mute = { newcomer "m1" with Protocols = [| { Name = "range"; Metadata = [| 0uy; 1uy; 9uy |] } |] }

            stableWith [ mute ]
            |> deleting [ 2, "u" ]
            |> expectOnly (OffsetsDeletion [| OffsetInUse |])

            nothing
            |> joins (newcomer "m1")
            |> deleting [ 2, "u" ]
            |> expectOnly (OffsetsDeletion [| OffsetInUse |])

        testCase "is refused by a group of another type that has members"
        <| fun () ->
            let connect = { newcomer "m1" with ProtocolType = "connect" }

            completingWith [ connect ]
            |> deleting [ 1, "t" ]
            |> expectOnly (GroupRefused NonEmptyGroup)

            let empty = completingWith [ connect ] |> leaves "m1"
            empty |> deleting [ 1, "t" ] |> expectOnly (OffsetsDeletion [| OffsetGone |])

        testCase "is refused by an unknown group"
        <| fun () -> nothing |> deleting [ 1, "t" ] |> expectOnly (GroupRefused GroupIdNotFound)
    ]

let private groups =
    testList "DeleteGroups" [
        testCase "deletes an empty group with its offsets"
        <| fun () ->
            let world =
                stable [ "m1" ]
                |> commits (commitOf "m1" 1 one)
                |> leaves "m1"
                |> ask DeleteGroup

            Expect.equal world.Events [ GroupDeleted ] "deleted"
            Expect.isEmpty world.Shard.Groups "nothing is left"

        testCase "is refused by a group that has members"
        <| fun () ->
            for world in [ stable [ "m1" ]; completing [ "m1" ]; nothing |> joins (newcomer "m1") ] do
                world |> ask DeleteGroup |> expectOnly (GroupRefused NonEmptyGroup)

        testCase "is refused by an unknown group"
        <| fun () -> nothing |> ask DeleteGroup |> expectOnly (GroupRefused GroupIdNotFound)
    ]

let private retention =
    testList "retention" [
        let retentionMs = GroupSettings.Default.OffsetsRetentionMs

        testCase "counts from when the group emptied"
        <| fun () ->
            let world =
                stable [ "m1" ]
                |> commits (commitOf "m1" 1 one)
                |> later retentionMs
                |> leaves "m1"
                |> later (retentionMs - 1L)

            world |> submit ForgetExpired |> expectOnly GroupDone
            let world = world |> later 1L |> submit ForgetExpired
            Expect.equal world.Events [ GroupDeleted ] "nothing is left of it"
            Expect.isEmpty world.Shard.Groups "nothing"

        testCase "counts from the commit in a group that nobody has ever joined"
        <| fun () ->
            let world =
                nothing
                |> commits (simpleCommit one)
                |> later 10L
                |> commits (simpleCommit [ offset 1 1 7L ])
                |> later (retentionMs - 10L)
                |> submit ForgetExpired

            Expect.equal world.Events [ OffsetsDeleted [| key 1 0 |] ] "the older one"
            let world = world |> later 10L |> submit ForgetExpired
            Expect.equal world.Events [ GroupDeleted ] "then the group"

        testCase "spares a group that has members"
        <| fun () ->
            stable [ "m1" ]
            |> commits (commitOf "m1" 1 one)
            |> later (10L * retentionMs)
            |> submit ForgetExpired
            |> expectOnly GroupDone

        testCase "does not keep an empty group that has no offsets"
        <| fun () ->
            let world = stable [ "m1" ] |> leaves "m1" |> submit ForgetExpired
            Expect.equal world.Events [ GroupDeleted ] "at once"
    ]

let tests =
    testList "group commits" [ byMembers; simple; judged; deletions; groups; retention ]
