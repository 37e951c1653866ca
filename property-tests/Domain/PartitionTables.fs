/// A table of partitions against the map that everybody knows.
module Tansu.PropertyTests.Domain.PartitionTables

open System
open System.Collections.Generic
open System.Collections.Immutable
open Expecto
open Tansu.Domain
open Tansu.PropertyTests
open Tansu.PropertyTests.Domain.Given

/// Keys with one hash code, several times two of them. Such are found among some hundred thousand.
let private colliding =
    lazy
        (let random = Random 1
         let byHash = Dictionary<int, TopicPartition>()
         let found = ResizeArray<TopicPartition>()

         while found.Count < 6 do
             let key = { TopicId = topicId (random.Next()); Partition = random.Next() }

             match byHash.TryGetValue(key.GetHashCode()) with
             | true, other -> found.AddRange [ other; key ]
             | _ -> byHash.Add(key.GetHashCode(), key)

         found.ToArray())

let private keys =
    lazy
        (Array.append
            colliding.Value
            (Array.init 300 (fun number -> { TopicId = topicId (number % 3); Partition = number / 3 })))

let private anyKey (random: Random) =
    let keys = keys.Value
    // Those with one hash code often, and some others more often than the rest.
    keys[random.Next(1, keys.Length + 1) |> random.Next]

let private anyState (random: Random) = { Partition.empty with HighWatermark = random.NextInt64() }

let private change (random: Random) (table: PartitionTable, model: ImmutableDictionary<TopicPartition, Partition>) =
    match random.Next 12 with
    | 0
    | 1
    | 2 ->
        let key = anyKey random
        table.Remove key, model.Remove key
    | 3 ->
        let some = [ for _ in 0 .. random.Next 60 -> anyKey random ]
        table.RemoveRange some, model.RemoveRange some
    | 4 -> PartitionTable.CreateRange model, model
    | 5 ->
        let some = [
            for _ in 0 .. random.Next 100 -> KeyValuePair(anyKey random, anyState random)
        ]

        PartitionTable.CreateRange some, ImmutableDictionary<TopicPartition, Partition>.Empty.SetItems some
    | 6 ->
        ((table, model), seq { 0 .. random.Next 100 })
        ||> Seq.fold (fun (table, model) _ ->
            let key, state = anyKey random, anyState random
            table.SetItem(key, state), model.SetItem(key, state))
    | _ ->
        let key, state = anyKey random, anyState random
        table.SetItem(key, state), model.SetItem(key, state)

let private agree (table: PartitionTable, model: ImmutableDictionary<TopicPartition, Partition>) =
    Expect.equal table.Count model.Count "count"
    Expect.equal table.IsEmpty model.IsEmpty "whether it is empty"

    for key in keys.Value do
        match table.TryGetValue key, model.TryGetValue key with
        | (true, found), (true, expected) -> Expect.isTrue (obj.ReferenceEquals(found, expected)) "the state"
        | (found, _), (expected, _) -> Expect.equal found expected "whether it is there"

        Expect.equal (table.ContainsKey key) (model.ContainsKey key) "the same by itself"

    let seen = HashSet<TopicPartition>()

    for KeyValue(key, state) in table do
        Expect.isTrue (seen.Add key) "each once"
        Expect.isTrue (obj.ReferenceEquals(state, model[key])) "with its state"

    Expect.equal seen.Count model.Count "all of them"
    Expect.sequenceEqual table.Keys (table |> Seq.map _.Key) "keys"
    Expect.sequenceEqual (table.Values |> Seq.map _.HighWatermark) (table |> Seq.map _.Value.HighWatermark) "states"

let tests =
    testList "a table of partitions" [
        Check.property "is like any immutable map, and no version of it ever changes" (fun (seed: int) ->
            (PartitionTable.Empty, ImmutableDictionary<TopicPartition, Partition>.Empty)
            |> Versions.grown (Random seed) 60 change
            |> Seq.iter agree)

        testCase "is empty again when all that came have gone"
        <| fun () ->
            let full =
                Seq.fold
                    (fun (table: PartitionTable) key -> table.SetItem(key, Partition.empty))
                    PartitionTable.Empty
                    keys.Value

            Expect.equal full.Count keys.Value.Length "all"
            let emptied = full.RemoveRange keys.Value
            Expect.isTrue (obj.ReferenceEquals(emptied, PartitionTable.Empty)) "nothing is left of it"
    ]
