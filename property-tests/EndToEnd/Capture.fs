/// `./test capture-frames FILE`: makes the golden frames, by a proxy between real clients and a broker.
module Tansu.PropertyTests.EndToEnd.Capture

open System
open System.Buffers.Binary
open System.Collections.Concurrent
open System.IO
open System.Net
open System.Net.Sockets
open System.Text
open System.Threading.Tasks
open Confluent.Kafka
open Confluent.Kafka.Admin
open Tansu.PropertyTests
open Tansu.PropertyTests.EndToEnd.RealBroker

/// A request as a client sent it, with what is needed to read the answer.
type private Seen = { client: string; apiKey: int16; version: int16; request: byte array }

let private readFrame (stream: Stream) =
    task {
        let prefix = Array.zeroCreate<byte> 4
        do! stream.ReadExactlyAsync(prefix.AsMemory())
        let frame = Array.zeroCreate<byte>(BinaryPrimitives.ReadInt32BigEndian prefix)
        do! stream.ReadExactlyAsync(frame.AsMemory())
        return prefix, frame
    }

let private copyBack (from: Stream) (``to``: Stream) =
    task {
        try
            do! from.CopyToAsync ``to``
        with
        | :? IOException
        | :? ObjectDisposedException -> ()
    }

/// Passes everything on, and keeps the first request of each API, version and client; of Produce one for each length, which
/// is one for each codec.
type private Proxy(client: string, target: IPEndPoint, seen: ConcurrentDictionary<string * int16 * int16 * int, Seen>) =
    let listener = new TcpListener(IPAddress.Loopback, 0)

    let forward (accepted: TcpClient) =
        task {
            use accepted = accepted
            use upstream = new TcpClient()
            do! upstream.ConnectAsync(target.Address, target.Port)
            use fromClient = accepted.GetStream()
            use toBroker = upstream.GetStream()
            let back = copyBack toBroker fromClient

            try
                while true do
                    let! prefix, frame = readFrame fromClient
                    let apiKey = BinaryPrimitives.ReadInt16BigEndian(ReadOnlySpan(frame, 0, 2))
                    let version = BinaryPrimitives.ReadInt16BigEndian(ReadOnlySpan(frame, 2, 2))

                    seen.TryAdd(
                        (client, apiKey, version, (if apiKey = 0s then frame.Length else 0)),
                        { client = client; apiKey = apiKey; version = version; request = frame }
                    )
                    |> ignore

                    do! toBroker.WriteAsync(prefix.AsMemory())
                    do! toBroker.WriteAsync(frame.AsMemory())
            with
            | :? IOException
            | :? EndOfStreamException
            | :? ObjectDisposedException -> ()

            upstream.Close()
            do! back
        }

    do
        listener.Start()

        task {
            try
                while true do
                    let! accepted = listener.AcceptTcpClientAsync()
                    forward accepted |> ignore
            with
            | :? SocketException
            | :? ObjectDisposedException -> ()
        }
        |> ignore

    member _.Port = (listener.LocalEndpoint :?> IPEndPoint).Port

    interface IDisposable with
        member _.Dispose() = listener.Stop()

let private useConfluent (bootstrap: string) =
    task {
        use admin =
            AdminClientBuilder(Clients.configure (AdminClientConfig()) bootstrap).SetLogHandler(fun _ _ -> ()).Build()

        do! admin.CreateTopicsAsync [ TopicSpecification(Name = "golden", NumPartitions = 2) ]
        let topic = ConfigResource(Type = ResourceType.Topic, Name = "golden")
        let! _ = admin.DescribeConfigsAsync [ topic ]

        let! _ =
            admin.IncrementalAlterConfigsAsync(
                Collections.Generic.Dictionary(
                    dict [
                        topic,
                        Collections.Generic.List [
                            ConfigEntry(
                                Name = "retention.ms",
                                Value = "2000",
                                IncrementalOperation = AlterConfigOpType.Set
                            )
                        ]
                    ]
                )
            )

        do! admin.CreatePartitionsAsync [ PartitionsSpecification(Topic = "golden", IncreaseTo = 3) ]
        let! _ = admin.DescribeClusterAsync()

        for codec in
            [
                CompressionType.None
                CompressionType.Gzip
                CompressionType.Snappy
                CompressionType.Lz4
                CompressionType.Zstd
            ] do
            use producer =
                Clients.producer (
                    Clients.configure (ProducerConfig(EnableIdempotence = true, CompressionType = codec)) bootstrap
                )

            let headers = Headers()
            headers.Add("source", Encoding.UTF8.GetBytes "golden")

            let! _ =
                producer.ProduceAsync(
                    "golden",
                    Message<byte array, byte array>(
                        Key = "key"B,
                        Value = Encoding.UTF8.GetBytes(String.replicate 20 "value "),
                        Headers = headers
                    )
                )

            ()

        Clients.readAll bootstrap "golden" 0 |> ignore
        let partition = TopicPartition("golden", Partition 0)

        let! _ =
            admin.ListOffsetsAsync [
                TopicPartitionOffsetSpec(TopicPartition = partition, OffsetSpec = OffsetSpec.MaxTimestamp())
            ]

        let! _ = admin.DeleteRecordsAsync [ TopicPartitionOffset(partition, Offset 0L) ]
        do! admin.DeleteTopicsAsync [ "golden" ]
    }

let private useKcat (bootstrap: string) =
    task {
        let! _ =
            shell "kcat" [ "-b"; bootstrap; "-t"; "kcat"; "-P"; "-K:"; "-H"; "a=b"; "-q" ] "key:value\n"

        let! _ =
            shell "kcat" [ "-b"; bootstrap; "-t"; "kcat"; "-C"; "-e"; "-q"; "-o"; "beginning" ] ""

        let! _ = shell "kcat" [ "-b"; bootstrap; "-L" ] ""
        ()
    }

/// Runs the clients, and writes one line per request: client, API key, version, the frame in hexadecimal.
let run (arguments: string list) =
    match arguments with
    | [ file ] ->
        let seen = ConcurrentDictionary()

        for client, useIt in [ "Confluent.Kafka 2.16", useConfluent; "kcat 1.7.1", useKcat ] do
            use scratch = new Scratch()
            let port = Machine.freePort ()
            // The proxy is what clients are told to connect to, so that nothing goes past it.
            use proxy = new Proxy(client, IPEndPoint(IPAddress.Loopback, port), seen)

            use broker =
                RealBroker.Start(
                    scratch.Path,
                    [
                        "--listener-url"
                        $"tcp://127.0.0.1:{port}"
                        "--advertised-listener-url"
                        $"tcp://127.0.0.1:{proxy.Port}"
                        "--storage-engine"
                        "memory://"
                    ]
                )

            (useIt $"127.0.0.1:{proxy.Port}").Wait()

        let lines =
            seen.Values
            |> Seq.sortBy (fun one -> one.client, one.apiKey, one.version, one.request.Length)
            |> Seq.map (fun one -> $"{one.client}\t{one.apiKey}\t{one.version}\t{Convert.ToHexStringLower one.request}")

        File.WriteAllLines(file, lines)
        0
    | _ ->
        eprintfn "usage: ./test capture-frames FILE"
        2
