namespace Tansu.Domain

open System
open System.Collections.Generic

/// A number for each of many entries and data objects; 0 for all others. Those of neighbouring entries are in one small array: there can be
/// hundreds of thousands.
[<Sealed>]
type internal SourceNumbers() =
    /// How many bits of an entry's number say where in its array it is.
    [<Literal>]
    let ArrayBits = 6

    let entries = Dictionary<int64, int64[]>()
    let objects = Dictionary<string, int64>()

    let placeOf (entryNumber: int64) =
        int (entryNumber &&& ((1L <<< ArrayBits) - 1L))

    let ofObject name =
        match objects.TryGetValue name with
        | true, number -> number
        | _ -> 0L

    /// Adds to a source's number.
    member _.Add(source: ChunkSource, number: int64) =
        match source with
        | InlineEntry entryNumber ->
            let key = entryNumber >>> ArrayBits

            let numbers =
                match entries.TryGetValue key with
                | true, found -> found
                | _ ->
                    let made = Array.zeroCreate (1 <<< ArrayBits)
                    entries.Add(key, made)
                    made

            let place = placeOf entryNumber
            numbers[place] <- numbers[place] + number
        | DataObject name
        | Segment name -> objects[name] <- ofObject name + number

    /// A source's number.
    member _.Item
        with get (source: ChunkSource) =
            match source with
            | InlineEntry entryNumber ->
                match entries.TryGetValue(entryNumber >>> ArrayBits) with
                | true, numbers -> numbers[placeOf entryNumber]
                | _ -> 0L
            | DataObject name
            | Segment name -> ofObject name

    /// Gives other numbers to all that have one, one after the other: objects in the order of the times in their names, then entries.
    member _.ChangeInOrder(change: int64 -> int64) =
        let names = Seq.toArray objects.Keys
        Array.Sort(names, StringComparer.Ordinal)

        for name in names do
            objects[name] <- change objects[name]

        let keys = Seq.toArray entries.Keys
        Array.Sort keys

        for key in keys do
            let numbers = entries[key]

            for place in 0 .. numbers.Length - 1 do
                if numbers[place] <> 0L then
                    numbers[place] <- change numbers[place]
