/// Transactions of clients of both generations, in one shard and across shards.
module Tansu.PropertyTests.Handlers.Transacting

open System.Threading.Tasks
open Expecto
open Tansu.Codec
open Tansu.Codec.Messages
open Tansu.Domain
open Tansu.PropertyTests.Handlers.Desk
open Tansu.PropertyTests.Handlers.TransactionRig
open Tansu.PropertyTests.Stores

let private only (desks: Desk list) = List.exactlyOne desks

let private forEach name (body: Desk -> Transactor -> Task<unit>) =
    testList name [
        for isV2 in [ false; true ] do
            for shards in [ 1; 5 ] do
                brokersTest $"""transactions {if isV2 then "v2" else "v1"}, {shards} shard(s)""" 1 shards (fun desks ->
                    task {
                        let desk = only desks
                        let! _ = desk.Create("a", 6, [])
                        let transactor = Transactor("tx", isV2)
                        do! transactor.Initialize desk
                        do! body desk transactor
                    })
    ]

let private records =
    testList "records" [
        forEach "are there for readers of committed ones once they are committed" (fun desk transactor ->
            task {
                for round in 1..3 do
                    let! _ =
                        transactor.Produce(desk, "a", [ for partition in 0..5 -> partition, $"{round}" ])

                    let! _ = transactor.Produce(desk, "a", [ 0, $"{round} more" ])
                    let! before = readCommitted desk "a" 0
                    Expect.equal before.Length ((round - 1) * 2) "not before"
                    let! all = readUncommitted desk "a" 0
                    Expect.equal all.Length (round * 2) "others see them at once"
                    let! stable = latest desk 1y "a" 0
                    Expect.equal stable (int64 (round - 1) * 3L) "the last stable offset"
                    do! transactor.End(desk, true)

                    for partition in 0..5 do
                        let! after = readCommitted desk "a" partition
                        let expected = if partition = 0 then round * 2 else round
                        Expect.equal after.Length expected $"partition {partition}"

                    let! stable = latest desk 1y "a" 0
                    let! ending = latest desk 0y "a" 0
                    Expect.equal (stable, ending) (int64 round * 3L, int64 round * 3L) "markers take offsets"
            })

        forEach "are never there when they are aborted" (fun desk transactor ->
            task {
                let! _ = desk.Produce("a", [ 0, batch 1 ])
                let! _ = transactor.Produce(desk, "a", [ 0, "no"; 1, "no" ])
                do! transactor.End(desk, false)
                let! _ = transactor.Produce(desk, "a", [ 0, "yes"; 2, "yes" ])
                do! transactor.End(desk, true)
                let! _ = transactor.Produce(desk, "a", [ 1, "no"; 0, "no" ])
                do! transactor.End(desk, false)
                let! zero = readCommitted desk "a" 0
                Expect.equal (List.length zero, List.last zero) (2, "yes") "the plain one and the committed one"
                let! one = readCommitted desk "a" 1
                let! two = readCommitted desk "a" 2
                Expect.equal (one, two) ([], [ "yes" ]) "partitions 1 and 2"
                let! data = fetchFrom desk 1y "a" 0 3L
                Expect.equal [ for one in recordsOf data -> snd one ] [ "yes" ] "from the middle on"
                let! all = readUncommitted desk "a" 1
                Expect.equal all [ "no"; "no" ] "others see all but markers"
            })

        forEach "that are sent again are stored once, in the transaction and after it" (fun desk transactor ->
            task {
                let! first = transactor.Produce(desk, "a", [ 0, "one" ])
                let again = transactionalBatch transactor.Id transactor.Epoch 0 "one"
                let version = if transactor.IsV2 then 12 else 9
                let request () = produceRequest "tx" "a" [ 0, again ]
                let! answer = desk.Ask<_, ProduceResponse>(request (), version)
                Expect.equal answer.Responses[0].PartitionResponses[0].BaseOffset first[0] "where it is"

                if not transactor.IsV2 then
                    do! transactor.End(desk, true)
                    let! errors = transactor.AddPartitions(desk, "a", [ 0 ])
                    Expect.allEqual errors ErrorCode.None "added"
                    let! answer = desk.Ask<_, ProduceResponse>(request (), version)
                    Expect.equal answer.Responses[0].PartitionResponses[0].BaseOffset first[0] "after it"
            })
    ]

/// A plain record, and behind it in the same chunk one of a transaction that is open.
let private besideAnOpenTransaction (desk: Desk) (transactor: Transactor) =
    task {
        let! _ = desk.Create("a", 1, [])
        do! transactor.Initialize desk
        let! errors = transactor.AddPartitions(desk, "a", [ 0 ])
        Expect.allEqual errors ErrorCode.None "added"
        let undecided = transactionalBatch transactor.Id transactor.Epoch 0 "x"

        let! produced =
            desk.Ask<_, ProduceResponse>(produceRequest "tx" "a" [ 0, batch 1; 0, undecided ], 9)

        Expect.equal
            [ for answer in produced.Responses[0].PartitionResponses -> answer.BaseOffset ]
            [ 0L; 1L ]
            "produced"

        Expect.equal (desk.Partition("a", 0)).Chunks.Count 1 "one chunk"
    }

let private fetchUndecided maxWaitMs =
    let request = fetch "a" [ wanted 0 1L 100_000 ]
    request.IsolationLevel <- 1y
    request.MaxWaitMs <- maxWaitMs
    request

let private undecided =
    testList "what is not decided, in a chunk that begins with what is" [
        deskTest "is waited for" (fun desk ->
            task {
                let transactor = Transactor("tx", false)
                do! besideAnOpenTransaction desk transactor
                let polling = desk.Ask<_, FetchResponse>(fetchUndecided 60_000, 11)
                Expect.isFalse polling.IsCompleted "it waits"
                do! transactor.End(desk, true)
                let! response = polling.WaitAsync patience
                Expect.equal (recordsOf response.Responses[0].Partitions[0]) [ 1L, "x" ] "until the transaction ends"
            })

        deskTest "takes no memory" (fun desk ->
            task {
                do! besideAnOpenTransaction desk (Transactor("tx", false))
                Expect.isTrue (desk.Broker.FetchBudget.TryHold desk.Broker.Settings.FetchMemoryBytes) "all of it"
                let asked = desk.Ask<_, FetchResponse>(fetchUndecided 0, 11)
                Expect.isFalse desk.Broker.FetchBudget.HasWaiters "nothing waits for it"
                let! response = asked.WaitAsync patience
                let data = response.Responses[0].Partitions[0]
                Expect.equal (data.LastStableOffset, data.Records.Length) (1L, 0) "empty"
            })
    ]

let private offsets =
    testList "offsets" [
        forEach "count with the transaction, and are unstable until then" (fun desk transactor ->
            task {
                for round, isCommit in [ 1L, true; 2L, false; 3L, true ] do
                    let! before, _ = committedOffset desk false "group" "a" 0
                    do! transactor.CommitOffset(desk, "group", "a", 0, round)
                    let! now, error = committedOffset desk false "group" "a" 0
                    Expect.equal (now, error) (before, ErrorCode.None) "as before"
                    let! _, error = committedOffset desk true "group" "a" 0
                    Expect.equal error ErrorCode.UnstableOffsetCommit "unstable"
                    let! _, error = committedOffset desk true "group" "a" 1
                    Expect.equal error ErrorCode.None "others are stable"
                    do! transactor.End(desk, isCommit)
                    let! after, error = committedOffset desk true "group" "a" 0
                    Expect.equal (after, error) ((if isCommit then round else before), ErrorCode.None) "decided"
            })

        brokersTest "of a group that was not added are refused in v1" 1 1 (fun desks ->
            task {
                let desk = only desks
                let! _ = desk.Create("a", 1, [])
                let transactor = Transactor("tx", false)
                do! transactor.Initialize desk
                let! error = transactor.SendOffset(desk, "group", "a", 0, 5L)
                Expect.equal error ErrorCode.InvalidTxnState "no transaction"
                let! _ = transactor.Produce(desk, "a", [ 0, "x" ])
                let! error = transactor.SendOffset(desk, "group", "a", 0, 5L)
                Expect.equal error ErrorCode.InvalidTxnState "not added"
                let! error = transactor.SendOffset(desk, "group", "b", 0, 5L)
                Expect.equal error ErrorCode.UnknownTopicOrPartition "no such topic"
            })
    ]

let private verified =
    testList "a partition that is not in the transaction" [
        for version, expected in [ 9, ErrorCode.InvalidTxnState; 11, ErrorCode.TransactionAbortable ] do
            brokersTest $"is refused in version {version}" 1 3 (fun desks ->
                task {
                    let desk = only desks
                    let! _ = desk.Create("a", 3, [])
                    let transactor = Transactor("tx", false)
                    do! transactor.Initialize desk
                    let! answers = transactor.Send(desk, "a", [ 0, "x" ], version)
                    Expect.equal answers[0].ErrorCode expected "no transaction"
                    let! _ = transactor.Produce(desk, "a", [ 1, "x" ])
                    let! answers = transactor.Send(desk, "a", [ 1, "y"; 2, "x"; 0, "x" ], version)

                    Expect.equal
                        [ for answer in answers -> answer.ErrorCode ]
                        [ ErrorCode.None; expected; expected ]
                        "those that were not added"

                    let! all = readUncommitted desk "a" 0
                    Expect.isEmpty all "nothing is stored"
                })

        brokersTest "takes no other with it that does not exist" 1 1 (fun desks ->
            task {
                let desk = only desks
                let! _ = desk.Create("a", 1, [])
                let transactor = Transactor("tx", false)
                do! transactor.Initialize desk
                let! errors = transactor.AddPartitions(desk, "a", [ 0; 7 ])

                Expect.equal
                    errors
                    [ ErrorCode.OperationNotAttempted; ErrorCode.UnknownTopicOrPartition ]
                    "none was added"

                Expect.isFalse (Transaction.isOngoing (desk.Broker.Cluster.Transactions.Find "tx")) "not begun"
            })
    ]

/// What a transaction over some partitions costs, in entries of all shards.
let private cost (desk: Desk) (transactor: Transactor) partitions =
    task {
        let before = entries desk

        let! _ =
            transactor.Produce(desk, "a", [ for partition in 0 .. partitions - 1 -> partition, "x" ])

        do! transactor.End(desk, true)
        return entries desk - before
    }

let private costs =
    testList "cost" [
        for isV2, expected in [ false, 3L; true, 2L ] do
            let generation = if isV2 then "v2" else "v1"

            brokersTest
                $"a transaction {generation} over 50 partitions in one shard costs what one over one does"
                1
                1
                (fun desks ->
                    task {
                        let desk = only desks
                        let! _ = desk.Create("a", 50, [])
                        let transactor = Transactor("tx", isV2)
                        do! transactor.Initialize desk
                        let! one = cost desk transactor 1
                        let! fifty = cost desk transactor 50
                        Expect.equal (one, fifty) (expected, expected) "entries"
                    })

            testCaseTask
                $"a transaction {generation} over 50 partitions in one shard is {expected} PUTs on S3, as one over one"
                (fun () ->
                    task {
                        let! store = S3Server.openWith (S3Server.at (S3Server.freshPlace ()))
                        let! desk = Desk.Open(store = store)
                        let! _ = desk.Create("a", 50, [])
                        let transactor = Transactor("tx", isV2)
                        do! transactor.Initialize desk

                        let puts partitions =
                            task {
                                let before = store.Requests.Snapshot()
                                let! _ = cost desk transactor partitions
                                let cost = store.Requests.Snapshot().Minus before
                                Expect.equal cost.Delete 0L "nothing is deleted"
                                return cost.Put
                            }

                        let! one = puts 1
                        let! fifty = puts 50
                        Expect.equal (one, fifty) (expected, expected) "PUTs"
                        do! close desk
                    })

        brokersTest "an idle cluster writes nothing, whatever transactional ids there are" 1 3 (fun desks ->
            task {
                let desk = only desks
                let! _ = desk.Create("a", 3, [])
                let transactor = Transactor("tx", true)
                do! transactor.Initialize desk
                let! _ = transactor.Produce(desk, "a", [ 0, "x" ])
                let before = entries desk
                do! desk.Broker.Cluster.Transactions.LookAsync()
                do! transactor.End(desk, true)
                let after = entries desk
                Expect.isGreaterThan after before "the end"
                do! desk.Broker.Cluster.Transactions.LookAsync()
                do! desk.Broker.Cluster.Transactions.LookAsync()
                Expect.equal (entries desk) after "nothing more"
            })
    ]

let private reading =
    testList "markers" [
        brokersTest
            "of many partitions in one entry are read with the offsets of each, here and elsewhere"
            2
            1
            (fun desks ->
                task {
                    let! _ = desks[0].Create("a", 20, [])
                    let transactor = Transactor("tx", true)
                    do! transactor.Initialize desks[0]

                    for round in 1..3 do
                        let! _ =
                            transactor.Produce(
                                desks[0],
                                "a",
                                [
                                    for partition in 0..19 do
                                        if partition % round = 0 then
                                            partition, $"{round}"
                                ]
                            )

                        do! transactor.End(desks[0], round <> 2)

                    for desk in desks do
                        for partition in 0..19 do
                            let rounds = [
                                for round in 1..3 do
                                    if partition % round = 0 then
                                        round
                            ]

                            let! data = fetchFrom desk 1y "a" partition 0L
                            let offsets = baseOffsets data
                            Expect.equal offsets [ for offset in 0 .. rounds.Length * 2 - 1 -> int64 offset ] "offsets"

                            Expect.equal
                                (List.map snd (recordsOf data))
                                [
                                    for round in rounds do
                                        if round <> 2 then
                                            $"{round}"
                                ]
                                "records"
                })

        brokersTest "and plain batches of the same entry are read alike" 1 1 (fun desks ->
            task {
                let desk = only desks
                let! _ = desk.Create("a", 2, [])
                let transactor = Transactor("tx", false)
                do! transactor.Initialize desk

                for _ in 1..5 do
                    let! _ = transactor.Produce(desk, "a", [ 0, "x"; 1, "x" ])
                    // Whatever gathers while these are written goes into one entry.
                    let plain = [ for _ in 1..4 -> desk.Produce("a", [ 0, batch 2 ]) ]
                    let ending = transactor.End(desk, true)
                    let more = [ for _ in 1..4 -> desk.Produce("a", [ 0, batch 2; 1, batch 1 ]) ]
                    let! _ = Task.WhenAll(plain @ more)
                    do! ending

                for partition in 0..1 do
                    let! data = fetchFrom desk 0y "a" partition 0L
                    let! ending = latest desk 0y "a" partition
                    let offsets = baseOffsets data
                    Expect.equal offsets (List.sort offsets) "in order"
                    Expect.equal (List.distinct offsets) offsets "each once"
                    Expect.equal (List.head offsets, List.last offsets < ending) (0L, true) "from 0 to the end"
                    let! last = fetchFrom desk 0y "a" partition (ending - 1L)
                    Expect.equal (baseOffsets last).Length 1 "the last one by itself"
            })
    ]

let tests =
    testList "transactions" [ records; undecided; offsets; verified; costs; reading ]
