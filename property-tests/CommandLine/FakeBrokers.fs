/// Brokers that answer what a test tells them to, over real sockets: for what Tansu itself never answers.
module Tansu.PropertyTests.CommandLine.FakeBrokers

open System
open System.Buffers.Binary
open System.Collections.Concurrent
open System.IO
open System.Net
open System.Net.Sockets
open System.Threading.Tasks
open Tansu.Codec
open Tansu.Codec.Messages

/// A request as it came: its API, version and what follows the header.
type Request = { ApiKey: int16; Version: int16; Body: ReadOnlyMemory<byte> }

/// The body of a request.
let read<'Request when 'Request :> IMessage<'Request>> (request: Request) =
    let mutable reader = KafkaReader(request.Body, KafkaReader.DefaultMaxElements)
    'Request.Read(&reader, request.Version)

/// An answer as it goes out, without its length and correlation id.
let answerIn<'Response when 'Response :> IMessage<'Response>> (version: int16) (response: 'Response) =
    use writer = new KafkaWriter()

    if
        version >= 'Response.FirstFlexibleVersion
        && 'Response.ApiKey <> ApiKeys.ApiVersions
    then
        writer.WriteUnsignedVarint 0u

    response.Write(writer, version)
    writer.ToArray()

/// An answer in the version of its request.
let answer request response = answerIn request.Version response

/// Serves versions of some APIs; everything that the codec knows for null.
let versions (served: (int16 * int16 * int16) list) =
    ApiVersionsResponse(
        ApiKeys = [|
            for key, lowest, highest in served ->
                ApiVersionsResponse.ApiVersion(ApiKey = key, MinVersion = lowest, MaxVersion = highest)
        |]
    )

/// All that the codec knows.
let allVersions () =
    versions [ for api in ApiKeys.All -> api.Key, api.LowestVersion, api.HighestVersion ]

/// A broker at a free port. `respond` gives the answer to a request, or null to close the connection; it may never complete.
type FakeBroker(respond: Request -> Task<byte array | null>) =
    let listener = new TcpListener(IPAddress.Loopback, 0)
    do listener.Start()
    let seen = ConcurrentQueue<int16 * int16>()
    let sockets = ConcurrentQueue<Socket>()

    let exchange (stream: NetworkStream) =
        task {
            let length = Array.zeroCreate<byte> 4
            do! stream.ReadExactlyAsync(length.AsMemory())

            let frame =
                Array.zeroCreate<byte>(BinaryPrimitives.ReadInt32BigEndian(length.AsSpan()))

            do! stream.ReadExactlyAsync(frame.AsMemory())
            let key = BinaryPrimitives.ReadInt16BigEndian(ReadOnlySpan(frame, 0, 2))
            let version = BinaryPrimitives.ReadInt16BigEndian(ReadOnlySpan(frame, 2, 2))
            let correlationId = BinaryPrimitives.ReadInt32BigEndian(ReadOnlySpan(frame, 4, 4))
            let clientId = int (BinaryPrimitives.ReadInt16BigEndian(ReadOnlySpan(frame, 8, 2)))
            let body = 10 + clientId
            seen.Enqueue((key, version))
            let found, api = ApiKeys.TryGet key

            let tags =
                if found && api.RequestHeaderVersion version = 2s then
                    1
                else
                    0

            let! answer =
                respond {
                    ApiKey = key
                    Version = version
                    Body = ReadOnlyMemory(frame, body + tags, frame.Length - body - tags)
                }

            match answer with
            | null -> return false
            | answer ->
                let reply = Array.zeroCreate<byte>(8 + answer.Length)
                BinaryPrimitives.WriteInt32BigEndian(reply.AsSpan(), 4 + answer.Length)
                BinaryPrimitives.WriteInt32BigEndian(reply.AsSpan 4, correlationId)
                answer.CopyTo(reply, 8)
                do! stream.WriteAsync(ReadOnlyMemory reply)
                return true
        }

    let serve (socket: Socket) =
        task {
            use stream = new NetworkStream(socket, true)

            try
                let mutable isOpen = true

                while isOpen do
                    let! goesOn = exchange stream
                    isOpen <- goesOn
            with
            | :? IOException
            | :? ObjectDisposedException -> ()
        }

    let accept =
        task {
            try
                while true do
                    let! socket = listener.AcceptSocketAsync()
                    sockets.Enqueue socket
                    serve socket |> ignore
            with
            | :? SocketException
            | :? ObjectDisposedException -> ()
        }

    member _.Port = (listener.LocalEndpoint :?> IPEndPoint).Port
    member broker.Bootstrap = $"127.0.0.1:{broker.Port}"

    /// API key and version of every request so far.
    member _.Seen = List.ofSeq seen

    interface IDisposable with
        member _.Dispose() =
            listener.Dispose()
            accept.Wait()

            for socket in sockets do
                socket.Dispose()

/// A broker that answers at once.
let fake (respond: Request -> byte array | null) =
    new FakeBroker(fun request -> Task.FromResult(respond request))
