namespace Tansu.Domain

open System
open System.Collections.Generic
open System.Globalization

/// What becomes of a topic's old records, from its configuration.
type Cleanup = {
    /// `cleanup.policy` has `delete`.
    Deletes: bool
    /// `cleanup.policy` has `compact`.
    Compacts: bool
    /// `retention.ms`; -1 for no limit.
    RetentionMs: int64
    /// `retention.bytes`; -1 for no limit.
    RetentionBytes: int64
    /// `delete.retention.ms`.
    DeleteRetentionMs: int64
    /// `min.compaction.lag.ms`.
    MinCompactionLagMs: int64
    /// `max.compaction.lag.ms`.
    MaxCompactionLagMs: int64
    /// `min.cleanable.dirty.ratio`.
    MinCleanableDirtyRatio: float
}

/// Chunks of one partition that follow one another. It only says where they are in the list: a plan may have all that a partition has.
[<NoComparison; NoEquality>]
type ChunkRange = {
    /// The partition.
    Partition: TopicPartition
    /// The partition's chunks.
    List: ChunkList
    /// The index of the first one.
    First: int
    /// How many there are; at least one.
    Count: int
} with

    /// The chunks, copied.
    member this.ToArray() =
        this.List.ToArray(this.First, this.Count)

/// What compaction by key has to read of a partition.
[<NoComparison>]
type Cleaning = {
    /// The partition.
    Partition: TopicPartition
    /// Its pages, all of them.
    Pages: IndexPage[]
    /// Its chunks after the pages, up to the first that may not be compacted yet.
    Chunks: Chunk[]
    /// Where the part begins that has not been compacted yet.
    DirtyFromOffset: int64
    /// The end (exclusive) of what may be compacted.
    EndOffset: int64
    /// The partition's last record: it always stays, so that consumers reach the end.
    LastOffset: int64
    /// The transactions that were aborted before the end: their records go.
    Aborted: AbortedTransaction[]
}

/// The sizes by which a compactor goes. `Default` fits stores that count requests; tests take smaller ones.
type CompactionLimits = {
    /// A chunk of this size or more is worth a request of its own, and is not merged with others, in bytes.
    LargeChunkBytes: int
    /// The most bytes of a chunk that a compactor makes, unless a single batch is larger: what is read with one request, and a reader holds in memory
    /// for however little of it. At least twice `LargeChunkBytes`, so that merging small chunks always makes them fewer.
    MaxChunkBytes: int
    /// Chunks are merged once there are so many of like size next to each other, so that each byte is written again only when its chunk
    /// has become several times as large.
    MergeWidth: int
    /// A partition with more chunks than this in the state (fresh ones do not count) …
    PagedAtChunks: int
    /// … keeps so many there. More than the smaller chunks that can be waiting for others to be merged with.
    UnpagedChunks: int
    /// The most chunks that one index page lists.
    PageChunks: int
} with

    /// What brokers use.
    static member Default = {
        LargeChunkBytes = 1048576
        MaxChunkBytes = 2097152
        MergeWidth = 8
        PagedAtChunks = 96
        UnpagedChunks = 48
        PageChunks = 256
    }

/// Reads a topic's configuration.
[<RequireQualifiedAccess>]
module Cleanup =
    let private number name configs =
        Int64.Parse(TopicConfig.effective name configs, CultureInfo.InvariantCulture)

    /// From a topic's own settings; Kafka's defaults for the others.
    let ofConfigs (configs: Map<string, string>) =
        let policies =
            (TopicConfig.effective "cleanup.policy" configs).Split(',', StringSplitOptions.TrimEntries)

        {
            Deletes = Array.contains "delete" policies
            Compacts = Array.contains "compact" policies
            RetentionMs = number "retention.ms" configs
            RetentionBytes = number "retention.bytes" configs
            DeleteRetentionMs = number "delete.retention.ms" configs
            MinCompactionLagMs = number "min.compaction.lag.ms" configs
            MaxCompactionLagMs = number "max.compaction.lag.ms" configs
            MinCleanableDirtyRatio =
                Double.Parse(TopicConfig.effective "min.cleanable.dirty.ratio" configs, CultureInfo.InvariantCulture)
        }

/// What a compactor has to do. Everything here looks at one state and proposes; whether it may be done is decided when it is.
[<RequireQualifiedAccess>]
module CompactionPlan =
    /// Whether a chunk is where a producer's broker has put it, among those of other partitions, and too small to stay there.
    let isFresh (limits: CompactionLimits) (chunk: Chunk) =
        match chunk.Source with
        | InlineEntry _ -> true
        | DataObject _ -> chunk.Length < limits.LargeChunkBytes
        | Segment _ -> false

    /// Where the log starts once `retention.ms` and `retention.bytes` have been applied; never below where it starts now. Whole pages and chunks go.
    let retentionOffset (cleanup: Cleanup) (nowMs: int64) (partition: Partition) =
        if not cleanup.Deletes then
            partition.LogStartOffset
        else
            let mutable target = partition.LogStartOffset
            let mutable bytes = Partition.sizeBytes partition
            let mutable goesOn = true

            let judge lastOffset maxTimestampMs length =
                // What has no timestamp goes with what comes after it.
                let isTimeless = maxTimestampMs < 0L

                let isOld =
                    cleanup.RetentionMs >= 0L
                    && not isTimeless
                    && maxTimestampMs < nowMs - cleanup.RetentionMs

                let isTooMuch =
                    cleanup.RetentionBytes >= 0L && bytes - length >= cleanup.RetentionBytes

                if isOld || isTooMuch then
                    target <- max target (lastOffset + 1L)
                elif not isTimeless then
                    goesOn <- false

                bytes <- bytes - length

            let mutable page = 0

            while goesOn && page < partition.Pages.Count do
                let found = partition.Pages[page]
                judge found.LastOffset found.MaxTimestampMs found.RecordBytes
                page <- page + 1

            let mutable chunk = 0

            while goesOn && chunk < partition.Chunks.Count do
                let found = partition.Chunks[chunk]
                judge found.LastOffset found.MaxTimestampMs (int64 found.Length)
                chunk <- chunk + 1

            target

    /// What retention has to delete now.
    let expired (cleanup: TopicId -> Cleanup voption) (nowMs: int64) (state: ShardState) = [|
        for KeyValue(key, partition) in state.Partitions do
            match cleanup key.TopicId with
            | ValueSome cleanup ->
                let target = retentionOffset cleanup nowMs partition

                if target > partition.LogStartOffset then
                    { Partition = key; BeforeOffset = target }
            | ValueNone -> ()
    |]

    let private byPartition =
        Comparer<ChunkRange>.Create(fun left right ->
            let byTopic = left.Partition.TopicId.Value.CompareTo right.Partition.TopicId.Value

            if byTopic <> 0 then
                byTopic
            elif left.Partition.Partition <> right.Partition.Partition then
                compare left.Partition.Partition right.Partition.Partition
            else
                compare left.First right.First)

    let private inOrder (ranges: ResizeArray<ChunkRange>) =
        ranges.Sort byPartition
        ranges.ToArray()

    /// All chunks of a partition that the state has.
    let private whole (key: TopicPartition) (partition: Partition) = {
        Partition = key
        List = partition.Chunks
        First = 0
        Count = partition.Chunks.Count
    }

    /// Those of a range that follow one another and to which a function gives the same number, with that number; what it gives less than 0 is left out.
    let private runsBy (number: Chunk -> int) (range: ChunkRange) (take: int -> ChunkRange -> unit) =
        let mutable first = range.First
        let mutable current = -1
        let past = range.First + range.Count

        for index in range.First .. past do
            let next = if index = past then -1 else number range.List[index]

            if next <> current then
                if current >= 0 then
                    take current { range with First = first; Count = index - first }

                first <- index
                current <- next

    /// The chunks of a range that a test picks, those that follow one another together.
    let private runs (picks: Chunk -> bool) (range: ChunkRange) (ranges: ResizeArray<ChunkRange>) =
        runsBy (fun chunk -> if picks chunk then 0 else -1) range (fun _ found -> ranges.Add found)

    /// Data objects that hold records of several topics: where one topic's records stay the others' could not be deleted.
    let private mixed (state: ShardState) =
        let topicOf = Dictionary<string, TopicId>()
        let mixed = HashSet<string>()

        for KeyValue(key, partition) in state.Partitions do
            for chunk in partition.Chunks do
                match chunk.Source with
                | DataObject name ->
                    match topicOf.TryGetValue name with
                    | true, topicId ->
                        if topicId.Value <> key.TopicId.Value then
                            mixed.Add name |> ignore
                    | _ -> topicOf.Add(name, key.TopicId)
                | InlineEntry _
                | Segment _ -> ()

        mixed

    /// The fresh chunks, in jobs of at most so many bytes (or of one source). A job has all that is fresh in some entries and data objects, the
    /// oldest first, so that each is read once; its ranges are in the order of the partitions.
    let freshJobs (limits: CompactionLimits) (budgetBytes: int64) (state: ShardState) : ChunkRange[][] =
        // First how many bytes of each source are fresh.
        let numbers = SourceNumbers()
        let mixed = mixed state

        let isFresh (chunk: Chunk) =
            isFresh limits chunk
            || (chunk.Source.IsDataObject
                && match chunk.Source.ObjectName with
                   | null -> false
                   | name -> mixed.Contains name)

        for KeyValue(_, partition) in state.Partitions do
            for chunk in partition.Chunks do
                if isFresh chunk then
                    numbers.Add(chunk.Source, int64 chunk.Length)

        let jobs = ResizeArray<ResizeArray<ChunkRange>>()
        let bytesOfLast = ref 0L

        // From here on a source's number is that of its job, from 1.
        numbers.ChangeInOrder(fun bytes ->
            if jobs.Count = 0 || bytesOfLast.Value + bytes > budgetBytes then
                jobs.Add(ResizeArray<ChunkRange>())
                bytesOfLast.Value <- 0L

            bytesOfLast.Value <- bytesOfLast.Value + bytes
            int64 jobs.Count)

        for KeyValue(key, partition) in state.Partitions do
            runsBy
                (fun chunk -> if isFresh chunk then int numbers[chunk.Source] - 1 else -1)
                (whole key partition)
                (fun job range -> jobs[job].Add range)

        jobs |> Seq.map inOrder |> Seq.toArray

    /// Each next class begins at eight times the size.
    let private sizeClass (length: int) =
        let mutable size = length
        let mutable found = 0

        while size > 0 do
            size <- size >>> 3
            found <- found + 1

        found

    let private lengths (range: ChunkRange) =
        Seq.init range.Count (fun index -> int64 range.List[range.First + index].Length)

    /// The bytes of a range's chunks.
    let lengthOf (range: ChunkRange) = Seq.sum (lengths range)

    /// Whether merging makes of the largest one something several times as large: otherwise it would be written again and again.
    let private isWorthwhile (limits: CompactionLimits) (range: ChunkRange) =
        range.Count >= limits.MergeWidth
        && lengthOf range >= int64 (limits.MergeWidth / 2) * Seq.max (lengths range)

    /// Small chunks of like size next to each other that have become enough to be merged.
    let private mergeable
        (limits: CompactionLimits)
        (key: TopicPartition)
        (partition: Partition)
        (ranges: ResizeArray<ChunkRange>)
        =
        let small = ResizeArray<ChunkRange>()

        if partition.Chunks.Count >= limits.MergeWidth then
            runs
                (fun chunk -> not (isFresh limits chunk) && chunk.Length < limits.LargeChunkBytes)
                (whole key partition)
                small

        for range in small do
            // The smallest class that has enough of its own or a smaller size next to each other.
            let rec find sizeLimit =
                if sizeLimit > sizeClass (limits.LargeChunkBytes - 1) then
                    ()
                else
                    let alike = ResizeArray<ChunkRange>()

                    runs (fun chunk -> sizeClass chunk.Length <= sizeLimit) range alike

                    match alike |> Seq.filter (isWorthwhile limits) |> Seq.toArray with
                    | [||] -> find (sizeLimit + 1)
                    | enough -> ranges.AddRange enough

            if range.Count >= limits.MergeWidth then
                find 0

    /// Parts of at most so many bytes, of a range that would not fit into memory.
    let private partsOf (budgetBytes: int64) (range: ChunkRange) : ChunkRange list = [
        if lengthOf range <= budgetBytes then
            range
        else
            let mutable first = range.First
            let mutable bytes = 0L

            for index in range.First .. range.First + range.Count - 1 do
                let length = int64 range.List[index].Length

                if bytes + length > budgetBytes && index > first then
                    { range with First = first; Count = index - first }
                    first <- index
                    bytes <- 0L

                bytes <- bytes + length

            { range with First = first; Count = range.First + range.Count - first }
    ]

    let private inJobs budgetBytes (ranges: ResizeArray<ChunkRange>) =
        let jobs = ResizeArray<ChunkRange[]>()
        let job = ResizeArray<ChunkRange>()
        let mutable bytes = 0L

        for range in inOrder ranges do
            let length = lengthOf range

            if job.Count > 0 && bytes + length > budgetBytes then
                jobs.Add(job.ToArray())
                job.Clear()
                bytes <- 0L

            job.Add range
            bytes <- bytes + length

        if job.Count > 0 then
            jobs.Add(job.ToArray())

        jobs.ToArray()

    /// Small chunks in segments that have become enough to be merged, in jobs of at most so many bytes. Neighbours are in one job, since they are
    /// neighbours in the segments as well.
    let mergeJobs (limits: CompactionLimits) (budgetBytes: int64) (state: ShardState) : ChunkRange[][] =
        let ranges = ResizeArray<ChunkRange>()

        for KeyValue(key, partition) in state.Partitions do
            mergeable limits key partition ranges

        ranges
        |> Seq.collect (partsOf budgetBytes)
        |> Seq.filter (isWorthwhile limits)
        |> ResizeArray
        |> inJobs budgetBytes

    /// The chunks in objects of which less than half is still needed, in jobs of at most so many bytes: written anew they let the objects go, as which they
    /// would stay for as long as one chunk in them does. Objects in which chunks are that pages list are left alone.
    let sparseJobs
        (budgetBytes: int64)
        (sizes: IReadOnlyDictionary<string, int64>)
        (state: ShardState)
        : ChunkRange[][] =
        let needed = Dictionary<string, struct (int * int64)>()

        for KeyValue(_, partition) in state.Partitions do
            for chunk in partition.Chunks do
                match chunk.Source.ObjectName with
                | null -> ()
                | name ->
                    let struct (count, bytes) =
                        match needed.TryGetValue name with
                        | true, before -> before
                        | _ -> struct (0, 0L)

                    needed[name] <- struct (count + 1, bytes + int64 chunk.Length)

        let isSparse (name: string) =
            match needed.TryGetValue name, state.Objects.TryGetValue name, sizes.TryGetValue name with
            | (true, struct (count, bytes)), (true, references), (true, size) -> count = references && bytes < size / 2L
            | _ -> false

        let sparse = HashSet<string>(Seq.filter isSparse needed.Keys)
        let ranges = ResizeArray<ChunkRange>()

        if sparse.Count > 0 then
            for KeyValue(key, partition) in state.Partitions do
                runs
                    (fun chunk ->
                        match chunk.Source.ObjectName with
                        | null -> false
                        | name -> sparse.Contains name)
                    (whole key partition)
                    ranges

        ranges |> Seq.collect (partsOf budgetBytes) |> ResizeArray |> inJobs budgetBytes

    /// What compaction by key has to do in a partition now; none if less than `min.cleanable.dirty.ratio` of it is new, or there is nothing
    /// that `min.compaction.lag.ms` lets it touch.
    let cleaning (cleanup: Cleanup) (nowMs: int64) (key: TopicPartition) (partition: Partition) : Cleaning voption =
        let stableOffset = Partition.lastStableOffset partition

        let isSettled (chunk: Chunk) =
            not chunk.Source.IsInlineEntry
            && chunk.BaseOffset < stableOffset
            && (cleanup.MinCompactionLagMs = 0L
                || chunk.MaxTimestampMs <= nowMs - cleanup.MinCompactionLagMs)

        let chunks = partition.Chunks |> Seq.takeWhile isSettled |> Seq.toArray
        let dirtyFrom = max partition.CleanedToOffset partition.LogStartOffset
        let mutable dirty = 0L
        let mutable all = 0L
        let mutable oldestDirtyMs = Int64.MaxValue
        let mutable endOffset = 0L

        let count lastOffset maxTimestampMs length =
            all <- all + length
            endOffset <- lastOffset + 1L

            if lastOffset >= dirtyFrom then
                dirty <- dirty + length
                oldestDirtyMs <- min oldestDirtyMs maxTimestampMs

        for page in partition.Pages do
            count page.LastOffset page.MaxTimestampMs page.RecordBytes

        for chunk in chunks do
            count chunk.LastOffset chunk.MaxTimestampMs (int64 chunk.Length)

        let endOffset = min endOffset stableOffset

        let isDue =
            cleanup.Compacts
            && dirty > 0L
            && endOffset > dirtyFrom
            && (float dirty / float all > cleanup.MinCleanableDirtyRatio
                || oldestDirtyMs < nowMs - cleanup.MaxCompactionLagMs)

        if isDue then
            ValueSome {
                Partition = key
                Pages = Seq.toArray partition.Pages
                Chunks = chunks
                DirtyFromOffset = dirtyFrom
                EndOffset = endOffset
                LastOffset = partition.HighWatermark - 1L
                Aborted =
                    partition.AbortedTransactions
                    |> Seq.filter (fun aborted -> aborted.FirstOffset < endOffset)
                    |> Seq.toArray
            }
        else
            ValueNone

    /// The partitions that have to be compacted by key now, in order.
    let cleanings (cleanup: TopicId -> Cleanup voption) (nowMs: int64) (state: ShardState) = [|
        for KeyValue(key, partition) in state.Partitions do
            match cleanup key.TopicId with
            | ValueSome cleanup when cleanup.Compacts ->
                match cleaning cleanup nowMs key partition with
                | ValueSome found -> found
                | ValueNone -> ()
            | _ -> ()
    |]

    /// The chunks at the front of a partition that are to be listed by an index page; none if the state can keep them.
    let toPage (limits: CompactionLimits) (key: TopicPartition) (partition: Partition) : ChunkRange voption =
        let settled =
            partition.Chunks
            |> Seq.takeWhile (fun chunk -> not (isFresh limits chunk))
            |> Seq.length

        if settled > limits.PagedAtChunks then
            ValueSome { whole key partition with Count = settled - limits.UnpagedChunks }
        else
            ValueNone
