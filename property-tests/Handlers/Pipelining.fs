/// Requests of one connection do not wait for one another's store write.
module Tansu.PropertyTests.Handlers.Pipelining

open System.Threading
open System.Threading.Tasks
open Expecto
open Tansu.Codec
open Tansu.Codec.Messages
open Tansu.PropertyTests.Handlers.Desk
open Tansu.PropertyTests.Handlers.GroupRequests
open Tansu.PropertyTests.Handlers.TransactionRig
open Tansu.PropertyTests.Replica.ScriptedLog

/// Offsets of partition 0 of some topics.
let private commit (desk: Desk) (topics: string list) (offset: int64) =
    task {
        let request =
            OffsetCommitRequest(
                GroupId = "group",
                Topics = [|
                    for topic in topics do
                        yield! (commitRequest "group" topic [ 0, offset ]).Topics
                |]
            )

        let! response = desk.Ask<_, OffsetCommitResponse>(request, 9)
        return [ for topic in response.Topics -> topic.Partitions[0].ErrorCode ]
    }

/// The same in a transaction.
let private commitIn (transactor: Transactor) (desk: Desk) (topics: string list) (offset: int64) =
    task {
        let request =
            TxnOffsetCommitRequest(
                TransactionalId = transactor.TransactionalId,
                GroupId = "group",
                ProducerId = transactor.Id,
                ProducerEpoch = transactor.Epoch,
                Topics = [|
                    for topic in topics ->
                        TxnOffsetCommitRequest.TxnOffsetCommitRequestTopic(
                            Name = topic,
                            Partitions = [|
                                TxnOffsetCommitRequest.TxnOffsetCommitRequestPartition(CommittedOffset = offset)
                            |]
                        )
                |]
            )

        let! response =
            desk.Ask<_, TxnOffsetCommitResponse>(request, (if transactor.IsV2 then 5 else 3))

        return [ for topic in response.Topics -> topic.Partitions[0].ErrorCode ]
    }

/// Two commits on one connection, of which the first names a topic that the broker has to look for.
let private expectInOrder
    (desk: Desk)
    (catalog: ScriptedLog)
    (commit: Desk -> string list -> int64 -> Task<ErrorCode list>)
    =
    task {
        let gate = TaskCompletionSource()
        catalog.BeforeRead <- fun () -> gate.Task
        let first = commit desk [ "new"; "a" ] 1L

        let second =
            task {
                do! desk.UntilNext()
                return! commit desk [ "a" ] 2L
            }

        gate.SetResult()
        let! errors = first.WaitAsync patience
        Expect.equal errors [ ErrorCode.UnknownTopicOrPartition; ErrorCode.None ] "the first"
        let! errors = second.WaitAsync patience
        Expect.equal errors [ ErrorCode.None ] "the second"
    }

let tests =
    testList "pipelining" [
        testCaseTask "five produce requests in flight on one connection share a commit, in their order" (fun () ->
            task {
                let! store, log = scriptedStore "shard-0"
                let! desk = Desk.Open(store = store)
                let! _ = desk.Create("a", 1, [])
                let before = log.Appends
                let gate = TaskCompletionSource()
                log.Script [ After gate.Task ]
                let first = desk.Produce("a", [ 0, batch 1 ])

                Expect.isTrue
                    (SpinWait.SpinUntil((fun () -> log.Appends = before + 1), patience))
                    "the first is being stored"

                let others = [ for _ in 1..5 -> desk.Produce("a", [ 0, batch 1 ]) ]
                gate.SetResult()
                let! answers = Task.WhenAll(first :: others).WaitAsync patience
                let offsets = [ for answer in answers -> (List.exactlyOne answer).BaseOffset ]
                Expect.equal offsets [ 0L .. 5L ] "in their order"
                Expect.equal (log.Appends - before) 2 "two commits for six requests"
            })

        testCaseTask "an OffsetCommit that has to look for a topic is not overtaken by the next one" (fun () ->
            task {
                let! store, catalog = scriptedStore "catalog"
                let! desk = Desk.Open(store = store)
                let! _ = desk.Create("a", 1, [])
                do! expectInOrder desk catalog commit
                let! committed = committedOffset desk false "group" "a" 0
                Expect.equal committed (2L, ErrorCode.None) "the second came later"
            })

        for isV2 in [ false; true ] do
            testCaseTask $"""neither is a TxnOffsetCommit, {if isV2 then "v2" else "v1"}""" (fun () ->
                task {
                    let! store, catalog = scriptedStore "catalog"
                    let! desk = Desk.Open(store = store)
                    let! _ = desk.Create("a", 1, [])
                    let transactor = Transactor("tx", isV2)
                    do! transactor.Initialize desk

                    if not isV2 then
                        let! error = transactor.AddOffsets(desk, "group")
                        Expect.equal error ErrorCode.None "group added"

                    do! expectInOrder desk catalog (commitIn transactor)
                    do! transactor.End(desk, true)
                    let! committed = committedOffset desk true "group" "a" 0
                    Expect.equal committed (2L, ErrorCode.None) "the second came later"
                })
    ]
