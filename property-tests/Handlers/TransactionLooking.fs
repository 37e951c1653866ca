/// What administrators see of transactions, and what is refused.
module Tansu.PropertyTests.Handlers.TransactionLooking

open System
open System.Threading.Tasks
open Expecto
open Tansu.Codec
open Tansu.Codec.Messages
open Tansu.Host
open Tansu.PropertyTests.Replica.ScriptedLog
open Tansu.PropertyTests.Handlers.Desk
open Tansu.PropertyTests.Handlers.TransactionRig

let private describe (desk: Desk) (id: string) =
    task {
        let! response =
            desk.Ask<_, DescribeTransactionsResponse>(DescribeTransactionsRequest(TransactionalIds = [| id |]), 0)

        return response.TransactionStates[0]
    }

let private listed (desk: Desk) (request: ListTransactionsRequest) =
    task {
        let! response = desk.Ask<_, ListTransactionsResponse>(request, 2)
        Expect.equal response.ErrorCode ErrorCode.None "listed"

        return
            List.sort [
                for state in response.TransactionStates -> state.TransactionalId, state.TransactionState
            ]
    }

/// The error of a topic's partition 0, and the producers that it knows.
let private producers (desk: Desk) (topic: string) =
    task {
        let! response =
            desk.Ask<_, DescribeProducersResponse>(
                DescribeProducersRequest(
                    Topics = [|
                        DescribeProducersRequest.TopicRequest(Name = topic, PartitionIndexes = [| 0 |])
                    |]
                ),
                0
            )

        let answer = response.Topics[0].Partitions[0]

        return
            answer.ErrorCode,
            [
                for one in answer.ActiveProducers -> one.ProducerId, one.CurrentTxnStartOffset
            ]
    }

let private markers (desk: Desk) (producerId: int64) (epoch: int16) isCommit (topic: string) =
    task {
        let! response =
            desk.Ask<_, WriteTxnMarkersResponse>(
                WriteTxnMarkersRequest(
                    Markers = [|
                        WriteTxnMarkersRequest.WritableTxnMarker(
                            ProducerId = producerId,
                            ProducerEpoch = epoch,
                            TransactionResult = isCommit,
                            CoordinatorEpoch = -1,
                            Topics = [|
                                WriteTxnMarkersRequest.WritableTxnMarkerTopic(Name = topic, PartitionIndexes = [| 0 |])
                            |]
                        )
                    |]
                ),
                1
            )

        return response.Markers[0].Topics[0].Partitions[0].ErrorCode
    }

let private twoTest name body =
    brokersTest name 2 3 (fun desks ->
        task {
            let! _ = desks[0].Create("a", 3, [])
            let transactor = Transactor("tx", true)
            do! transactor.Initialize desks[0]
            do! body desks transactor
        })

let tests =
    testList "looking at transactions" [
        twoTest "DescribeTransactions tells state, producer and partitions, at any broker" (fun desks transactor ->
            task {
                let! _ = transactor.Produce(desks[0], "a", [ 2, "x"; 0, "x" ])
                let! state = describe desks[1] "tx"
                Expect.equal (state.ErrorCode, state.TransactionState) (ErrorCode.None, "Ongoing") "open"
                Expect.equal (state.ProducerId, state.ProducerEpoch) (transactor.Id, transactor.Epoch) "producer"
                Expect.equal state.TransactionTimeoutMs 60_000 "timeout"
                Expect.isGreaterThan state.TransactionStartTimeMs 0L "begun"

                Expect.equal
                    [ for topic in state.Topics -> topic.Topic, List.ofArray topic.Partitions ]
                    [ "a", [ 0; 2 ] ]
                    "where"

                do! transactor.End(desks[0], true)
                let! state = describe desks[1] "tx"
                Expect.equal (state.TransactionState, state.TransactionStartTimeMs) ("CompleteCommit", -1L) "ended"
                Expect.isEmpty state.Topics "nothing left"
                let! unknown = describe desks[1] "other"
                Expect.equal unknown.ErrorCode ErrorCode.TransactionalIdNotFound "unknown"
                let! empty = describe desks[1] ""
                Expect.equal empty.ErrorCode ErrorCode.InvalidRequest "empty"
            })

        twoTest "ListTransactions filters by state, producer, duration and pattern" (fun desks transactor ->
            task {
                let other = Transactor("other", false)
                do! other.Initialize desks[1]
                let! _ = transactor.Produce(desks[0], "a", [ 0, "x" ])
                let all = [ "other", "Empty"; "tx", "Ongoing" ]

                for desk in desks do
                    let! found = listed desk (ListTransactionsRequest())
                    Expect.equal found all "all"

                let desk = desks[1]

                let! found =
                    listed desk (ListTransactionsRequest(StateFilters = [| "Ongoing"; "Dead" |]))

                Expect.equal found [ "tx", "Ongoing" ] "by state"

                let! found =
                    listed desk (ListTransactionsRequest(ProducerIdFilters = [| other.Id |]))

                Expect.equal found [ "other", "Empty" ] "by producer"

                let! found =
                    listed desk (ListTransactionsRequest(DurationFilter = 3_600_000L, StateFilters = [| "Ongoing" |]))

                Expect.isEmpty found "by duration"

                let! found =
                    listed desk (ListTransactionsRequest(TransactionalIdPattern = "t.|nothing"))

                Expect.equal found [ "tx", "Ongoing" ] "by pattern"
                let! found = listed desk (ListTransactionsRequest(TransactionalIdPattern = "t"))
                Expect.isEmpty found "of the whole id"

                let! response =
                    desk.Ask<_, ListTransactionsResponse>(ListTransactionsRequest(TransactionalIdPattern = "a)(b"), 2)

                Expect.equal response.ErrorCode ErrorCode.InvalidRegularExpression "no pattern"

                let! response =
                    desk.Ask<_, ListTransactionsResponse>(ListTransactionsRequest(StateFilters = [| "Odd" |]), 2)

                Expect.equal response.UnknownStateFilters [| "Odd" |] "no state"
            })

        twoTest "DescribeProducers tells where a transaction began" (fun desks transactor ->
            task {
                let! _ = desks[0].Produce("a", [ 0, batch 3 ])
                let! _ = transactor.Produce(desks[0], "a", [ 0, "x" ])

                let! found = producers desks[0] "a"
                Expect.equal found (ErrorCode.None, [ transactor.Id, 3L ]) "open"
                let id = transactor.Id
                do! transactor.End(desks[0], true)
                let! found = producers desks[0] "a"
                Expect.equal found (ErrorCode.None, [ id, -1L ]) "ended"
            })

        twoTest "DescribeProducers tells at any broker of what has just happened at another" (fun desks transactor ->
            task {
                let! _ = transactor.Produce(desks[0], "a", [ 0, "x" ])
                let! found = producers desks[1] "a"
                Expect.equal found (ErrorCode.None, [ transactor.Id, 0L ]) "open"
                let! _ = desks[0].Create("b", 1, [])
                let! _ = transactor.Produce(desks[0], "b", [ 0, "x" ])
                let! found = producers desks[1] "b"
                Expect.equal found (ErrorCode.None, [ transactor.Id, 0L ]) "in a topic that it did not know"
                let id = transactor.Id
                do! transactor.End(desks[0], true)
                let! found = producers desks[1] "a"
                Expect.equal found (ErrorCode.None, [ id, -1L ]) "ended"
            })

        testCaseTask "DescribeProducers does not answer from what may be old" (fun () ->
            task {
                let! store, log = scriptedStore "shard-0"

                let! desk =
                    Desk.Open(
                        store = store,
                        settings = BrokerSettings(CatchUpTimeout = TimeSpan.FromMilliseconds 100.0)
                    )

                let! _ = desk.Create("a", 1, [])
                let gate = TaskCompletionSource()
                log.BeforeRead <- fun () -> gate.Task
                let! found = producers desk "a"
                Expect.equal found (ErrorCode.RequestTimedOut, []) "the store does not answer"
                let! found = producers desk "b"
                Expect.equal found (ErrorCode.UnknownTopicOrPartition, []) "there is no such topic"
                gate.SetResult()
                do! close desk
            })

        twoTest "WriteTxnMarkers aborts the whole of an open transaction" (fun desks transactor ->
            task {
                let! _ = transactor.Produce(desks[0], "a", [ 0, "x"; 1, "x"; 2, "x" ])
                let! error = markers desks[1] transactor.Id transactor.Epoch true "a"
                Expect.equal error ErrorCode.InvalidTxnState "a part cannot be committed"
                let! error = markers desks[1] transactor.Id (transactor.Epoch - 1s) false "a"
                Expect.equal error ErrorCode.InvalidProducerEpoch "an older epoch"
                let! error = markers desks[1] transactor.Id transactor.Epoch false "nothing"
                Expect.equal error ErrorCode.UnknownTopicOrPartition "no such topic"
                let! error = markers desks[1] transactor.Id transactor.Epoch false "a"
                Expect.equal error ErrorCode.None "aborted"

                for partition in 0..2 do
                    let! read = readCommitted desks[0] "a" partition
                    let! stable = latest desks[0] 1y "a" partition
                    Expect.equal (read, stable) ([], 2L) "nothing counts"

                let! error = markers desks[1] transactor.Id (transactor.Epoch + 1s) false "a"
                Expect.equal error ErrorCode.None "nothing to do"
            })

        twoTest "a deleted topic ends no transaction, and hinders none" (fun desks transactor ->
            task {
                let! _ = desks[0].Create("b", 3, [])
                let! _ = transactor.Produce(desks[0], "a", [ 0, "x" ])

                let! _ =
                    transactor.Produce(desks[0], "b", [ for partition in 0..2 -> partition, "x" ])

                let! _ =
                    desks[1]
                        .Ask<_, DeleteTopicsResponse>(
                            DeleteTopicsRequest(
                                Topics = [| DeleteTopicsRequest.DeleteTopicState(Name = "b") |],
                                TimeoutMs = 10_000
                            ),
                            6
                        )

                do! transactor.End(desks[0], true)
                let! read = readCommitted desks[1] "a" 0
                Expect.equal read [ "x" ] "the other topic"
            })

        brokersTest "AddPartitionsToTxn of brokers adds and checks for several ids at once" 1 3 (fun desks ->
            task {
                let desk = List.exactlyOne desks
                let! _ = desk.Create("a", 3, [])
                let one, other = Transactor("one", false), Transactor("other", false)
                do! one.Initialize desk
                do! other.Initialize desk

                let ask isCheck =
                    task {
                        let! response =
                            desk.Ask<_, AddPartitionsToTxnResponse>(
                                AddPartitionsToTxnRequest(
                                    Transactions = [|
                                        for transactor, partitions in [ one, [| 0; 1 |]; other, [| 2 |] ] ->
                                            AddPartitionsToTxnRequest.AddPartitionsToTxnTransaction(
                                                TransactionalId = transactor.TransactionalId,
                                                ProducerId = transactor.Id,
                                                ProducerEpoch = transactor.Epoch,
                                                VerifyOnly = isCheck,
                                                Topics = [|
                                                    AddPartitionsToTxnRequest.AddPartitionsToTxnTopic(
                                                        Name = "a",
                                                        Partitions = partitions
                                                    )
                                                |]
                                            )
                                    |]
                                ),
                                5
                            )

                        return [
                            for result in response.ResultsByTransaction do
                                for partition in result.TopicResults[0].ResultsByPartition ->
                                    partition.PartitionErrorCode
                        ]
                    }

                let! before = ask true
                Expect.allEqual before ErrorCode.TransactionAbortable "not in it"
                let! added = ask false
                Expect.allEqual added ErrorCode.None "added"
                let! after = ask true
                Expect.allEqual after ErrorCode.None "in it"
            })

        deskTest "InitProducerId refuses what makes no sense, and two-phase commit" (fun desk ->
            task {
                for request, expected in
                    [
                        InitProducerIdRequest(TransactionalId = "", TransactionTimeoutMs = 1), ErrorCode.InvalidRequest
                        InitProducerIdRequest(TransactionalId = "t", TransactionTimeoutMs = 0),
                        ErrorCode.InvalidTransactionTimeout
                        InitProducerIdRequest(TransactionalId = "t", TransactionTimeoutMs = 900_001),
                        ErrorCode.InvalidTransactionTimeout
                        InitProducerIdRequest(TransactionalId = "t", TransactionTimeoutMs = 1, ProducerId = 5L),
                        ErrorCode.InvalidRequest
                        InitProducerIdRequest(TransactionalId = "t", TransactionTimeoutMs = 1, Enable2Pc = true),
                        ErrorCode.TransactionalIdAuthorizationFailed
                        InitProducerIdRequest(TransactionalId = "t", TransactionTimeoutMs = 1, KeepPreparedTxn = true),
                        ErrorCode.UnsupportedVersion
                    ] do
                    let! response = desk.Ask<_, InitProducerIdResponse>(request, 6)
                    Expect.equal response.ErrorCode expected "refused"
            })

        deskTest "ApiVersions tells that transactions v2 are in force" (fun desk ->
            task {
                for version in 3..4 do
                    let! response =
                        desk.Ask<_, ApiVersionsResponse>(
                            ApiVersionsRequest(ClientSoftwareName = "a", ClientSoftwareVersion = "1"),
                            version
                        )

                    Expect.equal
                        [
                            for feature in response.FinalizedFeatures -> feature.Name, feature.MaxVersionLevel
                        ]
                        [ "transaction.version", 2s ]
                        "in force"

                    Expect.equal response.FinalizedFeaturesEpoch 0L "known"
                    Expect.equal response.SupportedFeatures.Length (version - 3) "level 0 is for version 4"
            })
    ]
