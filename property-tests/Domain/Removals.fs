/// DeleteRecords and the removal of topics.
module Tansu.PropertyTests.Domain.Removals

open Expecto
open Tansu.Domain
open Tansu.PropertyTests.Domain.Given

let private delete offset = { Partition = partition 0; BeforeOffset = offset }

let private deleteRecords =
    testList "DeleteRecords" [
        testCase "moves the log start offset and drops what lies wholly before it"
        <| fun () ->
            let decision, state =
                act 9L (appended [ batch (partition 0) 3; batch (partition 0) 3 ]) (DeleteRecords [| delete 4L |])

            Expect.equal decision.Reply (RecordsDeleted [| LogStartsAt 4L |]) "reply"
            let partition = Shard.partition (partition 0) state
            Expect.equal partition.LogStartOffset 4L "log start offset"
            Expect.equal partition.Chunks.Count 1 "the chunk that holds offset 4 stays"

        testCase "takes -1 for the high watermark"
        <| fun () ->
            let decision, state =
                act 9L (appended [ batch (partition 0) 3 ]) (DeleteRecords [| delete -1L |])

            Expect.equal decision.Reply (RecordsDeleted [| LogStartsAt 3L |]) "reply"
            Expect.equal (Shard.partition (partition 0) state).Chunks.Count 0 "nothing is left"

        testCase "never goes back, and writes nothing when there is nothing to do"
        <| fun () ->
            let _, state =
                act 9L (appended [ batch (partition 0) 3 ]) (DeleteRecords [| delete 2L |])

            let decision = decideShard 10L state (DeleteRecords [| delete 1L |])
            Expect.equal decision.Reply (RecordsDeleted [| LogStartsAt 2L |]) "reply"
            Expect.isEmpty decision.Events "events"

        testCase "refuses an offset beyond the high watermark, and negative ones"
        <| fun () ->
            let decision =
                decideShard 9L (appended [ batch (partition 0) 3 ]) (DeleteRecords [| delete 4L; delete -2L |])

            Expect.equal
                decision.Reply
                (RecordsDeleted [| DeleteRefused OffsetOutOfRange; DeleteRefused OffsetOutOfRange |])
                "reply"

        testCase "judges a partition named twice one after the other"
        <| fun () ->
            let decision, state =
                act 9L (appended [ batch (partition 0) 3 ]) (DeleteRecords [| delete 2L; delete 1L |])

            Expect.equal decision.Reply (RecordsDeleted [| LogStartsAt 2L; LogStartsAt 2L |]) "reply"
            Expect.equal (Shard.partition (partition 0) state).LogStartOffset 2L "log start offset"
    ]

let private topics =
    testList "a removed topic" [
        testCase "is gone from the shard, other topics are not"
        <| fun () ->
            let other = { TopicId = topicId 2; Partition = 0 }
            let state = appended [ batch (partition 0) 1; batch (partition 1) 1; batch other 1 ]
            let _, state = act 9L state (RemoveTopic(topicId 1))
            Expect.equal (List.ofSeq state.Partitions.Keys) [ other ] "what is left"

        testCase "cannot be brought back by a late append"
        <| fun () ->
            let _, state = act 9L Shard.initial (RemoveTopic(topicId 1))
            expectRefused state 10L (batch (partition 0) 1) UnknownTopicId

        testCase "is removed once"
        <| fun () ->
            let _, state = act 9L Shard.initial (RemoveTopic(topicId 1))
            Expect.isEmpty (decideShard 10L state (RemoveTopic(topicId 1))).Events "a retry writes nothing"

        testCase "leaves a mark that is forgotten after an hour"
        <| fun () ->
            let _, state = act 0L Shard.initial (RemoveTopic(topicId 1))
            Expect.isEmpty (decideShard (Shard.RemovedTopicMarkMs - 1L) state ForgetExpired).Events "not yet"

            Expect.equal
                (decideShard Shard.RemovedTopicMarkMs state ForgetExpired).Events
                [| RemovedTopicForgotten(topicId 1) |]
                "forgotten"
    ]

let tests = testList "removals" [ deleteRecords; topics ]
