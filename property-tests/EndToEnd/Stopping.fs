/// What clients see of a broker that is told to stop: whatever it had begun is answered, and the other brokers no longer name it.
module Tansu.PropertyTests.EndToEnd.Stopping

open System
open System.Diagnostics
open System.IO
open System.Net.Sockets
open System.Threading.Tasks
open Expecto
open Tansu.Codec
open Tansu.Codec.Messages
open Tansu.PropertyTests.EndToEnd.Brokers
open Tansu.PropertyTests.EndToEnd.RawClients
open Tansu.PropertyTests.EndToEnd.RealBroker
open Tansu.PropertyTests.Stores

let private topic = "stopping"

/// Fly kills a machine that takes longer.
let private killTimeout = TimeSpan.FromSeconds 5.0

let private versionsVersion = 2
let private joinVersion = 2
let private metadataVersion = 9

/// Sends a request behind another that is answered at once: when its answer has come, the broker has taken the second, too.
let private sendAndSettle (client: RawClient) (second: byte array) =
    task {
        let first = frame (ApiVersionsRequest()) versionsVersion
        do! client.Send(Array.append first second)
        let! (_: ApiVersionsResponse) = client.Receive<ApiVersionsResponse> versionsVersion
        return ()
    }

/// The first join of an empty group, which waits for more members.
let private joinFrame =
    let request =
        JoinGroupRequest(
            GroupId = "waiting",
            SessionTimeoutMs = 30_000,
            RebalanceTimeoutMs = 30_000,
            MemberId = "",
            ProtocolType = "consumer",
            Protocols = [|
                JoinGroupRequest.JoinGroupRequestProtocol(Name = "range", Metadata = ReadOnlyMemory [| 0uy |])
            |]
        )

    frame request joinVersion

/// Reads answers to produce requests until the broker closes the connection; gives the offsets acknowledged.
let private acknowledgements (client: RawClient) =
    task {
        let offsets = ResizeArray<int64>()
        let mutable isOpen = true

        while isOpen do
            try
                let! response = client.Receive<ProduceResponse> produceVersion
                let partition = response.Responses[0].PartitionResponses[0]

                if partition.ErrorCode = ErrorCode.None then
                    offsets.Add partition.BaseOffset
            with
            | :? EndOfStreamException
            | :? SocketException -> isOpen <- false

        return List.ofSeq offsets
    }

let private answers =
    testCaseTask "SIGTERM: a long poll, a waiting JoinGroup and produce requests under way get their answers" (fun () ->
        task {
            use scratch = new Scratch()

            let arguments = [
                "--listener-url"
                "tcp://127.0.0.1:0"
                "--storage-engine"
                scratch.Store
                "--group-initial-rebalance-delay-ms"
                "60000"
            ]

            use broker = RealBroker.Start(scratch.Path, arguments)
            do! Memory.createTopic broker.Bootstrap topic
            use poll = new RawClient(broker.Bootstrap)
            use join = new RawClient(broker.Bootstrap)
            use produce = new RawClient(broker.Bootstrap)
            // The end of another topic, so that what is produced does not answer the poll.
            do! Memory.createTopic broker.Bootstrap "quiet"
            do! sendAndSettle poll (fetchFrame "quiet" 0 1L 1000 60_000)
            do! sendAndSettle join joinFrame
            let batch = produceFrame topic 0 100_000
            let sending = produce.Send(Array.concat (Array.replicate 100 batch))
            let! first = produce.Receive<ProduceResponse> produceVersion
            Expect.equal first.Responses[0].PartitionResponses[0].BaseOffset 1L "the first of many"
            let clock = Stopwatch.StartNew()
            broker.Signal "TERM"
            let! polled = poll.Receive<FetchResponse> fetchVersion
            Expect.equal polled.Responses[0].Partitions[0].ErrorCode ErrorCode.None "the long poll"
            let! joined = join.Receive<JoinGroupResponse> joinVersion
            Expect.equal joined.ErrorCode ErrorCode.CoordinatorNotAvailable "the member looks for another broker"
            let! acknowledged = acknowledgements produce
            let exitCode = broker.WaitForExit()
            Expect.equal exitCode 0 $"exit code; it said:\n{broker.Log}"
            Expect.isLessThan clock.Elapsed killTimeout "time to stop"

            try
                do! sending
            with :? SocketException ->
                // What the broker no longer read.
                ()

            Expect.equal acknowledged [ for index in 1 .. acknowledged.Length -> int64 index + 1L ] "in order"
            use again = RealBroker.Start(scratch.Path, arguments)
            let records = Clients.readAll again.Bootstrap topic 0

            Expect.isGreaterThanOrEqual records.Length (acknowledged.Length + 2) "every acknowledged record is there"
        })

/// The ports of the brokers that a broker names.
let private named (bootstrap: string) =
    task {
        use client = new RawClient(bootstrap)
        do! client.Send(frame (MetadataRequest(Topics = [||])) metadataVersion)
        let! response = client.Receive<MetadataResponse> metadataVersion
        return [ for broker in response.Brokers -> broker.Port ] |> List.sort
    }

let private untilNamed bootstrap (expected: int list) (within: TimeSpan) what =
    task {
        let clock = Stopwatch.StartNew()
        let! first = named bootstrap
        let mutable ports = first

        while ports <> expected && clock.Elapsed < within do
            do! Task.Delay 50
            let! next = named bootstrap
            ports <- next

        Expect.equal ports expected what
    }

/// The others look every third of it. Without a word they would name a broker for at least two thirds more.
let private lease = TimeSpan.FromSeconds 12.0

let private leaves =
    testCaseTask "SIGTERM: the other broker stops naming it long before its lease ends" (fun () ->
        task {
            use scratch = new Scratch()
            let server = PostgresServer.shared.Value
            let! database = server.NewDatabase()

            let start () =
                RealBroker.Start(
                    scratch.Path,
                    [
                        "--listener-url"
                        "tcp://127.0.0.1:0"
                        "--storage-engine"
                        server.Url database
                        "--node-lease-ms"
                        string lease.TotalMilliseconds
                    ]
                )

            let portOf (broker: RealBroker) = broker.Bootstrap.Split(':')[1] |> int

            use stays = start ()
            use leaves = start ()
            let both = List.sort [ portOf stays; portOf leaves ]
            // The first has not looked yet and the second leaves soon: neither may keep it from saying so.
            do! untilNamed leaves.Bootstrap both patience "both are named"
            do! untilNamed stays.Bootstrap both patience "the first has seen the second"
            let exitCode, elapsed = leaves.Terminate()
            Expect.equal exitCode 0 $"exit code; it said:\n{leaves.Log}"
            Expect.isLessThan elapsed killTimeout "time to stop"
            do! untilNamed stays.Bootstrap [ portOf stays ] (lease / 3.0 + TimeSpan.FromSeconds 2.0) "it is gone"
        })

let tests = testList "stopping" [ answers; leaves ]
