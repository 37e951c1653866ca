/// A list of chunks against the list that everybody knows.
module Tansu.PropertyTests.Domain.ChunkLists

open System
open System.Collections.Immutable
open Expecto
open Tansu.Domain
open Tansu.PropertyTests

/// Of one to three records, a little after what is there.
let private next (random: Random) (model: ImmutableList<Chunk>) : Chunk =
    let first =
        if model.IsEmpty then
            random.NextInt64 3L
        else
            model[model.Count - 1].LastOffset + random.NextInt64(1L, 3L)

    {
        BaseOffset = first
        LastOffset = first + random.NextInt64 3L
        Source = InlineEntry(random.NextInt64())
        Position = random.Next()
        Length = random.Next()
        MaxTimestampMs = 0L
    }

let private range (random: Random) (model: ImmutableList<Chunk>) =
    let index = random.Next(model.Count + 1)
    struct (index, random.Next(model.Count - index + 1))

let private appended (random: Random) count (list: ChunkList, model: ImmutableList<Chunk>) =
    ((list, model), seq { 1..count })
    ||> Seq.fold (fun (list, model) _ ->
        let chunk = next random model
        list.Add chunk, model.Add chunk)

let private change (random: Random) (list: ChunkList, model: ImmutableList<Chunk>) =
    match random.Next 13 with
    | 0 -> appended random (random.Next 150) (list, model)
    | 1
    | 2
    | 3 when not model.IsEmpty ->
        let last = model[model.Count - 1]
        let longer = { last with LastOffset = last.LastOffset + 1L; Length = random.Next() }
        list.SetLast longer, model.SetItem(model.Count - 1, longer)
    | 4 ->
        let struct (index, length) = range random model
        list.RemoveRange(index, length), model.RemoveRange(index, length)
    | 5 ->
        let count = random.Next(model.Count / 3 + 1)
        list.RemoveRange(0, count), model.RemoveRange(0, count)
    | 6 ->
        let struct (index, length) = range random model
        Expect.sequenceEqual (list.ToArray(index, length)) (model.GetRange(index, length)) "a copy of a part"
        list.GetRange(index, length), model.GetRange(index, length)
    | 7 ->
        let struct (index, length) = range random model

        let others = [|
            for chunk in model.GetRange(index, length) do
                if random.Next 2 = 0 then
                    { chunk with Position = random.Next() }
        |]

        list.ReplaceRange(index, length, others), model.RemoveRange(index, length).InsertRange(index, others)
    | 8 -> ChunkList.CreateRange model, model
    | 9 ->
        let chunk = next random model
        list.ReplaceRange(list.Count, 0, [| chunk |]), model.Add chunk
    | _ -> appended random 1 (list, model)

let private agree (list: ChunkList, model: ImmutableList<Chunk>) =
    Expect.equal list.Count model.Count "count"
    Expect.equal list.IsEmpty model.IsEmpty "whether it is empty"
    Expect.sequenceEqual list model "one after the other"

    for index in 0 .. model.Count - 1 do
        Expect.equal list[index] model[index] "by index"

    if not model.IsEmpty then
        Expect.equal list.Last model[model.Count - 1] "the last one"

let private finds (list: ChunkList, model: ImmutableList<Chunk>) =
    let mutable index = 0

    let last =
        if model.IsEmpty then
            0L
        else
            model[model.Count - 1].LastOffset

    for offset in 0L .. last + 2L do
        while index < model.Count && model[index].LastOffset < offset do
            index <- index + 1

        Expect.equal (list.IndexOf offset) index "the chunk of an offset"

let private isRefused (act: unit -> obj) =
    Expect.throwsT<ArgumentOutOfRangeException> (act >> ignore) "outside of the list"

let tests =
    testList "a list of chunks" [
        Check.property "is like any immutable list, and no version of it ever changes" (fun (seed: int) ->
            let versions =
                (ChunkList.Empty, ImmutableList<Chunk>.Empty)
                |> Versions.grown (Random seed) 80 change

            Seq.iter agree versions
            finds versions[versions.Count - 1])

        testCase "is several lists when several threads append to it at once"
        <| fun () ->
            for size in 0..70 do
                let shared =
                    appended (Random size) size (ChunkList.Empty, ImmutableList<Chunk>.Empty)

                let lists =
                    Array.Parallel.init 4 (fun number -> appended (Random(1000 + number)) 70 shared)

                agree shared
                Array.iter agree lists

        testCase "refuses what is outside of it"
        <| fun () ->
            let list, _ = appended (Random 1) 70 (ChunkList.Empty, ImmutableList<Chunk>.Empty)
            isRefused (fun () -> list[-1])
            isRefused (fun () -> list[70])
            isRefused (fun () -> ChunkList.Empty.Last)
            isRefused (fun () -> ChunkList.Empty.SetLast list.Last)
            isRefused (fun () -> list.GetRange(60, 11))
            isRefused (fun () -> list.RemoveRange(3, -1))
            isRefused (fun () -> list.ReplaceRange(71, 0, [||]))
    ]
