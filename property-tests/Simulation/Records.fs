namespace Tansu.PropertyTests.Simulation

open System
open System.Buffers.Binary
open Tansu.Codec
open Tansu.Codec.Records
open Tansu.Domain
open Tansu.PropertyTests.Codec

/// A batch as its producer remembers it. The id of its record i is `Id + i`.
[<AllowNullLiteral>]
type SentBatch
    (
        id: int64,
        producer: int,
        partition: TopicPartition,
        records: int,
        isIdempotent: bool,
        isKeyed: bool,
        isTransactional: bool,
        timestampMs: int64
    ) =
    member _.Id = id
    member _.Producer = producer
    member _.Partition = partition
    member _.Records = records
    member _.IsIdempotent = isIdempotent
    /// Whether its records have keys, drawn from few, and some of them are tombstones.
    member _.IsKeyed = isKeyed
    member _.IsTransactional = isTransactional
    /// Of all its records; -1 for none.
    member _.TimestampMs = timestampMs
    member val Sequence = 0 with get, set
    /// How often it has been sent.
    member val Tries = 0 with get, set
    /// The offset that its producer was told.
    member val AckedOffset: int64 voption = ValueNone with get, set

/// A record as it is stored.
type SimulatedRecord = {
    /// Of a marker 1 for commit, 0 for abort.
    Id: int64
    /// -1 for none.
    Key: int
    IsTombstone: bool
    TimestampMs: int64
    ProducerId: int64
    IsTransactional: bool
    /// Whether it is a marker.
    IsControl: bool
}

/// Records as bytes, and back.
[<RequireQualifiedAccess>]
module Batches =
    /// Ids are spaced by this, so that a batch has at most so many records.
    let idStep = 10L

    /// How many keys there are.
    let keys = 6

    /// The record's key and whether it is a tombstone follow from its id.
    let private mix (id: int64) =
        int ((id * 2654435761L >>> 16) &&& 0xFFFFL)

    let keyOf (id: int64) = mix id % keys
    let isTombstone (id: int64) = mix id / keys % 4 = 0

    let build (batch: SentBatch) producerId producerEpoch valueBytes =
        let builder =
            RecordBatchBuilder(
                ProducerId = producerId,
                ProducerEpoch = producerEpoch,
                IsTransactional = batch.IsTransactional,
                BaseSequence =
                    (if batch.IsIdempotent then
                         batch.Sequence
                     else
                         Absent.Sequence)
            )

        for index in 0 .. batch.Records - 1 do
            let id = batch.Id + int64 index
            let idBytes = Array.zeroCreate<byte> 8
            BinaryPrimitives.WriteInt64BigEndian(Span idBytes, id)

            let value =
                if batch.IsKeyed && isTombstone id then
                    Nullable()
                else
                    Nullable(ReadOnlyMemory(Array.zeroCreate<byte> valueBytes))

            let key =
                if batch.IsKeyed then
                    Nullable(ReadOnlyMemory [| byte (keyOf id) |])
                else
                    Nullable()

            let header = RecordHeader(ReadOnlyMemory "id"B, Nullable(ReadOnlyMemory idBytes))
            builder.Append(batch.TimestampMs, key, value, ReadOnlySpan [| header |])

        builder.Build()

    let private record (header: RecordBatchHeader) (sample: RecordsSamples.SampleRecord) = {
        Id =
            match sample.Headers, sample.Key with
            | [ _, Some id ], _ -> BinaryPrimitives.ReadInt64BigEndian(ReadOnlySpan id)
            | _, Some key when header.IsControl -> int64 (BinaryPrimitives.ReadInt16BigEndian(ReadOnlySpan(key, 2, 2)))
            | _ -> -1L
        Key =
            match sample.Key with
            | Some key when not header.IsControl -> int key[0]
            | _ -> -1
        IsTombstone = sample.Value.IsNone
        TimestampMs = sample.TimestampMs
        ProducerId = header.ProducerId
        IsTransactional = header.IsTransactional
        IsControl = header.IsControl
    }

    /// Every record, by its offset, of batches that lie end to end, and the offset after the last batch.
    let readAll (bytes: byte[]) =
        let found = ResizeArray()
        let mutable position = 0
        let mutable next = 0L

        while position < bytes.Length do
            let length =
                12 + BinaryPrimitives.ReadInt32BigEndian(ReadOnlySpan(bytes, position + 8, 4))

            let batch = Array.sub bytes position length

            let header = RecordsSamples.headerOf batch

            for offset, sample in RecordsSamples.readWithOffsets batch do
                found.Add(struct (offset, record header sample))

            next <- header.LastOffset + 1L
            position <- position + length

        List.ofSeq found, next
