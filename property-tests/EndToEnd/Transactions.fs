/// Exactly once with a real client against the real broker.
module Tansu.PropertyTests.EndToEnd.Transactions

open System
open System.Collections.Generic
open System.Text
open Confluent.Kafka
open Expecto
open Tansu.PropertyTests.EndToEnd.Clients
open Tansu.PropertyTests.EndToEnd.RealBroker

let private transactional (bootstrap: string) (id: string) =
    let config =
        configure (ProducerConfig(TransactionalId = id, LingerMs = 1.0, TransactionTimeoutMs = 20_000)) bootstrap

    let transactor = producer config
    transactor.InitTransactions patience
    transactor

let private message (value: string) =
    Message<byte array, byte array>(Key = null, Value = Encoding.UTF8.GetBytes value)

let private consumerOf (bootstrap: string) (group: string) (isolation: IsolationLevel) =
    let config =
        configure
            (ConsumerConfig(
                GroupId = group,
                EnableAutoCommit = false,
                EnablePartitionEof = true,
                AutoOffsetReset = AutoOffsetReset.Earliest,
                IsolationLevel = isolation
            ))
            bootstrap

    ConsumerBuilder<byte array, byte array>(config).SetLogHandler(fun _ _ -> ()).SetErrorHandler(fun _ _ -> ()).Build()

/// All values of a partition up to its end for readers of this kind.
let private values bootstrap topic (partition: int) isolation =
    use consumer = consumerOf bootstrap "unused" isolation
    consumer.Assign(TopicPartitionOffset(topic, Partition partition, Offset.Beginning))
    let found = List<string>()
    let mutable atEnd = false

    while not atEnd do
        match consumer.Consume patience with
        | null -> failwith "the consumer got nothing"
        | result when result.IsPartitionEOF -> atEnd <- true
        | result -> found.Add(Encoding.UTF8.GetString result.Message.Value)

    consumer.Close()
    List.ofSeq found

let private brokerTest name (body: RealBroker -> Threading.Tasks.Task<unit>) =
    testList name [
        for shards in [ "1"; "3" ] do
            testCaseTask $"{shards} shard(s)" (fun () ->
                task {
                    use scratch = new Scratch()

                    use broker =
                        RealBroker.Start(
                            scratch.Path,
                            [
                                "--listener-url"
                                "tcp://127.0.0.1:0"
                                "--storage-engine"
                                scratch.Store
                                "--shards"
                                shards
                                "--default-partitions"
                                "3"
                            ]
                        )

                    do! body broker
                })
    ]

let private commits =
    brokerTest "commit and abort" (fun broker ->
        task {
            use transactor = transactional broker.Bootstrap "tx"

            for round, isCommit in [ 0, true; 1, false; 2, true; 3, false; 4, true ] do
                transactor.BeginTransaction()

                for partition in 0..2 do
                    for index in 0..19 do
                        let place = TopicPartition("a", Partition partition)
                        transactor.Produce(place, message $"{round}-{index}")

                if isCommit then
                    transactor.CommitTransaction patience
                else
                    transactor.Flush patience |> ignore
                    transactor.AbortTransaction patience

            let expected rounds = [
                for round in rounds do
                    for index in 0..19 -> $"{round}-{index}"
            ]

            for partition in 0..2 do
                let committed = values broker.Bootstrap "a" partition IsolationLevel.ReadCommitted
                Expect.equal committed (expected [ 0; 2; 4 ]) "read committed"
                let all = values broker.Bootstrap "a" partition IsolationLevel.ReadUncommitted
                Expect.equal all (expected [ 0..4 ]) "read uncommitted"
        })

let private fences =
    brokerTest "a second producer fences the first" (fun broker ->
        task {
            use first = transactional broker.Bootstrap "tx"
            first.BeginTransaction()
            let! _ = first.ProduceAsync("a", message "no")
            use second = transactional broker.Bootstrap "tx"

            Expect.throwsT<KafkaException> (fun () -> first.CommitTransaction patience) "the first is fenced"

            second.BeginTransaction()
            let! written = second.ProduceAsync("a", message "yes")
            second.CommitTransaction patience

            let found = [
                for partition in 0..2 do
                    yield! values broker.Bootstrap "a" partition IsolationLevel.ReadCommitted
            ]

            Expect.equal found [ "yes" ] "what counts"
            Expect.isGreaterThanOrEqual written.Offset.Value 0L "and has an offset"
        })

let private pipeline =
    brokerTest
        "consume, transform, produce: each record once, although every third transaction is aborted"
        (fun broker ->
            task {
                use source = producer (configure (ProducerConfig()) broker.Bootstrap)

                for index in 0..199 do
                    source.Produce("input", message $"{index}")

                source.Flush patience |> ignore
                let mutable copied = 0
                let mutable round = 0

                while copied < 200 do
                    // A new worker every time: it goes on with what was committed.
                    round <- round + 1
                    use consumer = consumerOf broker.Bootstrap "copiers" IsolationLevel.ReadCommitted
                    consumer.Subscribe "input"
                    use transactor = transactional broker.Bootstrap "copier"
                    let batch = List<ConsumeResult<byte array, byte array>>()
                    let ends = HashSet<int>()

                    while batch.Count < 40 && ends.Count < 3 do
                        match consumer.Consume patience with
                        | null -> failwith "the consumer got nothing"
                        | result when result.IsPartitionEOF -> ends.Add result.Partition.Value |> ignore
                        | result -> batch.Add result

                    transactor.BeginTransaction()

                    for result in batch do
                        transactor.Produce("output", Message(Key = result.Message.Value, Value = result.Message.Value))

                    let offsets =
                        batch
                        |> Seq.groupBy _.TopicPartition
                        |> Seq.map (fun (place, results) ->
                            TopicPartitionOffset(place, Offset(1L + (results |> Seq.map _.Offset.Value |> Seq.max))))

                    transactor.SendOffsetsToTransaction(offsets, consumer.ConsumerGroupMetadata, patience)

                    if round % 3 = 2 then
                        transactor.Flush patience |> ignore
                        transactor.AbortTransaction patience
                    else
                        transactor.CommitTransaction patience
                        copied <- copied + batch.Count

                    consumer.Close()

                let found = [
                    for partition in 0..2 do
                        yield! values broker.Bootstrap "output" partition IsolationLevel.ReadCommitted
                ]

                Expect.equal (List.sort (List.map int found)) [ 0..199 ] "each once"
            })

let tests = testList "transactions of real clients" [ commits; fences; pipeline ]
