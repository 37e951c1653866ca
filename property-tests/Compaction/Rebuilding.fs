/// What a batch is like that lost some of its records.
module Tansu.PropertyTests.Compaction.Rebuilding

open System
open Expecto
open FsCheck.FSharp
open Tansu.Adapters.Compaction
open Tansu.Codec.Records
open Tansu.PropertyTests
open Tansu.PropertyTests.Codec.RecordsSamples
open Tansu.PropertyTests.Compaction.Given

/// Each field but the length, the CRC, the count and those of time.
let private kept (header: RecordBatchHeader) =
    (header.BaseOffset, header.LastOffset, header.PartitionLeaderEpoch),
    (header.ProducerId, header.ProducerEpoch, header.BaseSequence, header.LastSequence),
    (header.Codec, header.TimestampType, header.IsTransactional, header.IsControl)

let private builderOf codec isTransactional (logAppendTimeMs: Nullable<int64>) =
    RecordBatchBuilder(
        Codec = codec,
        BaseOffset = 100L,
        PartitionLeaderEpoch = 17,
        ProducerId = 123_456_789_012L,
        ProducerEpoch = 5s,
        BaseSequence = Int32.MaxValue - 1,
        IsTransactional = isTransactional,
        LogAppendTimeMs = logAppendTimeMs
    )

let tests =
    testList "a rebuilt batch" [
        for codec in codecs do
            for isTransactional in [ false; true ] do
                test $"of {codec}, transactional: {isTransactional}, keeps offsets, producer, sequence and epoch" {
                    let batch = buildWith (builderOf codec isTransactional (Nullable())) abcab
                    let cleaned = clean (newestOffsets [ "a", 200L; "b", 200L ]) (rule t0) batch
                    let header = headerOfCleaned cleaned
                    Expect.equal (kept header) (kept (headerOf batch)) "header"
                    Expect.equal header.LastSequence 2 "the sequence goes on after the removed records"
                    Expect.equal header.RecordCount 1 "count"
                    Expect.equal header.TotalLength cleaned.Bytes.Length "length"
                    Expect.equal header.Crc (Crc32C.Compute(cleaned.Bytes.Span.Slice 21)) "CRC"
                    Expect.equal (readWithOffsets (cleaned.Bytes.ToArray())) [ 102L, value "c" "3" ] "records"
                }

        test "has the largest timestamp of the records that stay" {
            let batch =
                at100 [
                    { value "a" "1" with TimestampMs = t0 + 9L }
                    { value "b" "2" with TimestampMs = t0 + 3L }
                    { value "c" "3" with TimestampMs = t0 + 4L }
                ]

            let header = headerOfCleaned (clean (newestOffsets [ "a", 200L ]) (rule t0) batch)
            Expect.equal header.MaxTimestamp (t0 + 4L) "max timestamp"
        }

        test "with LogAppendTime keeps the time of the append, with a delete horizon too" {
            let batch =
                buildWith (builderOf CompressionCodec.Lz4 false (Nullable(t0 + 7L))) (abcab @ [ tombstone "d" ])

            let cleaned = clean (newestOffsets [ "a", 200L ]) (rule (t0 + 1L)) batch
            let header = headerOfCleaned cleaned
            Expect.equal header.TimestampType TimestampType.LogAppendTime "type"
            Expect.equal header.MaxTimestamp (t0 + 7L) "max timestamp"
            Expect.isTrue header.HasDeleteHorizon "flag"
            Expect.equal header.BaseTimestamp (t0 + 1L + retentionMs) "horizon"

            Expect.allEqual
                (read (cleaned.Bytes.ToArray()) |> List.map _.TimestampMs)
                (t0 + 7L)
                "timestamps of the records"
        }

        test "of which all records stay is what the validator takes from a client" {
            let batch =
                buildWith (RecordBatchBuilder(Codec = CompressionCodec.Zstd)) [ value "a" "1"; tombstone "b" ]

            let cleaned = clean (largeMap ()) (rule t0) batch
            let limits = RecordBatchLimits(LooksIntoCompressed = true, RequiresKeys = true)
            Expect.isFalse cleaned.IsUnchanged "rebuilt"

            Expect.equal
                (RecordBatchValidator.Validate(cleaned.Bytes, &limits)).Outcome
                RecordBatchOutcome.Valid
                "outcome"
        }

        test "is empty if it has to hold an offset whose record is no more, and stays so until it may go" {
            let batch = buildWith (builderOf CompressionCodec.Gzip true (Nullable())) abcab
            let newer = newestOffsets [ "a", 200L; "b", 200L; "c", 200L ]
            let withoutLast = (clean newer (always 102L) batch).Bytes.ToArray()
            let empty = clean newer (always 104L) withoutLast
            let header = headerOfCleaned empty
            Expect.equal (countsOf empty) (1, 0, 0) "counts"
            Expect.equal empty.Bytes.Length RecordBatchHeader.Length "only a header"
            Expect.equal header.RecordCount 0 "count"
            Expect.equal header.MaxTimestamp t0 "max timestamp"
            Expect.equal header.LastSequence 2 "last sequence"
            Expect.equal header.LastOffset 104L "last offset"
            Expect.isEmpty (read (empty.Bytes.ToArray())) "records"
            Expect.isTrue (clean newer (always 104L) (empty.Bytes.ToArray())).IsUnchanged "the next time"
            Expect.isTrue (clean newer (rule t0) (empty.Bytes.ToArray())).IsRemoved "when it may go"
        }
    ]
