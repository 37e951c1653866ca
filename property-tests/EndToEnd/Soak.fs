/// A cluster under load for a while, with retention, compaction by key and collection of garbage so quick that all of them happen again and again:
/// three brokers that are killed now and then, producers, and consumers that read everything from the start. `./test soak --minutes N`.
module Tansu.PropertyTests.EndToEnd.Soak

open System
open System.Collections.Generic
open System.Diagnostics
open System.Threading
open System.Threading.Tasks
open Confluent.Kafka
open Confluent.Kafka.Admin
open Expecto
open Tansu.PropertyTests
open Tansu.PropertyTests.EndToEnd.Brokers
open Tansu.PropertyTests.EndToEnd.RealBroker
open Tansu.PropertyTests.EndToEnd.SoakLedger
open Tansu.PropertyTests.EndToEnd.SoakStore

let private brokerCount = 3

/// As `Brokers` has them.
let private shards = 2

let private intervalMs = 2000
let private grace = TimeSpan.FromSeconds 5.0

/// In the end nothing may be left in the store for so long without anything that refers to it: the grace period, and a few passes of a busy machine.
let private leakedAfter = grace + TimeSpan.FromSeconds 10.0

/// How much is done.
type Load = {
    keys: int
    /// Records a second into the compacted topic, and into the one with retention.
    rates: int * int
    /// The load ends when this much has been acknowledged and so much time has passed.
    records: int64
    time: TimeSpan
    /// A broker is killed about this often.
    killEvery: TimeSpan
}

let private updated (load: Load) = { topic = "updated"; partitions = 4; keys = load.keys; valueBytes = 20, 400 }
let private streamed = { topic = "streamed"; partitions = 4; keys = 0; valueBytes = 500, 1500 }

let private say (text: string) =
    Console.Out.WriteLine $"{DateTime.UtcNow:``HH:mm:ss``} {text}"

/// Produces the records of a plan whose numbers are one producer's, at most so many a second, until told to stop; then waits until all are
/// acknowledged.
let private produce
    bootstrap
    (ledger: Ledger)
    (anomalies: Anomalies)
    producers
    mine
    perSecond
    (stop: CancellationToken)
    =
    task {
        let config =
            Clients.configure
                (ProducerConfig(
                    EnableIdempotence = true,
                    LingerMs = 20.0,
                    MessageTimeoutMs = 600_000,
                    CompressionType =
                        (if mine = 0 then
                             CompressionType.Lz4
                         else
                             CompressionType.Zstd),
                    TopicMetadataRefreshIntervalMs = 500
                ))
                bootstrap

        use producer = Clients.producer config
        use window = new SemaphoreSlim 2000
        let plan = ledger.Plan
        let clock = Stopwatch.StartNew()
        let mutable number = 0L
        let mutable sent = 0L

        let isMine number =
            if plan.keys > 0 then
                plan.KeyOf number % producers = mine
            else
                int (number / int64 plan.partitions) % producers = mine

        while not stop.IsCancellationRequested do
            if isMine number then
                if float sent > clock.Elapsed.TotalSeconds * float perSecond then
                    do! Task.Delay 5

                do! window.WaitAsync()
                let own = number
                let partition = plan.PartitionOf own

                producer.Produce(
                    TopicPartition(plan.topic, Partition partition),
                    plan.Message own,
                    fun report ->
                        if report.Error.IsError then
                            anomalies.Add $"{plan.topic}: record {own} was not taken: {report.Error.Reason}"
                        else
                            ledger.Acknowledge(partition, report.Offset.Value, own)

                        window.Release() |> ignore
                )

                sent <- sent + 1L

            number <- number + 1L

        producer.Flush(patience * 3.0) |> ignore
        Expect.equal window.CurrentCount 2000 "everything was answered"
    }

let private consumerConfig bootstrap =
    Clients.configure
        (ConsumerConfig(
            GroupId = "unused",
            EnableAutoCommit = false,
            EnablePartitionEof = true,
            CheckCrcs = true,
            AutoOffsetReset = AutoOffsetReset.Earliest,
            TopicMetadataRefreshIntervalMs = 500
        ))
        bootstrap

/// Where a consumer of a topic with retention was sent on from, and to.
type private Jump = { partition: int; toOffset: int64 }

/// Reads a topic from its start to the end that it comes to, once. Gives what it read.
let private readOnce
    bootstrap
    (ledger: Ledger)
    (anomalies: Anomalies)
    (suspects: List<int * int64>)
    (stop: CancellationToken)
    =
    let plan = ledger.Plan

    use consumer =
        ConsumerBuilder<byte array, byte array>(consumerConfig bootstrap)
            .SetLogHandler(fun _ _ -> ())
            .SetErrorHandler(fun _ _ -> ())
            .Build()

    consumer.Assign [
        for partition in 0 .. plan.partitions - 1 ->
            TopicPartitionOffset(plan.topic, Partition partition, Offset.Beginning)
    ]

    let next = Array.create plan.partitions -1L
    let isDone = Array.create plan.partitions false
    let jumps = List<Jump>()
    let mutable read = 0L
    let mutable quietSince = Stopwatch.StartNew()

    let onGap partition (from: int64) (toOffset: int64) =
        if plan.keys = 0 then
            jumps.Add { partition = partition; toOffset = toOffset }
        else
            for offset in from .. toOffset - 1L do
                if not (ledger.MayBeGone(partition, offset)) then
                    suspects.Add(partition, offset)

    while not (Array.forall id isDone || stop.IsCancellationRequested) do
        match consumer.Consume(TimeSpan.FromMilliseconds 200.0) with
        | null ->
            if quietSince.Elapsed > patience * 2.0 then
                anomalies.Add $"{plan.topic}: a consumer stands still"
                quietSince <- Stopwatch.StartNew()
        | result when result.IsPartitionEOF ->
            let partition = result.Partition.Value

            if plan.keys > 0 then
                onGap partition (max 0L next[partition]) result.Offset.Value

            isDone[partition] <- true
            consumer.Pause [ result.TopicPartition ]
        | result ->
            let partition = result.Partition.Value
            let offset = result.Offset.Value

            if offset < next[partition] then
                anomalies.Add $"{plan.topic}-{partition}: offset {offset} after {next[partition] - 1L}"
            elif next[partition] >= 0L && offset > next[partition] then
                onGap partition next[partition] offset
            elif next[partition] < 0L && plan.keys > 0 then
                onGap partition 0L offset

            match numberOf plan result with
            | Result.Ok number -> ledger.See(partition, offset, number)
            | Result.Error what -> anomalies.Add $"{plan.topic}-{partition}, offset {offset}: {what}"

            next[partition] <- offset + 1L
            read <- read + 1L
            quietSince.Restart()

    // Records may be jumped over only where the log starts by now.
    for jump in jumps do
        let rec start attempts =
            try
                consumer
                    .QueryWatermarkOffsets(
                        TopicPartition(plan.topic, Partition jump.partition),
                        TimeSpan.FromSeconds 10.0
                    )
                    .Low.Value
            with :? KafkaException when attempts > 1 ->
                start (attempts - 1)

        let low = start 10

        if low < jump.toOffset then
            anomalies.Add
                $"{plan.topic}-{jump.partition}: a consumer was led to offset {jump.toOffset}, and the log starts at {low}"

    consumer.Close()
    read

let private createTopics bootstrap (plan: Plan) =
    task {
        use admin =
            AdminClientBuilder(Clients.configure (AdminClientConfig()) bootstrap).SetLogHandler(fun _ _ -> ()).Build()

        do!
            admin.CreateTopicsAsync [
                TopicSpecification(
                    Name = plan.topic,
                    NumPartitions = plan.partitions,
                    ReplicationFactor = -1s,
                    Configs =
                        Dictionary(
                            dict [
                                "cleanup.policy", "compact"
                                "min.cleanable.dirty.ratio", "0.2"
                                "delete.retention.ms", "5000"
                                "segment.ms", "5000"
                            ]
                        )
                )
                TopicSpecification(
                    Name = streamed.topic,
                    NumPartitions = streamed.partitions,
                    ReplicationFactor = -1s,
                    Configs =
                        Dictionary(
                            dict [
                                "cleanup.policy", "delete"
                                "retention.ms", "20000"
                                "retention.bytes", "8388608"
                                "segment.ms", "5000"
                            ]
                        )
                )
            ]
    }

/// From now on everything new is compacted at once.
let private compactEagerly bootstrap (plan: Plan) =
    task {
        use admin =
            AdminClientBuilder(Clients.configure (AdminClientConfig()) bootstrap).SetLogHandler(fun _ _ -> ()).Build()

        let! _ =
            admin.IncrementalAlterConfigsAsync(
                Dictionary(
                    dict [
                        ConfigResource(Type = ResourceType.Topic, Name = plan.topic),
                        List [
                            ConfigEntry(
                                Name = "min.cleanable.dirty.ratio",
                                Value = "0",
                                IncrementalOperation = AlterConfigOpType.Set
                            )
                        ]
                    ]
                )
            )

        return ()
    }

let private describe (look: Look) =
    $"{look.objects} objects with {look.objectBytes / 1024L} KiB, {look.liveBytes / 1024L} KiB of records in {look.chunks} chunks, "
    + $"{look.weight.entries} entries (of {look.appended}) and {look.weight.snapshots} snapshots with {look.weight.logBytes / 1024L} KiB"

/// Waits until a test of the cluster's state holds; fails with what it last said when it does not.
let private until what (limit: TimeSpan) (test: unit -> Task<string voption>) =
    task {
        let clock = Stopwatch.StartNew()
        let mutable wrong = ValueSome ""

        while wrong.IsSome do
            let! now = test ()
            wrong <- now

            match wrong with
            | ValueSome wrong when clock.Elapsed > limit -> failtest $"{what}: {wrong}"
            | ValueSome _ -> do! Task.Delay 500
            | ValueNone -> ()
    }

/// The compacted topic is what its newest records say: every key's last value, nothing of deleted keys.
let private compareWithModel bootstrap (ledger: Ledger) (anomalies: Anomalies) =
    let plan = ledger.Plan

    let records = [
        for partition in 0 .. plan.partitions - 1 do
            yield! Clients.readAll bootstrap plan.topic partition
    ]

    let newest = dict ledger.Newest
    let found = HashSet<struct (int * int64)>()
    let mutable superseded = 0
    let mutable tombstones = 0

    for record in records do
        let place = record.Partition.Value, record.Offset.Value

        match numberOf plan record with
        | Result.Error what -> anomalies.Add $"{plan.topic}-{fst place}, offset {snd place}: {what}"
        | Result.Ok number ->
            found.Add(struct (fst place, snd place)) |> ignore

            if not (newest.ContainsKey place) then
                superseded <- superseded + 1
            elif plan.IsTombstone number then
                tombstones <- tombstones + 1

    let lost = [
        for KeyValue((partition, offset), number) in newest do
            if not (plan.IsTombstone number || found.Contains(struct (partition, offset))) then
                $"record {number} at {partition}/{offset}"
    ]

    for text in lost do
        anomalies.Add $"{plan.topic}: the last value of a key is gone: {text}"

    struct (records.Length, superseded, tombstones, lost.Length)

/// Runs the load; gives what went wrong and a summary.
let private run (place: Place) (load: Load) (random: Random) =
    task {
        use scratch = new Scratch()

        let arguments = [
            "--compaction-interval"
            string intervalMs
            "--gc-grace"
            string (int grace.TotalMilliseconds)
        ]

        use brokers =
            new Brokers(brokerCount, scratch.Path, place.storageEngine, place.environment, arguments)

        let bootstrap = brokers.Bootstrap
        let anomalies = Anomalies()
        let compacted = Ledger(updated load, anomalies)
        let stream = Ledger(streamed, anomalies)
        do! createTopics bootstrap compacted.Plan
        use! onlooker = Onlooker.Open(place, shards)
        use stopProducing = new CancellationTokenSource()
        use stopReading = new CancellationTokenSource()
        let clock = Stopwatch.StartNew()
        let passes = Array.zeroCreate<int> 4
        let read = Array.zeroCreate<int64> 4
        let suspects = Array.init 4 (fun _ -> List<int * int64>())

        let producing = [|
            for ledger, rate in [ compacted, fst load.rates; stream, snd load.rates ] do
                for mine in 0..1 do
                    Task.Run<unit>(fun () -> produce bootstrap ledger anomalies 2 mine (rate / 2) stopProducing.Token)
        |]

        let reading = [|
            for index in 0..3 ->
                Task.Run(fun () ->
                    let ledger = if index % 2 = 0 then compacted else stream

                    while not stopReading.IsCancellationRequested do
                        let records = readOnce bootstrap ledger anomalies suspects[index] stopReading.Token
                        Interlocked.Add(&read[index], records) |> ignore
                        Interlocked.Increment &passes[index] |> ignore)
        |]

        let mutable kills = 0

        let look () =
            task {
                let! look = onlooker.Look leakedAfter

                for name in look.missing do
                    anomalies.Add $"object {name} is needed, and gone"

                say
                    $"{place.name} {clock.Elapsed.TotalSeconds:F0} s: {compacted.Acknowledged} + {stream.Acknowledged} records acknowledged, {Array.sum passes} readings of {Array.sum read} records, {kills} kills; {describe look}; {look.leaked.Length} overdue; {anomalies.All.Length} anomalies"

                return look
            }

        let mutable killAt = load.killEvery

        let isOver () =
            clock.Elapsed >= load.time
            && compacted.Acknowledged >= load.records
            && stream.Acknowledged >= load.records

        let isAlive () =
            (Array.append (Array.map (fun task -> task :> Task) producing) reading)
            |> Array.forall (fun task -> not task.IsFaulted)

        while not (isOver ()) && isAlive () do
            let! _ = look ()

            if clock.Elapsed >= killAt then
                brokers.KillAndRestart(random.Next brokerCount)
                kills <- kills + 1
                killAt <- clock.Elapsed + load.killEvery * (0.5 + random.NextDouble())

            if clock.Elapsed > load.time + patience * 5.0 then
                failtest $"the load takes too long; the brokers said:\n{brokers.Log}"

            do! Task.Delay(if load.time > TimeSpan.FromMinutes 1.0 then 5000 else 2000)

        stopProducing.Cancel()
        let! _ = Task.WhenAll producing
        say $"{place.name}: all is acknowledged"
        compacted.Check()
        stream.Check()
        do! compactEagerly bootstrap compacted.Plan
        let mutable final = struct (0, 0, 0, 0)

        do!
            until "compaction comes to its end" (patience * 4.0) (fun () ->
                task {
                    // Tombstones go with the first compaction after their time, for which there must be something new.
                    use stop = new CancellationTokenSource()
                    let touching = produce bootstrap compacted anomalies 1 0 20 stop.Token
                    do! Task.Delay intervalMs
                    stop.Cancel()
                    do! touching
                    final <- compareWithModel bootstrap compacted anomalies
                    let struct (records, superseded, tombstones, lost) = final
                    let! _ = look ()

                    return
                        if superseded > 200 || tombstones > 200 then
                            ValueSome
                                $"{records} records, {superseded} of them superseded, {tombstones} tombstones, {lost} lost"
                        else
                            ValueNone
                })

        stopReading.Cancel()
        do! Task.WhenAll reading

        for index in 0..3 do
            let ledger = if index % 2 = 0 then compacted else stream

            for partition, offset in suspects[index] do
                if not (ledger.MayBeGone(partition, offset)) then
                    anomalies.Add $"{ledger.Plan.topic}-{partition}: a consumer did not get offset {offset}"

        // A segment stays while half of it is needed, and what was replaced for the grace period. Entries go once their records are in segments and
        // two snapshots have been saved since; on S3 a minute later.
        let isBounded (look: Look) =
            look.objectBytes <= 3L * look.liveBytes + 16_777_216L
            && (look.appended < 10_000L || look.weight.entries < look.appended / 2L)

        do!
            until "what nobody needs goes" (patience * 4.0) (fun () ->
                task {
                    let! last = look ()

                    return
                        if not last.leaked.IsEmpty then
                            ValueSome $"nothing refers to {last.leaked}"
                        elif not (isBounded last) then
                            ValueSome $"it is {describe last}"
                        else
                            ValueNone
                })

        let struct (records, superseded, tombstones, _) = final

        say
            $"{place.name}: the compacted topic has {records} records, {superseded} superseded, {tombstones} tombstones; {compacted.Acknowledged} were written, {stream.Acknowledged} into the other topic"

        let all = anomalies.All

        for text in all do
            say $"ANOMALY {text}"

        return all, brokers.Log
    }

let private short = {
    keys = 2000
    rates = 2000, 1000
    records = 10_000L
    time = TimeSpan.FromSeconds 15.0
    killEvery = TimeSpan.FromSeconds 6.0
}

let private quick name (place: unit -> Task<Place>) =
    testCaseTask $"half a minute on {name}: what is read is what was written, and nothing is left over" (fun () ->
        task {
            let! place = place ()
            let! anomalies, log = run place short (Random(int Check.seed))
            Expect.isEmpty anomalies $"no anomaly; the brokers said:\n{log}"
        })

let tests =
    testList "soak" [ Lane.s3 (quick "S3" s3); Lane.postgres (quick "PostgreSQL" postgres) ]

/// `./test soak [--minutes N] [--store s3|postgres]`: on each store for so long.
let soak (arguments: string list) =
    let rec value name (fallback: string) (rest: string list) =
        match rest with
        | flag :: found :: _ when flag = name -> found
        | _ :: tail -> value name fallback tail
        | [] -> fallback

    let minutes = float (value "--minutes" "10" arguments)
    let store = value "--store" "" arguments

    let load = {
        keys = 100_000
        rates = 1500, 1000
        records = 1L
        time = TimeSpan.FromMinutes minutes
        killEvery = TimeSpan.FromSeconds 25.0
    }

    let one (place: unit -> Task<Place>) =
        task {
            let! place = place ()
            say $"soak on {place.name} for {minutes} minutes, seed {Check.seed}"
            let! anomalies, log = run place load (Random(int Check.seed))

            if not anomalies.IsEmpty then
                say $"the brokers said:\n{log}"

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
