/// Produce, as a client meets it.
module Tansu.PropertyTests.Handlers.Producing

open System
open System.Threading.Tasks
open Expecto
open Tansu.Codec
open Tansu.Codec.Messages
open Tansu.Domain
open Tansu.Codec.Records
open Tansu.PropertyTests.Handlers.Desk

let private highWatermark (desk: Desk) topic partition =
    desk.Partition(topic, partition).HighWatermark

let private one (answers: ProduceResponse.PartitionProduceResponse list) = List.exactlyOne answers

let private refused name configs (spoil: byte array -> byte array) error =
    deskTest $"{name}: {error}, and nothing of it is stored" (fun desk ->
        task {
            let! _ = desk.Create("a", 1, configs)
            let! answers = desk.Produce("a", [ 0, spoil (batch 3) ])
            Expect.equal (one answers).ErrorCode error "error"
            Expect.equal (one answers).BaseOffset -1L "no offset"
            Expect.equal (highWatermark desk "a" 0) 0L "nothing is stored"
        })

let private changed (change: byte array -> unit) (bytes: byte array) =
    change bytes
    bytes

let tests =
    testList "produce" [
        deskTest "answers with the base offset, for acks 1 and all" (fun desk ->
            task {
                let! _ = desk.Create("a", 1, [])
                let! first = desk.Produce("a", [ 0, batch 3 ], 1s)
                let! second = desk.Produce("a", [ 0, batch 2 ], -1s)
                Expect.equal [ (one first).BaseOffset; (one second).BaseOffset ] [ 0L; 3L ] "offsets"
            })

        deskTest "gives no answer for acks 0, and stores all the same" (fun desk ->
            task {
                let! _ = desk.Create("a", 1, [])
                let! answers = desk.Produce("a", [ 0, batch 3 ], 0s)
                Expect.isEmpty answers "no reply"
                Expect.equal (highWatermark desk "a" 0) 3L "stored"
            })

        deskTest "closes the connection for acks 0 when it fails" (fun desk ->
            task {
                try
                    let! _ = desk.Produce("missing", [ 0, batch 1 ], 0s)
                    failtest "it should close"
                with :? KafkaFormatException ->
                    ()
            })

        deskTest "refuses acks that mean nothing" (fun desk ->
            task {
                let! _ = desk.Create("a", 1, [])
                let! answers = desk.Produce("a", [ 0, batch 3 ], 2s)
                Expect.equal (one answers).ErrorCode ErrorCode.InvalidRequiredAcks "error"
            })

        deskTest "judges every partition by itself" (fun desk ->
            task {
                let! _ = desk.Create("a", 2, [])
                let! answers = desk.Produce("a", [ 0, batch 1; 7, batch 1; 1, batch 1; 1, [||] ])

                Expect.equal
                    [ for answer in answers -> answer.ErrorCode ]
                    [
                        ErrorCode.None
                        ErrorCode.UnknownTopicOrPartition
                        ErrorCode.None
                        ErrorCode.InvalidRecord
                    ]
                    "errors"
            })

        deskTest "finds topics by id from version 13 on" (fun desk ->
            task {
                let! id = desk.Create("a", 1, [])

                let request (topicId: Guid) =
                    ProduceRequest(
                        Acks = -1s,
                        TopicData = [|
                            ProduceRequest.TopicProduceData(
                                TopicId = topicId,
                                PartitionData = [|
                                    ProduceRequest.PartitionProduceData(
                                        Index = 0,
                                        Records = RecordBytes(ReadOnlyMemory(batch 1))
                                    )
                                |]
                            )
                        |]
                    )

                let! known = desk.Ask<_, ProduceResponse>(request id, 13)
                let! unknown = desk.Ask<_, ProduceResponse>(request (Guid.NewGuid()), 13)
                Expect.equal known.Responses[0].PartitionResponses[0].ErrorCode ErrorCode.None "known"
                Expect.equal known.Responses[0].TopicId id "the id comes back"
                Expect.equal unknown.Responses[0].PartitionResponses[0].ErrorCode ErrorCode.UnknownTopicId "unknown"
            })

        refused
            "a flipped bit"
            []
            (changed (fun bytes -> bytes[bytes.Length - 1] <- bytes[bytes.Length - 1] ^^^ 1uy))
            ErrorCode.CorruptMessage

        refused
            "too few records for the count"
            []
            (changed (fun bytes ->
                bytes[60] <- 4uy
                let crc = Crc32C.Compute(ReadOnlySpan(bytes, 21, bytes.Length - 21))
                Buffers.Binary.BinaryPrimitives.WriteUInt32BigEndian(Span(bytes, 17, 4), crc)))
            ErrorCode.InvalidRecord

        refused "a batch cut short" [] (fun bytes -> bytes[.. bytes.Length - 2]) ErrorCode.InvalidRecord
        refused "two batches" [] (fun bytes -> Array.append bytes bytes) ErrorCode.InvalidRecord
        refused "more than max.message.bytes" [ "max.message.bytes", "70" ] id ErrorCode.MessageTooLarge

        refused
            "a timestamp far in the future"
            []
            (fun _ -> batchAt CompressionCodec.None (DateTimeOffset.UtcNow.AddDays(1.0).ToUnixTimeMilliseconds()) 1 1)
            ErrorCode.InvalidTimestamp

        refused
            "a record without a key in a compacted topic"
            [ "cleanup.policy", "compact" ]
            (fun _ ->
                let builder = RecordBatchBuilder()

                builder.Append(
                    DateTimeOffset.UtcNow.ToUnixTimeMilliseconds(),
                    Nullable(),
                    Nullable(ReadOnlyMemory [| 1uy |]),
                    ReadOnlySpan.Empty
                )

                builder.Build())
            ErrorCode.InvalidRecord

        refused
            "a transactional batch without a transactional id"
            []
            (fun _ ->
                let builder =
                    RecordBatchBuilder(IsTransactional = true, ProducerId = 1L, ProducerEpoch = 0s, BaseSequence = 0)

                builder.Append(
                    DateTimeOffset.UtcNow.ToUnixTimeMilliseconds(),
                    ReadOnlyMemory [| 1uy |],
                    ReadOnlyMemory [| 1uy |],
                    ReadOnlySpan.Empty
                )

                builder.Build())
            ErrorCode.TransactionalIdAuthorizationFailed

        deskTest "puts a wrong largest timestamp right, and tells which record is at fault" (fun desk ->
            task {
                let! _ = desk.Create("a", 1, [])
                let first = DateTimeOffset.UtcNow.ToUnixTimeMilliseconds()
                let bytes = batchAt CompressionCodec.None first 3 10
                RecordBatchEditor.SetMaxTimestamp(bytes.AsSpan(), first + 99L)
                let! _ = desk.Produce("a", [ 0, bytes ])
                let! fetched = desk.Ask<_, FetchResponse>(fetch "a" [ wanted 0 0L 10_000 ], 11)
                let stored = fetched.Responses[0].Partitions[0].Records.Joined()
                let _, header = RecordBatchHeader.TryRead stored.Span
                Expect.equal header.MaxTimestamp (first + 2L) "the largest of the records"
                let future = batchAt CompressionCodec.None (first + 3_600_000L - 1_000L) 9_000 0
                let! answers = desk.Produce("a", [ 0, future ])
                Expect.equal (one answers).ErrorCode ErrorCode.InvalidTimestamp "too far ahead"
                Expect.equal (one answers).RecordErrors.Length 1 "the record at fault"
            })

        deskTest "finds the largest timestamp of compressed records if the batch does not say it" (fun desk ->
            task {
                let! _ = desk.Create("a", 1, [])
                let first = DateTimeOffset.UtcNow.ToUnixTimeMilliseconds()
                let bytes = batchAt CompressionCodec.Zstd first 3 10
                // As Sarama does up to 1.45.
                RecordBatchEditor.SetMaxTimestamp(bytes.AsSpan(), -1L)
                let! answers = desk.Produce("a", [ 0, bytes ])
                Expect.equal (one answers).ErrorCode ErrorCode.None "taken"
                Expect.equal (desk.Partition("a", 0)).Chunks[0].MaxTimestampMs (first + 2L) "in the index"
                let! fetched = desk.Ask<_, FetchResponse>(fetch "a" [ wanted 0 0L 10_000 ], 11)
                let stored = fetched.Responses[0].Partitions[0].Records.Joined()
                let _, header = RecordBatchHeader.TryRead stored.Span
                Expect.equal header.MaxTimestamp (first + 2L) "in the batch"
                Expect.equal header.Crc (Crc32C.Compute(stored.Span.Slice 21)) "whose CRC is right"

                for timestamp, offset in [ first, 0L; first + 1L, 1L; first + 3L, -1L; -3L, 2L ] do
                    let partition =
                        ListOffsetsRequest.ListOffsetsPartition(PartitionIndex = 0, Timestamp = timestamp)

                    let topic =
                        ListOffsetsRequest.ListOffsetsTopic(Name = "a", Partitions = [| partition |])

                    let! found =
                        desk.Ask<_, ListOffsetsResponse>(ListOffsetsRequest(Topics = [| topic |]), 7)

                    Expect.equal found.Topics[0].Partitions[0].Offset offset $"at {timestamp - first}"
            })

        deskTest "stamps the broker's time where the topic says so" (fun desk ->
            task {
                let! _ = desk.Create("a", 1, [ "message.timestamp.type", "LogAppendTime" ])
                let! answers = desk.Produce("a", [ 0, batchAt CompressionCodec.None 5L 2 10 ])
                Expect.isGreaterThan (one answers).LogAppendTimeMs 1_000_000_000_000L "the time of the append"
                let! fetched = desk.Ask<_, FetchResponse>(fetch "a" [ wanted 0 0L 10_000 ], 11)
                let bytes = fetched.Responses[0].Partitions[0].Records.Joined()
                let _, header = RecordBatchHeader.TryRead bytes.Span
                Expect.equal header.MaxTimestamp (one answers).LogAppendTimeMs "it is in the batch"
                Expect.equal header.Crc (Crc32C.Compute(bytes.Span.Slice 21)) "whose CRC is right"
            })
    ]
