/// A broker in memory, asked in bytes as a connection would, without a socket.
module Tansu.PropertyTests.Handlers.Desk

open System
open System.Threading
open System.Threading.Tasks
open Expecto
open Serilog
open Tansu.Adapters
open Tansu.Adapters.Measuring
open Tansu.Adapters.Ports
open Tansu.Codec
open Tansu.Codec.Messages
open Tansu.Codec.Records
open Tansu.Host
open Tansu.Host.Handlers
open Tansu.Host.Network
open Tansu.Host.Requests

let patience = TimeSpan.FromSeconds 20.0

let private decode<'Response when 'Response :> IMessage<'Response>> (bytes: byte array) isFlexible version =
    let mutable reader =
        KafkaReader(ReadOnlyMemory bytes, KafkaReader.DefaultMaxElements)

    Expect.equal (reader.ReadInt32()) 77 "correlation id"

    if isFlexible && 'Response.ApiKey <> 18s then
        reader.SkipTags()

    let response = 'Response.Read(&reader, version)
    reader.RequireEnd()
    response

/// One broker and one connection to it.
type Desk private (broker: Broker, handlers: ApiTable, stopping: CancellationTokenSource) =
    let log = LoggerConfiguration().CreateLogger()
    let dispatcher = RequestDispatcher(handlers, log)

    let connection = ConnectionInfo(1L, "test", "tcp://localhost:9092", stopping.Token)

    let budget = RequestBudget(NetworkOptions())

    static member Open
        (
            ?settings: BrokerSettings,
            ?time: TimeProvider,
            ?store: IStore,
            ?options: ClusterOptions,
            ?measures: StoreMeasures
        ) =
        task {
            let store =
                store
                |> Option.defaultWith (fun () -> new MemoryStore(MemorySpace(), StoreOptions.Default))

            let options =
                defaultArg options (ClusterOptions(AdvertisedHost = "localhost", AdvertisedPort = 9092))

            let! cluster = Cluster.OpenAsync(store, options, CancellationToken.None)

            let broker =
                Broker(
                    cluster,
                    defaultArg settings (BrokerSettings()),
                    LoggerConfiguration().CreateLogger(),
                    defaultArg time TimeProvider.System,
                    StoreMeasures = (measures |> Option.toObj)
                )

            return Desk(broker, HandlerList.Create broker, new CancellationTokenSource())
        }

    member _.Broker = broker
    member _.Handlers = handlers

    /// What the broker knows of a partition.
    member _.Partition(topic: string, partition: int) =
        let topic = broker.FindTopic(false, Guid.Empty, topic)
        broker.Cluster.ShardOf(topic, partition).Partition({ TopicId = topic.Id; Partition = partition })

    /// Which of the connection's requests have their reply.
    member _.Answers = connection.Answers

    /// What the connection waits for before it takes its next request.
    member _.UntilNext() : Task =
        match connection.TakeHold() with
        | null -> Task.CompletedTask
        | hold -> hold

    /// The broker begins to stop: long polls are answered.
    member _.Stop() = stopping.Cancel()

    /// Sends bytes; null if no reply comes.
    member _.Send(frame: byte array) =
        task {
            let! buffer = FrameBuffer.RentAsync(budget, frame.Length, CancellationToken.None)
            let mutable sent = 0

            while not buffer.IsComplete do
                if buffer.NeedsGrowth then
                    do! buffer.GrowAsync CancellationToken.None

                let next = frame.AsMemory(sent, buffer.Free.Length)
                next.CopyTo buffer.Free
                buffer.Advance next.Length
                sent <- sent + next.Length

            let! reply = dispatcher.ProcessAsync(connection, buffer, CancellationToken.None)

            match reply with
            | null ->
                buffer.Dispose()
                return null
            | reply ->
                let bytes = [| for segment in reply.Frame -> segment.ToArray() |] |> Array.concat

                reply.Dispose()
                buffer.Dispose()
                // Without the length.
                return bytes[4..]
        }

    /// Sends a request in a version, and reads the response; null if none comes.
    member this.Ask<'Request, 'Response
        when 'Request :> IMessage<'Request>
        and 'Response: not struct
        and 'Response: null
        and 'Response :> IMessage<'Response>>
        (request: 'Request, version: int)
        =
        task {
            use writer = new KafkaWriter()
            let isFlexible = int16 version >= 'Request.FirstFlexibleVersion

            let header =
                RequestHeader(RequestApiKey = 'Request.ApiKey, RequestApiVersion = int16 version, CorrelationId = 77)

            header.Write(writer, (if isFlexible then 2s else 1s))
            request.Write(writer, int16 version)
            let! bytes = this.Send(writer.ToArray())

            match bytes with
            | null -> return null
            | bytes -> return decode<'Response> bytes isFlexible (int16 version)
        }

    /// Creates a topic and gives its id.
    member this.Create(name: string, partitions: int, configs: (string * string) list) =
        task {
            let request =
                CreateTopicsRequest(
                    Topics = [|
                        CreateTopicsRequest.CreatableTopic(
                            Name = name,
                            NumPartitions = partitions,
                            ReplicationFactor = -1s,
                            Configs = [|
                                for name, value in configs ->
                                    CreateTopicsRequest.CreatableTopicConfig(Name = name, Value = value)
                            |]
                        )
                    |]
                )

            let! response = this.Ask<_, CreateTopicsResponse>(request, 7)
            Expect.equal response.Topics[0].ErrorCode ErrorCode.None "created"
            return response.Topics[0].TopicId
        }

    /// Produces batches to one partition each; gives the partitions' answers in order.
    member this.Produce(topic: string, batches: (int * byte array) list, ?acks: int16) =
        task {
            let request =
                ProduceRequest(
                    Acks = defaultArg acks -1s,
                    TimeoutMs = 20_000,
                    TopicData = [|
                        ProduceRequest.TopicProduceData(
                            Name = topic,
                            PartitionData = [|
                                for partition, batch in batches ->
                                    ProduceRequest.PartitionProduceData(
                                        Index = partition,
                                        Records = RecordBytes(ReadOnlyMemory batch)
                                    )
                            |]
                        )
                    |]
                )

            let! response = this.Ask<_, ProduceResponse>(request, 9)

            match response with
            | null -> return []
            | response -> return List.ofArray response.Responses[0].PartitionResponses
        }

    interface IAsyncDisposable with
        member _.DisposeAsync() = broker.DisposeAsync()

/// A test with a broker of its own.
let deskTest name (body: Desk -> Task<unit>) =
    testCaseTask name (fun () ->
        task {
            let! desk = Desk.Open()
            do! body desk
            do! (desk :> IAsyncDisposable).DisposeAsync()
        })

let private timestamp = DateTimeOffset.UtcNow.ToUnixTimeMilliseconds()

/// A batch of records with keys; record n is n milliseconds later than the first.
let batchAt (codec: CompressionCodec) (first: int64) (records: int) (valueBytes: int) =
    let builder = RecordBatchBuilder(Codec = codec)

    for index in 0 .. records - 1 do
        builder.Append(
            first + int64 index,
            ReadOnlyMemory [| byte index |],
            ReadOnlyMemory(Array.create valueBytes 1uy),
            ReadOnlySpan.Empty
        )

    builder.Build()

let batch records =
    batchAt CompressionCodec.None timestamp records 20

/// What a fetch asks of one partition.
let wanted partition offset maxBytes =
    FetchRequest.FetchPartition(Partition = partition, FetchOffset = offset, PartitionMaxBytes = maxBytes)

let fetch (topic: string) (partitions: FetchRequest.FetchPartition list) =
    FetchRequest(
        MaxWaitMs = 0,
        MinBytes = 1,
        Topics = [|
            FetchRequest.FetchTopic(Topic = topic, Partitions = Array.ofList partitions)
        |]
    )

/// Base offsets of the batches in a partition's answer.
let baseOffsets (data: FetchResponse.PartitionData) =
    let offsets = ResizeArray()
    let mutable batches = (RecordBatches(data.Records.Joined())).GetEnumerator()

    while batches.MoveNext() do
        offsets.Add(batches.Current.Header.BaseOffset)

    List.ofSeq offsets
