/// Brokers that are stopped in mid-flight (SIGSTOP, as when a machine is suspended) for longer than anybody waits for them, and go on
/// (SIGCONT) when the others have moved on.
module Tansu.PropertyTests.EndToEnd.Suspending

open System
open System.Collections.Concurrent
open System.Diagnostics
open System.Text
open System.Threading
open System.Threading.Tasks
open Confluent.Kafka
open Expecto
open Tansu.Codec
open Tansu.Codec.Messages
open Tansu.PropertyTests
open Tansu.PropertyTests.EndToEnd.Brokers
open Tansu.PropertyTests.EndToEnd.RawClients
open Tansu.PropertyTests.EndToEnd.RealBroker
open Tansu.PropertyTests.Stores

let private topic = "suspended"
let private partitions = 2

/// Longer than the lease of a node (1 s), the patience of the clients (2 s) and the session of a member (6 s).
let private pause = TimeSpan.FromSeconds 8.0

/// As long as a member may be silent: whoever is to be thrown out has been by then.
let private session = TimeSpan.FromSeconds 6.0

/// A producer that soon turns to another broker.
let private producerConfig bootstrap =
    let config = ManyBrokers.producerConfig bootstrap
    config.RequestTimeoutMs <- 2000
    config.SocketTimeoutMs <- 2000
    config

let private until what (condition: unit -> bool) =
    task {
        let clock = Stopwatch.StartNew()

        while not (condition ()) do
            if clock.Elapsed > patience then
                failtest $"did not happen: {what}"

            do! Task.Delay 10
    }

/// A member of a group, on a task of its own: what it read, and how often it lost partitions.
type private Member(bootstrap: string, name: string) =
    let config = GroupMembers.consumerConfig bootstrap "moving"
    do config.ClientId <- name
    do config.SocketTimeoutMs <- 2000
    let highest = ConcurrentDictionary<int, int64>()
    let mutable records = 0
    let mutable owned = 0
    let mutable losses = 0
    let stop = new CancellationTokenSource()

    let reading =
        Task.Run(fun () ->
            use consumer =
                ConsumerBuilder<byte array, byte array>(config)
                    .SetLogHandler(fun _ _ -> ())
                    .SetErrorHandler(fun _ _ -> ())
                    .SetPartitionsAssignedHandler(fun _ assigned -> Volatile.Write(&owned, assigned.Count))
                    .SetPartitionsRevokedHandler(fun _ _ -> Interlocked.Increment &losses |> ignore)
                    .SetPartitionsLostHandler(fun _ _ -> Interlocked.Increment &losses |> ignore)
                    .Build()

            consumer.Subscribe topic

            while not stop.IsCancellationRequested do
                match consumer.Consume(TimeSpan.FromMilliseconds 100.0) with
                | null -> ()
                | record ->
                    let number = Encoding.ASCII.GetString record.Message.Value
                    Expect.equal number (string record.Offset.Value) "a record is at its offset"
                    let partition = record.Partition.Value

                    match highest.TryGetValue partition with
                    | true, last ->
                        Expect.isLessThanOrEqual record.Offset.Value (last + 1L) "no record is skipped"
                        highest[partition] <- max last record.Offset.Value
                    | _ -> highest[partition] <- record.Offset.Value

                    Interlocked.Increment &records |> ignore

            consumer.Close())

    member _.Records = Volatile.Read &records
    member _.Owned = Volatile.Read &owned
    member _.Losses = Volatile.Read &losses

    member _.Stop() =
        stop.Cancel()
        reading

/// Reads one partition at one broker from the start until it has that many records, each after the one before.
let private readAt (bootstrap: string) partition (count: int64) =
    task {
        use client = new RawClient(bootstrap)
        let clock = Stopwatch.StartNew()
        let mutable offset = 0L

        while offset < count do
            if clock.Elapsed > patience then
                failtest $"partition {partition} ends at {offset} instead of {count}"

            do! client.Send(fetchFrame topic partition offset 1_000_000 500)
            let! response = client.Receive<FetchResponse> fetchVersion
            let found = response.Responses[0].Partitions[0]
            Expect.equal found.ErrorCode ErrorCode.None "fetched"
            let first, next = fetchedRange found.Records offset
            Expect.isTrue (first < 0L || first = offset) $"{first} follows {offset}"
            offset <- next
    }

/// Produces to all partitions while `disturb` is at work, and looks whether everything is where it was acknowledged.
let private whileProducing bootstrap (disturb: (int -> Task<unit>) -> Task<unit>) =
    task {
        use stop = new CancellationTokenSource()
        let acknowledged = ref 0

        let producing = [|
            for partition in 0 .. partitions - 1 ->
                ManyBrokers.produce (producerConfig bootstrap) topic partition acknowledged stop.Token
        |]

        let more count =
            let target = Volatile.Read(&acknowledged.contents) + count
            until $"{count} more records" (fun () -> Volatile.Read(&acknowledged.contents) >= target)

        try
            do! disturb more
        finally
            stop.Cancel()

        let! sent = Task.WhenAll producing

        for offsets in sent do
            Expect.equal offsets [| for number in 0 .. offsets.Length - 1 -> int64 number |] "each once, in order"

        return sent
    }

let private onShared (name: string) (place: unit -> Task<string * (string * string) list>) =
    testCaseTask
        $"{name}: a broker stands still for {pause.TotalSeconds} s, another takes over, and it carries on"
        (fun () ->
            task {
                use scratch = new Scratch()
                let! storageEngine, environment = place ()

                use brokers =
                    new Brokers(
                        2,
                        scratch.Path,
                        storageEngine,
                        environment,
                        [ "--default-partitions"; string partitions ]
                    )

                do! Memory.createTopic brokers.Bootstrap "unused"
                let members = ResizeArray<Member>()
                // A connection from before, with a long poll that outlasts the pause.
                use old = new RawClient(brokers[0].Bootstrap)

                let! sent =
                    whileProducing brokers.Bootstrap (fun more ->
                        task {
                            do! more 100
                            members.Add(new Member(brokers.Bootstrap, "one"))
                            members.Add(new Member(brokers.Bootstrap, "two"))

                            do!
                                until "both members read" (fun () ->
                                    members.TrueForAll(fun one -> one.Owned = 1 && one.Records > 0))

                            do! old.Send(fetchFrame "unused" 0 1L 1000 1000)
                            brokers[0].Signal "STOP"
                            let stopped = Stopwatch.StartNew()
                            // The other broker alone serves producers and members.
                            do! more 500
                            let read = members |> Seq.map _.Records |> Seq.toArray

                            do!
                                until "both members read from the other broker" (fun () ->
                                    Seq.forall2 (fun (one: Member) before -> one.Records > before + 50) members read)

                            do! until "the pause is over" (fun () -> stopped.Elapsed > pause)
                            let losses = members |> Seq.sumBy _.Losses
                            brokers[0].Signal "CONT"
                            let continued = Stopwatch.StartNew()
                            let! late = old.Receive<FetchResponse> fetchVersion
                            Expect.equal late.Responses[0].Partitions[0].ErrorCode ErrorCode.None "the old long poll"
                            do! more 500

                            do!
                                until "a whole session has passed" (fun () ->
                                    continued.Elapsed > session + TimeSpan.FromSeconds 1.0)

                            Expect.equal
                                (members |> Seq.sumBy _.Losses)
                                losses
                                $"nobody is thrown out after the pause; the brokers said:\n{brokers.Log}"

                            Expect.equal (members |> Seq.map _.Owned |> Seq.toList) [ 1; 1 ] "both are members"
                        })

                for one in members do
                    do! one.Stop().WaitAsync patience

                for partition in 0 .. partitions - 1 do
                    for index in 0..1 do
                        do! readAt brokers[index].Bootstrap partition sent[partition].LongLength

                        Expect.hasLength
                            (Clients.readAll brokers[index].Bootstrap topic partition)
                            sent[partition].Length
                            "no other"
            })

let private onPostgres =
    onShared "PostgreSQL" (fun () ->
        task {
            let server = PostgresServer.shared.Value
            let! database = server.NewDatabase()
            return server.Url database, []
        })

let private onS3 =
    onShared "S3" (fun () ->
        task {
            let! endpoint = S3Server.endpoint ()
            return "s3://" + S3Server.freshPlace (), Map.toList (S3Server.environment endpoint)
        })

let private onFile =
    testCaseTask $"File: the only broker stands still for {pause.TotalSeconds} s and carries on" (fun () ->
        task {
            use scratch = new Scratch()

            use broker =
                RealBroker.Start(
                    scratch.Path,
                    [
                        "--listener-url"
                        "tcp://127.0.0.1:0"
                        "--storage-engine"
                        scratch.Store
                        "--default-partitions"
                        string partitions
                    ]
                )

            let! sent =
                whileProducing broker.Bootstrap (fun more ->
                    task {
                        do! more 500
                        let one = new Member(broker.Bootstrap, "one")
                        do! until "the member reads" (fun () -> one.Records > 0)
                        broker.Signal "STOP"
                        let stopped = Stopwatch.StartNew()
                        do! until "the pause is over" (fun () -> stopped.Elapsed > pause)
                        let before = one.Records
                        broker.Signal "CONT"
                        do! more 500
                        do! until "the member reads on" (fun () -> one.Records > before + 500)
                        do! one.Stop().WaitAsync patience
                    })

            for partition in 0 .. partitions - 1 do
                Expect.hasLength
                    (Clients.readAll broker.Bootstrap topic partition)
                    sent[partition].Length
                    "and no other"
        })

let tests =
    testList "suspending" [ Lane.postgres onPostgres; Lane.s3 onS3; Lane.file onFile ]
