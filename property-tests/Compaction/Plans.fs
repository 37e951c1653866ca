/// What merging costs, whatever the size of the chunks that come.
module Tansu.PropertyTests.Compaction.Plans

open System
open Expecto
open Tansu.Domain
open Tansu.PropertyTests

let private limits = CompactionLimits.Default

let private key = { TopicId = TopicId Guid.Empty; Partition = 0 }

let private chunk first last (length: int) : Chunk = {
    BaseOffset = first
    LastOffset = last
    Source = Segment $"segment-{first}-{last}-{length}"
    Position = 0
    Length = length
    MaxTimestampMs = 1L
}

let private put (chunks: Chunk array) (state: ShardState) =
    let replaced: ChunksReplaced = {
        Partition = key
        FirstOffset = chunks[0].BaseOffset
        LastOffset = chunks[chunks.Length - 1].LastOffset
        Pages = [||]
        Chunks = chunks
        PagedReferences = [||]
        CleanedToOffset = 0L
        MarkersRemovedBelow = 0L
    }

    Shard.evolve state (ChunksReplaced replaced) { EntryNumber = 1L; TimeMs = 1L }

/// One chunk in the place of several; two if it would be too large.
let private merged (chunks: Chunk array) =
    let length = chunks |> Array.sumBy _.Length

    if length <= limits.MaxChunkBytes then
        [| chunk chunks[0].BaseOffset chunks[chunks.Length - 1].LastOffset length |]
    else
        chunks
        |> Array.splitInto ((length + limits.MaxChunkBytes - 1) / limits.MaxChunkBytes)
        |> Array.map (fun part ->
            chunk part[0].BaseOffset part[part.Length - 1].LastOffset (part |> Array.sumBy _.Length))

/// Adds chunks one after the other, merging whenever there is something to merge: the state, and how many bytes were written.
let private grow (lengths: int seq) =
    let mutable state = Shard.initial
    let mutable written = 0L

    for offset, length in Seq.indexed lengths do
        state <- put [| chunk (int64 offset) (int64 offset) length |] state
        written <- written + int64 length
        let mutable jobs = CompactionPlan.mergeJobs limits 16_777_216L state

        while jobs.Length > 0 do
            for range in Array.concat jobs do
                written <- written + CompactionPlan.lengthOf range
                state <- put (merged (range.ToArray())) state

            jobs <- CompactionPlan.mergeJobs limits 16_777_216L state

    state, written

let private small (state: ShardState) =
    (Shard.partition key state).Chunks
    |> Seq.filter (fun chunk -> chunk.Length < limits.LargeChunkBytes)
    |> Seq.length

/// Chunks of three partitions in entries, data objects and segments: entries and objects come one after the other, each with chunks of some
/// partitions, and the oldest have been moved to segments.
let private mixture (random: Random) = {
    Shard.initial with
        Partitions =
            (Shard.initial.Partitions, [ 0..2 ])
            ||> List.fold (fun partitions partition ->
                let moved = random.Next 4
                let chunks = ResizeArray<Chunk>()

                for number in 0 .. random.Next 200 do
                    // An object has bytes of one topic or of several; entries have numbers with gaps.
                    let source =
                        if number < moved then Segment $"s{number}"
                        elif number % 5 = 0 then DataObject $"d{number / 10:D4}"
                        else InlineEntry(int64 (number * 37))

                    if random.Next 3 > 0 then
                        let first = int64 chunks.Count * 10L

                        chunks.Add {
                            BaseOffset = first
                            LastOffset = first + 9L
                            Source = source
                            Position = 0
                            Length = 1 + random.Next 1000
                            MaxTimestampMs = 1L
                        }

                let key = { TopicId = TopicId(Guid(random.Next 2, 0s, 0s, Array.zeroCreate 8)); Partition = partition }

                partitions.SetItem(key, { Partition.empty with Chunks = ChunkList.CreateRange chunks }))
}

let private orderOf source =
    match source with
    | DataObject name
    | Segment name -> 0, name, 0L
    | InlineEntry number -> 1, "", number

let tests =
    testList "plans" [
        Check.property
            "every fresh chunk is in one job, and so is every source; the oldest come first"
            (fun (seed: int) ->
                let random = Random seed
                let state = mixture random
                let budget = int64 (1 + random.Next 20_000)
                let jobs = CompactionPlan.freshJobs limits budget state

                let fresh = [
                    for KeyValue(key, partition) in state.Partitions do
                        for chunk in partition.Chunks do
                            if CompactionPlan.isFresh limits chunk then
                                key, chunk.BaseOffset
                ]

                let planned = [
                    for number, job in Array.indexed jobs do
                        for range in job do
                            for chunk in range.ToArray() do
                                number, range.Partition, chunk
                ]

                Expect.containsAll
                    fresh
                    (planned |> List.map (fun (_, key, chunk) -> key, chunk.BaseOffset))
                    "nothing else"

                Expect.equal planned.Length fresh.Length "each once"

                let jobsOf =
                    planned
                    |> List.groupBy (fun (_, _, chunk) -> chunk.Source)
                    |> List.sortBy (fst >> orderOf)
                    |> List.map (fun (_, found) -> found |> List.map (fun (number, _, _) -> number) |> List.distinct)

                Expect.all jobsOf (fun found -> found.Length = 1) "a source is in one job"
                let inOrder = List.concat jobsOf
                Expect.equal inOrder (List.sort inOrder) "the oldest first"

                for number, found in planned |> List.groupBy (fun (number, _, _) -> number) do
                    let bytes = found |> List.sumBy (fun (_, _, chunk) -> int64 chunk.Length)
                    let sources = found |> List.distinctBy (fun (_, _, chunk) -> chunk.Source)
                    Expect.isTrue (bytes <= budget || sources.Length = 1) $"job {number} has {bytes} bytes of {budget}")

        Check.propertyTimes
            30
            "merging writes each byte at most five times, tiny chunks eight times, and leaves few small chunks"
            (fun (size: uint16) ->
                let length = 100 + int size * 4
                let times = if length >= 8192 then 5L else 8L
                let state, written = grow (Seq.replicate 500 length)

                Expect.isLessThanOrEqual
                    written
                    (times * 500L * int64 length)
                    $"bytes written for chunks of {length} bytes"

                Expect.isLessThan (small state) limits.PagedAtChunks "small chunks")

        Check.propertyTimes 30 "so it is when small and large ones take turns" (fun (seed: int) ->
            let random = Random seed
            let lengths = [| for _ in 1..500 -> 100 <<< random.Next 13 |]
            let state, written = grow lengths
            Expect.isLessThanOrEqual written (6L * Array.sumBy int64 lengths) "bytes written"
            Expect.isLessThan (small state) (2 * limits.PagedAtChunks) "small chunks")
    ]
