/// Real clients against the real broker.
module Tansu.PropertyTests.EndToEnd.Clients

open System
open System.Collections.Generic
open System.IO
open System.Text
open Confluent.Kafka
open Confluent.Kafka.Admin
open Expecto
open Tansu.PropertyTests
open Tansu.PropertyTests.EndToEnd.RealBroker

/// Settings that every client here shares: quick to come back after a broker was gone.
let configure (config: #ClientConfig) (bootstrap: string) =
    config.BootstrapServers <- bootstrap
    config.ReconnectBackoffMs <- 20
    config.ReconnectBackoffMaxMs <- 200
    config.LogConnectionClose <- false
    config

let private quiet (builder: ProducerBuilder<'K, 'V>) =
    builder.SetLogHandler(fun _ _ -> ()).SetErrorHandler(fun _ _ -> ())

let private quietConsumer (builder: ConsumerBuilder<'K, 'V>) =
    builder.SetLogHandler(fun _ _ -> ()).SetErrorHandler(fun _ _ -> ())

/// A producer of bytes; both null for nothing.
let producer (config: ProducerConfig) =
    (ProducerBuilder<byte array, byte array> config |> quiet).Build()

/// All records of a partition from its start to the end it has now.
let readAll (bootstrap: string) (topic: string) (partition: int) =
    let config =
        configure (ConsumerConfig(GroupId = "unused", EnableAutoCommit = false, EnablePartitionEof = true)) bootstrap

    use consumer =
        (ConsumerBuilder<byte array, byte array> config |> quietConsumer).Build()

    consumer.Assign(TopicPartitionOffset(topic, Partition partition, Offset.Beginning))
    let records = List<ConsumeResult<byte array, byte array>>()
    let mutable atEnd = false

    while not atEnd do
        match consumer.Consume patience with
        | null -> failwith "the consumer got nothing"
        | result when result.IsPartitionEOF -> atEnd <- true
        | result -> records.Add result

    consumer.Close()
    List.ofSeq records

let private kcat =
    testCaseTask "kcat produces README.md line by line and reads it back equal" (fun () ->
        task {
            use scratch = new Scratch()
            use broker = start scratch
            let text = File.ReadAllText(Path.Combine(Machine.repository, "README.md"))
            let common = [ "-b"; broker.Bootstrap; "-t"; "readme"; "-q" ]
            let! _ = shell "kcat" (common @ [ "-P" ]) text
            let! back = shell "kcat" (common @ [ "-C"; "-e"; "-o"; "beginning" ]) ""
            // kcat sends no record for an empty line.
            let lines (text: string) =
                text.Split('\n', StringSplitOptions.RemoveEmptyEntries)

            Expect.sequenceEqual (lines back) (lines text) "the lines as they were sent"
        })

let private recordsOf (codec: CompressionType) =
    let headers = Headers()
    headers.Add("source", Encoding.UTF8.GetBytes "test")
    headers.Add("empty", [||])
    headers.Add("none", null)

    [
        for index in 0..199 ->
            Message<byte array, byte array>(
                Key = (if index % 3 = 0 then null else BitConverter.GetBytes index),
                Value =
                    (if index % 5 = 0 then
                         null
                     else
                         Encoding.UTF8.GetBytes(String.replicate 40 $"{codec} {index} ")),
                Headers = (if index % 2 = 0 then headers else null),
                Timestamp =
                    Timestamp(DateTimeOffset.UtcNow.ToUnixTimeMilliseconds() + int64 index, TimestampType.CreateTime)
            )
    ]

let private headersOf (message: Message<byte array, byte array>) =
    match message.Headers with
    | null -> []
    | headers -> [ for header in headers -> header.Key, header.GetValueBytes() ]

let private codecs =
    testList "Confluent.Kafka, idempotent, headers and nulls, reads back what it wrote with" [
        for codec in
            [
                CompressionType.None
                CompressionType.Gzip
                CompressionType.Snappy
                CompressionType.Lz4
                CompressionType.Zstd
            ] do
            testCaseTask $"{codec}" (fun () ->
                task {
                    use scratch = new Scratch()
                    use broker = start scratch

                    let config =
                        configure
                            (ProducerConfig(EnableIdempotence = true, CompressionType = codec, LingerMs = 5.0))
                            broker.Bootstrap

                    let sent = recordsOf codec
                    use producer = producer config

                    let pending =
                        sent |> List.map (fun message -> producer.ProduceAsync("codecs", message))

                    for index, delivery in List.indexed pending do
                        let! report = delivery.WaitAsync patience
                        Expect.equal report.Offset.Value (int64 index) "offsets are given in order"

                    let received = readAll broker.Bootstrap "codecs" 0
                    Expect.equal received.Length sent.Length "every record once"

                    for expected, actual in List.zip sent received do
                        let actual = actual.Message
                        Expect.equal actual.Key expected.Key "key"
                        Expect.equal actual.Value expected.Value "value"
                        Expect.equal (headersOf actual) (headersOf expected) "headers"
                        Expect.equal actual.Timestamp.UnixTimestampMs expected.Timestamp.UnixTimestampMs "timestamp"
                })
    ]

let private admin =
    testCaseTask "Confluent.Kafka's admin client creates, describes, configures and deletes a topic" (fun () ->
        task {
            use scratch = new Scratch()
            use broker = start scratch
            let config = configure (AdminClientConfig()) broker.Bootstrap
            use client = AdminClientBuilder(config).SetLogHandler(fun _ _ -> ()).Build()

            do!
                client.CreateTopicsAsync [
                    TopicSpecification(
                        Name = "orders",
                        NumPartitions = 3,
                        ReplicationFactor = -1s,
                        Configs = Dictionary(dict [ "retention.ms", "1000" ])
                    )
                ]

            let metadata = client.GetMetadata("orders", patience)
            Expect.equal metadata.Topics[0].Partitions.Count 3 "three partitions"
            do! client.CreatePartitionsAsync [ PartitionsSpecification(Topic = "orders", IncreaseTo = 5) ]
            let metadata = client.GetMetadata("orders", patience)
            Expect.equal metadata.Topics[0].Partitions.Count 5 "five partitions"
            let resource = ConfigResource(Type = ResourceType.Topic, Name = "orders")
            let! described = client.DescribeConfigsAsync [ resource ]
            Expect.equal described[0].Entries["retention.ms"].Value "1000" "the value set"
            Expect.equal described[0].Entries["cleanup.policy"].Value "delete" "Kafka's default"

            let! _ =
                client.IncrementalAlterConfigsAsync(
                    Dictionary(
                        dict [
                            resource,
                            List [
                                ConfigEntry(
                                    Name = "retention.ms",
                                    Value = "2000",
                                    IncrementalOperation = AlterConfigOpType.Set
                                )
                            ]
                        ]
                    )
                )

            let! described = client.DescribeConfigsAsync [ resource ]
            Expect.equal described[0].Entries["retention.ms"].Value "2000" "the new value"
            do! client.DeleteTopicsAsync [ "orders" ]
            let metadata = client.GetMetadata patience
            Expect.isEmpty metadata.Topics "no topic is left"
        })

let tests = testList "clients" [ kcat; codecs; admin ]
