/// Who may not go on with a transaction, and who ends it instead.
module Tansu.PropertyTests.Handlers.TransactionFencing

open System
open System.Collections.Concurrent
open System.Threading.Tasks
open Expecto
open Tansu.Adapters
open Tansu.Adapters.Replica
open Tansu.Adapters.Transactions
open Tansu.Codec
open Tansu.Codec.Messages
open Tansu.Domain
open Tansu.PropertyTests.Host
open Tansu.PropertyTests.Handlers.Desk
open Tansu.PropertyTests.Handlers.TransactionRig

let private fenced =
    testList "a producer whose transactional id was taken" [
        for isV2 in [ false; true ] do
            for shards in [ 1; 5 ] do
                brokersTest
                    $"""is fenced on every path, {if isV2 then "v2" else "v1"}, {shards} shard(s)"""
                    2
                    shards
                    (fun desks ->
                        task {
                            let! _ = desks[0].Create("a", 6, [])
                            let first = Transactor("tx", isV2)
                            do! first.Initialize desks[0]
                            let! _ = first.Produce(desks[0], "a", [ for partition in 0..5 -> partition, "no" ])
                            do! first.CommitOffset(desks[0], "group", "a", 0, 7L)
                            let second = Transactor("tx", isV2)
                            // At another broker, which aborts what is open.
                            do! second.Initialize desks[1]
                            Expect.equal second.Id first.Id "the same producer id"
                            Expect.isGreaterThan second.Epoch first.Epoch "a newer epoch"

                            for desk in desks do
                                let! answers = first.Send(desk, "a", [ 0, "no"; 1, "no" ])

                                Expect.allEqual
                                    [ for answer in answers -> answer.ErrorCode ]
                                    ErrorCode.InvalidProducerEpoch
                                    "Produce"

                                let! errors = first.AddPartitions(desk, "a", [ 0 ])
                                Expect.equal errors [ ErrorCode.ProducerFenced ] "AddPartitionsToTxn"
                                let! error = first.AddOffsets(desk, "group")
                                Expect.equal error ErrorCode.ProducerFenced "AddOffsetsToTxn"
                                let! error = first.SendOffset(desk, "group", "a", 0, 9L)
                                Expect.equal error ErrorCode.InvalidProducerEpoch "TxnOffsetCommit"
                                let! ended = first.TryEnd(desk, true)
                                Expect.equal ended.ErrorCode ErrorCode.ProducerFenced "EndTxn"
                                let! ended = first.TryEnd(desk, true, 1)
                                Expect.equal ended.ErrorCode ErrorCode.InvalidProducerEpoch "EndTxn, an old client"

                            for desk in desks do
                                for partition in 0..5 do
                                    let! read = readCommitted desk "a" partition
                                    Expect.isEmpty read "nothing of it counts"

                            let! offset, error = committedOffset desks[0] true "group" "a" 0
                            Expect.equal (offset, error) (-1L, ErrorCode.None) "nor its offsets"
                            let! _ = second.Produce(desks[0], "a", [ 0, "yes" ])
                            do! second.End(desks[0], true)
                            let! read = readCommitted desks[1] "a" 0
                            Expect.equal read [ "yes" ] "its successor's do"
                        })
    ]

/// The clock of one broker, which may be ahead of the others', and on which more time passes than passes.
type private OwnTime(ahead: TimeSpan) =
    inherit TimeProvider()

    member val Passed = TimeSpan.Zero with get, set

    override this.GetUtcNow() =
        TimeProvider.System.GetUtcNow() + ahead + this.Passed

    override this.GetTimestamp() =
        TimeProvider.System.GetTimestamp()
        + this.Passed.Ticks
          * (TimeProvider.System.TimestampFrequency / TimeSpan.TicksPerSecond)

let private openAt (space: MemorySpace) port shards (time: TimeProvider) (onNotice: string -> unit) =
    Desk.Open(
        store = new MemoryStore(space, StoreOptions.Default),
        options =
            ClusterOptions(
                AdvertisedHost = "localhost",
                AdvertisedPort = port,
                ShardCount = shards,
                OnNotice = Action<string> onNotice,
                TimeProvider = time
            ),
        time = time
    )

/// Lets a broker look for transactions that have been open for too long.
let private look (desk: Desk) =
    desk.Broker.Cluster.Transactions.LookAsync()

let private expectState (desk: Desk) expected what =
    Expect.equal (desk.Broker.Cluster.Transactions.Find "tx").State expected what

/// Looks until it is so: the broker, which looks by itself too, may be about to make it so.
let private untilState (desk: Desk) expected what =
    task {
        let begun = DateTime.UtcNow

        while desk.Broker.Cluster.Transactions.Find("tx").State <> expected
              && DateTime.UtcNow - begun < patience do
            do! look desk
            do! Task.Yield()

        expectState desk expected what
    }

/// A transactional producer, in transactions v1, and the topic that it writes to.
let private transactorOf (desk: Desk) =
    task {
        let! _ = desk.Create("a", 1, [])
        let transactor = Transactor("tx", false)
        do! transactor.Initialize desk
        return transactor
    }

/// More than the producer's timeout of a minute, and than a broker waits for the one that is to act first.
let private tooLong = TimeSpan.FromSeconds 65.0

let private timedOut =
    testList "a transaction that is open for too long" [
        for shards in [ 1; 5 ] do
            testCaseTask $"is aborted by whichever broker knows of it, {shards} shard(s)" (fun () ->
                task {
                    let space = MemorySpace()
                    let time = OwnTime TimeSpan.Zero
                    let notices = ConcurrentQueue<string>()
                    let! one = openAt space 9092 shards time notices.Enqueue
                    let! _ = one.Create("a", 6, [])
                    let transactor = Transactor("tx", false)
                    do! transactor.Initialize one
                    let! _ = transactor.Produce(one, "a", [ for partition in 0..5 -> partition, "no" ])
                    do! look one
                    expectState one TransactionState.Ongoing "not yet"
                    do! close one

                    // Another broker finds it in the log.
                    let! other = openAt space 9093 shards time notices.Enqueue
                    do! look other
                    expectState other TransactionState.Ongoing "not yet for the other one"
                    time.Passed <- tooLong
                    do! untilState other TransactionState.CompleteAbort "aborted"

                    Expect.exists
                        notices
                        (fun notice -> notice.Contains "tx was open for longer than its timeout of 60000 ms")
                        "the operator is told"

                    for partition in 0..5 do
                        let! read = readCommitted other "a" partition
                        let! stable = latest other 1y "a" partition
                        Expect.equal (read, stable) ([], 2L) "nothing counts, nothing hangs"

                    let! ended = transactor.TryEnd(other, true)
                    Expect.equal ended.ErrorCode ErrorCode.ProducerFenced "its producer is fenced"
                    do! close other
                })

        testCaseTask "is not one that a broker finds whose clock is ahead of the one that began it" (fun () ->
            task {
                let space = MemorySpace()
                let! one = openAt space 9092 1 (OwnTime TimeSpan.Zero) ignore
                let! transactor = transactorOf one
                let! _ = transactor.Produce(one, "a", [ 0, "yes" ])
                do! close one
                let time = OwnTime tooLong
                let! other = openAt space 9093 1 time ignore
                do! look other
                time.Passed <- TimeSpan.FromSeconds 5.0
                do! look other
                expectState other TransactionState.Ongoing "it has just been begun"
                do! transactor.End(other, true)
                let! read = readCommitted other "a" 0
                Expect.equal read [ "yes" ] "its producer is not fenced"
                do! close other
            })

        testCaseTask "is aborted in its time although a clock that was ahead has written to the log" (fun () ->
            task {
                let space = MemorySpace()
                let! ahead = openAt space 9092 1 (OwnTime(TimeSpan.FromHours 1.0)) ignore
                let! transactor = transactorOf ahead
                do! close ahead
                let time = OwnTime TimeSpan.Zero
                let! desk = openAt space 9092 1 time ignore
                let! _ = transactor.Produce(desk, "a", [ 0, "no" ])
                do! look desk
                time.Passed <- tooLong
                do! untilState desk TransactionState.CompleteAbort "not an hour later"
                do! close desk
            })

        testCaseTask "is not the next one of its producer, nor is that one taken for it" (fun () ->
            task {
                let time = OwnTime TimeSpan.Zero
                let! desk = openAt (MemorySpace()) 9092 1 time ignore
                let coordinator = desk.Broker.Cluster.Transactions
                let! transactor = transactorOf desk
                let! _ = transactor.Produce(desk, "a", [ 0, "1" ])
                do! look desk
                let first = coordinator.Find "tx"
                time.Passed <- TimeSpan.FromSeconds 40.0
                do! transactor.End(desk, true)
                // The same producer id and epoch, in transactions v1.
                let! _ = transactor.Produce(desk, "a", [ 0, "2" ])
                do! look desk
                time.Passed <- TimeSpan.FromSeconds 80.0
                do! look desk
                expectState desk TransactionState.Ongoing "its own time"
                do! coordinator.TimeOutAsync("tx", first, patience)
                expectState desk TransactionState.Ongoing "the first was meant"
                time.Passed <- TimeSpan.FromSeconds 40.0 + tooLong
                do! untilState desk TransactionState.CompleteAbort "its time is over too"
                let! read = readCommitted desk "a" 0
                Expect.equal read [ "1" ] "only the first counts"
                do! close desk
            })

        testCaseTask "is ended by a broker that knows no more of it than its records" (fun () ->
            task {
                let space = MemorySpace()
                let! one = openDesk space 9092 5
                let! other = openDesk space 9093 5
                let! _ = one.Create("a", 5, [])
                let! response = initialize one "tx" 3000
                let coordinator = one.Broker.Cluster.Transactions.ShardOf "tx"
                let topic = one.Broker.FindTopic(false, Guid.Empty, "a")

                // Nobody looks at the coordinator's log any more.
                let partition =
                    Seq.find (fun partition -> one.Broker.Cluster.ShardOf(topic, partition).Index <> coordinator) [
                        0..4
                    ]

                let bytes = transactionalBatch response.ProducerId response.ProducerEpoch 0 "no"

                let! answer =
                    one.Ask<_, ProduceResponse>(produceRequest "tx" "a" [ partition, bytes ], 12)

                Expect.equal answer.Responses[0].PartitionResponses[0].ErrorCode ErrorCode.None "produced"
                do! close one
                let request = fetch "a" [ wanted partition 1L 1000 ]
                request.MaxWaitMs <- 30_000
                let! polled = other.Ask<_, FetchResponse>(request, 12)
                Expect.equal (baseOffsets polled.Responses[0].Partitions[0]) [ 1L ] "the marker"
                do! close other
            })

        testCaseTask "is found by itself within seconds" (fun () ->
            task {
                let! desk = Desk.Open()
                let! _ = desk.Create("a", 1, [])
                let! response = initialize desk "tx" 300
                let bytes = transactionalBatch response.ProducerId response.ProducerEpoch 0 "no"
                let! answer = desk.Ask<_, ProduceResponse>(produceRequest "tx" "a" [ 0, bytes ], 12)
                Expect.equal answer.Responses[0].PartitionResponses[0].ErrorCode ErrorCode.None "produced"
                let request = fetch "a" [ wanted 0 1L 1000 ]
                request.MaxWaitMs <- 20_000
                // A long poll for what follows the record: the marker wakes it.
                let! polled = desk.Ask<_, FetchResponse>(request, 12)
                Expect.equal (baseOffsets polled.Responses[0].Partitions[0]) [ 1L ] "the marker"
                do! close desk
            })
    ]

/// EndTxn up to the decision, as a broker leaves it that is killed then.
let private decide (desk: Desk) (transactor: Transactor) isCommit =
    task {
        let coordinator = desk.Broker.Cluster.Transactions
        let batch = MarkerBatch.Of(transactor.Id, transactor.Epoch, isCommit, 1L)

        let ending: TransactionToEnd = {
            Shard = coordinator.ShardOf "tx"
            ProducerId = transactor.Id
            ProducerEpoch = transactor.Epoch
            Number = -1L
            IsCommit = isCommit
            BumpsEpoch = false
            NextProducerId = -1L
            Marker = batch.Marker
        }

        let! _ =
            desk.Broker.Cluster.Shards[coordinator.ShardOf "tx"]
                .Replica.SubmitAsync(AskTransaction("tx", EndTransaction ending), batch.Payload, patience)

        Expect.isTrue (Transaction.isPrepared (coordinator.Find "tx")) "half ended"
    }

let private allRead (desk: Desk) expected =
    task {
        for partition in 0..5 do
            let! read = readCommitted desk "a" partition
            let! stable = latest desk 1y "a" partition
            Expect.equal (read, stable) (expected, 2L) $"partition {partition}"
    }

let private halfEnded =
    testList "a transaction that a broker left half ended" [
        for isCommit in [ true; false ] do
            let expected = if isCommit then [ "x" ] else []
            let how = if isCommit then "committed" else "aborted"

            let begun (desks: Desk list) =
                task {
                    let! _ = desks[0].Create("a", 6, [])
                    let transactor = Transactor("tx", false)
                    do! transactor.Initialize desks[0]

                    let! _ =
                        transactor.Produce(desks[0], "a", [ for partition in 0..5 -> partition, "x" ])

                    do! decide desks[0] transactor isCommit
                    return transactor
                }

            brokersTest $"is {how} by the next request for it" 2 5 (fun desks ->
                task {
                    let! transactor = begun desks
                    let! errors = transactor.AddPartitions(desks[1], "a", [ 0 ])
                    Expect.equal errors [ ErrorCode.None ] "the next transaction"
                    let! ended = transactor.TryEnd(desks[1], true)
                    Expect.equal ended.ErrorCode ErrorCode.None "and its end"
                    let! read = readCommitted desks[1] "a" 5
                    Expect.equal read expected "what was decided"
                })

            brokersTest $"is {how} when the client asks again" 2 5 (fun desks ->
                task {
                    let! transactor = begun desks
                    let! ended = transactor.TryEnd(desks[1], isCommit)
                    Expect.equal ended.ErrorCode ErrorCode.None "done"
                    do! allRead desks[1] expected
                })

            brokersTest $"is {how} by whoever looks" 2 5 (fun desks ->
                task {
                    let! _ = begun desks
                    let coordinator = desks[1].Broker.Cluster.Transactions
                    do! coordinator.CatchUpAsync("tx", patience)
                    do! coordinator.FinishAsync("tx", patience)
                    do! allRead desks[0] expected
                })
    ]

let private elsewhere =
    testList "a broker that does not know what happened elsewhere" [
        for shards in [ 1; 5 ] do
            brokersTest $"takes nothing into the next transaction by mistake, {shards} shard(s)" 2 shards (fun desks ->
                task {
                    let! _ = desks[0].Create("a", 6, [])
                    let transactor = Transactor("tx", false)
                    do! transactor.Initialize desks[0]

                    let! _ =
                        transactor.Produce(desks[0], "a", [ for partition in 0..5 -> partition, "1" ])

                    do! transactor.End(desks[1], true)
                    let! errors = transactor.AddPartitions(desks[1], "a", [ 0..5 ])
                    Expect.allEqual errors ErrorCode.None "added"

                    // The first broker believes in the first transaction until it is refused.
                    let rec send tries =
                        task {
                            let! answers =
                                transactor.Send(desks[0], "a", [ for partition in 0..5 -> partition, "2" ])

                            let errors = List.distinct [ for answer in answers -> answer.ErrorCode ]

                            if tries = 0 && errors <> [ ErrorCode.None ] then
                                Expect.equal errors [ ErrorCode.NotEnoughReplicas ] "the client is to try again"
                                do! send 1
                            else
                                Expect.equal errors [ ErrorCode.None ] "taken"
                        }

                    do! send 0
                    do! transactor.End(desks[1], false)

                    for partition in 0..5 do
                        let! read = readCommitted desks[0] "a" partition
                        Expect.equal read [ "1" ] "each in its own transaction"
                })

        brokersTest "ends the transaction that is open" 2 1 (fun desks ->
            task {
                let! _ = desks[0].Create("a", 1, [])
                let transactor = Transactor("tx", false)
                do! transactor.Initialize desks[0]
                let! _ = transactor.Produce(desks[0], "a", [ 0, "1" ])
                do! transactor.End(desks[1], true)
                let! _ = transactor.Produce(desks[1], "a", [ 0, "2" ])
                do! transactor.End(desks[0], false)
                let! read = readCommitted desks[1] "a" 0
                Expect.equal read [ "1" ] "the second was aborted"
            })
    ]

let tests =
    testList "transactions of others" [ fenced; timedOut; halfEnded; elsewhere ]
