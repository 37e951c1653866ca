/// Consume, transform, produce: records are copied from one topic to another by several processes on three brokers, while workers and brokers
/// are killed. Whoever reads committed records sees each once, in order, at any time. `./test pipeline --records N`.
module Tansu.PropertyTests.EndToEnd.Pipeline

open System
open System.Collections.Generic
open System.Diagnostics
open System.Text
open System.Threading
open System.Threading.Tasks
open Confluent.Kafka
open Confluent.Kafka.Admin
open Expecto
open Tansu.PropertyTests
open Tansu.PropertyTests.EndToEnd.Brokers
open Tansu.PropertyTests.EndToEnd.PipelineWorker
open Tansu.PropertyTests.EndToEnd.RealBroker
open Tansu.PropertyTests.EndToEnd.SoakLedger
open Tansu.PropertyTests.EndToEnd.SoakStore

let private partitions = 6
let private brokerCount = 3

/// The last of them has no group instance id: when it is killed the others wait until its session is over.
let private workerCount = 3

/// What goes wrong meanwhile.
type private Disturbance =
    | KillWorker of int
    /// Its successor has another transactional id: only its timeout ends the transaction.
    | ReplaceWorker of int
    /// It stands still for longer than its session and its transaction may, and then goes on.
    | SuspendWorker of int
    | KillBroker of int

/// How much is done.
type private Load = {
    records: int
    /// A worker's transaction has at most so many.
    maxBatch: int
    /// They happen one by one, whenever another share of the records has been copied. The last may not happen if copying is faster.
    disturbances: Disturbance list
}

let private say (text: string) =
    Console.Out.WriteLine $"{DateTime.UtcNow:``HH:mm:ss``} {text}"

/// Record n is in partition n modulo their number, at the offset that follows from it.
let private numberAt partition (index: int) = partition + partitions * index

/// How many records a partition has.
let private shareOf (load: Load) partition =
    (load.records - partition + partitions - 1) / partitions

/// So that a record is as large as they commonly are.
let private padding = String.replicate 80 "."

let private create bootstrap =
    task {
        use admin =
            AdminClientBuilder(Clients.configure (AdminClientConfig()) bootstrap).SetLogHandler(fun _ _ -> ()).Build()

        do!
            admin.CreateTopicsAsync [
                for topic in [ input; output ] ->
                    TopicSpecification(Name = topic, NumPartitions = partitions, ReplicationFactor = -1s)
            ]
    }

/// Fills the topic that is to be copied.
let private fill bootstrap (load: Load) =
    task {
        let config =
            Clients.configure
                (ProducerConfig(EnableIdempotence = true, LingerMs = 20.0, MessageTimeoutMs = 600_000))
                bootstrap

        use producer = Clients.producer config
        use window = new SemaphoreSlim 20_000
        let mutable refused = null

        for number in 0 .. load.records - 1 do
            do! window.WaitAsync()

            let message =
                Message<byte array, byte array>(
                    Key = Encoding.ASCII.GetBytes(string number),
                    Value = Encoding.ASCII.GetBytes(string number + padding)
                )

            producer.Produce(
                TopicPartition(input, Partition(number % partitions)),
                message,
                fun report ->
                    if report.Error.IsError then
                        refused <- report.Error

                    window.Release() |> ignore
            )

        producer.Flush(patience * 5.0) |> ignore
        Expect.isNull refused "the input is written"
    }

let private consumerOf bootstrap (isolation: IsolationLevel) =
    let config =
        Clients.configure
            (ConsumerConfig(
                GroupId = group,
                EnableAutoCommit = false,
                EnablePartitionEof = true,
                CheckCrcs = true,
                IsolationLevel = isolation,
                TopicMetadataRefreshIntervalMs = 1000
            ))
            bootstrap

    ConsumerBuilder<byte array, byte array>(config).SetLogHandler(fun _ _ -> ()).SetErrorHandler(fun _ _ -> ()).Build()

let private readFromStart (consumer: IConsumer<byte array, byte array>) =
    consumer.Assign [
        for partition in 0 .. partitions - 1 -> TopicPartitionOffset(output, Partition partition, Offset.Beginning)
    ]

/// Compares what a consumer of committed records gets with the input, record by record.
type private Comparison(load: Load, anomalies: Anomalies) =
    let counts = Array.create partitions 0

    member _.Count = Array.sum counts

    member _.Take(result: ConsumeResult<byte array, byte array>) =
        let partition = result.Partition.Value
        let expected = string (numberAt partition counts[partition])
        let key = Encoding.ASCII.GetString result.Message.Key

        if counts[partition] >= shareOf load partition then
            anomalies.Add $"partition {partition}, offset {result.Offset.Value}: record {key} after the last"
        elif key <> expected then
            anomalies.Add $"partition {partition}, offset {result.Offset.Value}: record {key} instead of {expected}"
        elif Encoding.ASCII.GetString result.Message.Value <> expected + padding then
            anomalies.Add $"partition {partition}, offset {result.Offset.Value}: record {key} has another value"

        counts[partition] <- counts[partition] + 1

/// Reads all the time, as somebody does who works on what the pipeline makes.
let private watch bootstrap (comparison: Comparison) (stop: CancellationToken) =
    use consumer = consumerOf bootstrap IsolationLevel.ReadCommitted
    readFromStart consumer

    while not stop.IsCancellationRequested do
        match consumer.Consume(TimeSpan.FromMilliseconds 200.0) with
        | null -> ()
        | result when result.IsPartitionEOF -> ()
        | result -> comparison.Take result

    consumer.Close()

/// Everything that readers of this kind get, to the end.
let private readAll bootstrap (isolation: IsolationLevel) (onRecord: ConsumeResult<byte array, byte array> -> unit) =
    use consumer = consumerOf bootstrap isolation
    readFromStart consumer
    let ended = HashSet<int>()

    while ended.Count < partitions do
        match consumer.Consume patience with
        | null -> failwith "the consumer got nothing"
        | result when result.IsPartitionEOF -> ended.Add result.Partition.Value |> ignore
        | result -> onRecord result

    consumer.Close()

/// The ends of the output for readers of this kind.
let private ends bootstrap (isolation: IsolationLevel) =
    use consumer = consumerOf bootstrap isolation

    [
        for partition in 0 .. partitions - 1 ->
            consumer.QueryWatermarkOffsets(TopicPartition(output, Partition partition), patience).High.Value
    ]

/// The workers, each of which has a successor when it is killed.
type private Workers(bootstrap: string, load: Load, random: Random) =
    let retired = List<Worker>()
    let mutable failures = 0

    let start number suffix =
        let instance =
            if number = workerCount - 1 then
                None
            else
                Some $"instance-{number}"

        new Worker(bootstrap, $"copier-{number}{suffix}", instance, load.maxBatch, random.Next())

    let running = Array.init workerCount (fun number -> start number "")

    let replace number suffix =
        retired.Add running[number]
        running[number] <- start number suffix

    let all () = Seq.append retired running

    /// Transactions that were said to be committed, and aborted.
    member _.Committed = all () |> Seq.sumBy _.Committed
    member _.Aborted = all () |> Seq.sumBy _.Aborted

    /// How many have ended by themselves.
    member _.Failures = failures
    member _.Log = String.Join("\n", all () |> Seq.rev |> Seq.truncate 8 |> Seq.map _.Log)

    member _.Kill(number, suffix) =
        running[number].Kill()
        replace number suffix

    member _.Suspend number = running[number].Suspend()
    member _.Resume number = running[number].Resume()

    /// A worker that cannot go on is started again, as whoever supervises it would do.
    member _.Supervise() =
        for number in 0 .. workerCount - 1 do
            if running[number].HasFailed then
                failures <- failures + 1
                say running[number].LastWords
                replace number ""

    member _.Stop() =
        for worker in running do
            worker.Stop()

    interface IDisposable with
        member _.Dispose() =
            for worker in all () do
                (worker :> IDisposable).Dispose()

/// Longer than a session and a transaction may last.
let private suspension = TimeSpan.FromSeconds 13.0

/// Nothing is copied for so long only if something is stuck.
let private stuckAfter = patience * 4.0

/// Checks what is there when all workers have stopped.
let private finish bootstrap (load: Load) (anomalies: Anomalies) =
    task {
        let clock = Stopwatch.StartNew()
        let mutable isOpen = true

        while isOpen && clock.Elapsed < patience do
            isOpen <-
                ends bootstrap IsolationLevel.ReadCommitted
                <> ends bootstrap IsolationLevel.ReadUncommitted

            if isOpen then
                do! Task.Delay 200

        if isOpen then
            anomalies.Add "a transaction is still open"

        let again = Comparison(load, anomalies)
        readAll bootstrap IsolationLevel.ReadCommitted again.Take

        if again.Count <> load.records then
            anomalies.Add $"{again.Count} records have been copied, of {load.records}"

        let mutable all = 0
        readAll bootstrap IsolationLevel.ReadUncommitted (fun _ -> all <- all + 1)
        use consumer = consumerOf bootstrap IsolationLevel.ReadCommitted

        let places = [
            for partition in 0 .. partitions - 1 -> TopicPartition(input, Partition partition)
        ]

        for next in consumer.Committed(places, patience) do
            if next.Offset.Value <> int64 (shareOf load next.Partition.Value) then
                anomalies.Add $"the group's offset in partition {next.Partition.Value} is {next.Offset.Value}"

        return all - load.records
    }

/// Copies everything; gives what went wrong, and what brokers and workers said.
let private run (place: Place) (load: Load) (random: Random) =
    task {
        use scratch = new Scratch()

        use brokers =
            new Brokers(brokerCount, scratch.Path, place.storageEngine, place.environment, [])

        let bootstrap = brokers.Bootstrap
        let anomalies = Anomalies()
        do! create bootstrap
        let clock = Stopwatch.StartNew()
        do! fill bootstrap load
        say $"{place.name}: {load.records} records are written after {clock.Elapsed.TotalSeconds:F0} s"
        clock.Restart()
        use stop = new CancellationTokenSource()
        let comparison = Comparison(load, anomalies)
        let watching = Task.Run(fun () -> watch bootstrap comparison stop.Token)
        use workers = new Workers(bootstrap, load, random)
        let mutable left = load.disturbances
        let mutable suspended = None
        let mutable saidAt = TimeSpan.Zero
        let mutable movedAt = TimeSpan.Zero
        let mutable moved = 0

        let happened () = load.disturbances.Length - left.Length

        let disturb () =
            match left with
            | next :: rest when
                not (suspended.IsSome && next.IsSuspendWorker)
                && int64 comparison.Count * int64 (load.disturbances.Length + 1)
                   >= int64 load.records * int64 (happened () + 1)
                ->
                left <- rest

                match next with
                | KillWorker number -> workers.Kill(number, "")
                | ReplaceWorker number -> workers.Kill(number, $"-{happened ()}")
                | KillBroker number -> brokers.KillAndRestart number
                | SuspendWorker number ->
                    workers.Suspend number
                    suspended <- Some(number, clock.Elapsed + suspension)
            | _ -> ()

        let resume () =
            match suspended with
            | Some(number, until) when clock.Elapsed >= until ->
                workers.Resume number
                suspended <- None
            | _ -> ()

        let progress () =
            say
                $"{place.name} {clock.Elapsed.TotalSeconds:F0} s: {comparison.Count} records copied, {workers.Committed} transactions committed, {workers.Aborted} aborted, {happened ()} disturbances, {workers.Failures} workers started again; {anomalies.All.Length} anomalies"

        let isStuck () = clock.Elapsed - movedAt > stuckAfter

        while (comparison.Count < load.records || suspended.IsSome)
              && anomalies.All.IsEmpty
              && not (isStuck () || watching.IsCompleted) do
            do! Task.Delay 50
            workers.Supervise()
            resume ()
            disturb ()

            if comparison.Count > moved then
                moved <- comparison.Count
                movedAt <- clock.Elapsed

            if clock.Elapsed - saidAt > TimeSpan.FromSeconds 5.0 then
                saidAt <- clock.Elapsed
                progress ()

        let took = clock.Elapsed
        progress ()

        if isStuck () then
            anomalies.Add $"nothing was copied for {stuckAfter.TotalSeconds} s"

        let mutable abortedRecords = 0

        if anomalies.All.IsEmpty then
            workers.Stop()
            let! found = finish bootstrap load anomalies
            abortedRecords <- found

        stop.Cancel()
        do! watching

        let happened = List.take (happened ()) load.disturbances

        let count (which: Disturbance -> bool) =
            happened |> List.filter which |> List.length

        say
            $"{place.name}: {load.records} records copied in {took.TotalSeconds:F0} s, {float load.records / took.TotalSeconds:F0} a second, in {workers.Committed} transactions; {abortedRecords} records in aborted ones; {count _.IsKillBroker} brokers killed, {count _.IsKillWorker + count _.IsReplaceWorker} workers killed, {count _.IsSuspendWorker} suspended; {anomalies.All.Length} anomalies"

        for text in anomalies.All do
            say $"ANOMALY {text}"

        return anomalies.All, $"{workers.Log}\n--\n{brokers.Log}"
    }

let private quick name (place: unit -> Task<Place>) =
    testCaseTask $"20,000 records on {name} arrive once each, while workers and brokers are killed" (fun () ->
        task {
            let! place = place ()
            let random = Random(int Check.seed)

            let load = {
                records = 20_000
                maxBatch = 250
                disturbances = [
                    KillWorker(random.Next(workerCount - 1))
                    KillBroker(random.Next brokerCount)
                    ReplaceWorker(random.Next(workerCount - 1))
                    KillBroker(random.Next brokerCount)
                    KillWorker(workerCount - 1)
                ]
            }

            let! anomalies, log = run place load random
            Expect.isEmpty anomalies $"no anomaly; workers and brokers said:\n{log}"
        })

let tests =
    testList "pipeline" [ Lane.s3 (quick "S3" s3); Lane.postgres (quick "PostgreSQL" postgres) ]

/// `./test pipeline [--records N] [--kills N] [--store s3|postgres]`: once on each store.
let pipeline (arguments: string list) =
    let rec value name (fallback: string) (rest: string list) =
        match rest with
        | flag :: found :: _ when flag = name -> found
        | _ :: tail -> value name fallback tail
        | [] -> fallback

    let records = int (value "--records" "1000000" arguments)
    let kills = int (value "--kills" "40" arguments)
    let store = value "--store" "" arguments

    let one (place: unit -> Task<Place>) =
        task {
            let! place = place ()
            let random = Random(int Check.seed)

            let load = {
                records = records
                maxBatch = 2000
                disturbances = [
                    for _ in 1..kills ->
                        match random.Next 10 with
                        | 0
                        | 1
                        | 2 -> KillWorker(random.Next workerCount)
                        | 3
                        | 4 -> ReplaceWorker(random.Next workerCount)
                        | 5 -> SuspendWorker(random.Next workerCount)
                        | _ -> KillBroker(random.Next brokerCount)
                ]
            }

            say $"pipeline of {records} records on {place.name}, {kills} disturbances, seed {Check.seed}"
            let! anomalies, log = run place load random

            if not anomalies.IsEmpty then
                say $"workers and brokers said:\n{log}"

            return anomalies.IsEmpty
        }

    try
        let results = [
            if store <> "postgres" then
                one(s3).Result

            if store <> "s3" then
                one(postgres).Result
        ]

        if List.forall id results then 0 else 1
    finally
        Stores.PostgresServer.stopAll ()
