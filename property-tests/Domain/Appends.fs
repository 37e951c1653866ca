/// Records get the next offsets, and idempotent producers are judged as by Kafka's ProducerStateManager (KIP-98, KIP-360).
module Tansu.PropertyTests.Domain.Appends

open Expecto
open Tansu.Domain
open Tansu.PropertyTests.Domain.Given

let private offsets =
    testList "offsets" [
        testCase "the first batch begins at 0, the next where it ended"
        <| fun () ->
            expectAppend Shard.initial 1L (batch (partition 0) 3) 0L true
            expectAppend (appended [ batch (partition 0) 3 ]) 2L (batch (partition 0) 1) 3L true

        testCase "batches of one command for one partition follow one another"
        <| fun () ->
            let command =
                AppendBatches [| batch (partition 0) 2; batch (partition 1) 5; batch (partition 0) 4 |]

            let decision, state = act 1L Shard.initial command

            Expect.equal (replies decision) [ Appended(0L, 0L); Appended(0L, 0L); Appended(2L, 0L) ] "the offsets"

            Expect.equal (Shard.partition (partition 0) state).HighWatermark 6L "partition 0"
            Expect.equal (Shard.partition (partition 1) state).HighWatermark 5L "partition 1"

        testCase "a refused batch takes no offset and does not stop the others"
        <| fun () ->
            let state = appended [ idempotent 3s 0 1 ]

            let command =
                AppendBatches [| idempotent 2s 0 1; batch (partition 0) 1; batch (partition 1) 1 |]

            let decision, _ = act 2L state command

            Expect.equal
                (replies decision)
                [ Refused InvalidProducerEpoch; Appended(1L, 0L); Appended(0L, 0L) ]
                "each by itself"

            Expect.equal decision.Events.Length 2 "two are stored"

        testCase "batches that follow one another in one entry become one chunk"
        <| fun () ->
            let first = batch (partition 0) 2
            let second = batch (partition 0) 3
            let _, state = act 1L Shard.initial (AppendBatches [| first; second |])
            let chunks = (Shard.partition (partition 0) state).Chunks
            Expect.equal chunks.Count 1 "one chunk"
            Expect.equal (chunks[0].BaseOffset, chunks[0].LastOffset, chunks[0].Length) (0L, 4L, 200) "both batches"
    ]

let private sequences =
    testList "an idempotent producer" [
        testCase "goes on with the sequence that follows"
        <| fun () -> expectAppend (appended [ idempotent 0s 0 10 ]) 2L (idempotent 0s 10 5) 10L true

        testCase "is answered a repeated batch with the offset it got first, among the last five"
        <| fun () ->
            let state = appended [ for index in 0..4 -> idempotent 0s (index * 10) 10 ]

            for index in 0..4 do
                expectAppend state 9L (idempotent 0s (index * 10) 10) (int64 index * 10L) false

        testCase "gets OUT_OF_ORDER_SEQUENCE for a batch older than the last five"
        <| fun () ->
            let state = appended [ for index in 0..5 -> idempotent 0s (index * 10) 10 ]
            expectRefused state 9L (idempotent 0s 0 10) OutOfOrderSequence

        testCase "gets OUT_OF_ORDER_SEQUENCE for a gap"
        <| fun () -> expectRefused (appended [ idempotent 0s 0 10 ]) 2L (idempotent 0s 11 1) OutOfOrderSequence

        testCase "gets OUT_OF_ORDER_SEQUENCE for another cut of what it sent"
        <| fun () -> expectRefused (appended [ idempotent 0s 0 10 ]) 2L (idempotent 0s 0 5) OutOfOrderSequence

        testCase "is fenced by a newer epoch"
        <| fun () -> expectRefused (appended [ idempotent 1s 0 10 ]) 2L (idempotent 0s 10 1) InvalidProducerEpoch

        testCase "begins a newer epoch at sequence 0"
        <| fun () ->
            let state = appended [ idempotent 0s 0 10 ]
            expectAppend state 2L (idempotent 1s 0 1) 10L true
            expectRefused state 2L (idempotent 1s 10 1) OutOfOrderSequence

        testCase "is not answered a batch of an older epoch as a repetition"
        <| fun () ->
            let state = appended [ idempotent 0s 0 10; idempotent 1s 0 10 ]
            expectAppend state 3L (idempotent 1s 0 10) 10L false

        testCase "may begin at any sequence when nothing is known of it"
        <| fun () -> expectAppend Shard.initial 1L (idempotent 0s 42 1) 0L true

        testCase "wraps from the largest sequence to 0"
        <| fun () ->
            let largest = System.Int32.MaxValue
            expectAppend (appended [ idempotent 0s (largest - 1) 2 ]) 2L (idempotent 0s 0 1) 2L true
            let acrossTheEnd = appended [ idempotent 0s (largest - 1) 4 ]
            expectAppend acrossTheEnd 2L (idempotent 0s 2 1) 4L true
            expectAppend acrossTheEnd 2L (idempotent 0s (largest - 1) 4) 0L false

        testCase "is unknown again after its expiration"
        <| fun () ->
            let state = appended [ idempotent 5s 0 10 ]
            expectRefused state 1000L (idempotent 0s 3 1) InvalidProducerEpoch
            expectAppend state 1001L (idempotent 0s 3 1) 10L true

        testCase "that comes back after its expiration is known by its new batches only"
        <| fun () ->
            let state = appended [ idempotent 0s 0 10 ]
            let _, state = act 2000L state (AppendBatches [| idempotent 0s 50 1 |])
            expectAppend state 2001L (idempotent 0s 51 1) 11L true
            expectRefused state 2001L (idempotent 0s 0 10) OutOfOrderSequence
    ]

let private expiry =
    testList "forgetting" [
        testCase "idle producers are forgotten, busy ones are not, and nothing is written when there are none"
        <| fun () ->
            let busy = { idempotent 0s 0 1 with ProducerId = 8L }
            let _, state = act 900L (appended [ idempotent 0s 0 1 ]) (AppendBatches [| busy |])
            Expect.isEmpty (decideShard 1000L state ForgetExpired).Events "none is old enough"
            let decision, state = act 1001L state ForgetExpired
            Expect.equal decision.Events [| ProducersExpired(partition 0, [| 7L |]) |] "the idle one"
            Expect.isTrue ((Shard.partition (partition 0) state).Producers.ContainsKey 8L) "the busy one stays"
    ]

let tests = testList "appends" [ offsets; sequences; expiry ]
