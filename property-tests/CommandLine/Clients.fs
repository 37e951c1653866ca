/// The client against brokers that are old, strict, slow, broken or not there.
module Tansu.PropertyTests.CommandLine.Clients

open System
open System.Collections.Generic
open System.Net
open System.Net.Sockets
open System.Text
open System.Threading
open System.Threading.Tasks
open Confluent.Kafka
open Expecto
open Tansu.Codec
open Tansu.Codec.Messages
open Tansu.Host.CommandLine
open Tansu.Host.Client
open Tansu.PropertyTests
open Tansu.PropertyTests.Replica.Rig
open Tansu.PropertyTests.CommandLine.FakeBrokers
open Tansu.PropertyTests.CommandLine.Running

let private partition index leader =
    MetadataResponse.MetadataResponsePartition(
        PartitionIndex = index,
        LeaderId = leader,
        ReplicaNodes = [| leader |],
        IsrNodes = [| leader |]
    )

let private topic name leaders =
    MetadataResponse.MetadataResponseTopic(Name = name, Partitions = Array.mapi partition leaders)

/// Metadata of brokers 1, 2, … at their ports.
let private metadata (ports: int list) controller topics =
    MetadataResponse(
        ControllerId = controller,
        Topics = topics,
        Brokers = [|
            for index, port in List.indexed ports ->
                MetadataResponse.MetadataResponseBroker(NodeId = index + 1, Host = "127.0.0.1", Port = port)
        |]
    )

let private created (request: Request) =
    let asked = read<CreateTopicsRequest> request

    CreateTopicsResponse(
        Topics = [|
            for topic in asked.Topics -> CreateTopicsResponse.CreatableTopicResult(Name = topic.Name)
        |]
    )

let private unexpected (request: Request) =
    failtest $"API {request.ApiKey} is not expected here"

/// A cluster of two brokers of which the first is the bootstrap server.
let private two (respond: int -> int list -> Request -> byte array | null) =
    let ports = TaskCompletionSource<int list>()

    let broker id =
        new FakeBroker(fun request ->
            task {
                let! ports = ports.Task
                return respond id ports request
            })

    let first = broker 1
    let second = broker 2
    ports.SetResult [ first.Port; second.Port ]
    first, second

let private keysSeen (broker: FakeBroker) =
    broker.Seen |> List.map fst |> List.distinct

let private oldBroker =
    testCaseTask "an old broker is asked in versions that it knows (KIP-511)" (fun () ->
        task {
            let mutable asked = None
            let mutable port = 0

            use broker =
                fake (fun request ->
                    match request.ApiKey with
                    | ApiKeys.ApiVersions when request.Version > 2s ->
                        ApiVersionsResponse(
                            ErrorCode = ErrorCode.UnsupportedVersion,
                            ApiKeys = (versions [ ApiKeys.ApiVersions, 0s, 2s ]).ApiKeys
                        )
                        |> answerIn 0s
                    | ApiKeys.ApiVersions -> versions [ 18s, 0s, 2s; 3s, 0s, 1s; 19s, 0s, 3s ] |> answer request
                    | ApiKeys.Metadata -> metadata [ port ] 1 [||] |> answer request
                    | ApiKeys.CreateTopics ->
                        asked <- Some((read<CreateTopicsRequest> request).Topics[0])
                        created request |> answer request
                    | _ -> unexpected request)

            port <- broker.Port
            let! _ = succeed broker.Bootstrap [ "topic"; "create"; "a" ]
            Expect.equal broker.Seen [ 18s, 4s; 18s, 2s; 3s, 1s; 19s, 3s ] "requests"
            Expect.equal (asked.Value.NumPartitions, asked.Value.ReplicationFactor) (1, 1s) "what it cannot leave open"
            let! said = fail broker.Bootstrap [ "group"; "list" ]
            Expect.stringContains said "does not serve ListGroups" "what it does not know"
        })

let private controller =
    testCaseTask "topics are administered at the controller, again if another has become it" (fun () ->
        task {
            let mutable refusals = 0

            let first, second =
                two (fun id ports request ->
                    match request.ApiKey with
                    | ApiKeys.ApiVersions -> allVersions () |> answer request
                    // Whoever is named first is no longer it.
                    | ApiKeys.Metadata -> metadata ports (if refusals = 0 then 1 else 2) [||] |> answer request
                    | ApiKeys.CreateTopics when id = 1 ->
                        refusals <- refusals + 1
                        let refused = created request

                        for topic in refused.Topics do
                            topic.ErrorCode <- ErrorCode.NotController

                        refused |> answer request
                    | ApiKeys.CreateTopics -> created request |> answer request
                    | _ -> unexpected request)

            use first = first
            use second = second
            let! output = succeed first.Bootstrap [ "topic"; "create"; "a" ]
            Expect.equal output $"a: created{Environment.NewLine}" "created"
            Expect.equal refusals 1 "refused once"
            Expect.contains (keysSeen second) ApiKeys.CreateTopics "the controller"
        })

let private listed (request: Request) (error: ErrorCode) (offset: int64) =
    let asked = read<ListOffsetsRequest> request

    ListOffsetsResponse(
        Topics = [|
            for topic in asked.Topics ->
                ListOffsetsResponse.ListOffsetsTopicResponse(
                    Name = topic.Name,
                    Partitions = [|
                        for partition in topic.Partitions ->
                            ListOffsetsResponse.ListOffsetsPartitionResponse(
                                PartitionIndex = partition.PartitionIndex,
                                ErrorCode = error,
                                Offset = offset
                            )
                    |]
                )
        |]
    )

let private leaders =
    testCaseTask "offsets are asked of each partition's leader, again if another has become it" (fun () ->
        task {
            let mutable moved = false

            let first, second =
                two (fun id ports request ->
                    match request.ApiKey with
                    | ApiKeys.ApiVersions -> allVersions () |> answer request
                    | ApiKeys.Metadata ->
                        metadata ports 1 [| topic "t" [| 1; (if moved then 2 else 1); 2 |] |]
                        |> answer request
                    | ApiKeys.DescribeConfigs ->
                        DescribeConfigsResponse(Results = [| DescribeConfigsResponse.DescribeConfigsResult() |])
                        |> answer request
                    | ApiKeys.ListOffsets ->
                        let response = listed request ErrorCode.None (int64 id)

                        for partition in response.Topics[0].Partitions do
                            if id = 1 && partition.PartitionIndex = 1 then
                                moved <- true
                                partition.ErrorCode <- ErrorCode.NotLeaderOrFollower

                        response |> answer request
                    | _ -> unexpected request)

            use first = first
            use second = second
            let! document = succeedJson first.Bootstrap [ "topic"; "describe"; "t" ]

            Expect.equal
                [ for index in 0..2 -> number $"topics.0.partitions.{index}.latest" document ]
                [ 1L; 2L; 2L ]
                "who answered for each"
        })

let private coordinators (newest: int16) =
    testCaseTask $"groups are asked of their coordinators, found by FindCoordinator {newest}" (fun () ->
        task {
            let mutable refusals = 0

            let first, second =
                two (fun id ports request ->
                    match request.ApiKey with
                    | ApiKeys.ApiVersions ->
                        versions [
                            ApiKeys.Metadata, 0s, 9s
                            ApiKeys.FindCoordinator, 0s, newest
                            ApiKeys.DeleteGroups, 0s, 2s
                        ]
                        |> answer request
                    | ApiKeys.Metadata -> metadata ports 1 [||] |> answer request
                    | ApiKeys.FindCoordinator ->
                        // Whoever is named first is no longer it.
                        let port = if refusals = 0 then ports[0] else ports[1]

                        FindCoordinatorResponse(
                            Host = "127.0.0.1",
                            Port = port,
                            Coordinators = [|
                                FindCoordinatorResponse.Coordinator(Key = "g", Host = "127.0.0.1", Port = port)
                            |]
                        )
                        |> answer request
                    | ApiKeys.DeleteGroups ->
                        refusals <- refusals + (if id = 1 then 1 else 0)

                        DeleteGroupsResponse(
                            Results = [|
                                DeleteGroupsResponse.DeletableGroupResult(
                                    GroupId = "g",
                                    ErrorCode = (if id = 1 then ErrorCode.NotCoordinator else ErrorCode.None)
                                )
                            |]
                        )
                        |> answer request
                    | _ -> unexpected request)

            use first = first
            use second = second
            let! output = succeed first.Bootstrap [ "group"; "delete"; "g" ]
            Expect.equal output $"g: deleted{Environment.NewLine}" "deleted"
            Expect.equal refusals 1 "refused once"
        })

let private bootstraps =
    testCaseTask "of several bootstrap servers one that answers is enough" (fun () ->
        task {
            let mutable port = 0

            use broker =
                fake (fun request ->
                    match request.ApiKey with
                    | ApiKeys.ApiVersions -> allVersions () |> answer request
                    | ApiKeys.Metadata -> metadata [ port ] 1 [| topic "t" [| 1 |] |] |> answer request
                    | _ -> unexpected request)

            port <- broker.Port
            let nobody = $"127.0.0.1:{Machine.freePort ()}"
            let! output = succeed $"{nobody},tcp://localhost:{port}" [ "topic"; "list" ]
            Expect.stringContains output "t " "the topic"
            let! said = fail $"{nobody},{nobody}" [ "topic"; "list" ]
            Expect.stringContains said $"cannot reach {nobody}: connection refused" "none"
        })

let private noSuchHost =
    testCaseTask "a name that nobody has is said" (fun () ->
        task {
            let! said = fail "no-such-host.invalid:1" [ "topic"; "list" ]
            Expect.stringContains said "cannot reach no-such-host.invalid:1" "where"
        })

let private silent =
    testCaseTask "a broker that does not answer is waited for as long as was said" (fun () ->
        task {
            let never = TaskCompletionSource<byte array | null>()

            use broker =
                new FakeBroker(fun request ->
                    match request.ApiKey with
                    | ApiKeys.ApiVersions -> Task.FromResult(allVersions () |> answer request)
                    | _ -> never.Task)

            let! said = fail broker.Bootstrap [ "topic"; "list"; "--timeout-ms"; "300" ]
            Expect.stringContains said "300 ms" "how long"
        })

let private closing =
    testCaseTask "a broker that closes the connection is tried again, as long as was said" (fun () ->
        task {
            let mutable requests = 0
            let mutable port = 0

            use broker =
                fake (fun request ->
                    match request.ApiKey with
                    | ApiKeys.ApiVersions -> allVersions () |> answer request
                    | _ ->
                        requests <- requests + 1

                        if requests = 1 then
                            null
                        else
                            metadata [ port ] 1 [||] |> answer request)

            port <- broker.Port
            let! _ = succeed broker.Bootstrap [ "topic"; "list" ]
            Expect.equal requests 2 "the second time it answers"
        })

/// A server that says one thing to whoever comes.
let private says (bytes: byte array) (test: string -> Task<unit>) =
    task {
        use listener = new TcpListener(IPAddress.Loopback, 0)
        listener.Start()

        let serving =
            task {
                use! socket = listener.AcceptSocketAsync()
                let! _ = socket.ReceiveAsync(Array.zeroCreate<byte> 1024)
                let! _ = socket.SendAsync(bytes.AsMemory())

                try
                    // Until the client goes.
                    let! _ = socket.ReceiveAsync(Array.zeroCreate<byte> 1024)
                    ()
                with :? SocketException ->
                    ()
            }

        do! test $"127.0.0.1:{(listener.LocalEndpoint :?> IPEndPoint).Port}"
        do! serving
    }

let private strangers =
    testList "what does not speak Kafka is said to" [
        for name, bytes in
            [
                "HTTP", Encoding.ASCII.GetBytes "HTTP/1.1 400 Bad Request\r\n\r\n"
                "a negative length", [| 255uy; 255uy; 255uy; 255uy |]
                "an answer to nothing", [| 0uy; 0uy; 0uy; 6uy; 9uy; 9uy; 9uy; 9uy; 0uy; 0uy |]
            ] do
            testCaseTask name (fun () ->
                says bytes (fun bootstrap ->
                    task {
                        let! said = fail bootstrap [ "topic"; "list" ]
                        Expect.stringContains said "does not speak Kafka" "why"
                    }))

        testCaseTask "an answer that is cut short" (fun () ->
            says [| 0uy; 0uy; 0uy; 7uy; 0uy; 0uy; 0uy; 1uy; 0uy; 0uy; 9uy |] (fun bootstrap ->
                task {
                    let! said = fail bootstrap [ "topic"; "list" ]
                    Expect.stringContains said "makes no sense" "why"
                }))
    ]

let private pipelining =
    testCaseTask "many requests at once on one connection get each its own answer" (fun () ->
        task {
            use broker =
                fake (fun request ->
                    match request.ApiKey with
                    | ApiKeys.ApiVersions -> allVersions () |> answer request
                    | ApiKeys.Metadata ->
                        let asked = read<MetadataRequest> request
                        metadata [ 1 ] 1 [| topic asked.Topics[0].Name [||] |] |> answer request
                    | _ -> unexpected request)

            let address: Endpoint = { Host = "127.0.0.1"; Port = broker.Port }
            let options = ClientOptions(BootstrapServers = [| address |])

            let! connection =
                KafkaConnection.ConnectAsync(address, options, CancellationToken.None)

            let ask (index: int) =
                task {
                    let asked =
                        MetadataRequest(Topics = [| MetadataRequest.MetadataRequestTopic(Name = string index) |])

                    if index % 2 = 0 then
                        let! response =
                            connection.AskAsync<MetadataRequest, MetadataResponse>(asked, 9s, CancellationToken.None)

                        return response.Topics[0].Name
                    else
                        use! reply =
                            connection.AskPooledAsync<MetadataRequest, MetadataResponse>(
                                asked,
                                9s,
                                CancellationToken.None
                            )

                        return reply.Message.Topics[0].Name
                }

            let! names = Task.WhenAll [| for index in 1..500 -> ask index |]
            Expect.equal names [| for index in 1..500 -> string index |] "answers"
            do! connection.DisposeAsync()

            let! failure =
                task {
                    try
                        let! _ = ask 1
                        return None
                    with :? KafkaClientException as failure ->
                        return Some failure.Message
                }

            Expect.stringContains failure.Value "was closed" "nothing goes out any more"
        })

/// Brokers that are neither Tansu's nor of this project: librdkafka's own, which answer for what they lead and coordinate alone.
let private mockCluster =
    testCaseTask "works with the brokers that librdkafka has for its own tests" (fun () ->
        task {
            let config = ProducerConfig()
            config.Set("test.mock.num.brokers", "3")

            use producer =
                ProducerBuilder<byte array, byte array>(config).SetLogHandler(fun _ _ -> ()).Build()

            use admin = DependentAdminClientBuilder(producer.Handle).Build()

            /// Leaders are drawn by lot: now and then one broker leads a whole topic.
            let leadSeveral topic =
                let found = admin.GetMetadata(topic, TimeSpan.FromSeconds 30.0).Topics[0].Partitions

                found.Count = 4
                && found |> Seq.distinctBy _.Leader |> Seq.length |> (fun leaders -> leaders > 1)

            let topic = Seq.init 20 (fun number -> $"mocked-{number}") |> Seq.find leadSeveral

            let produce partition =
                producer.ProduceAsync(
                    Confluent.Kafka.TopicPartition(topic, Partition partition),
                    Message<byte array, byte array>(Value = [| 1uy |])
                )

            for partition in 0..3 do
                for _ in 0..partition do
                    let! _ = produce partition
                    ()

            let brokers = admin.GetMetadata(TimeSpan.FromSeconds 30.0).Brokers

            let bootstrap: Endpoint = { Host = brokers[0].Host; Port = brokers[0].Port }
            let client = new KafkaClient(ClientOptions(BootstrapServers = [| bootstrap |]))
            let kafka = KafkaAdmin client
            let partitions = [| for index in 0..3 -> TopicPartition(topic, index) |]
            let! metadata = client.MetadataAsync([| topic |], CancellationToken.None)

            let leaders = [|
                for partition in partitions -> metadata.LeaderOf(topic, partition.Partition)
            |]

            Expect.isGreaterThan (Array.distinct leaders).Length 1 "several lead"

            let! latest =
                kafka.ListOffsetsAsync(partitions, KafkaAdmin.Latest, CancellationToken.None)

            Expect.equal
                [| for each in partitions -> latest[each].Offset |]
                [| 1L; 2L; 3L; 4L |]
                "asked of each leader"

            for group in [ "g1"; "g2"; "g3"; "g4" ] do
                let offsets = dict [ for each in partitions -> each, int64 each.Partition ]
                let offsets = Dictionary<TopicPartition, int64> offsets
                let! outcomes = kafka.CommitOffsetsAsync(group, offsets, CancellationToken.None)
                Expect.all outcomes (fun outcome -> isNull outcome.Error) "committed at each coordinator"

            do! client.DisposeAsync()
        })

let private cancelledSend =
    testCaseTask "a batch that is given up before its turn does not keep others from being waited for" (fun () ->
        task {
            let isAsked = TaskCompletionSource()
            let mayAnswer = TaskCompletionSource()
            let mutable produced = 0
            let mutable port = 0

            let produce request code =
                let partition =
                    ProduceResponse.PartitionProduceResponse(Index = 0, ErrorCode = code)

                let answered =
                    ProduceResponse.TopicProduceResponse(Name = "a", PartitionResponses = [| partition |])

                ProduceResponse(Responses = [| answered |]) |> answer request

            use broker =
                new FakeBroker(fun request ->
                    task {
                        match request.ApiKey with
                        | ApiKeys.ApiVersions -> return allVersions () |> answer request
                        | ApiKeys.Metadata -> return metadata [ port ] 1 [| topic "a" [| 1 |] |] |> answer request
                        | ApiKeys.Produce when produced = 0 ->
                            produced <- 1
                            return produce request ErrorCode.NotLeaderOrFollower
                        | ApiKeys.Produce ->
                            // While it is sent again its partition takes nothing new.
                            isAsked.TrySetResult() |> ignore
                            do! mayAnswer.Task
                            return produce request ErrorCode.None
                        | _ -> return unexpected request
                    })

            port <- broker.Port
            let address: Endpoint = { Host = "127.0.0.1"; Port = port }
            let client = new KafkaClient(ClientOptions(BootstrapServers = [| address |]))
            let options = ProducerOptions(Topic = "a", Acks = 1s, InFlight = 2)

            let! producer =
                RecordProducer.OpenAsync(client, options, ignore, CancellationToken.None)

            let batch () =
                let batch = new ProducerBatch(options.Codec)
                batch.Writer.Append(0L, Nullable(), Nullable(ReadOnlyMemory [| 1uy |]), ReadOnlySpan())
                batch

            do! producer.SendAsync(batch (), CancellationToken.None)
            do! isAsked.Task.WaitAsync patience
            use stop = new CancellationTokenSource()
            let sending = producer.SendAsync(batch (), stop.Token).AsTask()
            Expect.isFalse sending.IsCompleted "it has to wait"
            stop.Cancel()
            let! _ = Task.WhenAny(sending, Task.Delay patience)
            Expect.isTrue sending.IsCanceled "given up"
            mayAnswer.SetResult()
            do! producer.FlushAsync(CancellationToken.None).WaitAsync patience
            Expect.equal producer.Written 1L "the other one"
            do! producer.DisposeAsync()
            do! client.DisposeAsync()
        })

let tests =
    testList "client" [
        mockCluster
        cancelledSend
        oldBroker
        controller
        leaders
        coordinators 3s
        coordinators 4s
        bootstraps
        noSuchHost
        silent
        closing
        strangers
        pipelining
    ]
