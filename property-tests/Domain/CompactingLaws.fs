/// What holds for every history in which compactors take part.
module Tansu.PropertyTests.Domain.CompactingLaws

open System
open System.Collections.Generic
open Expecto
open Tansu.Adapters.Replica
open Tansu.Codec
open Tansu.Domain
open Tansu.PropertyTests
open Tansu.PropertyTests.Domain.Given

/// A history: the state, and what the state does not know itself.
type private History(seed: int) =
    let random = Random seed
    let contents = Dictionary<string, Chunk list>()
    let present = Dictionary<TopicPartition, HashSet<int64>>()
    let mutable state = Shard.initial
    let mutable entry = 0L
    let mutable nowMs = 1000L
    let mutable names = 0

    member _.Random = random
    member _.State = state
    member _.Entry = entry
    member _.NowMs = nowMs

    /// What a page lists, by the page's object.
    member _.Contents = contents

    member _.Present key =
        match present.TryGetValue key with
        | true, offsets -> offsets
        | _ ->
            let offsets = HashSet<int64>()
            present[key] <- offsets
            offsets

    member _.NewName kind =
        names <- names + 1
        $"{kind}{names}"

    /// Decides, evolves, and gives what was decided with the states before and after.
    member _.Do(command, dataObject) =
        nowMs <- nowMs + random.NextInt64 50L
        entry <- entry + 1L
        let before = state

        let decision =
            Shard.decide shardSettings state command { at nowMs with DataObject = dataObject }

        for event in decision.Events do
            state <- Shard.evolve state event { EntryNumber = entry; TimeMs = nowMs }

        decision, before

let private keys = [|
    for topic in 1..2 do
        for number in 0..1 -> { TopicId = topicId topic; Partition = number }
|]

let private offsetsOf (chunks: seq<Chunk>) =
    chunks
    |> Seq.collect (fun chunk -> seq { chunk.BaseOffset .. chunk.LastOffset })

let private listed (history: History) (page: IndexPage) = history.Contents[page.ObjectName]

let private references (chunks: Chunk list) (gone: Chunk list) =
    let names = chunks @ gone |> List.map _.Source.ObjectName |> List.distinct

    [|
        for name in names do
            let count =
                List.filter (fun (chunk: Chunk) -> chunk.Source.ObjectName = name)
                >> List.length

            match name, count chunks - count gone with
            | null, _
            | _, 0 -> ()
            | name, change -> struct (name, change)
    |]

/// A part of a list, not empty.
let private part (random: Random) (items: 'Item list) =
    let first = random.Next items.Length
    items |> List.skip first |> List.truncate (random.Next(1, 5))

/// What a cleaning leaves of chunks: some go, some lose records at their ends, and some stay.
let private cleaned (history: History) (chunks: Chunk list) =
    let name = history.NewName "s"

    chunks
    |> List.collect (fun chunk ->
        match history.Random.Next 4 with
        | 0 -> []
        | 1 when chunk.BaseOffset < chunk.LastOffset -> [
            { chunk with BaseOffset = chunk.BaseOffset + 1L; Source = Segment name; Length = chunk.Length - 1 }
          ]
        | 2 when chunk.BaseOffset < chunk.LastOffset -> [
            { chunk with LastOffset = chunk.LastOffset - 1L; Source = Segment name; Length = chunk.Length - 1 }
          ]
        | _ -> [ { chunk with Source = Segment name } ])

/// The chunks in one, or in two if they are many. Merging is over gaps as well.
let private merged (history: History) (chunks: Chunk list) =
    let name = history.NewName "s"

    List.splitInto (history.Random.Next(1, 3)) chunks
    |> List.map (fun part -> {
        part.Head with
            LastOffset = (List.last part).LastOffset
            Source = Segment name
            Length = part |> List.sumBy _.Length
            MaxTimestampMs = part |> List.map _.MaxTimestampMs |> List.max
    })

let private newPage (history: History) (chunks: Chunk list) =
    let page = Compacting.page (history.NewName "p") chunks
    history.Contents[page.ObjectName] <- chunks
    page

/// A proposal for a partition that has something, with the offsets that are no longer there if it is taken.
let private proposal (history: History) key (partition: Partition) : ChunksToReplace =
    let random = history.Random
    let chunks = List.ofSeq partition.Chunks
    let pages = List.ofSeq partition.Pages

    let made (first, last) pages chunks references = {
        Partition = key
        FirstOffset = first
        LastOffset = last
        Pages = List.toArray pages
        Chunks = List.toArray chunks
        PagedReferences = references
        CleanedToOffset = if random.Next 4 = 0 then last + 1L else 0L
        MarkersRemovedBelow = 0L
    }

    let range (chunks: Chunk list) =
        chunks.Head.BaseOffset, (List.last chunks).LastOffset

    let ofChunks change =
        let old = part random chunks

        {
            New = made (range old) [] (change history old) [||]
            OldPages = [||]
            OldChunks = List.toArray old
        }

    let settled = chunks |> List.takeWhile (fun chunk -> not chunk.Source.IsInlineEntry)

    match random.Next 5 with
    | 0 when not settled.IsEmpty ->
        // The last page is written anew with more in it, or there is another one.
        let old = List.truncate (random.Next(1, 4)) settled

        let last =
            if random.Next 2 = 0 then
                List.tryLast pages |> Option.toList
            else
                []

        let listedBefore = List.collect (listed history) last
        let all = listedBefore @ old

        {
            New = made (range all) [ newPage history all ] [] (references old [])
            OldPages = List.toArray last
            OldChunks = List.toArray old
        }
    | 1 when not pages.IsEmpty ->
        let page = pages[random.Next pages.Length]
        let before = listed history page
        let after = cleaned history before
        let replacedBy = if after.IsEmpty then [] else [ newPage history after ]

        {
            New = made (page.BaseOffset, page.LastOffset) replacedBy [] (references after before)
            OldPages = [| page |]
            OldChunks = [||]
        }
    | 2 when not chunks.IsEmpty -> ofChunks cleaned
    | _ when not chunks.IsEmpty -> ofChunks merged
    | _ -> {
        New = made (partition.HighWatermark, partition.HighWatermark - 1L) [] [] [||]
        OldPages = [||]
        OldChunks = [||]
      }

let private chunksIn (history: History) (replaced: ChunksReplaced) =
    Seq.append (Seq.collect (listed history) replaced.Pages) replaced.Chunks

/// What the proposal takes away is no longer present.
let private forget (history: History) (replaced: ChunksReplaced) (old: seq<Chunk>) =
    let isMade = HashSet<int64>(offsetsOf (chunksIn history replaced))
    let here = history.Present replaced.Partition

    for offset in offsetsOf old do
        if not (isMade.Contains offset) then
            here.Remove offset |> ignore

let private isTaken (state: ShardState) (request: ChunksToReplace) namedAtMs =
    let partition = Shard.partition request.New.Partition state

    let isIn first last =
        first >= request.New.FirstOffset && last <= request.New.LastOffset

    state.Partitions.ContainsKey request.New.Partition
    && namedAtMs >= state.ObjectsCollectedBeforeMs
    && (partition.Pages
        |> Seq.filter (fun page -> isIn page.BaseOffset page.LastOffset)
        |> Seq.toArray)
        =
        request.OldPages
    && (partition.Chunks
        |> Seq.filter (fun chunk -> isIn chunk.BaseOffset chunk.LastOffset)
        |> Seq.toArray)
        =
        request.OldChunks

/// One step of a history, with its decision and the state before.
let private step (history: History) (stale: ResizeArray<ChunksToReplace>) =
    let random = history.Random
    let state = history.State
    let key = keys[random.Next keys.Length]
    let partition = Shard.partition key state

    let propose (request: ChunksToReplace) =
        let namedAtMs =
            if random.Next 10 = 0 then
                history.NowMs - 500L
            else
                history.NowMs

        let decision, before = history.Do(ReplaceChunks([| request |], namedAtMs), null)

        Expect.equal
            decision.Reply
            (ReplacementsJudged [| isTaken before request namedAtMs |])
            "taken exactly if it is what was read"

        if decision.Events.Length > 0 then
            let old =
                Seq.append (Seq.collect (listed history) request.OldPages) request.OldChunks

            forget history request.New old

        decision, before

    match random.Next 20 with
    | 0 ->
        history.Do(
            DeleteRecords [|
                { Partition = key; BeforeOffset = random.NextInt64(partition.HighWatermark + 1L) }
            |],
            null
        )
    | 1 when random.Next 8 = 0 -> history.Do(RemoveTopic key.TopicId, null)
    | 2 -> history.Do(CollectObjects(history.NowMs - random.NextInt64 300L), null)
    | 3
    | 4 ->
        let freed = [|
            for page in state.DeadPages do
                if random.Next 2 = 0 then
                    { Page = page; References = references (listed history page) [] }
        |]

        history.Do(FreePages(Array.append freed (Array.truncate 1 freed)), null)
    | 5 ->
        let names = [|
            for name in state.Garbage.Keys do
                if random.Next 2 = 0 then
                    name
        |]

        history.Do(ForgetGarbage names, null)
    | 6 when stale.Count > 0 -> propose stale[random.Next stale.Count]
    | 7
    | 8
    | 9
    | 10
    | 11
    | 12
    | 13 ->
        let request = proposal history key partition
        stale.Add request
        propose request
    | _ ->
        let dataObject: string | null =
            match random.Next 3 with
            | 0 -> null
            // Several entries may refer to one.
            | 1 when state.Objects.Count > 0 && random.Next 2 = 0 ->
                state.Objects.Keys |> Seq.sort |> Seq.tryFind _.StartsWith('d') |> Option.toObj
            | _ -> history.NewName "d"

        let batches = [|
            for _ in 0 .. random.Next 4 -> batch keys[random.Next keys.Length] (random.Next(1, 4))
        |]

        let decision, before = history.Do(AppendBatches batches, dataObject)

        for event in decision.Events do
            match event with
            | BatchAppended batch ->
                for index in 0 .. batch.LastOffsetDelta do
                    (history.Present batch.Partition).Add(batch.BaseOffset + int64 index) |> ignore
            | _ -> ()

        decision, before

let private counted (history: History) =
    let state = history.State

    let ofPage (page: IndexPage) =
        page.ObjectName :: (listed history page |> List.map _.Source.ObjectName)

    [
        for partition in state.Partitions.Values do
            for chunk in partition.Chunks do
                chunk.Source.ObjectName

            for page in partition.Pages do
                yield! ofPage page

        for page in state.DeadPages do
            yield! ofPage page
    ]
    |> List.filter (isNull >> not)
    |> List.countBy id
    |> Map.ofList

let private checkObjects (history: History) (decision: Decision<ShardEvent, ShardReply>) (before: ShardState) =
    let state = history.State
    let objects = Map.ofSeq (state.Objects |> Seq.map (|KeyValue|))
    Expect.equal objects (counted history) "every object counts what is in it"

    let forgotten =
        decision.Events
        |> Array.collect (function
            | GarbageForgotten names -> names
            | _ -> [||])
        |> Set.ofArray

    for name in state.Garbage.Keys do
        Expect.isFalse (state.Objects.ContainsKey name) "what is needed is no garbage"

        match before.Garbage.TryGetValue name with
        | true, sinceMs -> Expect.equal state.Garbage[name] sinceMs "since the same time"
        | _ -> Expect.equal state.Garbage[name] history.NowMs "since now"

    for name in before.Objects.Keys do
        Expect.isTrue (state.Objects.ContainsKey name || state.Garbage.ContainsKey name) "needed, or garbage"

    for name in before.Garbage.Keys do
        Expect.isTrue
            (state.Garbage.ContainsKey name
             || state.Objects.ContainsKey name
             || forgotten.Contains name)
            "garbage until it is forgotten"

let private checkPartitions (history: History) (before: ShardState) =
    for KeyValue(key, partition) in history.State.Partitions do
        let earlier = Shard.partition key before
        Expect.isGreaterThanOrEqual partition.HighWatermark earlier.HighWatermark "high watermark"
        Expect.isGreaterThanOrEqual partition.LogStartOffset earlier.LogStartOffset "log start offset"
        Expect.isGreaterThanOrEqual partition.CleanedToOffset earlier.CleanedToOffset "cleaned to"

        let all =
            Seq.append (Seq.collect (listed history) partition.Pages) partition.Chunks
            |> Seq.toArray

        for one, next in Seq.pairwise all do
            Expect.isLessThan one.LastOffset next.BaseOffset "in order, without overlap"

        for offset in history.Present key do
            if offset >= partition.LogStartOffset then
                let page = Partition.pagesBefore offset partition

                let chunks =
                    if page < partition.Pages.Count && partition.Pages[page].BaseOffset <= offset then
                        ChunkList.CreateRange(listed history partition.Pages[page])
                    else
                        partition.Chunks

                let index = chunks.IndexOf offset
                Expect.isLessThan index chunks.Count $"offset {offset} is somewhere"
                let found = chunks[index]

                Expect.isTrue
                    (found.BaseOffset <= offset && offset <= found.LastOffset)
                    $"offset {offset} is in the chunk that is found for it"

    let oldest =
        history.State.Partitions.Values
        |> Seq.collect _.Chunks
        |> Seq.choose (fun chunk ->
            match chunk.Source with
            | InlineEntry number -> Some number
            | _ -> None)
        |> Seq.fold min Int64.MaxValue

    Expect.equal (Shard.oldestEntry history.State) oldest "the oldest entry that is needed"

let private bytesOf (state: ShardState) =
    use writer = new KafkaWriter()
    (ShardCodec() :> ILogCodec<ShardState, ShardEvent>).WriteState(writer, state)
    writer.ToArray()

let private restored (bytes: byte[]) =
    let mutable reader =
        KafkaReader(ReadOnlyMemory bytes, KafkaReader.DefaultMaxElements)

    let state = (ShardCodec() :> ILogCodec<ShardState, ShardEvent>).ReadState &reader
    reader.RequireEnd()
    state

let private stored (event: ShardEvent) =
    use writer = new KafkaWriter()
    (ShardCodec() :> ILogCodec<ShardState, ShardEvent>).WriteEvent(writer, event)

    let mutable reader =
        KafkaReader(ReadOnlyMemory(writer.ToArray()), KafkaReader.DefaultMaxElements)

    let back = (ShardCodec() :> ILogCodec<ShardState, ShardEvent>).ReadEvent &reader
    reader.RequireEnd()
    back

let tests =
    testList "laws of compacting" [
        testCase "the histories have everything in them"
        <| fun () ->
            let seen = HashSet<string>()

            for seed in 1..100 do
                let history = History seed
                let stale = ResizeArray()

                for _ in 1..80 do
                    let decision, before = step history stale

                    match decision.Reply with
                    | ReplacementsJudged [| false |] -> seen.Add "refused" |> ignore
                    | _ -> ()

                    for event in decision.Events do
                        match event with
                        | ChunksReplaced replaced ->
                            let struct (pages, chunks) =
                                Shard.partition replaced.Partition before
                                |> Partition.inRange replaced.FirstOffset replaced.LastOffset

                            match pages.Count, chunks.Count, replaced.Pages.Length, replaced.Chunks.Length with
                            | 0, 0, 0, 0 -> seen.Add "marked clean"
                            | 0, _, 1, 0 -> seen.Add "paged"
                            | 1, 0, 1, 0 -> seen.Add "page cleaned"
                            | 1, 0, 0, 0 -> seen.Add "page gone"
                            | 1, _, 1, 0 -> seen.Add "page with more"
                            | 0, before, 0, after when after < before -> seen.Add "merged"
                            | _ -> seen.Add "moved"
                            |> ignore
                        | PageFreed _ -> seen.Add "page freed" |> ignore
                        | GarbageForgotten _ -> seen.Add "garbage forgotten" |> ignore
                        | TopicRemoved _ -> seen.Add "topic removed" |> ignore
                        | LogStartOffsetAdvanced _ -> seen.Add "records deleted" |> ignore
                        | _ -> ()

            Expect.equal
                (Set.ofSeq seen)
                (Set [
                    "refused"
                    "marked clean"
                    "paged"
                    "page cleaned"
                    "page gone"
                    "page with more"
                    "merged"
                    "moved"
                    "page freed"
                    "garbage forgotten"
                    "topic removed"
                    "records deleted"
                ])
                "kinds of steps"

        Check.property "objects are counted right, nothing goes back, and every offset is found" (fun (seed: int) ->
            let history = History seed
            let stale = ResizeArray()

            for _ in 1..80 do
                let decision, before = step history stale
                checkObjects history decision before
                checkPartitions history before)

        Check.property "events and snapshots read back, and snapshot and tail are the fold of all" (fun (seed: int) ->
            let history = History seed
            let stale = ResizeArray()
            let snapshotAt = history.Random.Next 60
            let mutable other = Shard.initial

            for number in 1..60 do
                let decision, _ = step history stale

                for event in decision.Events do
                    let back = stored event
                    Expect.equal back event "the event"
                    other <- Shard.evolve other back { EntryNumber = history.Entry; TimeMs = history.NowMs }

                if number = snapshotAt then
                    other <- restored (bytesOf other)

            Expect.equal (bytesOf other) (bytesOf history.State) "the same state")
    ]
