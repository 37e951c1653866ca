/// Transactions by the rules of Kafka's coordinator (KIP-98, KIP-360, KIP-447, KIP-890).
module Tansu.PropertyTests.Domain.Transactions

open Expecto
open Tansu.Domain
open Tansu.PropertyTests.Domain.Given
open Tansu.PropertyTests.Domain.TransactionGiven

let private lastEpoch = System.Int16.MaxValue

/// Raises the epoch up to this one without a transaction.
let private raiseTo (epoch: int16) (shards: Shards) =
    for _ in shards.Transaction.ProducerEpoch .. epoch - 1s do
        shards.Initialize(-1L, -1L, -1s) |> ignore

let private initializing =
    testList "InitProducerId" [
        testCase "of a new id gives the fresh producer id with epoch 0, and then the next epochs"
        <| fun () ->
            let shards = Shards 1
            Expect.equal (shards.Initialize(-1L, -1L, -1s)) NeedsProducerId "without an id at hand"
            Expect.equal (shards.Initialize(7L, -1L, -1s)) (ProducerReady(7L, 0s)) "first"
            Expect.equal (shards.Initialize(8L, -1L, -1s)) (ProducerReady(7L, 1s)) "second"

        testCase "of a producer that goes on raises the epoch, and a repetition does not raise it again"
        <| fun () ->
            let shards = Shards 1
            shards.Initialize(7L, -1L, -1s) |> ignore
            Expect.equal (shards.Initialize(-1L, 7L, 0s)) (ProducerReady(7L, 1s)) "raised"
            let entries = (shards.Log 0).Count
            Expect.equal (shards.Initialize(-1L, 7L, 0s)) (ProducerReady(7L, 1s)) "the same again"
            Expect.equal (shards.Log 0).Count entries "nothing written"

        testCase "of a producer whose place was taken is fenced"
        <| fun () ->
            let shards = Shards 1
            shards.Initialize(7L, -1L, -1s) |> ignore
            shards.Initialize(-1L, -1L, -1s) |> ignore
            Expect.equal (shards.Initialize(-1L, 7L, 0s)) (TransactionRefused ProducerFenced) "an older epoch"
            Expect.equal (shards.Initialize(-1L, 6L, 1s)) (TransactionRefused ProducerFenced) "another id"

        testCase "takes a new producer id when the epochs are used up, also for a retry that does not know"
        <| fun () ->
            let shards = Shards 1
            shards.Initialize(7L, -1L, -1s) |> ignore
            raiseTo (lastEpoch - 1s) shards
            Expect.equal (shards.Initialize(-1L, 7L, lastEpoch - 1s)) NeedsProducerId "one is needed"
            Expect.equal (shards.Initialize(8L, 7L, lastEpoch - 1s)) (ProducerReady(8L, 0s)) "another id"
            Expect.equal (shards.Initialize(9L, 7L, lastEpoch - 1s)) (ProducerReady(8L, 0s)) "the same again"

        testCase "of an id with a transaction asks to abort it first, but not for one that is fenced"
        <| fun () ->
            let shards = opened 1 [ 0 ]
            Expect.equal (shards.Initialize(-1L, -1L, -1s)) TransactionIsOpen "open"
            Expect.equal (shards.Initialize(-1L, 7L, 0s)) TransactionIsOpen "its own"
            shards.Fence() |> ignore
            shards.Initialize(-1L, -1L, -1s) |> ignore
            shards.Add(7L, 2s, [ 0 ], []) |> ignore
            Expect.equal (shards.Initialize(-1L, 7L, 0s)) (TransactionRefused ProducerFenced) "an older one"
            Expect.equal shards.Transaction.State TransactionState.Ongoing "untouched"

        testCase "refuses timeouts that are not positive or above the limit"
        <| fun () ->
            for timeoutMs in [ 0; -1; 900_001 ] do
                let reply =
                    (Shards 1)
                        .Ask(
                            InitializeProducer {
                                NewProducerId = 7L
                                TimeoutMs = timeoutMs
                                KnownProducerId = -1L
                                KnownProducerEpoch = -1s
                            }
                        )

                Expect.equal reply (TransactionRefused InvalidTransactionTimeout) "refused"
    ]

let private adding =
    testList "adding to a transaction" [
        testCase "is for the holder of the id"
        <| fun () ->
            let shards = Shards 1
            Expect.equal (shards.Add(7L, 0s, [ 0 ], [])) (TransactionRefused InvalidProducerIdMapping) "unknown"
            shards.Initialize(7L, -1L, -1s) |> ignore
            shards.Initialize(7L, -1L, -1s) |> ignore
            Expect.equal (shards.Add(8L, 1s, [ 0 ], [])) (TransactionRefused InvalidProducerIdMapping) "another"
            Expect.equal (shards.Add(7L, 0s, [ 0 ], [])) (TransactionRefused ProducerFenced) "older"
            Expect.equal (shards.Add(7L, 2s, [ 0 ], [])) (TransactionRefused ProducerFenced) "newer"

        testCase "begins one if none is open, and writes only what is new"
        <| fun () ->
            let shards = opened 1 [ 0; 1 ]
            let events = (shards.Log 0).Count
            Expect.equal (shards.Add(7L, 0s, [ 1; 0 ], [ "group" ])) (InTransaction 1L) "all there"
            Expect.equal (shards.Log 0).Count events "nothing written"
            Expect.equal (shards.Add(7L, 0s, [ 1; 2 ], [])) (InTransaction 1L) "one more"
            Expect.equal shards.Transaction.Partitions.Count 3 "three"

        testCase "waits for the end of the one before"
        <| fun () ->
            let shards = opened 2 [ 0; 1 ]
            shards.End(7L, 0s, true, false) |> ignore
            Expect.equal (shards.Add(7L, 0s, [ 0 ], [])) TransactionIsEnding "not yet"
            shards.Finish()
            Expect.equal (shards.Add(7L, 0s, [ 0 ], [])) (InTransaction 2L) "the next one"
    ]

let private ending =
    testList "ending" [
        testCase "in one shard is one entry, with one marker in each partition"
        <| fun () ->
            let shards = opened 1 [ 0; 1; 2 ]
            let before = (shards.Log 0).Count
            Expect.equal (shards.End(7L, 0s, true, false)) (TransactionDecided(7L, 0s)) "committed"
            Expect.equal shards.Transaction.State TransactionState.CompleteCommit "complete"

            let markers = [
                for event in Seq.skip before (shards.Log 0) do
                    match event with
                    | MarkerAppended marker -> marker.Partition.Partition, marker.Position
                    | _ -> ()
            ]

            Expect.equal (List.sort markers) [ 0, 0; 1, 0; 2, 0 ] "they share their bytes"

            for number in 0..2 do
                Expect.equal (shards.Partition number).HighWatermark 1L "each takes an offset"

        testCase "in v1 keeps the epoch, and a repetition changes nothing"
        <| fun () ->
            let shards = opened 1 [ 0 ]
            shards.End(7L, 0s, true, false) |> ignore
            let events = (shards.Log 0).Count
            Expect.equal (shards.End(7L, 0s, true, false)) (TransactionDecided(7L, 0s)) "again"
            Expect.equal (shards.End(7L, 0s, false, false)) (TransactionRefused InvalidTransactionState) "otherwise"
            Expect.equal (shards.Log 0).Count events "nothing written"

        testCase "in v1 never touches a later transaction than the one that was meant"
        <| fun () ->
            let shards = opened 1 [ 0 ]
            shards.End(7L, 0s, true, false) |> ignore
            shards.Add(7L, 0s, [ 0 ], []) |> ignore
            Expect.equal (shards.End(7L, 0s, true, false, number = 1L)) AnotherTransaction "late"
            Expect.equal shards.Transaction.State TransactionState.Ongoing "untouched"
            Expect.equal (shards.End(7L, 0s, true, false, number = 2L)) (TransactionDecided(7L, 0s)) "the one"

        testCase "in v2 raises the epoch, and a repetition is told it"
        <| fun () ->
            let shards = opened 1 [ 0 ]
            Expect.equal (shards.End(7L, 0s, true, true)) (TransactionDecided(7L, 1s)) "raised"
            let events = (shards.Log 0).Count
            Expect.equal (shards.End(7L, 0s, true, true)) (TransactionDecided(7L, 1s)) "again"
            Expect.equal (shards.End(7L, 0s, false, true)) (TransactionRefused InvalidTransactionState) "otherwise"
            Expect.equal (shards.Log 0).Count events "nothing written"
            shards.Add(7L, 1s, [ 0 ], []) |> ignore
            Expect.equal (shards.End(7L, 0s, true, true)) (TransactionRefused ProducerFenced) "never the next one"

        testCase "in v2 of nothing raises the epoch for an abort, and is refused for a commit"
        <| fun () ->
            let shards = Shards 1
            shards.Initialize(7L, -1L, -1s) |> ignore
            Expect.equal (shards.End(7L, 0s, true, true)) (TransactionRefused InvalidTransactionState) "commit"
            Expect.equal (shards.End(7L, 0s, false, true)) (TransactionDecided(7L, 1s)) "abort"
            Expect.equal (shards.End(7L, 1s, false, true)) (TransactionDecided(7L, 2s)) "abort again"
            Expect.equal (shards.End(7L, 2s, false, false)) (TransactionRefused InvalidTransactionState) "v1"

        testCase "in v2 goes on with a new producer id when the epochs are used up"
        <| fun () ->
            let shards = Shards 1
            shards.Initialize(7L, -1L, -1s) |> ignore
            raiseTo (lastEpoch - 1s) shards
            shards.Add(7L, lastEpoch - 1s, [ 0 ], []) |> ignore
            Expect.equal (shards.End(7L, lastEpoch - 1s, true, true)) NeedsProducerId "one is needed"

            for _ in 1..2 do
                let reply = shards.End(7L, lastEpoch - 1s, true, true, nextId = 8L)
                Expect.equal reply (TransactionDecided(8L, 0s)) "another id, told again"

            Expect.equal (shards.Add(8L, 0s, [ 0 ], [])) (InTransaction 2L) "it goes on"

        testCase "is for the holder"
        <| fun () ->
            let shards = opened 1 [ 0 ]
            Expect.equal (shards.End(8L, 0s, true, false)) (TransactionRefused InvalidProducerIdMapping) "another id"
            Expect.equal (shards.End(7L, 1s, true, false)) (TransactionRefused ProducerFenced) "newer"
            shards.Fence() |> ignore
            Expect.equal (shards.End(7L, 0s, true, false)) (TransactionRefused ProducerFenced) "older"
            Expect.equal (shards.End(7L, 0s, false, true)) (TransactionRefused ProducerFenced) "older, v2"

        testCase "across shards is decided first, and each step can be taken again"
        <| fun () ->
            let shards = opened 3 [ 0; 1; 2; 4 ]
            shards.End(7L, 0s, true, false) |> ignore
            Expect.equal shards.Transaction.State TransactionState.PrepareCommit "decided"
            Expect.equal (shards.Partition 0).HighWatermark 1L "its own shard in the same entry"
            Expect.equal (shards.Partition 1).HighWatermark 0L "not yet"
            Expect.equal (shards.Mark 1).Events.Length 2 "two partitions"
            Expect.isEmpty (shards.Mark 1).Events "again"
            Expect.equal (shards.Mark 2).Events.Length 2 "a partition and the group"
            Expect.equal (shards.End(7L, 0s, true, false)) TransactionIsEnding "a repetition"
            shards.Complete() |> ignore
            Expect.equal shards.Transaction.State TransactionState.CompleteCommit "complete"
            Expect.equal (shards.Complete()) TransactionDone "again"
    ]

let private fencing =
    testList "aborting over the producer's head" [
        testCase "fences, whatever the log's time says"
        <| fun () ->
            let shards = opened 1 [ 0 ]
            shards.Append(shards.Batch(7L, 0s, 0, 1L, 0)) |> expectAppended "first" 0L
            // Whoever asks has found by its own clock that the transaction's time is over.
            shards.Fence() |> ignore
            Expect.equal shards.Transaction.State TransactionState.CompleteAbort "aborted"
            Expect.equal shards.Transaction.ProducerEpoch 1s "fenced"

            shards.Append(shards.Batch(7L, 0s, 1, 1L, 0))
            |> expectRefusal "late" InvalidProducerEpoch

            Expect.equal (Partition.abortedBetween 0L 9L (shards.Partition 0)).Length 1 "told to readers"

        testCase "means one transaction"
        <| fun () ->
            let shards = opened 1 [ 0 ]

            let late =
                FenceTransaction { Shard = 0; ProducerId = 7L; Number = 1L; Marker = marker 1s }

            shards.End(7L, 0s, true, false) |> ignore
            shards.Add(7L, 0s, [ 0 ], []) |> ignore
            shards.Ask late |> ignore
            Expect.equal shards.Transaction.State TransactionState.Ongoing "untouched"
    ]

let private partitions =
    testList "a partition" [
        testCase "is stable up to the first open transaction"
        <| fun () ->
            let shards = opened 1 [ 0 ]
            shards.Append(batch (partition 0) 5) |> expectAppended "plain" 0L

            shards.Append(shards.Batch(7L, 0s, 0, 1L, 0))
            |> expectAppended "transactional" 5L

            shards.Append(batch (partition 0) 5) |> expectAppended "plain" 6L
            Expect.equal (Partition.lastStableOffset (shards.Partition 0)) 5L "open"
            shards.End(7L, 0s, false, false) |> ignore
            Expect.equal (Partition.lastStableOffset (shards.Partition 0)) 12L "ended"

            match Partition.abortedBetween 0L 12L (shards.Partition 0) with
            | [| aborted |] ->
                Expect.equal (aborted.ProducerId, aborted.FirstOffset, aborted.LastOffset) (7L, 5L, 11L) "which"
            | _ -> failtest "one"

            Expect.isEmpty (Partition.abortedBetween 0L 5L (shards.Partition 0)) "before it"
            Expect.isEmpty (Partition.abortedBetween 12L 20L (shards.Partition 0)) "after it"

        testCase "refuses what belongs to a transaction that has ended, but answers a repetition"
        <| fun () ->
            let shards = opened 1 [ 0 ]
            let first = shards.Batch(7L, 0s, 0, 1L, 0)
            shards.Append first |> expectAppended "first" 0L
            shards.End(7L, 0s, true, false) |> ignore
            shards.Append first |> expectAppended "a repetition" 0L

            shards.Append(shards.Batch(7L, 0s, 1, 1L, 0))
            |> expectRefusal "late" TransactionEnded

            shards.Add(7L, 0s, [ 0 ], []) |> ignore

            shards.Append(shards.Batch(7L, 0s, 1, 1L, 0))
            |> expectRefusal "late, during the next one" TransactionEnded

            shards.Append(shards.Batch(7L, 0s, 1, 2L, 0))
            |> expectAppended "the next one" 2L

            shards.Append(shards.Batch(7L, 0s, 2, 1L, 0))
            |> expectRefusal "late, after its beginning" TransactionEnded

        testCase "that nothing was written to knows of the end as well"
        <| fun () ->
            let shards = opened 2 [ 1 ]
            shards.End(7L, 0s, false, false) |> ignore
            shards.Finish()

            shards.Append(shards.Batch(7L, 0s, 0, 1L, 1))
            |> expectRefusal "late" TransactionEnded

            Expect.equal (Partition.lastStableOffset (shards.Partition 1)) 1L "nothing hangs"

        testCase "takes nothing outside of a transaction from a producer that has one open"
        <| fun () ->
            let shards = opened 1 [ 0 ]
            shards.Append(shards.Batch(7L, 0s, 0, 1L, 0)) |> expectAppended "first" 0L

            shards.Append(shards.Batch(7L, 0s, 1, 0L, 0))
            |> expectRefusal "plain" InvalidTransactionState

        testCase "begins the epoch after an end of v2 at sequence 0"
        <| fun () ->
            let shards = opened 1 [ 0 ]
            shards.Append(shards.Batch(7L, 0s, 0, 1L, 0)) |> expectAppended "first" 0L
            shards.End(7L, 0s, true, true) |> ignore
            shards.Add(7L, 1s, [ 0 ], []) |> ignore

            shards.Append(shards.Batch(7L, 0s, 1, 2L, 0))
            |> expectRefusal "of the epoch before" InvalidProducerEpoch

            shards.Append(shards.Batch(7L, 1s, 0, 2L, 0)) |> expectAppended "next" 2L

        testCase "does not forget a producer in the middle of a transaction"
        <| fun () ->
            let shards = opened 1 [ 0 ]
            shards.Append(shards.Batch(7L, 0s, 0, 1L, 0)) |> expectAppended "first" 0L
            shards.NowMs <- shards.NowMs + 5000L
            Expect.isEmpty (shards.Submit(0, ForgetExpired)).Events "nothing"

            shards.Append(shards.Batch(7L, 0s, 5, 1L, 0))
            |> expectRefusal "a gap" OutOfOrderSequence

            shards.End(7L, 0s, true, false) |> ignore
            shards.NowMs <- shards.NowMs + 5000L
            Expect.isNonEmpty (shards.Submit(0, ForgetExpired)).Events "afterwards"

        testCase "drops what it knows of aborted transactions below its log start"
        <| fun () ->
            let shards = opened 1 [ 0 ]
            shards.Append(shards.Batch(7L, 0s, 0, 1L, 0)) |> expectAppended "first" 0L
            shards.End(7L, 0s, false, false) |> ignore

            for before, left in [ 1L, 1; 2L, 0 ] do
                shards.Submit(0, DeleteRecords [| { Partition = partition 0; BeforeOffset = before } |])
                |> ignore

                Expect.equal (shards.Partition 0).AbortedTransactions.Count left $"before {before}"

        testCase "a marker that comes so late that its producer has been forgotten does not end the next transaction"
        <| fun () ->
            let shards = opened 2 [ 1 ]
            shards.Append(shards.Batch(7L, 0s, 0, 1L, 1)) |> expectAppended "first" 0L
            shards.End(7L, 0s, false, false) |> ignore

            let late = WriteMarkers(Transaction.markers 1 (marker 0s) shards.Transaction)

            shards.Finish()
            shards.NowMs <- shards.NowMs + shardSettings.ProducerIdExpirationMs
            shards.Submit(1, ForgetExpired) |> ignore
            shards.Add(7L, 0s, [ 1 ], [ "group" ]) |> ignore
            shards.Append(shards.Batch(7L, 0s, 1, 2L, 1)) |> expectAppended "second" 2L
            shards.Commit(7L, 0s, 2L, 5L) |> ignore
            Expect.isEmpty (shards.Submit(1, late)).Events "nothing"
            Expect.equal (Partition.lastStableOffset (shards.Partition 1)) 2L "still undecided"

        testCase "of a deleted topic is no longer part of the transaction, which ends all the same"
        <| fun () ->
            let shards = opened 2 [ 0; 1 ]
            shards.Append(shards.Batch(7L, 0s, 0, 1L, 0)) |> expectAppended "first" 0L
            shards.Submit(1, RemoveTopic(topicId 1)) |> ignore
            shards.Submit(0, RemoveTopic(topicId 1)) |> ignore
            shards.End(7L, 0s, true, false) |> ignore
            shards.Finish()
            Expect.equal shards.Transaction.State TransactionState.CompleteCommit "complete"
            Expect.isEmpty (shards.State 0).Partitions "not brought back"
            Expect.isEmpty (shards.State 1).Partitions "nor there"

        testCase "appends and is added in one entry (KIP-890)"
        <| fun () ->
            let shards = Shards 1
            shards.Initialize(7L, -1L, -1s) |> ignore
            let addition = shards.Addition(7L, 0s, true, [ 0 ], [])

            let command =
                AppendInTransaction(transactionalId, addition, [| shards.Batch(7L, 0s, 0, -1L, 0) |])

            match (shards.Submit(0, command)).Reply with
            | BatchesJudged [| Appended(0L, _) |] -> ()
            | _ -> failtest "appended"

            Expect.equal shards.Transaction.Number 1L "begun"
            Expect.equal (Partition.lastStableOffset (shards.Partition 0)) 0L "undecided"
            Expect.isEmpty (shards.Submit(0, command)).Events "a repetition adds nothing"
            shards.Fence() |> ignore

            match (shards.Submit(0, command)).Reply with
            | TransactionAnswered(TransactionRefused ProducerFenced) -> ()
            | _ -> failtest "fenced"
    ]

let private committed (shards: Shards) =
    match (shards.Group "group").Offsets.TryGetValue(partition 0) with
    | true, offset -> offset.Offset
    | _ -> -1L

let private groups =
    testList "offsets of a group in a transaction" [
        for isCommit in [ true; false ] do
            testCase (
                if isCommit then
                    "count once it has committed"
                else
                    "are dropped when it aborts"
            )
            <| fun () ->
                let shards = opened 2 []
                Expect.equal (shards.Commit(7L, 0s, 1L, 5L)) (OffsetsJudged [| ValueNone |]) "taken"
                Expect.isTrue (Group.isUnstable (partition 0) (shards.Group "group")) "pending"
                Expect.equal (committed shards) -1L "not yet"
                shards.End(7L, 0s, isCommit, false) |> ignore
                Expect.equal (committed shards) -1L "not before the group's shard knows"
                shards.Finish()
                Expect.equal (committed shards) (if isCommit then 5L else -1L) "decided"
                Expect.isFalse (Group.isUnstable (partition 0) (shards.Group "group")) "stable"

        testCase "are refused when they come late or are fenced"
        <| fun () ->
            let shards = opened 1 []
            shards.End(7L, 0s, true, true) |> ignore
            Expect.equal (shards.Commit(7L, 0s, 1L, 5L)) (GroupRefused InvalidProducerEpoch) "an older epoch"
            Expect.equal (shards.Commit(7L, 1s, 1L, 5L)) (GroupRefused TransactionEnded) "an older transaction"
            Expect.isFalse (Group.hasPendingOffsets (shards.Group "group")) "nothing hangs"

        testCase "do not undo a commit that came after them"
        <| fun () ->
            let shards = opened 1 []
            shards.Commit(7L, 0s, 1L, 5L) |> ignore

            let plain =
                CommitOffsets(
                    GroupGiven.simpleCommit [
                        { Partition = partition 0; Offset = 9L; LeaderEpoch = -1; Metadata = "" }
                    ]
                )

            shards.Submit(0, AskGroup("group", plain)) |> ignore
            shards.End(7L, 0s, true, false) |> ignore
            Expect.equal (committed shards) 9L "the later one"

        testCase "keep the group until the end, which is forgotten like a producer"
        <| fun () ->
            let shards = opened 1 []
            shards.Commit(7L, 0s, 1L, 5L) |> ignore
            shards.NowMs <- shards.NowMs + GroupSettings.Default.OffsetsRetentionMs * 2L
            Expect.isEmpty (shards.Submit(0, ForgetExpired)).Events "pending"
            shards.End(7L, 0s, false, false) |> ignore
            Expect.isEmpty (shards.Submit(0, ForgetExpired)).Events "lately"
            shards.NowMs <- shards.NowMs + 1000L

            let events = (shards.Submit(0, ForgetExpired)).Events

            Expect.equal
                events
                [|
                    GroupChanged("group", GroupProducersForgotten [| 7L |])
                    GroupChanged("group", GroupDeleted)
                |]
                "forgotten"

        testCase "of a group that is deleted meanwhile are gone, and do not come back after the end"
        <| fun () ->
            let shards = opened 1 []
            shards.Commit(7L, 0s, 1L, 5L) |> ignore

            let ask command =
                shards.Submit(0, AskGroup("group", command)).Reply

            Expect.equal (ask DeleteGroup) (GroupAnswered GroupDone) "a group without members"
            Expect.equal (ask DeleteGroup) (GroupAnswered(GroupRefused GroupIdNotFound)) "it is gone"
            Expect.equal (shards.Commit(7L, 0s, 1L, 6L)) (OffsetsJudged [| ValueNone |]) "the transaction goes on"
            Expect.equal (ask DeleteGroup) (GroupAnswered GroupDone) "deleted once more"
            shards.End(7L, 0s, true, false) |> ignore
            Expect.equal (committed shards) -1L "nothing was left to commit"
            Expect.equal (shards.Commit(7L, 0s, 1L, 6L)) (GroupRefused TransactionEnded) "late"
            Expect.equal (ask DeleteGroup) (GroupAnswered(GroupRefused GroupIdNotFound)) "still gone"

        testCase "that come late do not undo newer ones"
        <| fun () ->
            let shards = opened 1 []
            let before = shards.PendingOffsets 7L
            Expect.equal (shards.Commit(7L, 0s, 1L, 2L, before)) (OffsetsJudged [| ValueNone |]) "the first"
            let first = shards.PendingOffsets 7L
            Expect.equal (shards.Commit(7L, 0s, 1L, 2L, before)) (OffsetsJudged [| ValueNone |]) "the same again"

            Expect.equal
                (shards.Commit(7L, 0s, 1L, 3L, before))
                (GroupRefused CommitOvertaken)
                "a broker that has not kept up"

            Expect.equal (shards.Commit(7L, 0s, 1L, 3L, first)) (OffsetsJudged [| ValueNone |]) "the second"
            Expect.equal (shards.Commit(7L, 0s, 1L, 2L, before)) (GroupRefused CommitOvertaken) "the first, late"
            shards.End(7L, 0s, true, false) |> ignore

            let group =
                Shard.group "group" (shards.State 0) |> ValueOption.defaultValue Group.initial

            Expect.equal group.Offsets[partition 0].Offset 3L "the second counts"

        testCase "need no member, but the right one if they name one"
        <| fun () ->
            let shards = opened 1 []

            let commit memberId generation =
                CommitInTransaction {
                    MemberId = memberId
                    InstanceId = null
                    Generation = generation
                    ProducerId = 7L
                    ProducerEpoch = 0s
                    Number = 1L
                    Known = shards.PendingOffsets 7L
                    Offsets = [| { Partition = partition 0; Offset = 9L; LeaderEpoch = -1; Metadata = "" } |]
                }

            let ask command =
                match (shards.Submit(0, AskGroup("group", command))).Reply with
                | GroupAnswered reply -> reply
                | _ -> failtest "not of a group"

            Expect.equal (ask (commit "m" 3)) (GroupRefused IllegalGeneration) "no such group"
            Expect.equal (ask (commit "" -1)) (OffsetsJudged [| ValueNone |]) "nobody"
            Expect.equal (ask (commit "m" 3)) (GroupRefused UnknownMemberId) "no such member"
    ]

let private expiring =
    testList "a transactional id" [
        testCase "is forgotten when nobody has used it for long, but not with a transaction open"
        <| fun () ->
            let expirationMs = TransactionSettings.Default.IdExpirationMs
            let shards = opened 1 []
            shards.NowMs <- shards.NowMs + expirationMs
            Expect.isEmpty (shards.Submit(0, ForgetExpired)).Events "open"
            shards.End(7L, 0s, true, false) |> ignore
            shards.NowMs <- shards.NowMs + expirationMs
            shards.Submit(0, ForgetExpired) |> ignore
            Expect.isEmpty (shards.State 0).Transactions "forgotten"
            Expect.equal (shards.Initialize(8L, 7L, 0s)) (ProducerReady(8L, 0s)) "begins anew"
    ]

let tests =
    testList "transactions" [ initializing; adding; ending; fencing; partitions; groups; expiring ]
