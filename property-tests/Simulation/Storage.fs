namespace Tansu.PropertyTests.Simulation

open System
open System.Collections.Generic
open Tansu.Adapters.Replica
open Tansu.Domain

/// What has been seen of each kind of replacement.
[<Struct>]
type ReplacementCounts = {
    /// Several chunks became fewer.
    Merges: int
    /// Chunks came to be listed by a page, or by one more page.
    Paged: int
    /// Chunks that a page lists were cleaned.
    PagesCleaned: int
    PagesFreed: int
} with

    static member (+)(left, right) = {
        Merges = left.Merges + right.Merges
        Paged = left.Paged + right.Paged
        PagesCleaned = left.PagesCleaned + right.PagesCleaned
        PagesFreed = left.PagesFreed + right.PagesFreed
    }

/// What is decided about a record.
[<RequireQualifiedAccess>]
type Fate =
    /// It is in no transaction.
    | Plain
    /// Its transaction is open in the partition.
    | Undecided
    | Committed
    | Aborted
    /// It is a marker.
    | Marker

/// What compactors may do to stored records, and what they have done: looks at every event, and reads what it refers to.
[<Sealed>]
type StorageChecks(cleanupOf: TopicId -> Cleanup voption, tryGetObject: string -> byte[], violation: string -> unit) =
    /// By offset, whatever has become of them.
    let records = Dictionary<TopicPartition, List<SimulatedRecord>>()

    /// By offset: the time of their entries.
    let storedAt = Dictionary<TopicPartition, List<int64>>()

    /// By offset.
    let fates = Dictionary<TopicPartition, List<Fate>>()

    /// The offsets of the records that a reader has to be given.
    let present = Dictionary<TopicPartition, HashSet<int64>>()

    /// What pages list, by their objects and positions.
    let pages = Dictionary<struct (string * int), Chunk[]>()

    /// Up to where somebody has asked for records to be deleted.
    let toDelete = Dictionary<TopicPartition, int64>()

    let mutable counts = { Merges = 0; Paged = 0; PagesCleaned = 0; PagesFreed = 0 }

    /// The most by which two brokers' clocks differ.
    let skewMs = 10_000L

    let orNew (known: Dictionary<TopicPartition, 'Value>) (make: unit -> 'Value) key =
        match known.TryGetValue key with
        | true, value -> value
        | _ ->
            let value = make ()
            known[key] <- value
            value

    let recordsOf key =
        orNew records (fun () -> List<SimulatedRecord>()) key

    let timesOf key = orNew storedAt List<int64> key
    let fatesOf key = orNew fates List<Fate> key

    /// Whether the record says what the value of its key is.
    let isValue key (offset: int) =
        match (fatesOf key)[offset] with
        | Fate.Plain
        | Fate.Committed -> true
        | Fate.Undecided
        | Fate.Aborted
        | Fate.Marker -> false

    let presentIn key = orNew present HashSet<int64> key
    let name (key: TopicPartition) = $"partition {key.Partition}"

    let cleanup (key: TopicPartition) =
        cleanupOf key.TopicId |> ValueOption.defaultValue (Cleanup.ofConfigs Map.empty)

    let listed (page: IndexPage) =
        match pages.TryGetValue(struct (page.ObjectName, page.Position)) with
        | true, chunks -> chunks
        | _ ->
            violation $"page at {page.Position} of {page.ObjectName} was never seen"
            [||]

    let readPage (page: IndexPage) =
        match tryGetObject page.ObjectName with
        | null -> violation $"visible before durable: the page {page.ObjectName} is not stored"
        | content ->
            let chunks =
                CompactionCodec.DecodePage(ReadOnlyMemory(content, page.Position, page.Length))

            pages[struct (page.ObjectName, page.Position)] <- chunks

            if
                chunks[0].BaseOffset <> page.BaseOffset
                || chunks[chunks.Length - 1].LastOffset <> page.LastOffset
                || chunks.Length <> page.ChunkCount
                || Array.sumBy (fun (chunk: Chunk) -> int64 chunk.Length) chunks
                   <> page.RecordBytes
                || (chunks |> Seq.map _.MaxTimestampMs |> Seq.max) <> page.MaxTimestampMs
            then
                violation $"the page at {page.Position} of {page.ObjectName} does not list what it says"

    /// All chunks of a partition, those that pages list first.
    let chunksOf (partition: Partition) =
        Seq.append (Seq.collect listed partition.Pages) partition.Chunks

    /// Reads a chunk that is said to hold records of a partition: their offsets.
    let readChunk number key (chunk: Chunk) : int64 list =
        match chunk.Source with
        | InlineEntry entry ->
            violation $"entry {number} puts chunks of {name key} into entry {entry}"
            []
        | DataObject _ -> [ chunk.BaseOffset .. chunk.LastOffset ]
        | Segment segment ->
            match tryGetObject segment with
            | null ->
                violation $"visible before durable: entry {number} refers to {segment}, which is not stored"
                []
            | content when chunk.Position + chunk.Length > content.Length ->
                violation $"entry {number} refers to bytes of {segment} that are not there"
                []
            | content ->
                let found, next = Batches.readAll (Array.sub content chunk.Position chunk.Length)

                let known = recordsOf key

                for struct (offset, record) in found do
                    if offset >= int64 known.Count || known[int offset] <> record then
                        violation $"entry {number} has another record at offset {offset} of {name key}: {record}"

                    if offset < chunk.BaseOffset || offset > chunk.LastOffset then
                        violation
                            $"entry {number} has a chunk {chunk.BaseOffset} to {chunk.LastOffset} of {name key} with offset {offset}"

                if next <> chunk.LastOffset + 1L then
                    violation
                        $"entry {number} has a chunk of {name key} that ends at {chunk.LastOffset}, its batches at {next - 1L}"

                [ for struct (offset, _) in found -> offset ]

    /// For each key of a partition, a reader from the start must end with the newest value.
    let checkNewest number key logStart =
        let known = recordsOf key
        let here = presentIn key
        let isSettled = HashSet<int>()

        for index in known.Count - 1 .. -1 .. int logStart do
            let record = known[index]

            if
                isValue key index
                && isSettled.Add record.Key
                && not (here.Contains(int64 index))
            then
                if not record.IsTombstone then
                    violation
                        $"lost record: after entry {number} the newest of key {record.Key} in {name key}, offset {index}, is gone"
                else
                    for offset in here do
                        if
                            offset >= logStart
                            && known[int offset].Key = record.Key
                            && isValue key (int offset)
                        then
                            violation
                                $"a deleted key comes back: after entry {number} offset {offset} of {name key} has a value of key {record.Key}, and the tombstone at {index} is gone"

    let replace number timeMs (before: ShardState) (replaced: ChunksReplaced) =
        let key = replaced.Partition
        let logStart = (Shard.partition key before).LogStartOffset
        let here = presentIn key
        let known = recordsOf key
        Array.iter readPage replaced.Pages

        let chunks =
            Seq.append (Seq.collect listed replaced.Pages) replaced.Chunks |> Seq.toArray

        for earlier, later in Seq.pairwise chunks do
            if later.BaseOffset <= earlier.LastOffset then
                violation $"entry {number} has chunks of {name key} out of order"

        let kept = HashSet<int64>(chunks |> Seq.collect (readChunk number key))

        for offset in kept do
            if offset < replaced.FirstOffset || offset > replaced.LastOffset then
                violation $"entry {number} has offset {offset} of {name key} outside of what it replaces"

            if offset >= logStart && not (here.Contains offset) then
                violation $"a record comes back: offset {offset} of {name key} with entry {number}"

        let isCompacted = (cleanup key).Compacts

        for offset in max logStart replaced.FirstOffset .. replaced.LastOffset do
            if here.Contains offset && not (kept.Contains offset) then
                here.Remove offset |> ignore

                if not isCompacted then
                    violation $"lost record: entry {number} drops offset {offset} of {name key}"

                if (fatesOf key)[int offset] = Fate.Undecided then
                    violation $"lost record: entry {number} drops offset {offset} of {name key}, which is not decided"

                let isNewest =
                    isValue key (int offset)
                    && seq { int offset + 1 .. known.Count - 1 }
                       |> Seq.forall (fun later -> known[later].Key <> known[int offset].Key || not (isValue key later))

                if
                    isNewest
                    && timeMs - (timesOf key)[int offset] < (cleanup key).DeleteRetentionMs - skewMs
                then
                    violation $"entry {number} drops the tombstone at offset {offset} of {name key} too early"

        if isCompacted then
            checkNewest number key logStart

        let struct (oldPages, oldChunks) =
            Partition.inRange replaced.FirstOffset replaced.LastOffset (Shard.partition key before)

        counts <-
            counts
            + {
                  Merges =
                      (if oldChunks.Count > replaced.Chunks.Length && replaced.Chunks.Length > 0 then
                           1
                       else
                           0)
                  Paged =
                      (if oldChunks.Count > 0 && replaced.Pages.Length > 0 then
                           1
                       else
                           0)
                  PagesCleaned = (if oldPages.Count > 0 && oldChunks.Count = 0 then 1 else 0)
                  PagesFreed = 0
              }

    /// Whether retention or somebody's request allows that the log starts there.
    let advance number timeMs (before: ShardState) key offset =
        let partition = Shard.partition key before
        let rules = cleanup key
        let known = recordsOf key

        let asked =
            match toDelete.TryGetValue key with
            | true, asked -> asked
            | _ -> 0L

        if offset < partition.LogStartOffset then
            violation $"the log start offset of {name key} goes back from {partition.LogStartOffset} to {offset}"

        if offset > partition.HighWatermark then
            violation $"the log of {name key} starts at {offset}, and ends at {partition.HighWatermark}"

        if offset > asked then
            let chunks = chunksOf partition |> Seq.toArray

            let bytesFrom first =
                chunks
                |> Seq.filter (fun chunk -> chunk.LastOffset >= first)
                |> Seq.sumBy (fun chunk -> int64 chunk.Length)

            for chunk in chunks do
                if chunk.BaseOffset < offset then
                    let isOld (record: SimulatedRecord) =
                        record.TimestampMs < timeMs - rules.RetentionMs

                    let areOld =
                        rules.RetentionMs >= 0L
                        && Seq.forall
                            (fun index -> not ((presentIn key).Contains index) || isOld known[int index])
                            (seq { max partition.LogStartOffset chunk.BaseOffset .. min (offset - 1L) chunk.LastOffset })

                    // Cleaning may have made the rest smaller since it was looked at.
                    let areTooMany =
                        rules.RetentionBytes >= 0L
                        && (rules.Compacts
                            || bytesFrom (min offset (chunk.LastOffset + 1L)) >= rules.RetentionBytes)

                    if not (rules.Deletes && (areOld || areTooMany)) then
                        violation
                            $"entry {number} deletes records of {name key} up to {offset}, those from {chunk.BaseOffset} too early"

        (presentIn key).RemoveWhere(fun one -> one < offset) |> ignore

    member _.Counts = counts

    /// All records of a partition by offset.
    member _.RecordsOf key = recordsOf key

    /// Whether a record may be missing.
    member _.IsGone(key, offset) = not ((presentIn key).Contains offset)

    /// What a reader that begins now at the partition's start must know of each key when it has read everything; -1 for a tombstone.
    member _.NewestOf(key) : Map<int, int64> =
        recordsOf key
        |> Seq.indexed
        |> Seq.filter (fun (offset, _) -> isValue key offset)
        |> Seq.map (fun (_, record) -> record.Key, (if record.IsTombstone then -1L else record.Id))
        |> Map.ofSeq

    /// What is decided about the record at an offset.
    member _.FateOf(key, offset: int64) = (fatesOf key)[int offset]

    /// Somebody is about to ask for records to be deleted.
    member _.OnToDelete(key, offset) =
        toDelete[key] <-
            match toDelete.TryGetValue key with
            | true, before -> max before offset
            | _ -> offset

    /// Records were appended.
    member _.OnAppended(key, record, timeMs) =
        let known = recordsOf key
        (presentIn key).Add(int64 known.Count) |> ignore
        known.Add record
        (timesOf key).Add timeMs

        (fatesOf key)
            .Add(
                if record.IsControl then Fate.Marker
                elif record.IsTransactional then Fate.Undecided
                else Fate.Plain
            )

    /// A transaction of a producer ended in a partition.
    member _.OnMarker(key, producerId, isCommit) =
        let known = recordsOf key
        let fates = fatesOf key

        for offset in 0 .. known.Count - 1 do
            if fates[offset] = Fate.Undecided && known[offset].ProducerId = producerId then
                fates[offset] <- if isCommit then Fate.Committed else Fate.Aborted

    /// Before an event is applied.
    member _.OnEvent(number: int64, timeMs: int64, before: ShardState, event: ShardEvent) =
        match event with
        | ChunksReplaced replaced -> replace number timeMs before replaced
        | LogStartOffsetAdvanced(key, offset) -> advance number timeMs before key offset
        | PageFreed _ -> counts <- { counts with PagesFreed = counts.PagesFreed + 1 }
        | _ -> ()

    /// Every object counts exactly the chunks and pages that are in it.
    member _.CheckCounts(number: int64, state: ShardState) =
        let counts = Dictionary<string, int>()

        let count (objectName: string | null) =
            match objectName with
            | null -> ()
            | objectName ->
                counts[objectName] <-
                    match counts.TryGetValue objectName with
                    | true, before -> before + 1
                    | _ -> 1

        let countPage (page: IndexPage) =
            count page.ObjectName

            for chunk in listed page do
                count chunk.Source.ObjectName

        for partition in state.Partitions.Values do
            for chunk in partition.Chunks do
                count chunk.Source.ObjectName

            Seq.iter countPage partition.Pages

        Seq.iter countPage state.DeadPages

        let isEqual =
            counts.Count = state.Objects.Count
            && counts
               |> Seq.forall (fun (KeyValue(name, count)) ->
                   match state.Objects.TryGetValue name with
                   | true, counted -> counted = count
                   | _ -> false)

        if not isEqual then
            violation $"after entry {number} references are miscounted"

        if state.Garbage.Keys |> Seq.exists state.Objects.ContainsKey then
            violation $"after entry {number} an object is needed and garbage"
