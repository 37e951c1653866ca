/// A listener on loopback, toy requests, and clients that speak bytes.
module Tansu.PropertyTests.Host.Fixture

open System
open System.Buffers.Binary
open System.Collections.Concurrent
open System.Diagnostics
open System.Net
open System.Net.Sockets
open System.Threading
open System.Threading.Channels
open System.Threading.Tasks
open Expecto
open Serilog
open Serilog.Core
open Serilog.Events
open Tansu.Codec
open Tansu.Host.CommandLine
open Tansu.Host.Network

/// Longer than anything here takes: reaching it means that the test has failed.
let patience = TimeSpan.FromSeconds 20.0

/// Waits for something that another thread brings about.
let eventually (what: string) (condition: unit -> bool) =
    task {
        let watch = Stopwatch.StartNew()

        while not (condition ()) do
            if watch.Elapsed > patience then
                failtest $"did not happen: {what}"

            do! Task.Delay 2
    }

/// Log lines, kept.
type LogLines() =
    let lines = ConcurrentQueue<LogEventLevel * string>()

    member _.AtLeast level = [
        for at, text in lines do
            if at >= level then
                text
    ]

    interface ILogEventSink with
        member _.Emit event =
            lines.Enqueue(event.Level, event.RenderMessage())

/// A request as the toy saw it; completing it sends the reply.
type ToyRequest(id: int, frame: FrameBuffer, cancellation: CancellationToken, connection: ConnectionInfo) =
    let reply =
        TaskCompletionSource<Reply>(TaskCreationOptions.RunContinuationsAsynchronously)

    member _.Id = id
    member _.Cancellation = cancellation
    member _.Connection = connection
    member _.Reply = reply.Task

    /// Replies with the request itself, its memory borrowed and not copied.
    member _.Echo() =
        let writer = new KafkaWriter()
        writer.WriteRecords(RecordBytes frame.Memory, false)
        reply.TrySetResult(new Reply(writer)) |> ignore

    member _.ReplyWith(result: Reply) = reply.TrySetResult result |> ignore
    member _.NoReply() = reply.TrySetResult null |> ignore
    member _.Fail(error: exn) = reply.TrySetException error |> ignore

/// Requests whose first four bytes are an id; the test decides when each is answered.
type Toy(onRequest: ToyRequest -> unit) =
    let started = Channel.CreateUnbounded<ToyRequest>()

    /// The next request that was started.
    member _.Next() =
        started.Reader.ReadAsync().AsTask().WaitAsync patience

    member _.StartedCount = started.Reader.Count

    interface IRequestProcessor with
        member _.ProcessAsync(connection, frame, cancellation) =
            let id = BinaryPrimitives.ReadInt32BigEndian frame.Memory.Span
            let request = ToyRequest(id, frame, cancellation, connection)
            onRequest request
            started.Writer.TryWrite request |> ignore
            ValueTask<Reply> request.Reply

/// A toy whose requests the test answers one by one.
let manualToy () = Toy ignore

/// A toy that echoes at once.
let echoToy () = Toy _.Echo()

let loopback = { Host = "127.0.0.1"; Port = 0 }

type Server(toy: IRequestProcessor, options: NetworkOptions) =
    let lines = LogLines()

    let log =
        LoggerConfiguration().MinimumLevel.Verbose().WriteTo.Sink(lines).CreateLogger()

    let listener = KafkaListener.Bind(loopback, options, log)
    do listener.Start toy
    member _.Listener = listener
    member _.Lines = lines

    member _.HeldBytes =
        listener.Budget.Small.HeldBytes
        + listener.Budget.Beginnings.HeldBytes
        + listener.Budget.Large.HeldBytes

    interface IAsyncDisposable with
        member _.DisposeAsync() = listener.DisposeAsync()

/// A request of the toy: a length, an id, and filler that tells mixed-up bytes.
let frame (id: int) (length: int) =
    let bytes = Array.init (4 + length) (fun index -> byte (id * 31 + index))
    BinaryPrimitives.WriteInt32BigEndian(bytes.AsSpan 0, length)
    BinaryPrimitives.WriteInt32BigEndian(bytes.AsSpan 4, id)
    bytes

/// Four bytes that claim a length.
let claim (length: int) =
    let bytes = Array.zeroCreate<byte> 4
    BinaryPrimitives.WriteInt32BigEndian(bytes.AsSpan(), length)
    bytes

type Client(server: Server) =
    let socket =
        new Socket(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp, NoDelay = true)

    do socket.Connect(IPAddress.Loopback, server.Listener.Endpoint.Port)
    member _.Socket = socket

    member _.Send(bytes: byte array) : Task =
        task {
            let mutable sent = 0

            while sent < bytes.Length do
                let! count = socket.SendAsync(bytes.AsMemory sent, SocketFlags.None)
                sent <- sent + count
        }

    /// Exactly that many bytes; fewer if the broker closes the connection before.
    member _.Receive(count: int) =
        task {
            let bytes = Array.zeroCreate<byte> count
            let mutable filled = 0
            let mutable isOpen = true
            use deadline = new CancellationTokenSource(patience)

            while isOpen && filled < count do
                try
                    let! received =
                        socket.ReceiveAsync(bytes.AsMemory filled, SocketFlags.None, deadline.Token)

                    filled <- filled + received
                    isOpen <- received > 0
                with :? SocketException ->
                    isOpen <- false

            return bytes[.. filled - 1]
        }

    /// The payload of the next reply of `Echo`: a request of the toy.
    member this.ReceiveEcho() =
        task {
            let! lengths = this.Receive 8
            Expect.equal lengths.Length 8 "a reply"
            let length = BinaryPrimitives.ReadInt32BigEndian(ReadOnlySpan(lengths, 4, 4))
            return! this.Receive length
        }

    /// The id of the next echoed request.
    member this.ReceiveId() =
        task {
            let! echo = this.ReceiveEcho()
            return BinaryPrimitives.ReadInt32BigEndian echo
        }

    member this.ExpectClosed() =
        task {
            let! rest = this.Receive 1
            Expect.isEmpty rest "the connection is closed"
        }

    interface IDisposable with
        member _.Dispose() = socket.Dispose()
