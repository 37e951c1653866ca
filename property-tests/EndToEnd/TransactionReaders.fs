/// What clients that are not Confluent.Kafka's see of transactions, and what is left of transactions where compaction goes by keys.
module Tansu.PropertyTests.EndToEnd.TransactionReaders

open System
open System.Collections.Generic
open System.Diagnostics
open System.IO
open System.Text
open System.Threading.Tasks
open Confluent.Kafka
open Confluent.Kafka.Admin
open Expecto
open Tansu.PropertyTests
open Tansu.PropertyTests.EndToEnd.RealBroker

let private startWith (scratch: Scratch) (arguments: string list) =
    RealBroker.Start(
        scratch.Path,
        [
            "--listener-url"
            "tcp://127.0.0.1:0"
            "--storage-engine"
            scratch.Store
            "--shards"
            "2"
        ]
        @ arguments
    )

let private create bootstrap topic partitions (settings: (string * string) list) =
    task {
        use admin =
            AdminClientBuilder(Clients.configure (AdminClientConfig()) bootstrap).SetLogHandler(fun _ _ -> ()).Build()

        do!
            admin.CreateTopicsAsync [
                TopicSpecification(
                    Name = topic,
                    NumPartitions = partitions,
                    ReplicationFactor = -1s,
                    Configs = Dictionary(dict settings)
                )
            ]
    }

/// Offset, key and value of what kcat gets of a partition, up to the end that it finds.
let private kcat bootstrap topic (partition: int) isolation =
    task {
        let! output =
            shell
                "kcat"
                [
                    "-b"
                    bootstrap
                    "-t"
                    topic
                    "-p"
                    string partition
                    "-C"
                    "-e"
                    "-q"
                    "-o"
                    "beginning"
                    "-X"
                    $"isolation.level={isolation}"
                    "-X"
                    "check.crcs=true"
                    "-f"
                    @"%o %k %s\n"
                ]
                ""

        return [
            for line in output.Split('\n', StringSplitOptions.RemoveEmptyEntries) do
                let parts = line.Split ' '
                int64 parts[0], parts[1], parts[2]
        ]
    }

let private valuesOf records = [ for _, _, value in records -> value ]

let private kafkajs =
    testCaseTask "kafkajs commits and aborts with offsets; it and kcat read what was committed" (fun () ->
        task {
            use scratch = new Scratch()
            use broker = startWith scratch []
            do! create broker.Bootstrap "a" 3 []

            let script =
                Path.Combine(Machine.repository, "property-tests", "clients", "transactions.js")

            let! output = shell "node" [ script; broker.Bootstrap; "a"; "3" ] ""

            Expect.equal
                output
                """{"read":[["first","last"],["first","last"],["first","last"]],"offset":"3"}"""
                "kafkajs, read committed"

            for partition in 0..2 do
                let! committed = kcat broker.Bootstrap "a" partition "read_committed"
                Expect.equal (valuesOf committed) [ "first"; "last" ] "kcat, read committed"
                let! all = kcat broker.Bootstrap "a" partition "read_uncommitted"
                Expect.equal (valuesOf all) [ "first"; "aborted"; "last"; "aborted" ] "kcat, read uncommitted"
        })

let private keys = 20
let private rounds = 12

/// Every third transaction is aborted.
let private isCommitted round = round % 3 <> 1

/// The keys that a transaction writes: each has a value of its own.
let private keysOf round = [
    for key in 0 .. keys - 1 do
        if (key + round) % 4 <> 0 then
            key
]

let private transactAll bootstrap topic =
    let config =
        Clients.configure
            (ProducerConfig(TransactionalId = "tx", LingerMs = 1.0, TransactionTimeoutMs = 60_000))
            bootstrap

    use transactor = Clients.producer config
    transactor.InitTransactions patience

    for round in 0 .. rounds - 1 do
        transactor.BeginTransaction()

        for key in keysOf round do
            transactor.Produce(
                TopicPartition(topic, Partition(key % 2)),
                Message(Key = Encoding.ASCII.GetBytes $"{key}", Value = Encoding.ASCII.GetBytes $"{key}-{round}")
            )

        if isCommitted round then
            transactor.CommitTransaction patience
        else
            transactor.Flush patience |> ignore
            transactor.AbortTransaction patience

let private compacted =
    testCaseTask
        "a compacted topic keeps the last committed value of each key, and nothing of what was aborted"
        (fun () ->
            task {
                use scratch = new Scratch()

                use broker =
                    startWith scratch [ "--compaction-interval"; "200"; "--gc-grace"; "1000" ]

                do!
                    create broker.Bootstrap "a" 2 [
                        "cleanup.policy", "compact"
                        "min.cleanable.dirty.ratio", "0"
                        "delete.retention.ms", "0"
                    ]

                transactAll broker.Bootstrap "a"

                let expected partition = [
                    for key in 0 .. keys - 1 do
                        if key % 2 = partition then
                            let last =
                                [ 0 .. rounds - 1 ]
                                |> List.filter (fun round -> isCommitted round && List.contains key (keysOf round))
                                |> List.max

                            $"{key}", $"{key}-{last}"
                ]

                /// What readers of this kind end with, for each key; and how many records it took.
                let read isolation partition =
                    task {
                        let! records = kcat broker.Bootstrap "a" partition isolation

                        Expect.equal
                            [ for offset, _, _ in records -> offset ]
                            (records |> List.map (fun (offset, _, _) -> offset) |> List.sort |> List.distinct)
                            "offsets ascend"

                        return Map.ofList [ for _, key, value in records -> key, value ], records.Length
                    }

                for partition in 0..1 do
                    let! last, _ = read "read_committed" partition
                    Expect.equal last (Map.ofList (expected partition)) "committed, at any time"

                let clock = Stopwatch.StartNew()
                let mutable remaining = Int32.MaxValue

                // Until only one record of each key is left, for both kinds of readers.
                while remaining > 0 && clock.Elapsed < patience do
                    remaining <- 0

                    for partition in 0..1 do
                        for isolation in [ "read_committed"; "read_uncommitted" ] do
                            let! _, count = read isolation partition
                            remaining <- remaining + count - (expected partition).Length

                    if remaining > 0 then
                        do! Task.Delay 200

                Expect.equal remaining 0 $"nothing is left over; the broker said:\n{broker.Log}"

                for partition in 0..1 do
                    for isolation in [ "read_committed"; "read_uncommitted" ] do
                        let! last, _ = read isolation partition
                        Expect.equal last (Map.ofList (expected partition)) $"{isolation}, compacted"
            })

let tests = testList "transactions read by others" [ kafkajs; compacted ]
