/// What real clients' admin interfaces ask of the real broker.
module Tansu.PropertyTests.EndToEnd.Administration

open System
open System.Collections.Generic
open System.IO
open System.Text.Json
open System.Threading.Tasks
open Confluent.Kafka
open Confluent.Kafka.Admin
open Expecto
open Tansu.PropertyTests
open Tansu.PropertyTests.EndToEnd.Clients
open Tansu.PropertyTests.EndToEnd.RealBroker

let private topic = "orders"

let private withClient name (body: IAdminClient -> string -> Task<unit>) =
    testCaseTask $"Confluent.Kafka's admin client {name}" (fun () ->
        task {
            use scratch = new Scratch()
            use broker = start scratch
            let config = configure (AdminClientConfig()) broker.Bootstrap
            use client = AdminClientBuilder(config).SetLogHandler(fun _ _ -> ()).Build()

            do!
                client.CreateTopicsAsync [
                    TopicSpecification(Name = topic, NumPartitions = 1, ReplicationFactor = -1s)
                ]

            do! body client broker.Bootstrap
        })

/// The exception that a call ends with; null if it does not.
let private refused<'Refusal when 'Refusal :> exn and 'Refusal: null> (call: unit -> Task) =
    task {
        try
            do! call ()
            return null
        with :? 'Refusal as refusal ->
            return refusal
    }

let private offsets =
    withClient "lists offsets, and deletes records" (fun client bootstrap ->
        task {
            use producer = producer (configure (ProducerConfig()) bootstrap)

            for value in 1uy .. 10uy do
                let! _ =
                    producer.ProduceAsync(topic, Message<byte array, byte array>(Value = [| value |]))

                ()

            let partition = TopicPartition(topic, Partition 0)

            let list spec =
                task {
                    let! result =
                        client.ListOffsetsAsync [
                            TopicPartitionOffsetSpec(TopicPartition = partition, OffsetSpec = spec)
                        ]

                    return result.ResultInfos[0].TopicPartitionOffsetError.Offset.Value
                }

            let! latest = list (OffsetSpec.Latest())
            Expect.equal latest 10L "latest"

            let! deleted =
                client.DeleteRecordsAsync [ TopicPartitionOffset(partition, Offset 4L) ]

            Expect.equal deleted[0].Offset.Value 4L "the low watermark"
            let! earliest = list (OffsetSpec.Earliest())
            Expect.equal earliest 4L "earliest"
        })

let private cluster =
    withClient "describes cluster, topics and the broker's configurations" (fun client _ ->
        task {
            let! cluster =
                client.DescribeClusterAsync(DescribeClusterOptions(IncludeAuthorizedOperations = true))

            Expect.equal cluster.Nodes.Count 1 "nodes"
            Expect.isNotEmpty cluster.ClusterId "cluster id"
            let! topics = client.DescribeTopicsAsync(TopicCollection.OfTopicNames [ topic ])
            Expect.equal topics.TopicDescriptions[0].Partitions.Count 1 "partitions"
            let node = string cluster.Controller.Id
            let resource = ConfigResource(Type = ResourceType.Broker, Name = node)
            let! described = client.DescribeConfigsAsync [ resource ]
            let entries = described[0].Entries
            Expect.equal (entries["node.id"].Value, entries["node.id"].IsReadOnly) (node, true) "fixed"
            Expect.isFalse entries["log.retention.ms"].IsReadOnly "a default of topics"
            Expect.isTrue entries["log.retention.ms"].IsDefault "nobody set it"

            let change =
                ConfigEntry(Name = "log.retention.ms", Value = "1", IncrementalOperation = AlterConfigOpType.Set)

            let! refusal =
                refused<IncrementalAlterConfigsException>(fun () ->
                    client.IncrementalAlterConfigsAsync(Dictionary(dict [ resource, List [ change ] ])))

            Expect.equal refusal.Results[0].Error.Code ErrorCode.InvalidRequest "not for a single broker"
        })

let private security =
    withClient "is told that there is no security, and nothing to elect" (fun client _ ->
        task {
            let pattern =
                ResourcePattern(
                    Type = ResourceType.Topic,
                    Name = topic,
                    ResourcePatternType = ResourcePatternType.Literal
                )

            let entry =
                AccessControlEntry(
                    Principal = "User:a",
                    Host = "*",
                    Operation = AclOperation.Read,
                    PermissionType = AclPermissionType.Allow
                )

            let binding = AclBinding(Pattern = pattern, Entry = entry)

            let! created =
                refused<CreateAclsException>(fun () -> client.CreateAclsAsync [ binding ])

            Expect.equal created.Results[0].Error.Code ErrorCode.SecurityDisabled "created"

            // librdkafka 2.16 keeps the error of DescribeAcls to itself.
            let! described = client.DescribeAclsAsync(binding.ToFilter())
            Expect.isEmpty described.AclBindings "described"

            let! deleted =
                refused<DeleteAclsException>(fun () -> client.DeleteAclsAsync [ binding.ToFilter() ])

            Expect.equal deleted.Results[0].Error.Code ErrorCode.SecurityDisabled "deleted"
            // Not about all users: Confluent.Kafka 2.16 breaks when there are none.
            let! users =
                refused<DescribeUserScramCredentialsException>(fun () ->
                    client.DescribeUserScramCredentialsAsync [ "a" ])

            let user = users.Results.UserScramCredentialsDescriptions[0]
            Expect.equal user.Error.Code ErrorCode.ResourceNotFound "users"


            let upsertion =
                UserScramCredentialUpsertion(
                    User = "a",
                    ScramCredentialInfo =
                        ScramCredentialInfo(Mechanism = ScramMechanism.ScramSha256, Iterations = 10000),
                    Password = [| 1uy |],
                    Salt = [| 2uy |]
                )

            let! altered =
                refused<AlterUserScramCredentialsException>(fun () ->
                    client.AlterUserScramCredentialsAsync [ upsertion ])

            Expect.equal altered.Results[0].Error.Code ErrorCode.UnsupportedSaslMechanism "credentials"

            let! elected =
                refused<ElectLeadersException>(fun () ->
                    client.ElectLeadersAsync(ElectionType.Preferred, [ TopicPartition(topic, Partition 0) ]))

            Expect.equal elected.Results.TopicPartitions[0].Error.Code ErrorCode.ElectionNotNeeded "elected"
        })

let private kafkajs =
    testCaseTask "kafkajs's admin client is served or told why not" (fun () ->
        task {
            use scratch = new Scratch()
            use broker = start scratch

            let script =
                Path.Combine(Machine.repository, "property-tests", "clients", "administer.js")

            let! output = shell "node" [ script; broker.Bootstrap; topic ] ""
            let told = JsonDocument.Parse(output).RootElement

            for name, expected in
                [
                    "cluster", "[1,1]"
                    "created", "true"
                    "grown", "3"
                    "offsets", """[["1","3"]]"""
                    "configs", """[["node.id","1"],["retention.ms","5000"]]"""
                    "badConfig", "\"INVALID_CONFIG\""
                    "brokerConfig", "\"INVALID_REQUEST\""
                    "createAcls", "\"SECURITY_DISABLED\""
                    "describeAcls", "\"SECURITY_DISABLED\""
                    "deleteAcls", "\"SECURITY_DISABLED\""
                    "unknownBroker", "\"INVALID_REPLICA_ASSIGNMENT\""
                    "moving", "[]"
                    "groups", """["g"]"""
                    "state", """["Empty"]"""
                    "deleted", "[0]"
                    "topics", "[]"
                ] do
                Expect.equal (told.GetProperty(name).GetRawText()) expected name
        })

let tests = testList "administration" [ offsets; cluster; security; kafkajs ]
