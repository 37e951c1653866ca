/// Which records of one batch stay: a situation each.
module Tansu.PropertyTests.Compaction.Rules

open System
open Expecto
open FsCheck.FSharp
open Tansu.Adapters.Compaction
open Tansu.Codec.Records
open Tansu.PropertyTests
open Tansu.PropertyTests.Codec.RecordsSamples
open Tansu.PropertyTests.Compaction.Given

let private withHorizon horizonMs records =
    buildWith (RecordBatchBuilder(BaseOffset = 100L, DeleteHorizonMs = Nullable horizonMs)) records

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

let tests = testList "what stays" [ valueTests; tombstoneTests; transactionTests ]
