/// The map of keys to their newest offsets.
module Tansu.PropertyTests.Compaction.Keys

open System
open System.Collections.Generic
open Expecto
open FsCheck.FSharp
open Tansu.Adapters.Compaction
open Tansu.PropertyTests
open Tansu.PropertyTests.Codec.RecordsSamples
open Tansu.PropertyTests.Compaction.Given

let private add (map: KeyOffsets) (key: byte[]) offset = map.TryAdd(ReadOnlySpan key, offset)

let private find (map: KeyOffsets) (key: byte[]) =
    let mutable offset = 0L

    if map.TryGet(ReadOnlySpan key, &offset) then
        Some offset
    else
        None

let private numbered (number: int) = BitConverter.GetBytes number

let private fill (map: KeyOffsets) =
    Seq.initInfinite id
    |> Seq.takeWhile (fun number -> add map (numbered number) (int64 number))
    |> Seq.length

let tests =
    testList "the newest offsets of keys" [
        test "a key has its largest offset, in whatever order they come" {
            let map = largeMap ()
            Expect.isTrue (add map "a"B 5L && add map "b"B 6L && add map "a"B 9L && add map "b"B 2L) "room"
            Expect.equal (find map "a"B) (Some 9L) "a"
            Expect.equal (find map "b"B) (Some 6L) "b"
            Expect.equal (find map "c"B) None "c"
            Expect.equal map.Count 2 "count"
        }

        test "the empty key and the offset 0 are like any other" {
            let map = mapFor 1
            Expect.equal (find map [||]) None "before"
            Expect.isTrue (add map [||] 0L) "room"
            Expect.equal (find map [||]) (Some 0L) "after"
        }

        test "a full map refuses new keys and takes newer offsets of those it has" {
            let map = mapFor 3
            Expect.equal map.Capacity 3 "capacity"
            Expect.equal (fill map) 3 "keys"
            Expect.isFalse (add map "new"B 100L) "a new key"
            Expect.equal (find map "new"B) None "it is not there"
            Expect.isTrue (add map (numbered 1) 100L) "a key that is there"

            Expect.equal
                [ for number in 0..3 -> find map (numbered number) ]
                [ Some 0L; Some 100L; Some 2L; None ]
                "offsets"
        }

        test "a cleared map is empty and has all its room again" {
            let map = mapFor 5
            Expect.equal (fill map) 5 "keys"
            map.Clear()
            Expect.equal map.Count 0 "count"
            Expect.equal (find map (numbered 0)) None "a key"
            Expect.equal (fill map) 5 "keys again"
        }

        test "the budget says how many keys there is room for: 24 bytes a slot, 9 slots of 10" {
            Expect.equal (KeyOffsets 48L).Capacity 1 "the least"
            Expect.equal (KeyOffsets 2_400L).Capacity 90 "100 slots"
            Expect.equal (KeyOffsets 2_423L).Capacity 90 "100 slots and a bit"
            Expect.throwsT<ArgumentOutOfRangeException> (fun () -> KeyOffsets 47L |> ignore) "too little"
        }

        test "no memory is taken after the map is made, however large the keys" {
            let map = KeyOffsets 240_000L
            let key = Array.zeroCreate 100_000
            Expect.isTrue (add map key 0L) "the first call may prepare something"

            let taken = [
                for value in 1uy .. 5uy do
                    let before = GC.GetAllocatedBytesForCurrentThread()

                    for number in 1..1_000 do
                        key[number] <- value
                        map.TryAdd(ReadOnlySpan key, int64 number) |> ignore

                    map.Clear()
                    GC.GetAllocatedBytesForCurrentThread() - before
            ]

            // The least of them: a collection in another thread counts what is left of this one's allocation context, some 8 KiB.
            Expect.isLessThan (List.min taken) 1_000L "bytes"
        }

        test "a negative offset is refused" {
            Expect.throwsT<ArgumentOutOfRangeException> (fun () -> add (largeMap ()) "a"B -1L |> ignore) "offset -1"
        }

        test "a map as full as it gets has every key" {
            let map = KeyOffsets 2_400_000L
            Expect.equal (fill map) 90_000 "keys"

            for number in 0..89_999 do
                if find map (numbered number) <> Some(int64 number) then
                    failtest $"key {number} is lost"

            for number in 90_000..100_000 do
                if find map (numbered number) <> None then
                    failtest $"key {number} was not added"
        }

        Check.property "the map is a dictionary that refuses new keys when it is full"
        <| forAll
            (Gen.zip (Gen.choose (1, 9)) (Gen.listOf (Gen.zip (Gen.choose (0, 14)) (Gen.choose (0, 1000)))))
            (fun (capacity, additions) ->
                let map = mapFor capacity
                let model = Dictionary<int, int64>()

                for key, offset in additions do
                    let fits = model.ContainsKey key || model.Count < capacity
                    Expect.equal (add map (numbered key) offset) fits "whether it fits"

                    if fits then
                        model[key] <- max (model.GetValueOrDefault(key, 0L)) offset

                Expect.equal map.Count model.Count "count"

                for key in 0..14 do
                    let expected =
                        match model.TryGetValue key with
                        | true, offset -> Some offset
                        | false, _ -> None

                    Expect.equal (find map (numbered key)) expected "offset")
    ]
