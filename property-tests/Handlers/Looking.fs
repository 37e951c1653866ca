/// Offsets by time, metadata, and what describes topics and producers.
module Tansu.PropertyTests.Handlers.Looking

open System
open System.Threading.Tasks
open Expecto
open Tansu.Codec
open Tansu.Codec.Messages
open Tansu.Codec.Records
open Tansu.Host
open Tansu.PropertyTests.Handlers.Desk

let private now = DateTimeOffset.UtcNow.ToUnixTimeMilliseconds()

let private listOffset (desk: Desk) version timestamp =
    task {
        let request =
            ListOffsetsRequest(
                Topics = [|
                    ListOffsetsRequest.ListOffsetsTopic(
                        Name = "a",
                        Partitions = [|
                            ListOffsetsRequest.ListOffsetsPartition(PartitionIndex = 0, Timestamp = timestamp)
                        |]
                    )
                |]
            )

        let! response = desk.Ask<_, ListOffsetsResponse>(request, version)
        let answer = response.Topics[0].Partitions[0]
        return answer.ErrorCode, answer.Offset, answer.Timestamp
    }

let private offsets =
    testList "ListOffsets" [
        for codec in [ CompressionCodec.None; CompressionCodec.Zstd ] do
            deskTest $"finds the first record at or after a time, inside batches of {codec}" (fun desk ->
                task {
                    let! _ = desk.Create("a", 1, [])

                    for first in [ 0L; 100L; 50L ] do
                        let! _ = desk.Produce("a", [ 0, batchAt codec (now + first) 3 10 ])
                        ()

                    for timestamp, offset, found in
                        [
                            0L, 0L, now
                            now + 1L, 1L, now + 1L
                            now + 3L, 3L, now + 100L
                            now + 102L, 5L, now + 102L
                        ] do
                        let! answer = listOffset desk 7 timestamp
                        Expect.equal answer (ErrorCode.None, offset, found) $"{timestamp - now}"

                    let! none = listOffset desk 7 (now + 103L)
                    Expect.equal none (ErrorCode.None, -1L, -1L) "nothing is that late"
                    let! largest = listOffset desk 7 -3L
                    Expect.equal largest (ErrorCode.None, 5L, now + 102L) "the largest timestamp"
                })

        deskTest "knows the ends, also after DeleteRecords" (fun desk ->
            task {
                let! _ = desk.Create("a", 1, [])
                let! _ = desk.Produce("a", [ 0, batchAt CompressionCodec.None now 5 10 ])

                let! deleted =
                    desk.Ask<_, DeleteRecordsResponse>(
                        DeleteRecordsRequest(
                            Topics = [|
                                DeleteRecordsRequest.DeleteRecordsTopic(
                                    Name = "a",
                                    Partitions = [|
                                        DeleteRecordsRequest.DeleteRecordsPartition(PartitionIndex = 0, Offset = 2L)
                                    |]
                                )
                            |]
                        ),
                        2
                    )

                Expect.equal deleted.Topics[0].Partitions[0].LowWatermark 2L "low watermark"
                let! earliest = listOffset desk 7 -2L
                Expect.equal earliest (ErrorCode.None, 2L, -1L) "earliest"
                let! latest = listOffset desk 7 -1L
                Expect.equal latest (ErrorCode.None, 5L, -1L) "latest"
                let! byTime = listOffset desk 7 now
                Expect.equal byTime (ErrorCode.None, 2L, now + 2L) "deleted records are not found"
            })

        deskTest "refuses special timestamps of later versions" (fun desk ->
            task {
                let! _ = desk.Create("a", 1, [])

                for timestamp, first in [ -3L, 7; -4L, 8; -5L, 9; -6L, 11 ] do
                    let! before, _, _ = listOffset desk (first - 1) timestamp
                    Expect.equal before ErrorCode.UnsupportedVersion $"{timestamp} before {first}"
                    let! since, _, _ = listOffset desk first timestamp
                    Expect.equal since ErrorCode.None $"{timestamp} since {first}"
            })
    ]

let private ask (desk: Desk) version (names: string list) =
    task {
        let topics = [| for name in names -> MetadataRequest.MetadataRequestTopic(Name = name) |]

        let! response =
            desk.Ask<_, MetadataResponse>(MetadataRequest(Topics = topics), version)

        return [
            for topic in response.Topics -> topic.Name, topic.ErrorCode, topic.Partitions.Length
        ]
    }

let private metadata =
    testList "Metadata" [
        deskTest "null means all topics, empty means none; in version 0 empty means all" (fun desk ->
            task {
                let! _ = desk.Create("a", 2, [])
                let! all = desk.Ask<_, MetadataResponse>(MetadataRequest(Topics = null), 9)
                Expect.equal all.Topics.Length 1 "all"
                Expect.equal all.Brokers.Length 1 "brokers"
                let! none = ask desk 9 []
                Expect.isEmpty none "none"
                let! old = ask desk 0 []
                Expect.equal old [ "a", ErrorCode.None, 2 ] "version 0"
            })

        deskTest "creates what is mentioned, if both sides allow it" (fun desk ->
            task {
                let! created = ask desk 9 [ "new" ]
                Expect.equal created [ "new", ErrorCode.None, 1 ] "created"

                let declined =
                    MetadataRequest(
                        Topics = [| MetadataRequest.MetadataRequestTopic(Name = "other") |],
                        AllowAutoTopicCreation = false
                    )

                let! response = desk.Ask<_, MetadataResponse>(declined, 9)
                Expect.equal response.Topics[0].ErrorCode ErrorCode.UnknownTopicOrPartition "the client declined"
                let! invalid = ask desk 9 [ "not valid" ]
                Expect.equal invalid [ "not valid", ErrorCode.InvalidTopicException, 0 ] "an invalid name"
            })

        testCaseTask "creates nothing when the broker is told not to" (fun () ->
            task {
                let! desk = Desk.Open(settings = BrokerSettings(AutoCreateTopics = false))
                let! answer = ask desk 9 [ "new" ]
                Expect.equal answer [ "new", ErrorCode.UnknownTopicOrPartition, 0 ] "unknown"
            })

        deskTest "finds topics by id" (fun desk ->
            task {
                let! id = desk.Create("a", 2, [])

                let byId (id: Guid) =
                    MetadataRequest(Topics = [| MetadataRequest.MetadataRequestTopic(Name = null, TopicId = id) |])

                let! known = desk.Ask<_, MetadataResponse>(byId id, 12)
                Expect.equal known.Topics[0].Name "a" "its name"
                let! unknown = desk.Ask<_, MetadataResponse>(byId (Guid.NewGuid()), 12)
                Expect.equal unknown.Topics[0].ErrorCode ErrorCode.UnknownTopicId "unknown"
                Expect.isNull unknown.Topics[0].Name "and without a name"
            })
    ]

let private describing =
    testList "describing" [
        deskTest "DescribeTopicPartitions pages over topics with a cursor" (fun desk ->
            task {
                for name in [ "b"; "a"; "c" ] do
                    let! _ = desk.Create(name, 3, [])
                    ()

                let seen = ResizeArray()
                let mutable cursor: DescribeTopicPartitionsRequest.CursorData = null
                let mutable goesOn = true

                while goesOn do
                    let request =
                        DescribeTopicPartitionsRequest(ResponsePartitionLimit = 2, Cursor = cursor)

                    let! response = desk.Ask<_, DescribeTopicPartitionsResponse>(request, 0)

                    for topic in response.Topics do
                        for partition in topic.Partitions do
                            seen.Add(topic.Name, partition.PartitionIndex)

                    match response.NextCursor with
                    | null -> goesOn <- false
                    | next ->
                        cursor <-
                            DescribeTopicPartitionsRequest.CursorData(
                                TopicName = next.TopicName,
                                PartitionIndex = next.PartitionIndex
                            )

                let expected = [
                    for name in [ "a"; "b"; "c" ] do
                        for partition in 0..2 -> name, partition
                ]

                Expect.equal (List.ofSeq seen) expected "every partition once, in order"
            })

        deskTest "DescribeProducers tells the last sequence; DescribeLogDirs the bytes" (fun desk ->
            task {
                let! _ = desk.Create("a", 1, [])

                let! id =
                    desk.Ask<_, InitProducerIdResponse>(InitProducerIdRequest(TransactionalId = null), 4)

                let builder =
                    RecordBatchBuilder(ProducerId = id.ProducerId, ProducerEpoch = id.ProducerEpoch, BaseSequence = 0)

                for _ in 1..3 do
                    builder.Append(now, ReadOnlyMemory [| 1uy |], ReadOnlyMemory [| 1uy |], ReadOnlySpan.Empty)

                let bytes = builder.Build()
                let! _ = desk.Produce("a", [ 0, bytes ])

                let! producers =
                    desk.Ask<_, DescribeProducersResponse>(
                        DescribeProducersRequest(
                            Topics = [|
                                DescribeProducersRequest.TopicRequest(Name = "a", PartitionIndexes = [| 0; 5 |])
                            |]
                        ),
                        0
                    )

                let partitions = producers.Topics[0].Partitions
                Expect.equal partitions[0].ActiveProducers[0].LastSequence 2 "last sequence"
                Expect.equal partitions[1].ErrorCode ErrorCode.UnknownTopicOrPartition "no such partition"

                let! dirs =
                    desk.Ask<_, DescribeLogDirsResponse>(DescribeLogDirsRequest(Topics = null), 4)

                Expect.equal dirs.Results[0].Topics[0].Partitions[0].PartitionSize (int64 bytes.Length) "bytes"
            })

        deskTest "OffsetForLeaderEpoch ends the one epoch at the high watermark" (fun desk ->
            task {
                let! _ = desk.Create("a", 1, [])
                let! _ = desk.Produce("a", [ 0, batch 4 ])

                let partition epoch =
                    OffsetForLeaderEpochRequest.OffsetForLeaderPartition(Partition = 0, LeaderEpoch = epoch)

                let request =
                    OffsetForLeaderEpochRequest(
                        Topics = [|
                            OffsetForLeaderEpochRequest.OffsetForLeaderTopic(
                                Topic = "a",
                                Partitions = [| partition 0; partition 3 |]
                            )
                        |]
                    )

                let! response = desk.Ask<_, OffsetForLeaderEpochResponse>(request, 4)
                let answers = [ for one in response.Topics[0].Partitions -> one.LeaderEpoch, one.EndOffset ]
                Expect.equal answers [ 0, 4L; -1, -1L ] "epochs and ends"
            })

        deskTest "producer ids are never given twice, not to a transactional id either" (fun desk ->
            task {
                let ask (transactionalId: string) =
                    desk.Ask<_, InitProducerIdResponse>(
                        InitProducerIdRequest(TransactionalId = transactionalId, TransactionTimeoutMs = 1000),
                        4
                    )

                let! one = ask null
                let! other = ask null
                Expect.notEqual one.ProducerId other.ProducerId "ids"
                let! third = ask "mine"
                Expect.equal third.ErrorCode ErrorCode.None "given"
                Expect.isFalse (List.contains third.ProducerId [ one.ProducerId; other.ProducerId ]) "another one"
            })

        deskTest "FindCoordinator names this node, one key or many" (fun desk ->
            task {
                let! one =
                    desk.Ask<_, FindCoordinatorResponse>(FindCoordinatorRequest(Key = "group"), 3)

                Expect.equal (one.Host, one.Port) ("localhost", 9092) "this node"

                let! many =
                    desk.Ask<_, FindCoordinatorResponse>(
                        FindCoordinatorRequest(CoordinatorKeys = [| "a"; "b" |], KeyType = 1y),
                        4
                    )

                Expect.equal [ for one in many.Coordinators -> one.Key, one.Port ] [ "a", 9092; "b", 9092 ] "each"

                let! share =
                    desk.Ask<_, FindCoordinatorResponse>(
                        FindCoordinatorRequest(CoordinatorKeys = [| "a" |], KeyType = 2y),
                        6
                    )

                Expect.equal share.Coordinators[0].ErrorCode ErrorCode.InvalidRequest "share groups"
            })
    ]

let tests = testList "looking" [ offsets; metadata; describing ]
