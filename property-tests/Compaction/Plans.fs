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
                state <- put (merged range.Chunks) state

            jobs <- CompactionPlan.mergeJobs limits 16_777_216L state

    state, written

let private small (state: ShardState) =
    (Shard.partition key state).Chunks
    |> Seq.filter (fun chunk -> chunk.Length < limits.LargeChunkBytes)
    |> Seq.length

let tests =
    testList "plans" [
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
