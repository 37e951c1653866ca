/// Crc32C, headers, readers, builders and the walk over batches.
module Tansu.PropertyTests.Codec.RecordsReading

open System
open System.Buffers
open Expecto
open FsCheck.FSharp
open Tansu.Codec.Records
open Tansu.PropertyTests
open Tansu.PropertyTests.Codec.RecordsSamples

type private Segment(bytes: ReadOnlyMemory<byte>) as this =
    inherit ReadOnlySequenceSegment<byte>()
    do this.Memory <- bytes

    member this.Then(bytes: ReadOnlyMemory<byte>) =
        let next = Segment bytes
        next.RunningIndex <- this.RunningIndex + int64 this.Memory.Length
        this.Next <- next
        next

let private crcOf (bytes: byte[]) = Crc32C.Compute(ReadOnlySpan bytes)

/// RFC 3720, appendix B.4, and the check value of the catalogue of CRCs.
let private knownCrcs = [
    "nothing", [||], 0u
    "the digits 1 to 9", "123456789"B, 0xE3069283u
    "32 zeros", Array.zeroCreate 32, 0x8A9136AAu
    "32 ones", Array.create 32 0xFFuy, 0x62A8AB43u
    "ascending", [| 0uy .. 31uy |], 0x46DD794Eu
    "descending", Array.rev [| 0uy .. 31uy |], 0x113FDB5Cu
]

let private crcTests =
    testList "CRC-32C" [
        for name, bytes, expected in knownCrcs do
            test $"of {name}" {
                Expect.equal (crcOf bytes) expected "by the instruction"
                Expect.equal (Crc32C.AppendPortable(0u, ReadOnlySpan bytes)) expected "by tables"
            }

        Check.property "is the same by instruction, by tables, in two parts and over segments"
        <| forAll (Gen.zip bytes bytes) (fun (first, second) ->
            let whole = Array.append first second
            let expected = crcOf whole
            let segment1 = Segment(memory first)
            let segment2 = segment1.Then(memory second)
            let sequence = ReadOnlySequence<byte>(segment1, 0, segment2, second.Length)
            Expect.equal (Crc32C.AppendPortable(0u, ReadOnlySpan whole)) expected "by tables"
            Expect.equal (Crc32C.Append(crcOf first, ReadOnlySpan second)) expected "in two parts"
            Expect.equal (Crc32C.Compute(&sequence)) expected "over segments")

        // The instruction works on 3 KiB at once, three lanes side by side.
        Check.property "is the same by instruction and by tables where lanes begin and end"
        <| forAll
            (Gen.map3
                (fun rounds around (before, seed) -> rounds * 3072 + around, before, seed)
                (Gen.choose (1, 6))
                (Gen.choose (-9, 9))
                (Gen.zip (Gen.choose (0, 7)) (Gen.choose (0, Int32.MaxValue))))
            (fun (length, before, seed) ->
                let bytes = Array.zeroCreate<byte>(before + length)
                Random(seed).NextBytes bytes
                let crc = uint32 seed
                let expected = Crc32C.AppendPortable(crc, ReadOnlySpan(bytes, before, length))
                Expect.equal (Crc32C.Append(crc, ReadOnlySpan(bytes, before, length))) expected "checksum")
    ]

let private roundTripTests =
    testList "reading what was built" [
        Check.property "gives the same records, whatever the codec"
        <| forAll batch (fun batch -> Expect.equal (read (build batch)) batch.Records "records")

        Check.property "gives offsets that count up from the base offset"
        <| forAll batch (fun batch ->
            let bytes = build batch
            RecordBatchEditor.SetBaseOffset(Span bytes, 1_000_000_000_000L)

            Expect.equal
                (readWithOffsets bytes |> List.map fst)
                (batch.Records |> List.mapi (fun index _ -> 1_000_000_000_000L + int64 index))
                "offsets")

        Check.property "keeps offsets and records that compaction leaves"
        <| forAll batch (fun batch ->
            use reader = new RecordReader(memory (build batch))

            let builder =
                RecordBatchBuilder(Codec = batch.Codec, LastOffsetDelta = Nullable(batch.Records.Length - 1))

            let mutable records = reader.GetEnumerator()

            while records.MoveNext() do
                if records.Current.Offset % 2L = 1L then
                    let record = records.Current
                    builder.Append(&record)

            let compacted = builder.Build()

            Expect.equal
                (readWithOffsets compacted)
                (batch.Records
                 |> List.indexed
                 |> List.filter (fun (index, _) -> index % 2 = 1)
                 |> List.map (fun (index, record) -> int64 index, record))
                "records"

            Expect.equal (headerOf compacted).LastOffset (int64 batch.Records.Length - 1L) "last offset")

        test "a batch of which compaction left nothing is read as empty" {
            let batch =
                RecordBatchBuilder(Codec = CompressionCodec.Zstd, LastOffsetDelta = Nullable 4).Build()

            Expect.isEmpty (read batch) "records"
            Expect.equal (headerOf batch).LastOffset 4L "last offset"
        }

        test "a delete horizon is the base timestamp and leaves the timestamps as they are" {
            let batch =
                buildWith (RecordBatchBuilder(DeleteHorizonMs = Nullable 1_800_000_000_000L)) records3

            Expect.isTrue (headerOf batch).HasDeleteHorizon "flag"
            Expect.equal (headerOf batch).BaseTimestamp 1_800_000_000_000L "horizon"
            Expect.equal (read batch) records3 "records"
        }

        test "a transaction marker is read back" {
            let marker = EndTransactionMarker(ControlRecordType.Commit, 7)
            let batch = marker.ToBatch(42L, 3s, 1_700_000_000_000L)
            use reader = new RecordReader(memory batch)
            let mutable records = reader.GetEnumerator()
            let mutable found = EndTransactionMarker()
            Expect.isTrue (records.MoveNext()) "one record"
            let record = records.Current
            Expect.isTrue (EndTransactionMarker.TryRead(&record, &found)) "a marker"
            Expect.equal found marker "the marker"
            Expect.isTrue (reader.Header.IsControl && reader.Header.IsTransactional) "flags"
            Expect.equal reader.Header.BaseSequence RecordBatchHeader.NoSequence "no sequence"
            Expect.equal batch.Length 78 "Kafka's markers have 78 bytes"
        }
    ]

let private headerTests =
    testList "a header" [
        test "has the fields that the builder was given" {
            let builder =
                RecordBatchBuilder(
                    Codec = CompressionCodec.Lz4,
                    BaseOffset = 17L,
                    PartitionLeaderEpoch = 5,
                    ProducerId = 123456789012L,
                    ProducerEpoch = 9s,
                    BaseSequence = Int32.MaxValue,
                    IsTransactional = true
                )

            let batch = buildWith builder records3
            let header = headerOf batch
            Expect.equal header.BaseOffset 17L "base offset"
            Expect.equal header.TotalLength batch.Length "total length"
            Expect.equal header.PartitionLeaderEpoch 5 "partition leader epoch"
            Expect.equal header.Codec CompressionCodec.Lz4 "codec"
            Expect.equal header.TimestampType TimestampType.CreateTime "timestamp type"
            Expect.isTrue header.IsTransactional "transactional"
            Expect.isFalse header.IsControl "control"
            Expect.equal header.LastOffset 19L "last offset"
            Expect.equal header.BaseTimestamp 1_700_000_000_000L "base timestamp"
            Expect.equal header.MaxTimestamp 1_700_000_000_500L "max timestamp"
            Expect.equal header.ProducerId 123456789012L "producer id"
            Expect.equal header.ProducerEpoch 9s "producer epoch"
            Expect.equal header.BaseSequence Int32.MaxValue "base sequence"
            Expect.equal header.LastSequence 1 "sequence numbers go on with 0"
            Expect.equal header.RecordCount 3 "record count"
            Expect.equal header.Crc (Crc32C.Compute(ReadOnlySpan(batch, 21, batch.Length - 21))) "crc"
        }

        test "takes base offset and leader epoch without a new CRC" {
            let batch = buildWith (RecordBatchBuilder()) records3
            let crc = (headerOf batch).Crc
            RecordBatchEditor.SetBaseOffset(Span batch, 1L <<< 40)
            RecordBatchEditor.SetPartitionLeaderEpoch(Span batch, 12)
            Expect.equal (headerOf batch).BaseOffset (1L <<< 40) "base offset"
            Expect.equal (headerOf batch).PartitionLeaderEpoch 12 "partition leader epoch"
            Expect.equal (Crc32C.Compute(ReadOnlySpan(batch, 21, batch.Length - 21))) crc "crc"
        }

        test "with LogAppendTime gives every record the time of the append, under a right CRC" {
            let batch = buildWith (RecordBatchBuilder(Codec = CompressionCodec.Gzip)) records3
            let followed = Array.append batch [| 1uy; 2uy |]
            RecordBatchEditor.SetLogAppendTime(Span followed, 99L)
            let header = headerOf followed
            Expect.equal header.TimestampType TimestampType.LogAppendTime "timestamp type"
            Expect.equal header.MaxTimestamp 99L "max timestamp"
            Expect.equal header.Codec CompressionCodec.Gzip "codec"
            Expect.equal (Crc32C.Compute(ReadOnlySpan(followed, 21, batch.Length - 21))) header.Crc "crc"

            Expect.equal
                (read followed)
                (records3 |> List.map (fun record -> { record with TimestampMs = 99L }))
                "records"

            RecordBatchEditor.SetMaxTimestamp(Span followed, 1_700_000_000_500L)
            Expect.equal (Array.truncate batch.Length followed) batch "and back"
        }

        test "is not read from fewer bytes, another magic or an impossible length" {
            let batch = buildWith (RecordBatchBuilder()) [ record1 ]

            let isHeader (bytes: byte[]) =
                fst (RecordBatchHeader.TryRead(ReadOnlySpan bytes))

            Expect.isTrue (isHeader (Array.truncate 61 batch)) "whole"
            Expect.isFalse (isHeader (Array.truncate 60 batch)) "fewer bytes"
            Expect.isFalse (isHeader (edited 16 [| 1uy |] batch)) "magic 1"
            Expect.isFalse (isHeader (edited 8 [| 0uy; 0uy; 0uy; 48uy |] batch)) "too short"
            Expect.isFalse (isHeader (edited 8 [| 0x7Fuy; 0xFFuy; 0xFFuy; 0xF4uy |] batch)) "too long"
            Expect.isFalse (isHeader (edited 8 [| 0xFFuy; 0xFFuy; 0xFFuy; 0xFFuy |] batch)) "negative"
        }
    ]

let private walk (bytes: byte[]) =
    let mutable batches = RecordBatches(memory bytes).GetEnumerator()

    let found = ResizeArray()

    while batches.MoveNext() do
        found.Add((batches.Current.Position, batches.Current.TotalLength, batches.Current.Header.RecordCount))

    List.ofSeq found, batches.ConsumedBytes

let private walkTests =
    testList "walking over batches" [
        Check.property "finds each of them, and where a cut-off one begins"
        <| forAll (Gen.zip (Gen.listOf batch |> Gen.resize 4) (Gen.choose (0, 1000))) (fun (batches, cut) ->
            let built = batches |> List.map build
            let last = buildWith (RecordBatchBuilder()) records3
            let whole = Array.concat built
            let bytes = Array.append whole (Array.truncate (cut % last.Length) last)
            let positions = built |> List.scan (fun position batch -> position + batch.Length) 0

            let expected =
                List.zip3 (List.truncate built.Length positions) built batches
                |> List.map (fun (position, batch, sample) -> position, batch.Length, sample.Records.Length)

            Expect.equal (walk bytes) (expected, whole.Length) "batches")
    ]

let tests =
    testList "reading and building" [ crcTests; roundTripTests; headerTests; walkTests ]
