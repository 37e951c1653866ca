/// Every outcome of RecordBatchValidator.
module Tansu.PropertyTests.Codec.RecordsValidation

open System
open Expecto
open FsCheck.FSharp
open Tansu.Codec.Records
open Tansu.PropertyTests
open Tansu.PropertyTests.Codec.RecordsSamples

let private validateWith (limits: RecordBatchLimits) (bytes: byte[]) =
    RecordBatchValidator.Validate(memory bytes, &limits)

let private outcomeWith limits bytes = (validateWith limits bytes).Outcome
let private outcome bytes = outcomeWith (RecordBatchLimits()) bytes
let private deep = RecordBatchLimits(LooksIntoCompressed = true)

let private batchOf codec records =
    buildWith (RecordBatchBuilder(Codec = codec)) records

let private batch3 = batchOf CompressionCodec.None records3
let private zstd3 = batchOf CompressionCodec.Zstd records3

let private int32Bytes (value: int) = [| byte (value >>> 24); byte (value >>> 16); byte (value >>> 8); byte value |]

/// The batch with another body: the length and the CRC are right.
let private withBody (body: byte[]) (batch: byte[]) =
    Array.append (Array.truncate 61 batch) body
    |> edited 8 (int32Bytes (49 + body.Length))
    |> withCrc

let private attributes value batch =
    batch |> edited 21 [| 0uy; value |] |> withCrc

let private refusals = [
    "no bytes", [||], RecordBatchOutcome.Empty
    "a few bytes", Array.truncate 16 batch3, RecordBatchOutcome.Truncated
    "a header cut short", Array.truncate 60 batch3, RecordBatchOutcome.Truncated
    "records cut short", Array.truncate (batch3.Length - 1) batch3, RecordBatchOutcome.Truncated
    "a length beyond the bytes", batch3 |> edited 8 (int32Bytes Int32.MaxValue), RecordBatchOutcome.Truncated
    "a negative length", batch3 |> edited 8 (int32Bytes -1), RecordBatchOutcome.BadLength
    "a length without room for a header", batch3 |> edited 8 (int32Bytes 48), RecordBatchOutcome.BadLength
    "magic 1", batch3 |> edited 16 [| 1uy |], RecordBatchOutcome.OldMagic
    "magic 3", batch3 |> edited 16 [| 3uy |], RecordBatchOutcome.UnknownMagic
    "two batches", Array.append batch3 batch3, RecordBatchOutcome.MoreThanOneBatch
    "a byte after the batch", Array.append batch3 [| 0uy |], RecordBatchOutcome.MoreThanOneBatch
    "a base offset", batch3 |> edited 7 [| 1uy |], RecordBatchOutcome.BadBaseOffset
    "a wrong CRC", batch3 |> edited 17 [| batch3[17] + 1uy |], RecordBatchOutcome.BadCrc
    "codec 5", batch3 |> attributes 5uy, RecordBatchOutcome.UnknownCodec
    "no records", RecordBatchBuilder().Build(), RecordBatchOutcome.BadCount
    "a count too high", batch3 |> edited 57 (int32Bytes 4) |> withCrc, RecordBatchOutcome.BadCount
    "a last offset delta too low", batch3 |> edited 23 (int32Bytes 1) |> withCrc, RecordBatchOutcome.BadCount
    "a negative count",
    batch3 |> edited 57 (int32Bytes -1) |> edited 23 (int32Bytes -2) |> withCrc,
    RecordBatchOutcome.BadCount
    "one record fewer than said",
    batch3 |> edited 57 (int32Bytes 4) |> edited 23 (int32Bytes 3) |> withCrc,
    RecordBatchOutcome.BadCount
    "one record more than said",
    batch3 |> edited 57 (int32Bytes 2) |> edited 23 (int32Bytes 1) |> withCrc,
    RecordBatchOutcome.BadCount
    "a transaction marker",
    EndTransactionMarker(ControlRecordType.Abort, 0).ToBatch(1L, 0s, 0L),
    RecordBatchOutcome.ControlBatchFromClient
    "a producer id without a sequence",
    buildWith (RecordBatchBuilder(ProducerId = 1L, ProducerEpoch = 0s)) records3,
    RecordBatchOutcome.BadSequence
    "a producer id without an epoch",
    buildWith (RecordBatchBuilder(ProducerId = 1L, BaseSequence = 0)) records3,
    RecordBatchOutcome.BadSequence
    "a transaction without a producer id",
    buildWith (RecordBatchBuilder(IsTransactional = true)) records3,
    RecordBatchOutcome.BadSequence
    "a client's LogAppendTime",
    buildWith (RecordBatchBuilder(LogAppendTimeMs = Nullable 1L)) records3,
    RecordBatchOutcome.BadTimestamp
    // A length of 7 in zigzag is 14: attributes, three deltas and lengths of -1 (1), the count of headers.
    "a header count beyond the record",
    batchOf CompressionCodec.None [ record1 ]
    |> withBody [| 12uy; 0uy; 0uy; 0uy; 1uy; 1uy; 2uy |],
    RecordBatchOutcome.BadRecord
    "a record longer than the batch",
    batchOf CompressionCodec.None [ record1 ]
    |> withBody [| 14uy; 0uy; 0uy; 0uy; 1uy; 1uy; 0uy |],
    RecordBatchOutcome.BadRecord
    "bytes left over in a record",
    batchOf CompressionCodec.None [ record1 ]
    |> withBody [| 14uy; 0uy; 0uy; 0uy; 1uy; 1uy; 0uy; 0uy |],
    RecordBatchOutcome.BadRecord
    "an offset delta that does not start at 0",
    batchOf CompressionCodec.None [ record1 ]
    |> withBody [| 12uy; 0uy; 0uy; 2uy; 1uy; 1uy; 0uy |],
    RecordBatchOutcome.BadRecord
]

let private allocatedByValidating bytes =
    let limits = RecordBatchLimits()
    let before = GC.GetAllocatedBytesForCurrentThread()
    let found = RecordBatchValidator.Validate(memory bytes, &limits)
    let allocated = GC.GetAllocatedBytesForCurrentThread() - before
    if found.IsValid then allocated else -1L

let private outcomeTests =
    testList "validation" [
        for name, bytes, expected in refusals do
            test $"refuses {name}" { Expect.equal (outcome bytes) expected "outcome" }

        Check.property "accepts what a client builds, with every codec, and finds the largest timestamp"
        <| forAll batch (fun batch ->
            let limits =
                RecordBatchLimits(LooksIntoCompressed = true, MaxBatchBytes = Int32.MaxValue)

            let found = build batch |> validateWith limits
            Expect.equal found.Outcome RecordBatchOutcome.Valid "outcome"
            Expect.equal found.Header.RecordCount batch.Records.Length "count"

            Expect.equal
                found.MaxTimestampMs
                (batch.Records |> List.map (fun record -> record.TimestampMs) |> List.max)
                "max timestamp")

        test "accepts the smallest record" {
            let batch = batchOf CompressionCodec.None [ record1 ]

            Expect.equal
                (batch |> withBody [| 12uy; 0uy; 0uy; 0uy; 1uy; 1uy; 0uy |] |> outcome)
                RecordBatchOutcome.Valid
                ""
        }

        test "accepts an idempotent and a transactional batch" {
            for isTransactional in [ true; false ] do
                let builder =
                    RecordBatchBuilder(
                        ProducerId = 0L,
                        ProducerEpoch = 0s,
                        BaseSequence = 0,
                        IsTransactional = isTransactional
                    )

                Expect.equal (buildWith builder records3 |> outcome) RecordBatchOutcome.Valid "outcome"
        }

        test "refuses a batch one byte larger than allowed" {
            let limits = RecordBatchLimits(MaxBatchBytes = batch3.Length)
            Expect.equal (outcomeWith limits batch3) RecordBatchOutcome.Valid "at the limit"
            let limits = RecordBatchLimits(MaxBatchBytes = batch3.Length - 1)
            Expect.equal (outcomeWith limits batch3) RecordBatchOutcome.TooLarge "beyond"
        }

        test "refuses zstd where the request's version is too old for it" {
            let limits = RecordBatchLimits(AllowsZstd = false)
            Expect.equal (outcomeWith limits zstd3) RecordBatchOutcome.CodecNotAllowed "zstd"
            Expect.equal (outcomeWith limits batch3) RecordBatchOutcome.Valid "none"
        }

        test "refuses timestamps out of the topic's range, and says which record" {
            let range earliest latest =
                RecordBatchLimits(EarliestTimestampMs = earliest, LatestTimestampMs = latest)

            let tooLate = range 0L 1_700_000_000_499L
            let found = validateWith tooLate batch3
            Expect.equal found.Outcome RecordBatchOutcome.BadTimestamp "too late"
            Expect.equal found.RecordIndex 2 "record"

            Expect.equal
                (outcomeWith tooLate zstd3)
                RecordBatchOutcome.BadTimestamp
                "by the header of a compressed batch"

            let tooEarly = range 1_700_000_000_001L Int64.MaxValue
            Expect.equal (validateWith tooEarly batch3).RecordIndex 0 "too early"

            Expect.equal
                (outcomeWith (range 1_700_000_000_000L 1_700_000_000_500L) batch3)
                RecordBatchOutcome.Valid
                "within"

            let none = batchOf CompressionCodec.None [ { record1 with TimestampMs = -1L } ]
            Expect.equal (outcomeWith tooEarly none) RecordBatchOutcome.Valid "a record without a timestamp"
        }

        test "counts the range of timestamps from the broker's clock, without overflow" {
            let limits = RecordBatchLimits().WithTimestampRange(1000L, Int64.MaxValue, 100L)
            Expect.equal limits.EarliestTimestampMs (1000L - Int64.MaxValue) "before"
            Expect.equal limits.LatestTimestampMs 1100L "after"

            let limits =
                RecordBatchLimits().WithTimestampRange(-100L, Int64.MaxValue, Int64.MaxValue)

            Expect.equal limits.EarliestTimestampMs Int64.MinValue "before"
            let limits = RecordBatchLimits().WithTimestampRange(1000L, 100L, Int64.MaxValue)
            Expect.equal limits.EarliestTimestampMs 900L "before"
            Expect.equal limits.LatestTimestampMs Int64.MaxValue "after"
        }

        test "refuses a record without a key where keys are needed, compressed or not" {
            let limits = RecordBatchLimits(RequiresKeys = true)

            for codec in codecs do
                let found = validateWith limits (batchOf codec records3)
                Expect.equal found.Outcome RecordBatchOutcome.MissingKey $"{codec}"
                Expect.equal found.RecordIndex 1 "record"
                Expect.equal (outcomeWith limits (batchOf codec [ record1 ])) RecordBatchOutcome.Valid "with a key"
        }

        test "looks into compressed records only when asked to" {
            let wrongCount =
                zstd3 |> edited 57 (int32Bytes 4) |> edited 23 (int32Bytes 3) |> withCrc

            Expect.equal (outcome wrongCount) RecordBatchOutcome.Valid "not asked"
            Expect.equal (outcomeWith deep wrongCount) RecordBatchOutcome.BadCount "asked"
            let garbage = zstd3 |> edited 61 [| 0uy; 0uy |] |> withCrc
            Expect.equal (outcome garbage) RecordBatchOutcome.Valid "not asked"
            Expect.equal (outcomeWith deep garbage) RecordBatchOutcome.BadCompression "asked"
        }

        test "looks into compressed records if the batch does not say the largest timestamp" {
            for codec in compressingCodecs do
                let unsaid = batchOf codec records3
                RecordBatchEditor.SetMaxTimestamp(unsaid.AsSpan(), -1L)
                let found = validateWith (RecordBatchLimits()) unsaid
                Expect.equal found.Outcome RecordBatchOutcome.Valid $"{codec}"
                Expect.equal found.MaxTimestampMs 1_700_000_000_500L "of the records"

                let found =
                    validateWith (RecordBatchLimits(LatestTimestampMs = 1_700_000_000_499L)) unsaid

                Expect.equal (found.Outcome, found.RecordIndex) (RecordBatchOutcome.BadTimestamp, 2) "too late"
        }

        test "finds the flip of any single bit after the CRC" {
            for codec in codecs do
                let bytes = batchOf codec records3

                for position in 21 .. bytes.Length - 1 do
                    for bit in 0..7 do
                        let flipped = bytes |> edited position [| bytes[position] ^^^ (1uy <<< bit) |]
                        let isExpected = outcome flipped = RecordBatchOutcome.BadCrc
                        Expect.isTrue isExpected $"{codec}: byte {position}, bit {bit}"
        }

        Check.property "finds the flip of any single bit after the CRC of a random batch"
        <| forAll (Gen.zip3 batch (Gen.choose (0, 10_000_000)) (Gen.choose (0, 7))) (fun (batch, position, bit) ->
            let bytes = build batch
            let position = 21 + position % (bytes.Length - 21)
            let flipped = bytes |> edited position [| bytes[position] ^^^ (1uy <<< bit) |]
            let limits = RecordBatchLimits(MaxBatchBytes = Int32.MaxValue)
            Expect.equal (outcomeWith limits flipped) RecordBatchOutcome.BadCrc "outcome")

        test "allocates nothing, however many records there are" {
            let bytes = batchOf CompressionCodec.None (List.replicate 1000 record1)

            // The least of many: at first there is the compiler, and when another thread's garbage is collected meanwhile, what is left of this thread's
            // allocation context (8 KiB) counts as allocated.
            let least = Seq.init 200 (fun _ -> allocatedByValidating bytes) |> Seq.min
            Expect.equal least 0L "allocated bytes"
        }
    ]

let tests = outcomeTests
