/// Three real brokers on one real S3 store and on one PostgreSQL: brokers die by SIGKILL and come back, the store goes away and
/// comes back, and whatever was acknowledged is there, once, in order, at the offset acknowledged; consumers never skip.
module Tansu.PropertyTests.EndToEnd.ManyBrokers

open System
open System.Collections.Generic
open System.Text
open System.Threading
open System.Threading.Tasks
open Confluent.Kafka
open Expecto
open Tansu.PropertyTests
open Tansu.PropertyTests.EndToEnd.Brokers
open Tansu.PropertyTests.EndToEnd.RealBroker
open Tansu.PropertyTests.Stores

let private brokerCount = 3

/// One producer, one consumer and one partition each.
let private partitions = 3

let private topic = "moving"

/// Settings of an idempotent producer that sends many small batches.
let producerConfig bootstrap =
    Clients.configure
        (ProducerConfig(
            EnableIdempotence = true,
            LingerMs = 1.0,
            MessageTimeoutMs = 120_000,
            TopicMetadataRefreshIntervalMs = 500,
            BatchNumMessages = 20
        ))
        bootstrap

/// Produces numbered records to one partition, a bounded number at a time, until told to stop; gives the offsets acknowledged.
let produce
    (config: ProducerConfig)
    (topic: string)
    (partition: int)
    (acknowledged: ref<int>)
    (stop: CancellationToken)
    =
    task {
        use producer = Clients.producer config
        use window = new SemaphoreSlim 100
        let deliveries = List<Task<DeliveryResult<byte array, byte array>>>()

        while not stop.IsCancellationRequested do
            do! window.WaitAsync()
            let value = Encoding.ASCII.GetBytes(string deliveries.Count)

            let delivery =
                producer.ProduceAsync(
                    TopicPartition(topic, Partition partition),
                    Message<byte array, byte array>(Value = value)
                )

            delivery.ContinueWith(fun (_: Task) ->
                Interlocked.Increment(&acknowledged.contents) |> ignore
                window.Release() |> ignore)
            |> ignore

            deliveries.Add delivery

        let! results = (Task.WhenAll deliveries).WaitAsync(patience * 2.0)
        return results |> Array.map _.Offset.Value
    }

/// Reads one partition from its start, record by record in order, until it has `last.Result` of them.
let private consume bootstrap partition (last: Task<int>) =
    Task.Run(fun () ->
        let config =
            Clients.configure
                (ConsumerConfig(
                    GroupId = "unused",
                    EnableAutoCommit = false,
                    AutoOffsetReset = AutoOffsetReset.Error,
                    TopicMetadataRefreshIntervalMs = 500
                ))
                bootstrap

        use consumer =
            ConsumerBuilder<byte array, byte array>(config)
                .SetLogHandler(fun _ _ -> ())
                .SetErrorHandler(fun _ _ -> ())
                .Build()

        consumer.Assign(TopicPartitionOffset(topic, Partition partition, Offset 0L))
        let offsets = List<int64>()

        let isDone () =
            last.IsCompleted && offsets.Count >= last.Result

        let deadline = DateTime.UtcNow + patience * 4.0

        while not (isDone ()) do
            if DateTime.UtcNow > deadline then
                failwith $"the consumer of partition {partition} stands still after {offsets.Count} records"

            match consumer.Consume(TimeSpan.FromMilliseconds 200.0) with
            | null -> ()
            | record ->
                let number = Encoding.ASCII.GetString record.Message.Value

                if number <> string offsets.Count then
                    failwith
                        $"partition {partition}: record {number} at offset {record.Offset} instead of {offsets.Count}"

                offsets.Add record.Offset.Value

        consumer.Close()
        offsets.ToArray())

let private survive name storageEngine environment (disturb: Random -> int -> Task<unit>) rounds =
    testCaseTask $"{name}: nothing is lost, repeated, moved or skipped" (fun () ->
        task {
            use scratch = new Scratch()
            let random = Random(int Check.seed)
            let! storageEngine = storageEngine ()
            let! environment = environment ()

            use brokers =
                new Brokers(
                    brokerCount,
                    scratch.Path,
                    storageEngine,
                    environment,
                    [ "--default-partitions"; string partitions ]
                )

            use stop = new CancellationTokenSource()
            let acknowledged = ref 0

            let untilAcknowledged more =
                let target = Volatile.Read(&acknowledged.contents) + more

                let isAlive =
                    SpinWait.SpinUntil(
                        (fun () ->
                            Thread.Sleep 1
                            Volatile.Read(&acknowledged.contents) >= target),
                        patience * 2.0
                    )

                Expect.isTrue isAlive $"the producers go on; the brokers said:\n{brokers.Log}"

            let producing = [|
                for partition in 0 .. partitions - 1 ->
                    produce (producerConfig brokers.Bootstrap) topic partition acknowledged stop.Token
            |]

            untilAcknowledged 100
            let last = [| for _ in 1..partitions -> TaskCompletionSource<int>() |]

            let consuming = [|
                for partition in 0 .. partitions - 1 -> consume brokers.Bootstrap partition last[partition].Task
            |]

            for round in 1..rounds do
                untilAcknowledged (random.Next(50, 1000))
                brokers.KillAndRestart(random.Next brokerCount)
                do! disturb random round

            untilAcknowledged 500
            stop.Cancel()
            let! sent = Task.WhenAll producing

            for partition in 0 .. partitions - 1 do
                last[partition].SetResult sent[partition].Length

            let! read = (Task.WhenAll consuming).WaitAsync(patience * 4.0)

            for partition in 0 .. partitions - 1 do
                Expect.equal read[partition] sent[partition] "every record where it was acknowledged"

                Expect.hasLength
                    (Clients.readAll brokers.Bootstrap topic partition)
                    sent[partition].Length
                    "and no other"
        })

let private postgres =
    lazy
        (let server = PostgresServer.shared.Value
         server, server.NewDatabase())

let private onPostgres =
    survive
        "three brokers on PostgreSQL, SIGKILLs and restarts of the server"
        (fun () ->
            task {
                let server, database = postgres.Value
                let! database = database
                return server.Url database
            })
        (fun () -> Task.FromResult [])
        (fun _ round ->
            task {
                if round % 3 = 0 then
                    (fst postgres.Value).Restart()
            })
        8

/// Longer than a broker waits for a request.
let private longPause = TimeSpan.FromSeconds 12.0

let private onS3 =
    survive
        "three brokers on S3, SIGKILLs and a server that hangs"
        (fun () -> Task.FromResult("s3://" + S3Server.freshPlace ()))
        (fun () ->
            task {
                let! endpoint = S3Server.endpoint ()
                return Map.toList (S3Server.environment endpoint)
            })
        (fun _ round ->
            task {
                if round = 3 || round = 6 then
                    do! S3Server.signal "STOP"
                    do! Task.Delay(if round = 3 then longPause else TimeSpan.FromSeconds 1.0)
                    do! S3Server.signal "CONT"
            })
        8

let tests = testList "many brokers" [ Lane.postgres onPostgres; Lane.s3 onS3 ]
