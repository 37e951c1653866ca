/// Topics and configurations, as an administrator's tools meet them.
module Tansu.PropertyTests.Handlers.Administering

open System
open System.Threading.Tasks
open Expecto
open Tansu.Codec
open Tansu.Codec.Messages
open Tansu.PropertyTests.Handlers.Desk

let private wish name partitions (replicas: int16) =
    CreateTopicsRequest.CreatableTopic(Name = name, NumPartitions = partitions, ReplicationFactor = replicas)

let private assigned name (assignments: (int * int list) list) =
    let topic = wish name -1 -1s

    topic.Assignments <- [|
        for partition, brokers in assignments ->
            CreateTopicsRequest.CreatableReplicaAssignment(PartitionIndex = partition, BrokerIds = Array.ofList brokers)
    |]

    topic

let private create (desk: Desk) topics validateOnly =
    task {
        let request =
            CreateTopicsRequest(Topics = Array.ofList topics, ValidateOnly = validateOnly)

        let! response = desk.Ask<_, CreateTopicsResponse>(request, 7)
        return List.ofArray response.Topics
    }

let private creation =
    testList "CreateTopics" [
        deskTest "fills in defaults, and tells id, partitions and configurations" (fun desk ->
            task {
                let! results = create desk [ wish "a" -1 -1s ] false
                let result = List.exactlyOne results
                Expect.equal (result.NumPartitions, result.ReplicationFactor) (1, 1s) "defaults"
                Expect.notEqual result.TopicId Guid.Empty "id"

                Expect.isTrue
                    (result.Configs
                     |> Array.exists (fun one -> one.Name = "retention.ms" && one.Value = "604800000"))
                    "configurations"
            })

        for name, topic, error in
            [
                "three replicas", wish "a" 1 3s, ErrorCode.InvalidReplicationFactor
                "no replica", wish "a" 1 0s, ErrorCode.InvalidReplicationFactor
                "no partition", wish "a" 0 1s, ErrorCode.InvalidPartitions
                "an invalid name", wish "a b" 1 1s, ErrorCode.InvalidTopicException
                "an unknown broker", assigned "a" [ 0, [ 99 ] ], ErrorCode.InvalidReplicaAssignment
                "no broker", assigned "a" [ 0, [] ], ErrorCode.InvalidReplicaAssignment
                "a gap between partitions", assigned "a" [ 0, [ 1 ]; 2, [ 1 ] ], ErrorCode.InvalidReplicaAssignment
                "a partition twice", assigned "a" [ 0, [ 1 ]; 0, [ 1 ] ], ErrorCode.InvalidReplicaAssignment
            ] do
            deskTest $"refuses {name} with {error}" (fun desk ->
                task {
                    let! results = create desk [ topic ] false
                    Expect.equal (List.exactlyOne results).ErrorCode error "error"
                    Expect.isNotNull (List.exactlyOne results).ErrorMessage "it says why"
                })

        deskTest "takes assignments to this node" (fun desk ->
            task {
                let! results = create desk [ assigned "a" [ 0, [ 1 ]; 1, [ 1 ] ] ] false
                Expect.equal (List.exactlyOne results).NumPartitions 2 "partitions"
            })

        deskTest "refuses a topic named twice, and one that exists, and creates the others" (fun desk ->
            task {
                let! _ = create desk [ wish "there" 1 1s ] false

                let! results =
                    create desk [ wish "twice" 1 1s; wish "new" 1 1s; wish "twice" 1 1s; wish "there" 1 1s ] false

                Expect.equal
                    [ for result in results -> result.ErrorCode ]
                    [
                        ErrorCode.InvalidRequest
                        ErrorCode.None
                        ErrorCode.InvalidRequest
                        ErrorCode.TopicAlreadyExists
                    ]
                    "errors"
            })

        deskTest "says that a topic exists, whatever else is wrong with the wish" (fun desk ->
            task {
                let! _ = create desk [ wish "a" 1 1s ] false
                let configured = wish "a" 1 1s

                configured.Configs <- [|
                    CreateTopicsRequest.CreatableTopicConfig(Name = "retention.ms", Value = null)
                |]

                for topic in [ wish "a" 1 3s; wish "a" 0 1s; assigned "a" [ 0, [ 99 ] ]; configured ] do
                    for validateOnly in [ false; true ] do
                        let! results = create desk [ topic ] validateOnly
                        Expect.equal (List.exactlyOne results).ErrorCode ErrorCode.TopicAlreadyExists "error"
            })

        deskTest "only validates when asked to" (fun desk ->
            task {
                let! results = create desk [ wish "a" 1 1s ] true
                Expect.equal (List.exactlyOne results).ErrorCode ErrorCode.None "it would work"
                Expect.isEmpty desk.Broker.Cluster.Catalog.TopicsByName "it is not there"
            })
    ]

let private deletion =
    testList "DeleteTopics" [
        deskTest "frees the name: the topic created again is another, and empty" (fun desk ->
            task {
                let! first = desk.Create("a", 1, [])
                let! _ = desk.Produce("a", [ 0, batch 3 ])

                let! _ =
                    desk.Ask<_, DeleteTopicsResponse>(DeleteTopicsRequest(TopicNames = [| "a" |], TimeoutMs = 1000), 5)

                let! gone = desk.Produce("a", [ 0, batch 1 ])
                Expect.equal (List.exactlyOne gone).ErrorCode ErrorCode.UnknownTopicOrPartition "gone"
                let! second = desk.Create("a", 1, [])
                Expect.notEqual second first "another id"
                let! answers = desk.Produce("a", [ 0, batch 1 ])
                Expect.equal (List.exactlyOne answers).BaseOffset 0L "empty"
                Expect.isEmpty desk.Broker.Cluster.Catalog.TopicsBeingRemoved "and the removal is complete"
            })

        deskTest "works by id, and refuses what is unknown, unnamed or named twice over" (fun desk ->
            task {
                let! id = desk.Create("a", 1, [])

                let request =
                    DeleteTopicsRequest(
                        TimeoutMs = 1000,
                        Topics = [|
                            DeleteTopicsRequest.DeleteTopicState(TopicId = id)
                            DeleteTopicsRequest.DeleteTopicState(TopicId = Guid.NewGuid())
                            DeleteTopicsRequest.DeleteTopicState()
                            DeleteTopicsRequest.DeleteTopicState(Name = "b", TopicId = id)
                            DeleteTopicsRequest.DeleteTopicState(Name = "missing")
                        |]
                    )

                let! response = desk.Ask<_, DeleteTopicsResponse>(request, 6)

                Expect.equal
                    [ for result in response.Responses -> result.ErrorCode ]
                    [
                        ErrorCode.None
                        ErrorCode.UnknownTopicId
                        ErrorCode.InvalidRequest
                        ErrorCode.InvalidRequest
                        ErrorCode.UnknownTopicOrPartition
                    ]
                    "errors"

                Expect.equal response.Responses[0].Name "a" "the name of what was deleted"
            })
    ]

let topicResource = 2y
let brokerResource = 4y

let describe (desk: Desk) resourceType name keys =
    task {
        let request =
            DescribeConfigsRequest(
                IncludeSynonyms = true,
                IncludeDocumentation = true,
                Resources = [|
                    DescribeConfigsRequest.DescribeConfigsResource(
                        ResourceType = resourceType,
                        ResourceName = name,
                        ConfigurationKeys = keys
                    )
                |]
            )

        let! response = desk.Ask<_, DescribeConfigsResponse>(request, 4)
        return response.Results[0]
    }

let private incrementally (desk: Desk) resourceType name validateOnly (operations: (string * sbyte * string) list) =
    task {
        let request =
            IncrementalAlterConfigsRequest(
                ValidateOnly = validateOnly,
                Resources = [|
                    IncrementalAlterConfigsRequest.AlterConfigsResource(
                        ResourceType = resourceType,
                        ResourceName = name,
                        Configs = [|
                            for key, operation, value in operations ->
                                IncrementalAlterConfigsRequest.AlterableConfig(
                                    Name = key,
                                    ConfigOperation = operation,
                                    Value = value
                                )
                        |]
                    )
                |]
            )

        let! response = desk.Ask<_, IncrementalAlterConfigsResponse>(request, 1)
        return response.Responses[0].ErrorCode
    }

let change desk resourceType name operations =
    incrementally desk resourceType name false operations

let validate desk resourceType name operations =
    incrementally desk resourceType name true operations

let private configs =
    testList "configurations" [
        deskTest "are described with source, type, synonyms and documentation" (fun desk ->
            task {
                let! _ = desk.Create("a", 1, [ "retention.ms", "5" ])
                let! result = describe desk topicResource "a" null

                let find name =
                    result.Configs |> Array.find (fun one -> one.Name = name)

                let retention = find "retention.ms"

                Expect.equal
                    (retention.Value, retention.ConfigSource, retention.ConfigType)
                    ("5", 1y, 5y)
                    "set on the topic"

                Expect.equal
                    [ for one in retention.Synonyms -> one.Name ]
                    [ "retention.ms"; "log.retention.ms" ]
                    "synonyms"

                Expect.isNotNull retention.Documentation "documentation"
                Expect.equal (find "cleanup.policy").ConfigSource 5y "a default"
                let! filtered = describe desk topicResource "a" [| "segment.ms" |]
                Expect.equal [ for one in filtered.Configs -> one.Name ] [ "segment.ms" ] "only what was asked for"
            })

        deskTest "of this broker are described, of others not" (fun desk ->
            task {
                let! own = describe desk brokerResource "1" null

                Expect.equal
                    [
                        for one in own.Configs do
                            if one.Name.StartsWith "log.retention" then
                                one.Name, one.ReadOnly
                    ]
                    [ "log.retention.bytes", false; "log.retention.ms", false ]
                    "defaults of topics can be changed"

                Expect.isTrue
                    (own.Configs |> Array.exists (fun one -> one.Name = "node.id" && one.ReadOnly))
                    "read-only"

                Expect.isTrue (own.Configs |> Array.exists (fun one -> one.Name = "num.partitions")) "num.partitions"
                let! other = describe desk brokerResource "9" null
                Expect.equal other.ErrorCode ErrorCode.InvalidRequest "another broker"
                let! missing = describe desk topicResource "missing" null
                Expect.equal missing.ErrorCode ErrorCode.UnknownTopicOrPartition "an unknown topic"
            })

        deskTest "are changed one by one, and validated" (fun desk ->
            task {
                let! _ = desk.Create("a", 1, [ "retention.ms", "5" ])

                for operations, error in
                    [
                        [ "retention.ms", 0y, "7" ], ErrorCode.None
                        [ "cleanup.policy", 2y, "compact" ], ErrorCode.None
                        [ "retention.ms", 0y, "soon" ], ErrorCode.InvalidConfig
                        [ "no.such", 0y, "1" ], ErrorCode.InvalidConfig
                        [ "retention.ms", 2y, "1" ], ErrorCode.InvalidConfig
                        [ "retention.ms", 0y, "1"; "retention.ms", 0y, "2" ], ErrorCode.InvalidRequest
                        [ "retention.ms", 0y, null ], ErrorCode.InvalidRequest
                        [ "retention.ms", 9y, "1" ], ErrorCode.InvalidRequest
                    ] do
                    let! actual = change desk topicResource "a" operations
                    Expect.equal actual error $"{operations}"

                let! unknown = change desk topicResource "missing" [ "retention.ms", 0y, "7" ]
                Expect.equal unknown ErrorCode.UnknownTopicOrPartition "an unknown topic"
                let! broker = change desk brokerResource "1" [ "num.partitions", 0y, "7" ]
                Expect.equal broker ErrorCode.InvalidRequest "a broker's are set at start"
                let! result = describe desk topicResource "a" [| "retention.ms"; "cleanup.policy" |]
                Expect.equal [ for one in result.Configs -> one.Value ] [ "delete,compact"; "7" ] "what is in force"
            })

        deskTest "are replaced as a whole by AlterConfigs" (fun desk ->
            task {
                let! _ = desk.Create("a", 1, [ "retention.ms", "5" ])

                let request =
                    AlterConfigsRequest(
                        Resources = [|
                            AlterConfigsRequest.AlterConfigsResource(
                                ResourceType = topicResource,
                                ResourceName = "a",
                                Configs = [| AlterConfigsRequest.AlterableConfig(Name = "segment.ms", Value = "9") |]
                            )
                        |]
                    )

                let! response = desk.Ask<_, AlterConfigsResponse>(request, 2)
                Expect.equal response.Responses[0].ErrorCode ErrorCode.None "error"
                let! result = describe desk topicResource "a" [| "retention.ms"; "segment.ms" |]

                Expect.equal
                    [ for one in result.Configs -> one.Value ]
                    [ "604800000"; "9" ]
                    "the rest is back at its default"
            })
    ]

let private partitions =
    testList "CreatePartitions" [
        deskTest "adds partitions that can be written at once" (fun desk ->
            task {
                let! _ = desk.Create("a", 1, [])

                let add count =
                    CreatePartitionsRequest(
                        TimeoutMs = 1000,
                        Topics = [|
                            CreatePartitionsRequest.CreatePartitionsTopic(
                                Name = "a",
                                Count = count,
                                Assignments = null
                            )
                        |]
                    )

                let! added = desk.Ask<_, CreatePartitionsResponse>(add 3, 3)
                Expect.equal added.Results[0].ErrorCode ErrorCode.None "added"
                let! answers = desk.Produce("a", [ 2, batch 1 ])
                Expect.equal (List.exactlyOne answers).ErrorCode ErrorCode.None "written"
                let! fewer = desk.Ask<_, CreatePartitionsResponse>(add 2, 3)
                Expect.equal fewer.Results[0].ErrorCode ErrorCode.InvalidPartitions "fewer"
            })

        deskTest "judges topic and count before assignments" (fun desk ->
            task {
                let! _ = desk.Create("a", 2, [])

                let assignment broker =
                    CreatePartitionsRequest.CreatePartitionsAssignment(BrokerIds = [| broker |])

                for topic, count, brokers, error in
                    [
                        "missing", 3, [ 1 ], ErrorCode.UnknownTopicOrPartition
                        "a", 2, [ 1 ], ErrorCode.InvalidPartitions
                        "a", 1, [ 99 ], ErrorCode.InvalidPartitions
                        "a", 3, [ 1; 1 ], ErrorCode.InvalidReplicaAssignment
                        "a", 3, [ 99 ], ErrorCode.InvalidReplicaAssignment
                        "a", 3, [ 1 ], ErrorCode.None
                    ] do
                    let wanted =
                        CreatePartitionsRequest.CreatePartitionsTopic(
                            Name = topic,
                            Count = count,
                            Assignments = [| for broker in brokers -> assignment broker |]
                        )

                    let! response =
                        desk.Ask<_, CreatePartitionsResponse>(CreatePartitionsRequest(Topics = [| wanted |]), 3)

                    Expect.equal response.Results[0].ErrorCode error $"{topic}, {count}, {brokers}"
            })
    ]

let tests = testList "administering" [ creation; deletion; configs; partitions ]
