/// Clients that attack a broker by its port, and one that works beside them and must not notice. The broker is in this process: what it holds can be
/// counted.
module Tansu.PropertyTests.EndToEnd.Hostile

open System
open System.Buffers.Binary
open System.Net
open System.Net.Sockets
open System.Threading
open System.Threading.Tasks
open Expecto
open Serilog
open Tansu.Codec
open Tansu.Codec.Messages
open Tansu.Host.Network
open Tansu.Host.Requests
open Tansu.PropertyTests
open Tansu.PropertyTests.EndToEnd.RawClients
open Tansu.PropertyTests.Handlers.Desk

let private topic = "steady"
let private largeTopic = "large"
let private largeBytes = 900_000

let private connect (port: int) =
    let socket =
        new Socket(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp, NoDelay = true)

    socket.Connect(IPAddress.Loopback, port)
    socket

/// The broker may close the connection at any byte.
let private send (socket: Socket) (bytes: byte array) =
    task {
        try
            let mutable rest = ReadOnlyMemory bytes

            while not rest.IsEmpty do
                let! sent = socket.SendAsync rest
                rest <- rest.Slice sent
        with :? SocketException ->
            ()
    }

/// Sends, closes this side, and reads until the broker has closed the other.
let private sendAndLeave port (bytes: byte array) =
    task {
        use socket = connect port
        do! send socket bytes

        try
            socket.Shutdown SocketShutdown.Send
            let buffer = Array.zeroCreate<byte> 4096
            let mutable isOpen = true

            while isOpen do
                let! received = socket.ReceiveAsync(buffer, SocketFlags.None).WaitAsync patience
                isOpen <- received > 0
        with :? SocketException ->
            ()
    }

let private length (bytes: int) =
    let buffer = Array.zeroCreate<byte> 4
    BinaryPrimitives.WriteInt32BigEndian(buffer.AsSpan(), bytes)
    buffer

/// API key, version, correlation id, no client id, no tags.
let private header (apiKey: int16) (version: int16) =
    use writer = new KafkaWriter()
    writer.WriteInt16 apiKey
    writer.WriteInt16 version
    writer.WriteInt32 1
    writer.WriteInt16 -1s
    Array.append (writer.ToArray()) [| 0uy |]

let private randomBytes (random: Random) port =
    task {
        for _ in 1..100 do
            let bytes = Array.zeroCreate<byte>(random.Next(1, 4096))
            random.NextBytes bytes

            // Every other one has a length that could be that of a request.
            if random.Next 2 = 0 then
                bytes[0] <- 0uy

            do! sendAndLeave port bytes
    }

let private impossibleLengths port =
    task {
        for bytes in [ Int32.MaxValue; Int32.MinValue; -1; 0; 9; 200 * 1024 * 1024 ] do
            do! sendAndLeave port (length bytes)
            do! sendAndLeave port (Array.append (length bytes) (header 0s 9s))
    }

/// Counts of arrays and strings that are negative, huge, or nest as deeply as the message allows, in every API and version.
let private impossibleCounts (apis: ApiTable) port =
    task {
        for handler in apis.All do
            for version in handler.LowestVersion .. handler.HighestVersion do
                for filler in [ 0xffuy; 0x7fuy; 0x02uy; 0x00uy ] do
                    let body = Array.append (header handler.ApiKey version) (Array.create 200 filler)
                    do! sendAndLeave port (Array.append (length body.Length) body)
    }

/// Connections that stay: idle ones, those that stop within a large request, and those that ask for much and take nothing.
let private stayers port =
    task {
        let idle = [ for _ in 1..300 -> connect port ]
        let half = [ for _ in 1..100 -> connect port ]
        let metadata = header 3s 9s

        for socket in half do
            do! send socket (Array.concat [ length 1_000_000; metadata; Array.create 10_000 1uy ])

        let lazyOnes = [ for _ in 1..20 -> connect port ]

        for socket in lazyOnes do
            do! send socket (Array.concat (Array.replicate 10 (fetchFrame largeTopic 0 0L 1_000_000 0)))

        return idle @ half @ lazyOnes
    }

/// Produces a record and reads it back, until told to stop and often enough; every offset is the next one.
let private work bootstrap (first: int64) (enough: Task) =
    task {
        use client = new RawClient(bootstrap)
        let record = produceFrame topic 0 100
        let mutable offset = first

        while not enough.IsCompleted || offset < first + 100L do
            do! client.Send record
            let! produced = client.Receive<ProduceResponse>(produceVersion).WaitAsync patience
            let answer = produced.Responses[0].PartitionResponses[0]
            Expect.equal (answer.ErrorCode, answer.BaseOffset) (ErrorCode.None, offset) "produced"
            let mutable read = -1L, offset

            // A fetch that gets no memory for its records answers without any.
            while fst read < 0L do
                do! client.Send(fetchFrame topic 0 offset 100_000 1000)
                let! fetched = client.Receive<FetchResponse>(fetchVersion).WaitAsync patience
                read <- fetchedRange fetched.Responses[0].Partitions[0].Records offset

            Expect.equal read (offset, offset + 1L) "read back"
            offset <- offset + 1L

        return offset
    }

let private eventually what condition =
    task {
        let watch = Diagnostics.Stopwatch.StartNew()

        while not (condition ()) do
            if watch.Elapsed > patience then
                failtest $"did not happen: {what}"

            do! Task.Delay 5
    }

let private attack (desk: Desk) (listener: KafkaListener) (random: Random) first =
    task {
        let port = listener.Endpoint.Port
        let bootstrap = $"127.0.0.1:{port}"
        let! stayers = stayers port

        let attacking =
            Task.WhenAll(
                randomBytes random port :> Task,
                impossibleLengths port :> Task,
                impossibleCounts desk.Handlers port :> Task
            )

        let! next = work bootstrap first attacking
        do! attacking

        for socket in stayers do
            socket.Dispose()

        do! eventually "all connections have gone" (fun () -> listener.ConnectionCount = 0)
        let budget = listener.Budget
        Expect.equal (budget.Small.HeldBytes + budget.Beginnings.HeldBytes + budget.Large.HeldBytes) 0L "requests"
        Expect.equal desk.Broker.FetchBudget.HeldBytes 0L "records"
        Expect.isFalse desk.Broker.Cluster.Completion.IsCompleted "the broker lives"
        Expect.isGreaterThan listener.MalformedRequestCount 500L "malformed requests are counted"
        return next, GC.GetTotalMemory true
    }

let tests =
    testCaseTask
        "whoever attacks a broker, another client's records are all taken and read, and memory returns"
        (fun () ->
            task {
                let! desk = Desk.Open()
                let! _ = desk.Create(topic, 1, [])
                let! _ = desk.Create(largeTopic, 1, [])
                let log = LoggerConfiguration().CreateLogger()

                use listener =
                    KafkaListener.Bind({ Host = "127.0.0.1"; Port = 0 }, NetworkOptions(), log)

                listener.Start(RequestDispatcher(desk.Handlers, log, ReplyBudget = desk.Broker.FetchBudget))

                for _ in 1..4 do
                    let! _ =
                        desk.Produce(largeTopic, [ 0, batchAt Records.CompressionCodec.None 1L 1 largeBytes ])

                    ()

                let random = Random(int Check.seed)
                // The first time everything is compiled and caches are filled.
                let! next, before = attack desk listener random 0L
                let! _, after = attack desk listener random next
                Expect.isLessThan (after - before) (16L * 1024L * 1024L) "bytes that a second attack has left behind"
                do! (desk :> IAsyncDisposable).DisposeAsync()
            })
