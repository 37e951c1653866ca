/// What is kept of one batch, and how: a situation each.
module Tansu.PropertyTests.Compaction.Rules

open System
open Expecto
open FsCheck.FSharp
open Tansu.Adapters.Compaction
open Tansu.Codec.Records
open Tansu.PropertyTests
open Tansu.PropertyTests.Codec.RecordsSamples
open Tansu.PropertyTests.Compaction.Given

/// Offsets 100 to 104.
let private abcab = [ value "a" "1"; value "b" "2"; value "c" "3"; value "a" "4"; value "b" "5" ]

let private at100 records =
    buildWith (RecordBatchBuilder(BaseOffset = 100L)) records

let private withHorizon horizonMs records =
    buildWith (RecordBatchBuilder(BaseOffset = 100L, DeleteHorizonMs = Nullable horizonMs)) records

let private always offset =
    CleaningRule(NowMs = t0, DeleteRetentionMs = retentionMs, AlwaysKeepOffset = offset)

let private upTo endOffset =
    CleaningRule(NowMs = t0, DeleteRetentionMs = retentionMs, EndOffset = endOffset)

let private aborting =
    CleaningRule(NowMs = t0, DeleteRetentionMs = retentionMs, IsAborted = isAborted)

let private dropping =
    CleaningRule(NowMs = t0, DeleteRetentionMs = retentionMs, DropsControlBatch = (fun _ -> true))

let private expectUnchanged (batch: byte[]) (cleaned: CleanedBatch) =
    Expect.isTrue cleaned.IsUnchanged "unchanged"
    Expect.isTrue (cleaned.Bytes.Equals(memory batch)) "the memory that was given"

let private valueTests =
    testList "records" [
        test "one that has a newer one of its key goes, the others stay at their offsets" {
            let cleaned =
                clean (newestOffsets [ "a", 103L; "b", 200L; "c", 102L ]) (rule t0) (at100 abcab)

            Expect.equal
                (readWithOffsets (cleaned.Bytes.ToArray()))
                [ 102L, value "c" "3"; 103L, value "a" "4" ]
                "records"

            Expect.isFalse (cleaned.IsUnchanged || cleaned.IsRemoved) "rebuilt"
            Expect.equal (countsOf cleaned) (5, 2, 0) "counts"
        }

        test "one whose key is not in the map stays" {
            let cleaned = clean (newestOffsets [ "a", 103L; "b", 104L ]) (rule t0) (at100 abcab)
            Expect.equal (offsetsOf cleaned) [ 102L; 103L; 104L ] "offsets"
        }

        test "a key that the map has at an older offset only, stays" {
            let cleaned = clean (newestOffsets [ "a", 7L ]) (rule t0) (at100 [ value "a" "1" ])
            Expect.isTrue cleaned.IsUnchanged "unchanged"
        }

        test "a batch whose records all stay is given back as it was, without a copy" {
            let batch = at100 [ value "a" "1"; value "b" "2" ]
            let cleaned = clean (newestOffsets [ "a", 100L ]) (rule t0) batch
            expectUnchanged batch cleaned
            Expect.equal (countsOf cleaned) (2, 2, 0) "counts"
        }

        test "a batch of which nothing stays is removed" {
            let cleaned =
                clean (newestOffsets [ "a", 103L; "b", 104L ]) (rule t0) (at100 [ value "a" "1" ])

            Expect.isTrue cleaned.IsRemoved "removed"
            Expect.isFalse cleaned.IsUnchanged "not unchanged"
            Expect.equal (countsOf cleaned) (1, 0, 0) "counts"
        }

        test "one without a key goes, as nothing could ever replace it" {
            let cleaned =
                clean (largeMap ()) (rule t0) (at100 [ keyless "1"; value "a" "2"; keyless "3" ])

            Expect.equal (offsetsOf cleaned) [ 101L ] "offsets"
        }

        test "the empty key is a key" {
            let cleaned =
                clean (newestOffsets [ "", 101L ]) (rule t0) (at100 [ value "" "1"; value "" "2" ])

            Expect.equal (offsetsOf cleaned) [ 101L ] "offsets"
        }

        test "the one to keep always stays: old, without a key or aborted" {
            let newer = newestOffsets [ "a", 200L; "b", 200L; "c", 200L ]
            Expect.equal (offsetsOf (clean newer (always 104L) (at100 abcab))) [ 104L ] "old"
            Expect.equal (offsetsOf (clean newer (always 100L) (at100 [ keyless "1" ]))) [ 100L ] "without a key"

            let aborted =
                buildWith
                    (RecordBatchBuilder(
                        BaseOffset = 100L,
                        IsTransactional = true,
                        ProducerId = abortedProducerId,
                        ProducerEpoch = 0s,
                        BaseSequence = 0
                    ))
                    abcab

            let keepingLast =
                CleaningRule(
                    NowMs = t0,
                    DeleteRetentionMs = retentionMs,
                    AlwaysKeepOffset = 104L,
                    IsAborted = isAborted
                )

            Expect.equal (offsetsOf (clean newer keepingLast aborted)) [ 104L ] "aborted"
        }

        test "those from the end of the pass on stay as they are" {
            let newer = newestOffsets [ "a", 101L; "b", 101L ]
            let records = [ value "a" "1"; value "a" "2"; keyless "3"; tombstone "b" ]
            let cleaned = clean newer (upTo 102L) (at100 records)
            Expect.equal (offsetsOf cleaned) [ 101L; 102L; 103L ] "offsets"
            let batch = at100 records
            expectUnchanged batch (clean newer (upTo 100L) batch)
        }
    ]

let private tombstoneTests =
    testList "tombstones" [
        test "the first cleaning sets the delete horizon and keeps the tombstone" {
            let cleaned =
                clean (newestOffsets [ "a", 101L ]) (rule t0) (at100 [ value "a" "1"; tombstone "a"; value "b" "2" ])

            let header = headerOfCleaned cleaned
            Expect.isTrue header.HasDeleteHorizon "flag"
            Expect.equal header.BaseTimestamp (t0 + retentionMs) "horizon"

            Expect.equal
                (readWithOffsets (cleaned.Bytes.ToArray()))
                [ 101L, tombstone "a"; 102L, value "b" "2" ]
                "records, with their timestamps"

            Expect.equal (countsOf cleaned) (3, 2, 0) "counts"
        }

        test "the horizon is set even if all records stay" {
            let batch = at100 [ tombstone "a"; value "b" "2" ]
            let cleaned = clean (largeMap ()) (rule t0) batch
            Expect.isFalse cleaned.IsUnchanged "changed"
            Expect.equal (headerOfCleaned cleaned).BaseTimestamp (t0 + retentionMs) "horizon"
            Expect.equal (read (cleaned.Bytes.ToArray())) (read batch) "records"
        }

        test "before the horizon they stay, and the horizon too" {
            let batch = withHorizon (t0 + 5L) [ tombstone "a"; value "b" "2" ]
            expectUnchanged batch (clean (largeMap ()) (rule (t0 + 4L)) batch)

            let cleaned = clean (newestOffsets [ "b", 200L ]) (rule (t0 + 4L)) batch
            Expect.equal (offsetsOf cleaned) [ 100L ] "offsets"
            Expect.isTrue (headerOfCleaned cleaned).HasDeleteHorizon "flag"
            Expect.equal (headerOfCleaned cleaned).BaseTimestamp (t0 + 5L) "horizon"
        }

        test "at the horizon they go, and values stay" {
            let batch = withHorizon t0 [ tombstone "a"; value "b" "2"; tombstone "c" ]
            let cleaned = clean (largeMap ()) (rule t0) batch
            Expect.equal (offsetsOf cleaned) [ 101L ] "offsets"
            Expect.equal (countsOf cleaned) (3, 1, 2) "counts"
            Expect.equal (headerOfCleaned cleaned).BaseTimestamp t0 "the horizon stays"
        }

        test "a tombstone that was replaced goes at once, and does not count as dropped by time" {
            let cleaned =
                clean (newestOffsets [ "a", 200L ]) (rule t0) (at100 [ tombstone "a"; value "b" "1" ])

            Expect.equal (offsetsOf cleaned) [ 101L ] "offsets"
            Expect.isFalse (headerOfCleaned cleaned).HasDeleteHorizon "no horizon for values"
            Expect.equal (countsOf cleaned) (2, 1, 0) "counts"
        }

        test "the partition's last record stays after its horizon" {
            let batch = withHorizon t0 [ tombstone "a"; tombstone "b" ]
            let cleaned = clean (largeMap ()) (always 101L) batch
            Expect.equal (offsetsOf cleaned) [ 101L ] "offsets"
            Expect.equal (countsOf cleaned) (2, 1, 1) "counts"
        }

        test "time does not run before the whole batch is indexed" {
            let batch = at100 [ tombstone "a"; tombstone "b" ]
            expectUnchanged batch (clean (newestOffsets [ "a", 100L ]) (upTo 101L) batch)
            Expect.isTrue (headerOfCleaned (clean (largeMap ()) (upTo 102L) batch)).HasDeleteHorizon "then it does"
        }

        test "a retention without end is a horizon without end" {
            let rule = CleaningRule(NowMs = t0, DeleteRetentionMs = Int64.MaxValue)
            let batch = at100 [ tombstone "a"; { value "b" "1" with TimestampMs = -1L } ]
            let cleaned = clean (largeMap ()) rule batch
            Expect.isTrue (headerOfCleaned cleaned).HasDeleteHorizon "flag"
            Expect.equal (headerOfCleaned cleaned).BaseTimestamp Int64.MaxValue "horizon"
            Expect.equal (read (cleaned.Bytes.ToArray())) (read batch) "records"
        }
    ]

let private transactional producerId records =
    buildWith
        (RecordBatchBuilder(
            BaseOffset = 100L,
            IsTransactional = true,
            ProducerId = producerId,
            ProducerEpoch = 3s,
            BaseSequence = 40
        ))
        records

let private markerAt100 () =
    let batch =
        EndTransactionMarker(ControlRecordType.Abort, 1).ToBatch(abortedProducerId, 3s, t0)

    RecordBatchEditor.SetBaseOffset(Span batch, 100L)
    batch

let private transactionTests =
    testList "transactions" [
        test "a control batch stays as it is" {
            let batch = markerAt100 ()
            let cleaned = clean (largeMap ()) aborting batch
            expectUnchanged batch cleaned
            Expect.equal (countsOf cleaned) (1, 1, 0) "counts"
        }

        test "a control batch goes if the rule says so, unless it is the partition's last" {
            let batch = markerAt100 ()
            Expect.isTrue (clean (largeMap ()) dropping batch).IsRemoved "removed"

            let last =
                CleaningRule(
                    NowMs = t0,
                    DeleteRetentionMs = retentionMs,
                    DropsControlBatch = (fun _ -> true),
                    AlwaysKeepOffset = 100L
                )

            expectUnchanged batch (clean (largeMap ()) last batch)
        }

        test "the records of an aborted transaction go, whatever their keys" {
            Expect.isTrue (clean (largeMap ()) aborting (transactional abortedProducerId abcab)).IsRemoved "aborted"
            Expect.isTrue (clean (largeMap ()) aborting (transactional 8L abcab)).IsUnchanged "committed"
        }

        test "the rule is not asked about batches outside transactions" {
            let batch =
                buildWith
                    (RecordBatchBuilder(
                        BaseOffset = 100L,
                        ProducerId = abortedProducerId,
                        ProducerEpoch = 3s,
                        BaseSequence = 0
                    ))
                    abcab

            Expect.isTrue (clean (largeMap ()) aborting batch).IsUnchanged "unchanged"
        }
    ]

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

let private rebuildTests =
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

let private index (map: KeyOffsets) rule (batch: byte[]) =
    let mutable indexedTo = -1L
    let isWhole = BatchCleaner.Index(memory batch, map, rule, &indexedTo)
    isWhole, indexedTo

let private offsetIn (map: KeyOffsets) (key: string) =
    let mutable offset = 0L

    if map.TryGet(ReadOnlySpan(Text.Encoding.UTF8.GetBytes key), &offset) then
        Some offset
    else
        None

let private indexTests =
    testList "indexing" [
        for codec in codecs do
            test $"notes the newest offset of each key of a {codec} batch" {
                let map = largeMap ()

                let batch =
                    buildWith (RecordBatchBuilder(Codec = codec, BaseOffset = 100L)) (keyless "0" :: abcab)

                Expect.equal (index map (rule t0) batch) (true, 106L) "all of it"
                Expect.equal map.Count 3 "keys"
                Expect.equal (List.map (offsetIn map) [ "a"; "b"; "c" ]) [ Some 104L; Some 105L; Some 103L ] "offsets"
            }

        test "notes tombstones" {
            let map = largeMap ()
            Expect.equal (index map (rule t0) (at100 [ value "a" "1"; tombstone "a" ])) (true, 102L) "all of it"
            Expect.equal (offsetIn map "a") (Some 101L) "offset"
        }

        test "says where the map was full" {
            let map = mapFor 2
            Expect.equal (index map (rule t0) (at100 abcab)) (false, 102L) "up to the third key"
            Expect.equal (List.map (offsetIn map) [ "a"; "b"; "c" ]) [ Some 100L; Some 101L; None ] "offsets"
        }

        test "a full map goes on as long as no key is new" {
            let map = mapFor 2
            let records = [ value "a" "1"; value "b" "2"; value "a" "3"; value "b" "4" ]
            Expect.equal (index map (rule t0) (at100 records)) (true, 104L) "all of it"
            Expect.equal (List.map (offsetIn map) [ "a"; "b" ]) [ Some 102L; Some 103L ] "offsets"
        }

        test "passes over what is clean already and what is not to be compacted yet" {
            let map = largeMap ()

            let middle =
                CleaningRule(NowMs = t0, DeleteRetentionMs = retentionMs, FirstDirtyOffset = 101L, EndOffset = 103L)

            Expect.equal (index map middle (at100 abcab)) (true, 105L) "nothing is left over"
            Expect.equal (List.map (offsetIn map) [ "a"; "b"; "c" ]) [ None; Some 101L; Some 102L ] "offsets"
        }

        test "passes over control batches and aborted ones" {
            let map = mapFor 1
            Expect.equal (index map aborting (markerAt100 ())) (true, 101L) "control batch"
            Expect.equal (index map aborting (transactional abortedProducerId abcab)) (true, 105L) "aborted batch"
            Expect.equal map.Count 0 "keys"
            Expect.equal (index map aborting (transactional 8L abcab)) (false, 101L) "committed batch"
        }
    ]

let private refused what (batch: byte[]) =
    Expect.throwsT<RecordFormatException> (fun () -> clean (largeMap ()) (rule t0) batch |> ignore) $"{what}: cleaning"
    Expect.throwsT<RecordFormatException> (fun () -> index (largeMap ()) (rule t0) batch |> ignore) $"{what}: indexing"

let private damageTests =
    testList "damage is refused" [
        test "of the framing" {
            let batch = at100 abcab
            refused "nothing" [||]
            refused "cut off" (Array.truncate (batch.Length - 1) batch)
            refused "more than a batch" (Array.append batch [| 0uy |])
            refused "old magic" (edited 16 [| 1uy |] batch)
        }

        test "of the offsets" {
            let batch = at100 abcab
            refused "a negative base offset" (edited 0 [| 0x80uy |] batch)
            refused "a base offset past all" (edited 0 [| 0x7Fuy; 0xFFuy; 0xFFuy; 0xFFuy; 0xFFuy |] batch)
            refused "a negative last offset delta" (withCrc (edited 23 [| 0x80uy |] batch))
            refused "a last offset before that of a record" (withCrc (edited 26 [| 3uy |] batch))

            // Two records of which each has 10 bytes; the delta of offsets is the fourth.
            let bare key = { value key "v" with Headers = [] }
            let two = at100 [ bare "a"; bare "b" ]
            let second = RecordBatchHeader.Length + (two.Length - RecordBatchHeader.Length) / 2
            Expect.equal two[second + 3] 2uy "the offset delta 1"
            refused "an offset twice" (withCrc (edited (second + 3) [| 0uy |] two))
            refused "an offset before the batch" (withCrc (edited (RecordBatchHeader.Length + 3) [| 1uy |] two))
        }

        for codec in codecs do
            test $"of the records of a {codec} batch, under a right CRC" {
                let batch = buildWith (RecordBatchBuilder(Codec = codec, BaseOffset = 100L)) abcab
                refused "fewer records than counted" (withCrc (edited 60 [| 6uy |] batch))
                refused "more records than counted" (withCrc (edited 60 [| 4uy |] batch))
                refused "records of none" (withCrc (edited 60 [| 0uy |] batch))
                refused "a negative count" (withCrc (edited 57 [| 0xFFuy |] batch))
                refused "no codec" (withCrc (edited 22 [| 7uy |] batch))
            }

        for codec in compressingCodecs do
            test $"a {codec} batch that decompresses to more than is allowed" {
                let batch =
                    buildWith (RecordBatchBuilder(Codec = codec)) [ value "a" (String('x', 100_000)) ]

                let limited size =
                    CleaningRule(NowMs = t0, DeleteRetentionMs = retentionMs, MaxDecompressedBytes = size)

                Expect.isTrue (clean (largeMap ()) (limited 101_000) batch).IsUnchanged "enough"

                Expect.throwsT<RecordFormatException>
                    (fun () -> clean (largeMap ()) (limited 50_000) batch |> ignore)
                    "cleaning"

                Expect.throwsT<RecordFormatException>
                    (fun () -> index (largeMap ()) (limited 50_000) batch |> ignore)
                    "indexing"
            }

        Check.property "any bit that differs is noticed, but those of base offset and leader epoch"
        <| forAll
            (Gen.zip3 (Gen.elements codecs) (Gen.choose (0, 1_000_000)) (Gen.choose (0, 7)))
            (fun (codec, place, bit) ->
                let batch = buildWith (RecordBatchBuilder(Codec = codec, BaseOffset = 100L)) abcab
                let position = 8 + place % (batch.Length - 8)

                if position < 12 || position >= 16 then
                    refused "a bit" (edited position [| batch[position] ^^^ (1uy <<< bit) |] batch))
    ]

let tests =
    testList "rules" [
        valueTests
        tombstoneTests
        transactionTests
        rebuildTests
        indexTests
        damageTests
    ]
