/// A broker with little memory, and more clients than fit: it makes them wait, and lives.
module Tansu.PropertyTests.EndToEnd.Memory

open System
open System.Diagnostics
open System.Threading
open System.Threading.Tasks
open Confluent.Kafka
open Expecto
open Tansu.Codec
open Tansu.Codec.Messages
open Tansu.PropertyTests
open Tansu.PropertyTests.EndToEnd.RawClients
open Tansu.PropertyTests.EndToEnd.RealBroker

let private topic = "crowded"
let private partitions = 8
/// As large as a batch may be with the default max.message.bytes.
let private requestBytes = 1024 * 1024

let private valueBytes = requestBytes - 1000
let private limitMiB = 256
let private clientsOfEachKind = 200
let private loadTime = TimeSpan.FromSeconds 5.0

/// Produces one request after the other until told to stop; gives how many were answered.
let private produce bootstrap (frames: byte array array) (stop: CancellationToken) (index: int) =
    task {
        use client = new RawClient(bootstrap)
        let mutable answered = 0

        while not stop.IsCancellationRequested do
            do! client.Send frames[index % partitions]
            let! response = client.Receive<ProduceResponse> produceVersion
            Expect.equal response.Responses[0].PartitionResponses[0].ErrorCode ErrorCode.None "acknowledged"
            answered <- answered + 1

        return answered
    }

/// Reads one partition from its start, over and over, until told to stop; gives how many records came.
let private fetch bootstrap (stop: CancellationToken) (index: int) =
    task {
        use client = new RawClient(bootstrap)
        let mutable offset = 0L
        let mutable records = 0

        while not stop.IsCancellationRequested do
            do! client.Send(fetchFrame topic (index % partitions) offset requestBytes 500)
            let! response = client.Receive<FetchResponse> fetchVersion
            let partition = response.Responses[0].Partitions[0]
            Expect.equal partition.ErrorCode ErrorCode.None "fetched"
            let first, next = fetchedRange partition.Records offset

            if first >= 0L then
                Expect.equal first offset "nothing is skipped"
                records <- records + int (next - offset)
                offset <- next

        return records
    }

/// A topic with one record, in partition 0.
let createTopic bootstrap (name: string) =
    task {
        use producer = Clients.producer (Clients.configure (ProducerConfig()) bootstrap)

        let! _ =
            producer.ProduceAsync(TopicPartition(name, Partition 0), Message<byte array, byte array>(Value = [| 1uy |]))

        return ()
    }

let private start (scratch: Scratch) =
    RealBroker.Start(
        scratch.Path,
        command = [ Machine.nativeProgram ],
        arguments = [
            "--listener-url"
            "tcp://127.0.0.1:0"
            "--storage-engine"
            scratch.Store
            "--default-partitions"
            string partitions
            "--memory-limit"
            $"{limitMiB}MiB"
        ]
    )

let private crowd =
    testCaseTask
        $"native program with {limitMiB} MiB, {clientsOfEachKind} producers of 1 MiB and {clientsOfEachKind} consumers are all served"
        (fun () ->
            task {
                use scratch = new Scratch()

                use broker = start scratch
                let afterStart = broker.StatusKiB "VmRSS"
                do! createTopic broker.Bootstrap topic

                let frames =
                    Array.init partitions (fun partition -> produceFrame topic partition valueBytes)

                use stop = new CancellationTokenSource(loadTime)
                let clock = Stopwatch.StartNew()

                let producing = [|
                    for index in 1..clientsOfEachKind -> produce broker.Bootstrap frames stop.Token index
                |]

                let fetching = [|
                    for index in 1..clientsOfEachKind -> fetch broker.Bootstrap stop.Token index
                |]

                let all (clients: Task<int> array) =
                    task {
                        try
                            return! (Task.WhenAll clients).WaitAsync patience
                        with failure ->
                            return failtest $"{failure}\nafter {clock.Elapsed}; the broker said:\n{broker.Log}"
                    }

                let! produced = all producing
                let! fetched = all fetching
                let seconds = clock.Elapsed.TotalSeconds
                let peak = broker.StatusKiB "VmHWM"
                let exitCode, _ = broker.Terminate()

                printfn
                    $"memory: {afterStart / 1024} MiB after the start, at most {peak / 1024} MiB; {Array.sum produced} produced and {Array.sum fetched} fetched MiB in {seconds:F1} s"

                Expect.equal exitCode 0 $"it lived; it said:\n{broker.Log}"
                Expect.isLessThan peak (limitMiB * 1024) "the most memory it had, in KiB"
                Expect.isGreaterThan (Array.min produced) 0 "every producer is answered"
                Expect.isGreaterThan (Array.min fetched) 0 "every consumer gets records"
            })

let private lazyConsumers = 50

/// Consumers that ask for much and take nothing would hold all the memory there is for replies.
let private lazyOnes =
    testCaseTask
        $"native program with {limitMiB} MiB, {lazyConsumers} consumers that take nothing of their replies do not keep others from reading"
        (fun () ->
            task {
                use scratch = new Scratch()
                use broker = start scratch
                do! createTopic broker.Bootstrap topic
                let batch = produceFrame topic 0 valueBytes
                use client = new RawClient(broker.Bootstrap)
                let count = 100L

                for _ in 1L .. count do
                    do! client.Send batch
                    let! response = client.Receive<ProduceResponse> produceVersion
                    Expect.equal response.Responses[0].PartitionResponses[0].ErrorCode ErrorCode.None "acknowledged"

                let idlers = [ for _ in 1..lazyConsumers -> new RawClient(broker.Bootstrap) ]

                for idler in idlers do
                    do!
                        idler.Send(
                            Array.concat [
                                for offset in 1L .. 10L -> fetchFrame topic 0 (offset * 9L) requestBytes 500
                            ]
                        )

                let clock = Stopwatch.StartNew()
                let mutable offset = 0L

                while offset <= count do
                    if clock.Elapsed > patience then
                        failtest $"the consumer is at {offset} after {clock.Elapsed}"

                    do! client.Send(fetchFrame topic 0 offset requestBytes 500)
                    let! response = client.Receive<FetchResponse> fetchVersion
                    let partition = response.Responses[0].Partitions[0]
                    Expect.equal partition.ErrorCode ErrorCode.None "fetched"
                    let _, next = fetchedRange partition.Records offset
                    offset <- next

                let peak = broker.StatusKiB "VmHWM"

                printfn
                    $"memory: at most {peak / 1024} MiB with consumers that take nothing; {clock.Elapsed.TotalSeconds:F1} s"

                Expect.isLessThan peak (limitMiB * 1024) "the most memory it had, in KiB"

                for idler in idlers do
                    (idler :> IDisposable).Dispose()
            })

let tests = testList "memory" [ crowd; Lane.file lazyOnes ]
