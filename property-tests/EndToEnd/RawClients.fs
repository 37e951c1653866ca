/// Clients made of a socket and prepared frames: next to no work of their own, so that hundreds of them fit beside the broker.
module Tansu.PropertyTests.EndToEnd.RawClients

open System
open System.Buffers.Binary
open System.IO
open System.Net
open System.Net.Sockets
open System.Threading.Tasks
open Tansu.Codec
open Tansu.Codec.Messages
open Tansu.Codec.Records

/// A request as it goes to the socket, with its length.
let frame<'Request when 'Request :> IMessage<'Request>> (request: 'Request) (version: int) =
    use writer = new KafkaWriter()
    let isFlexible = int16 version >= 'Request.FirstFlexibleVersion

    let header =
        RequestHeader(RequestApiKey = 'Request.ApiKey, RequestApiVersion = int16 version, CorrelationId = 1)

    header.Write(writer, (if isFlexible then 2s else 1s))
    request.Write(writer, int16 version)
    [| for segment in writer.Frame() -> segment.ToArray() |] |> Array.concat

let private decode<'Response when 'Response :> IMessage<'Response>> (bytes: ReadOnlyMemory<byte>) (version: int) =
    let mutable reader = KafkaReader(bytes, KafkaReader.DefaultMaxElements)
    reader.ReadInt32() |> ignore

    if int16 version >= 'Response.FirstFlexibleVersion then
        reader.SkipTags()

    'Response.Read(&reader, int16 version)

/// One connection. Used by one task at a time.
type RawClient(bootstrap: string) =
    let socket =
        new Socket(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp, NoDelay = true)

    do socket.Connect(IPEndPoint.Parse bootstrap)
    let length = Array.zeroCreate<byte> 4
    let mutable buffer = Array.zeroCreate<byte> 1024

    let receive (destination: Memory<byte>) =
        task {
            let mutable rest = destination

            while not rest.IsEmpty do
                let! received = socket.ReceiveAsync rest

                if received = 0 then
                    raise (EndOfStreamException "the broker closed the connection")

                rest <- rest.Slice received
        }

    member _.Send(frame: byte array) =
        task {
            let mutable rest = ReadOnlyMemory frame

            while not rest.IsEmpty do
                let! sent = socket.SendAsync rest
                rest <- rest.Slice sent
        }

    /// The next reply; its bytes are good until the one after it.
    member _.Receive<'Response when 'Response :> IMessage<'Response>>(version: int) =
        task {
            do! receive (length.AsMemory())
            let count = BinaryPrimitives.ReadInt32BigEndian(length.AsSpan())

            if buffer.Length < count then
                buffer <- GC.AllocateUninitializedArray<byte> count

            do! receive (buffer.AsMemory(0, count))
            return decode<'Response> (ReadOnlyMemory(buffer, 0, count)) version
        }

    interface IDisposable with
        member _.Dispose() = socket.Dispose()

let produceVersion = 9
let fetchVersion = 12

/// A Produce request with one batch of one record of that many random bytes.
let produceFrame topic partition (valueBytes: int) =
    let value = Array.zeroCreate<byte> valueBytes
    Random(1).NextBytes value
    let builder = RecordBatchBuilder()
    builder.Append(DateTimeOffset.UtcNow.ToUnixTimeMilliseconds(), Nullable(), Nullable(ReadOnlyMemory value))

    let request =
        ProduceRequest(
            Acks = -1s,
            TimeoutMs = 30_000,
            TopicData = [|
                ProduceRequest.TopicProduceData(
                    Name = topic,
                    PartitionData = [|
                        ProduceRequest.PartitionProduceData(
                            Index = partition,
                            Records = RecordBytes(ReadOnlyMemory(builder.Build()))
                        )
                    |]
                )
            |]
        )

    frame request produceVersion

/// A Fetch request of one partition, outside of any session.
let fetchFrame topic partition (offset: int64) (maxBytes: int) (maxWaitMs: int) =
    let request =
        FetchRequest(
            MaxWaitMs = maxWaitMs,
            MinBytes = 1,
            MaxBytes = maxBytes,
            SessionEpoch = -1,
            Topics = [|
                FetchRequest.FetchTopic(
                    Topic = topic,
                    Partitions = [|
                        FetchRequest.FetchPartition(
                            Partition = partition,
                            FetchOffset = offset,
                            CurrentLeaderEpoch = -1,
                            PartitionMaxBytes = maxBytes
                        )
                    |]
                )
            |]
        )

    frame request fetchVersion

/// The offsets of the records in a fetched partition, from one on: first (-1 for none) and the one after the last.
let fetchedRange (records: RecordBytes) (from: int64) =
    let mutable first = -1L
    let mutable next = from

    for index in 0 .. records.Count - 1 do
        let mutable batches = RecordBatches(records[index]).GetEnumerator()

        while batches.MoveNext() do
            let header = batches.Current.Header

            if first < 0L then
                first <- header.BaseOffset

            next <- header.LastOffset + 1L

    first, next
