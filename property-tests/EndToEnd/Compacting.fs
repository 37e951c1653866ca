/// Retention and compaction as real clients see them.
module Tansu.PropertyTests.EndToEnd.Compacting

open System
open System.IO
open System.Collections.Generic
open System.Diagnostics
open System.Text
open System.Threading.Tasks
open Confluent.Kafka
open Confluent.Kafka.Admin
open Expecto
open Tansu.PropertyTests
open Tansu.PropertyTests.EndToEnd.RealBroker

/// A broker that compacts several times a second.
let private startEager (scratch: Scratch) =
    RealBroker.Start(
        scratch.Path,
        [
            "--listener-url"
            "tcp://127.0.0.1:0"
            "--storage-engine"
            scratch.Store
            "--compaction-interval"
            "200"
            "--gc-grace"
            "500"
        ]
    )

let private adminOf (broker: RealBroker) =
    AdminClientBuilder(Clients.configure (AdminClientConfig()) broker.Bootstrap).SetLogHandler(fun _ _ -> ()).Build()

let private createTopic (broker: RealBroker) (name: string) (configs: (string * string) list) =
    task {
        use admin = adminOf broker

        do!
            admin.CreateTopicsAsync [
                TopicSpecification(
                    Name = name,
                    NumPartitions = 1,
                    ReplicationFactor = -1s,
                    Configs = Dictionary(dict configs)
                )
            ]
    }

let private producerOf (broker: RealBroker) (codec: CompressionType) =
    Clients.producer (
        Clients.configure
            (ProducerConfig(EnableIdempotence = true, CompressionType = codec, LingerMs = 5.0))
            broker.Bootstrap
    )

let private bytes (text: string) = Encoding.UTF8.GetBytes text

let private text (bytes: byte array) =
    if isNull bytes then "-" else Encoding.UTF8.GetString bytes

let private keyed (key: string) (value: string | null) =
    Message<byte array, byte array>(
        Key = bytes key,
        Value =
            (match value with
             | null -> null
             | value -> bytes value)
    )

/// Produces one record after the other in one batch or few, and gives their offsets.
let private produceAll (producer: IProducer<byte array, byte array>) (topic: string) messages =
    task {
        let pending = [ for message in messages -> producer.ProduceAsync(topic, message) ]
        let! reports = (Task.WhenAll pending).WaitAsync patience
        return [ for report in reports -> report.Offset.Value ]
    }

/// Asks again and again until a test of what comes holds; it fails with what came last.
let private until what (ask: unit -> 'answer) (isSo: 'answer -> bool) =
    let clock = Stopwatch.StartNew()
    let mutable answer = ask ()

    while not (isSo answer) do
        if clock.Elapsed > patience then
            failtest $"{what}: {answer}"

        answer <- ask ()

    answer

let private consumerOf (broker: RealBroker) =
    let config =
        Clients.configure
            (ConsumerConfig(GroupId = "unused", EnableAutoCommit = false, AutoOffsetReset = AutoOffsetReset.Error))
            broker.Bootstrap

    ConsumerBuilder<byte array, byte array>(config).SetLogHandler(fun _ _ -> ()).SetErrorHandler(fun _ _ -> ()).Build()

let private startOf (broker: RealBroker) (topic: string) =
    use consumer = consumerOf broker
    consumer.QueryWatermarkOffsets(TopicPartition(topic, Partition 0), patience).Low.Value

/// That a fetch from an offset is answered with OFFSET_OUT_OF_RANGE.
let private expectOutOfRange (broker: RealBroker) (topic: string) (offset: int64) =
    use consumer = consumerOf broker
    consumer.Assign(TopicPartitionOffset(topic, Partition 0, Offset offset))

    let error =
        try
            let record = consumer.Consume patience
            failtest $"a record came from offset {record.Offset}"
        with :? ConsumeException as error ->
            error.Error

    // The client says so when it may not choose another offset by itself.
    Expect.isTrue
        (error.Code = ErrorCode.OffsetOutOfRange
         || error.Code = ErrorCode.Local_AutoOffsetReset)
        $"out of range, and not {error.Code}: {error.Reason}"

/// The objects in the store: segments, here.
let private objectsIn (scratch: Scratch) =
    let directory = DirectoryInfo(Path.Combine(scratch.Path, "store", "objects"))

    if directory.Exists then
        set [
            for file in directory.EnumerateFiles("*", SearchOption.AllDirectories) -> file.Name
        ]
    else
        Set.empty

let private retained name configs (isCut: int64 -> bool) =
    testCaseTask
        $"{name}: the log start advances, a consumer before it is out of range, offsets after it stay"
        (fun () ->
            task {
                use scratch = new Scratch()
                use broker = startEager scratch
                do! createTopic broker "retained" configs
                use producer = producerOf broker CompressionType.None

                // Old enough for retention.ms, if there is one.
                let old = Timestamp(DateTimeOffset.UtcNow.AddHours -1.0)

                for round in 0..9 do
                    let before = objectsIn scratch

                    let! _ =
                        produceAll producer "retained" [
                            for index in 0..9 ->
                                Message<byte array, byte array>(
                                    Value = Array.create 1000 (byte (round * 10 + index)),
                                    Timestamp = old
                                )
                        ]

                    // Each round is a chunk of its own: a pass has moved it, or deleted it already.
                    until
                        "a pass"
                        (fun () ->
                            not (Set.isSubset (objectsIn scratch) before)
                            || startOf broker "retained" >= int64 (round + 1) * 10L)
                        id
                    |> ignore

                let! _ =
                    produceAll producer "retained" [ Message<byte array, byte array>(Value = [| 200uy |]) ]

                let start = until "the log start" (fun () -> startOf broker "retained") isCut
                expectOutOfRange broker "retained" 0L
                let records = Clients.readAll broker.Bootstrap "retained" 0
                Expect.isGreaterThanOrEqual records[0].Offset.Value start "where it begins now"
                Expect.equal (List.last records).Offset.Value 100L "the last offset"

                for record in records do
                    let expected =
                        if record.Offset.Value = 100L then
                            200uy
                        else
                            byte record.Offset.Value

                    Expect.equal record.Message.Value[0] expected "the record at its offset"
            })

let private retention =
    testList "retention" [
        retained "by time" [ "retention.ms", "60000" ] (fun start -> start = 100L)
        retained "by size" [ "retention.bytes", "20000"; "retention.ms", "-1" ] (fun start -> start > 70L)
    ]

let private compacted = [
    "cleanup.policy", "compact"
    "min.cleanable.dirty.ratio", "0.01"
    "delete.retention.ms", "86400000"
]

/// Offset, key and value of all records.
let private contentOf (broker: RealBroker) (topic: string) = [
    for record in Clients.readAll broker.Bootstrap topic 0 ->
        record.Offset.Value, text record.Message.Key, text record.Message.Value
]

let private codecs =
    testList "cleanup.policy=compact keeps the last value of each key at its offset" [
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
                    use broker = startEager scratch
                    do! createTopic broker "compacted" compacted
                    use producer = producerOf broker codec
                    let padding = String.replicate 20 "padding "

                    for round in 0..4 do
                        let! _ =
                            produceAll producer "compacted" [
                                for key in 0..19 -> keyed $"key-{key}" $"{round} {padding}"
                            ]

                        ()

                    // Every fourth key is deleted, and something unrelated is the last record.
                    let! _ =
                        produceAll producer "compacted" [ for key in 0..4..19 -> keyed $"key-{key}" null ]

                    let! _ = produceAll producer "compacted" [ keyed "last" "value" ]

                    let expected = [
                        for key in 0..19 do
                            if key % 4 <> 0 then
                                yield int64 (80 + key), $"key-{key}", $"4 {padding}"

                        for index in 0..4 do
                            yield int64 (100 + index), $"key-{index * 4}", "-"

                        yield 105L, "last", "value"
                    ]

                    let content =
                        until "what is left" (fun () -> contentOf broker "compacted") (fun content ->
                            content.Length = expected.Length)

                    Expect.equal content expected "the newest record of each key"

                    let! said =
                        shell
                            "kcat"
                            [
                                "-b"
                                broker.Bootstrap
                                "-t"
                                "compacted"
                                "-C"
                                "-e"
                                "-q"
                                "-Z"
                                "-o"
                                "beginning"
                                "-f"
                                "%o %k %s\n"
                            ]
                            ""

                    let lines = said.Split('\n', StringSplitOptions.RemoveEmptyEntries) |> List.ofArray

                    Expect.equal
                        lines
                        [
                            for offset, key, value in expected ->
                                let value = if value = "-" then "NULL" else value
                                $"{offset} {key} {value}"
                        ]
                        "kcat reads the same, to the end"
                })
    ]

let private tombstones =
    testCaseTask "tombstones go once delete.retention.ms is over" (fun () ->
        task {
            use scratch = new Scratch()
            use broker = startEager scratch

            do!
                createTopic broker "deleted" [
                    "cleanup.policy", "compact"
                    "min.cleanable.dirty.ratio", "0"
                    "delete.retention.ms", "300"
                ]

            use producer = producerOf broker CompressionType.None

            for round in 0..2 do
                let! _ =
                    produceAll producer "deleted" [ for key in 0..9 -> keyed $"key-{key}" $"{round}" ]

                ()

            let! _ = produceAll producer "deleted" [ for key in 0..7 -> keyed $"key-{key}" null ]

            // As in Kafka, a tombstone goes with a later compaction, for which there must be something new.
            let content =
                until
                    "what is left"
                    (fun () ->
                        (produceAll producer "deleted" [ keyed "more" "value" ]).Wait()
                        contentOf broker "deleted")
                    (fun content -> content |> List.forall (fun (_, _, value) -> value <> "-"))

            let rest = content |> List.filter (fun (_, key, _) -> key <> "more")
            Expect.equal rest [ 28L, "key-8", "2"; 29L, "key-9", "2" ] "the keys that were not deleted"
        })

let private keyless =
    testCaseTask "a record without a key is refused with INVALID_RECORD in a compacted topic" (fun () ->
        task {
            use scratch = new Scratch()
            use broker = startEager scratch
            do! createTopic broker "keyed" compacted
            use producer = producerOf broker CompressionType.None
            let! _ = produceAll producer "keyed" [ keyed "key" "value" ]
            use other = Clients.producer (Clients.configure (ProducerConfig()) broker.Bootstrap)

            let! code =
                task {
                    try
                        let! report =
                            other.ProduceAsync("keyed", Message<byte array, byte array>(Value = bytes "value"))

                        return failtest $"it got offset {report.Offset}"
                    with :? ProduceException<byte array, byte array> as refused ->
                        return refused.Error.Code
                }

            Expect.equal code ErrorCode.InvalidRecord "the error"
            Expect.equal (contentOf broker "keyed") [ 0L, "key", "value" ] "nothing of it is there"
        })

let private idempotent =
    testCaseTask "an idempotent producer goes on while what it wrote is compacted" (fun () ->
        task {
            use scratch = new Scratch()
            use broker = startEager scratch

            do! createTopic broker "goes-on" [ "cleanup.policy", "compact"; "min.cleanable.dirty.ratio", "0" ]

            use producer = producerOf broker CompressionType.Lz4
            let mutable written = 0L

            for round in 0..9 do
                let! offsets =
                    produceAll producer "goes-on" [ for key in 0..9 -> keyed $"key-{key}" $"{round}" ]

                Expect.equal offsets [ for index in 0L .. 9L -> written + index ] "the next offsets"
                written <- written + 10L

                let content =
                    until "what is left" (fun () -> contentOf broker "goes-on") (fun content -> content.Length = 10)

                Expect.equal
                    content
                    [ for key in 0..9 -> int64 (round * 10 + key), $"key-{key}", $"{round}" ]
                    "the newest round"
        })

let tests =
    testList "compacting" [ retention; codecs; tombstones; keyless; idempotent ]
