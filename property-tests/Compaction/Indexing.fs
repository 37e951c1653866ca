/// What indexing a batch puts into the map, and damaged batches.
module Tansu.PropertyTests.Compaction.Indexing

open System
open Expecto
open FsCheck.FSharp
open Tansu.Adapters.Compaction
open Tansu.Codec.Records
open Tansu.PropertyTests
open Tansu.PropertyTests.Codec.RecordsSamples
open Tansu.PropertyTests.Compaction.Given

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

let tests = testList "indexing and damage" [ indexTests; damageTests ]
