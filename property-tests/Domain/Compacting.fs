/// What compactors may propose, and what becomes of it; retention, and what there is to do.
module Tansu.PropertyTests.Domain.Compacting

open System
open Expecto
open Tansu.Domain
open Tansu.PropertyTests.Domain.Given

let segment name first last : Chunk = {
    BaseOffset = first
    LastOffset = last
    Source = Segment name
    Position = 0
    Length = 100
    MaxTimestampMs = 5L
}

let page name (chunks: Chunk list) : IndexPage = {
    BaseOffset = chunks.Head.BaseOffset
    LastOffset = (List.last chunks).LastOffset
    ObjectName = name
    Position = 0
    Length = 10
    ChunkCount = chunks.Length
    RecordBytes = chunks |> List.sumBy (fun chunk -> int64 chunk.Length)
    MaxTimestampMs = chunks |> List.map _.MaxTimestampMs |> List.max
}

let replacing first last (chunks: Chunk list) : ChunksReplaced = {
    Partition = partition 0
    FirstOffset = first
    LastOffset = last
    Pages = [||]
    Chunks = List.toArray chunks
    PagedReferences = [||]
    CleanedToOffset = 0L
    MarkersRemovedBelow = 0L
}

let private chunksOf (state: ShardState) =
    List.ofSeq (Shard.partition (partition 0) state).Chunks

/// Three batches of two records, each in an entry of its own.
let private three = appended [ for _ in 1..3 -> batch (partition 0) 2 ]

let private proposes made old = { New = made; OldPages = [||]; OldChunks = List.toArray old }

let private areMade (decision: Decision<ShardEvent, ShardReply>) =
    match decision.Reply with
    | ReplacementsJudged areMade -> List.ofArray areMade
    | _ -> failtest "not the reply of a replacement"

let private propose (state: ShardState) requests =
    act 9L state (ReplaceChunks(List.toArray requests, 9L))

/// All three in one segment.
let private moved =
    propose three [ proposes (replacing 0L 5L [ segment "s1" 0L 5L ]) (chunksOf three) ]
    |> snd

let private replacements =
    testList "a replacement" [
        testCase "is taken if the chunks are what was read"
        <| fun () ->
            Expect.equal (chunksOf moved) [ segment "s1" 0L 5L ] "the new chunk"
            Expect.equal moved.Objects["s1"] 1 "counted"
            Expect.equal (Shard.oldestEntry moved) Int64.MaxValue "no entry is needed"

        testCase "is refused if a chunk has grown, is not the same, or is missing"
        <| fun () ->
            let old = chunksOf three

            for stale in
                [
                    [ old[0]; old[1] ]
                    [ old[0]; old[1]; { old[2] with LastOffset = 4L } ]
                    [ old[0]; old[1]; { old[2] with Source = Segment "x" } ]
                    []
                ] do
                let decision, _ =
                    propose three [ proposes (replacing 0L 5L [ segment "s1" 0L 5L ]) stale ]

                Expect.equal (areMade decision) [ false ] "refused"
                Expect.isEmpty decision.Events "nothing stored"

        testCase "is refused where a page has come to be, and where the partition is gone"
        <| fun () ->
            let paging = {
                replacing 0L 5L [] with
                    Pages = [| page "p1" [ segment "s1" 0L 5L ] |]
                    PagedReferences = [| struct ("s1", 1) |]
            }

            let paged = propose moved [ proposes paging (chunksOf moved) ] |> snd
            let again = propose paged [ proposes paging (chunksOf moved) ] |> fst
            Expect.equal (areMade again) [ false ] "there is a page now"
            let gone = act 10L moved (RemoveTopic(topicId 1)) |> snd
            Expect.equal (areMade (propose gone [ proposes paging (chunksOf moved) ] |> fst)) [ false ] "gone"

        testCase "is refused when its objects may have been collected"
        <| fun () ->
            let collected = act 8L three (CollectObjects 10L) |> snd
            let request = proposes (replacing 0L 5L [ segment "s1" 0L 5L ]) (chunksOf three)
            Expect.equal (areMade (propose collected [ request ] |> fst)) [ false ] "named at 9"

            let decision = decideShard 11L collected (ReplaceChunks([| request |], 10L))
            Expect.equal (areMade decision) [ true ] "named at 10"

        testCase "is judged after those before it in the same command"
        <| fun () ->
            let request = proposes (replacing 0L 5L [ segment "s1" 0L 5L ]) (chunksOf three)
            let decision, state = propose three [ request; request ]
            Expect.equal (areMade decision) [ true; false ] "once"
            Expect.equal state.Objects["s1"] 1 "counted once"

        testCase "of nothing only moves the end of what is clean, and never back"
        <| fun () ->
            let cleanTo offset state =
                propose state [
                    proposes { replacing offset (offset - 1L) [] with CleanedToOffset = offset } []
                ]
                |> snd

            let state = moved |> cleanTo 4L |> cleanTo 2L
            Expect.equal (Shard.partition (partition 0) state).CleanedToOffset 4L "cleaned to"
            Expect.equal (chunksOf state) (chunksOf moved) "the chunks"
    ]

let private objects =
    testList "an object" [
        testCase "is garbage from the time its last chunk has left it, until it is forgotten"
        <| fun () ->
            let _, state =
                act 20L moved (DeleteRecords [| { Partition = partition 0; BeforeOffset = -1L } |])

            Expect.isEmpty state.Objects "nothing is needed"
            Expect.equal state.Garbage["s1"] 20L "since then"
            let _, state = act 21L state (ForgetGarbage [| "s1"; "s2" |])
            Expect.isEmpty state.Garbage "forgotten"
            Expect.isEmpty (decideShard 22L state (ForgetGarbage [| "s1" |])).Events "once"

        testCase "that only a page lists is needed until the page has been freed"
        <| fun () ->
            let listed = page "p1" [ segment "s1" 0L 5L ]

            let paging = { replacing 0L 5L [] with Pages = [| listed |]; PagedReferences = [| struct ("s1", 1) |] }

            let _, paged = propose moved [ proposes paging (chunksOf moved) ]
            Expect.equal (List.ofSeq paged.Objects.Keys |> List.sort) [ "p1"; "s1" ] "both"
            let _, dead = act 20L paged (RemoveTopic(topicId 1))
            Expect.equal (List.ofSeq dead.DeadPages) [ listed ] "dead"
            Expect.equal dead.Objects.Count 2 "still counted"
            let freed = { Page = listed; References = [| struct ("s1", 1) |] }
            let decision, free = act 21L dead (FreePages [| freed; freed |])
            Expect.equal decision.Events.Length 1 "freed once"
            Expect.isEmpty free.Objects "nothing is needed"
            Expect.equal (List.ofSeq free.Garbage.Keys |> List.sort) [ "p1"; "s1" ] "garbage"
            Expect.isEmpty (decideShard 22L free (FreePages [| freed |])).Events "not again"
    ]

let private claims =
    let claim nowMs state broker =
        let decision, after = act nowMs state (ClaimCompaction(broker, 100L))

        match decision.Reply with
        | ClaimJudged isGranted -> isGranted, after
        | _ -> failtest "not the reply of a claim"

    testCase "a claim holds for its lease, and its holder may renew it"
    <| fun () ->
        let isGranted, state = claim 1000L Shard.initial 1L
        Expect.isTrue isGranted "the first"
        Expect.isFalse (fst (claim 1099L state 2L)) "not yet"
        let isRenewed, renewed = claim 1050L state 1L
        Expect.isTrue isRenewed "renewed"
        Expect.isFalse (fst (claim 1149L renewed 2L)) "counted from the renewal"
        Expect.isTrue (fst (claim 1150L renewed 2L)) "over"

let private keep = { Cleanup.ofConfigs Map.empty with Deletes = true; RetentionMs = -1L; RetentionBytes = -1L }

/// Chunks of two records and 100 bytes with these timestamps, each in a segment of its own.
let private aged (timestamps: int64 list) : Partition = {
    Partition.empty with
        HighWatermark = 2L * int64 timestamps.Length
        Chunks =
            ChunkList.CreateRange(
                timestamps
                |> List.mapi (fun index timestampMs ->
                    let first = 2L * int64 index

                    { segment $"s{index}" first (first + 1L) with MaxTimestampMs = timestampMs })
            )
}

let private retention =
    testList "retention" [
        for name, cleanup, timestamps, expected in
            [
                "deletes nothing without limits", keep, [ 1L; 2L ], 0L
                "deletes nothing without delete", { keep with Deletes = false; RetentionMs = 0L }, [ 1L; 2L ], 0L
                "by time deletes what is older", { keep with RetentionMs = 500L }, [ 499L; 500L; 501L ], 2L
                "stops at the first that is not old", { keep with RetentionMs = 500L }, [ 600L; 1L ], 0L
                "takes what has no timestamp with what comes after it",
                { keep with RetentionMs = 500L },
                [ -1L; 1L ],
                4L
                "keeps what has no timestamp before what stays", { keep with RetentionMs = 500L }, [ -1L; 600L ], 0L
                "keeps what has no timestamp at the end", { keep with RetentionMs = 500L }, [ 1L; -1L ], 2L
                "by size keeps at least so much", { keep with RetentionBytes = 150L }, [ 900L; 900L; 900L ], 2L
                "of no bytes deletes all", { keep with RetentionBytes = 0L }, [ 900L; 900L ], 4L
                "by either", { keep with RetentionMs = 500L; RetentionBytes = 200L }, [ 900L; 1L; 900L ], 4L
            ] do
            testCase name
            <| fun () ->
                Expect.equal (CompactionPlan.retentionOffset cleanup 1000L (aged timestamps)) expected "log start"

        testCase "takes whole pages"
        <| fun () ->
            let chunks = List.ofSeq (aged [ 1L; 2L; 900L ]).Chunks

            let partition = {
                aged [ 1L; 2L; 900L ] with
                    Pages = Collections.Immutable.ImmutableList.Create(page "p" (List.take 2 chunks))
                    Chunks = ChunkList.CreateRange [ List.last chunks ]
            }

            let at retentionMs =
                CompactionPlan.retentionOffset { keep with RetentionMs = retentionMs } 1000L partition

            Expect.equal (at 500L) 4L "all of it is old"
            Expect.equal (at 998L) 0L "not all of it"
            let cleanup = { keep with RetentionBytes = 100L }
            Expect.equal (CompactionPlan.retentionOffset cleanup 1000L partition) 4L "by size"

        testCase "with inline chunks"
        <| fun () ->
            let expired =
                CompactionPlan.expired (fun _ -> ValueSome { keep with RetentionBytes = 100L }) 1000L three

            Expect.equal (expired |> Array.map _.BeforeOffset) [| 4L |] "two of three"
            Expect.isEmpty (CompactionPlan.expired (fun _ -> ValueNone) 1000L three) "of topics that are known"
    ]

let private small = {
    LargeChunkBytes = 1000
    MaxChunkBytes = 2000
    MergeWidth = 3
    PagedAtChunks = 4
    UnpagedChunks = 2
    PageChunks = 3
}

let private inState (partition: Partition) = {
    Shard.initial with
        Partitions = Shard.initial.Partitions.SetItem(Given.partition 0, partition)
}

let private compacted = {
    keep with
        Deletes = false
        Compacts = true
        MinCompactionLagMs = 0L
        MinCleanableDirtyRatio = 0.0
}

let private plans =
    testList "what there is to do" [
        testCase "fresh chunks are all in some job, each entry in one, and no job is larger than it may be"
        <| fun () ->
            let jobs budget =
                CompactionPlan.freshJobs small budget three
                |> Array.map (fun job -> job |> Array.map (fun range -> range.Count) |> Array.sum)

            Expect.equal (jobs 1000L) [| 3 |] "one"
            Expect.equal (jobs 200L) [| 2; 1 |] "two"
            Expect.equal (jobs 1L) [| 1; 1; 1 |] "one for each"
            Expect.isEmpty (CompactionPlan.freshJobs small 1000L moved) "nothing is fresh in segments"

        testCase "chunks are merged once there are enough of them"
        <| fun () ->
            let jobs count =
                CompactionPlan.mergeJobs small 1000L (inState (aged [ for _ in 1..count -> 1L ]))

            Expect.isEmpty (jobs 2) "too few"
            Expect.equal (jobs 3).Length 1 "enough"

        testCase "a range that does not fit into memory is merged in parts"
        <| fun () ->
            let jobs =
                CompactionPlan.mergeJobs small 450L (inState (aged [ for _ in 1..10 -> 1L ]))

            Expect.equal
                (jobs |> Array.map (Array.map (fun range -> range.Count)))
                [| [| 4 |]; [| 4 |] |]
                "four chunks of 100 bytes in each, and the rest is not worth it yet"

        testCase "the oldest chunks come into a page, the newest stay"
        <| fun () ->
            let toPage count =
                match CompactionPlan.toPage small (partition 0) (aged [ for _ in 1..count -> 1L ]) with
                | ValueSome range -> range.Count
                | ValueNone -> 0

            Expect.equal (toPage 4) 0 "few enough"
            Expect.equal (toPage 5) 3 "all but two"

        testCase "compaction begins with what is not clean, and ends before what may not be touched"
        <| fun () ->
            let chunks = { aged [ 1L; 2L; 900L; 3L ] with CleanedToOffset = 2L }

            let find cleanup =
                CompactionPlan.cleaning cleanup 1000L (partition 0) chunks

            match find compacted with
            | ValueSome found ->
                Expect.equal (found.DirtyFromOffset, found.EndOffset, found.LastOffset) (2L, 8L, 7L) "all"
            | ValueNone -> failtest "it is due"

            match find { compacted with MinCompactionLagMs = 500L } with
            | ValueSome found -> Expect.equal (found.EndOffset, found.LastOffset) (4L, 7L) "up to the young one"
            | ValueNone -> failtest "it is due"

            let ratio cleanable =
                (find { compacted with MinCleanableDirtyRatio = cleanable }).IsSome

            Expect.isTrue (ratio 0.74) "three of four are not clean"
            Expect.isFalse (ratio 0.75) "not more than that"

            Expect.isTrue
                (find { compacted with MinCleanableDirtyRatio = 1.0; MaxCompactionLagMs = 500L }).IsSome
                "it has waited too long"

            Expect.isFalse (find { compacted with Compacts = false }).IsSome "not without compact"
    ]

let tests =
    testList "compacting" [ replacements; objects; claims; retention; plans ]
