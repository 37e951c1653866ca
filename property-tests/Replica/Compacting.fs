/// Compactors over replicas of one shard, in memory.
module Tansu.PropertyTests.Replica.Compacting

open System
open System.Threading
open System.Threading.Tasks
open Expecto
open Tansu.Adapters
open Tansu.Adapters.Compaction
open Tansu.Adapters.Ports
open Tansu.Adapters.Replica
open Tansu.Codec.Records
open Tansu.Domain
open Tansu.PropertyTests
open Tansu.PropertyTests.Replica.Rig

let private other = TopicId(Guid(2, 0s, 0s, 0uy, 0uy, 0uy, 0uy, 0uy, 0uy, 0uy, 0uy))

let kept = {
    Deletes = false
    Compacts = false
    RetentionMs = -1L
    RetentionBytes = -1L
    DeleteRetentionMs = 0L
    MinCompactionLagMs = 0L
    MaxCompactionLagMs = Int64.MaxValue
    MinCleanableDirtyRatio = 0.0
}

/// A compactor by rules that may change.
let private compactorBy (options: CompactorOptions) (rules: Cleanup ref) (one: Member) =
    Compactor(one.replica, one.reader, one.log, one.blobs, (fun _ -> ValueSome rules.Value), options)

let private compactorWith options cleanup one = compactorBy options (ref cleanup) one

let compactor cleanup one =
    compactorWith (CompactorOptions(Grace = TimeSpan.Zero)) cleanup one

let private pass (compactor: Compactor) =
    compactor.PassAsync(CancellationToken.None).WaitAsync patience

let private stateOf (one: Member) key =
    Shard.partition key one.replica.Current.State

/// The offset after the last record.
let private endOf (records: ReadOnlyMemory<byte>) =
    let mutable next = 0L
    let mutable batches = (RecordBatches records).GetEnumerator()

    while batches.MoveNext() do
        next <- batches.Current.Header.LastOffset + 1L

    next

/// The offsets of all records.
let private offsetsOf (records: ReadOnlyMemory<byte>) =
    let offsets = ResizeArray()
    let mutable batches = (RecordBatches records).GetEnumerator()

    while batches.MoveNext() do
        let entry = batches.Current
        use reader = new RecordReader(records.Slice(entry.Position, entry.TotalLength))
        let mutable each = reader.GetEnumerator()

        while each.MoveNext() do
            offsets.Add each.Current.Offset

    List.ofSeq offsets

/// The records of a partition as its readers get them, with a cache or without.
let private readAll (one: Member) key =
    task {
        let state = stateOf one key
        let found = ResizeArray<byte[]>()
        let mutable offset = state.LogStartOffset

        while offset < state.HighWatermark do
            let! records =
                one.reader.ReadAsync(state, offset, 100_000, true, CancellationToken.None)

            let bytes = records.Joined()
            found.Add(bytes.ToArray())
            offset <- endOf bytes

        return Array.concat found
    }

let private sourcesOf one key =
    (stateOf one key).Chunks |> Seq.map _.Source |> Seq.toList

/// Appends a batch of so many bytes.
let private appendLarge (one: Member) key bytes =
    task {
        let batch = recordBatch 1 bytes

        let! _ =
            one.replica.SubmitAsync(appendCommand key 1 batch, Payload [| ReadOnlyMemory batch |], patience)

        return ()
    }

let private merging =
    testList "segments" [
        for name, cacheBytes in [ "with a cache", 1_000_000L; "without", 0L ] do
            testCaseTask $"records are the same before and after, {name}; entries are superfluous then" (fun () ->
                task {
                    let! one = openWith options cacheBytes (MemorySpace())

                    for number in 0..59 do
                        let! _ = append one (partition (number % 3)) (1 + number % 4)
                        ()

                    let! before = readAll one (partition 1)
                    let! done' = pass (compactor kept one)
                    Expect.equal done'.ObjectsWritten 1L "one segment for all"
                    let! after = readAll one (partition 1)
                    Expect.equal after before "the bytes"
                    Expect.equal (sourcesOf one (partition 1)).Length 1 "one chunk"

                    Expect.equal
                        (Shard.oldestEntry one.replica.Current.State)
                        Int64.MaxValue
                        "no entry is needed for its records"

                    // Another broker, which knows nothing but the log.
                    let! again = pass (compactor kept one)
                    Expect.equal (again.ObjectsWritten + again.ChunksReplaced) 0L "nothing is left to do"
                })

        testCaseTask "small chunks are merged, eight by eight, and the objects they were in are deleted" (fun () ->
            task {
                let! one = openMember (MemorySpace())
                let compactor = compactor kept one

                for _ in 1..64 do
                    let! _ = append one (partition 0) 3
                    let! _ = pass compactor
                    ()

                let! _ = pass compactor
                Expect.isLessThan (sourcesOf one (partition 0)).Length 9 "few chunks"
                let state = one.replica.Current.State
                Expect.isLessThan state.Objects.Count 9 "few objects"
                let! records = readAll one (partition 0)
                Expect.equal records.Length (64 * (recordBatch 3 10).Length) "all records"
                let names = ResizeArray()
                let listed = one.blobs.ListAsync("", CancellationToken.None).GetAsyncEnumerator()
                let mutable more = true

                while more do
                    match! listed.MoveNextAsync() with
                    | true -> names.Add listed.Current.Name
                    | false -> more <- false

                // A pass deletes what was garbage before its last millisecond.
                Expect.all
                    names
                    (fun name -> state.Objects.ContainsKey name || state.Garbage.ContainsKey name)
                    "no strays"
            })

        testCaseTask "a byte is written again only when its chunk has become several times as large" (fun () ->
            task {
                let! one = openMember (MemorySpace())
                let compactor = compactor kept one
                let mutable written = 0L

                for _ in 1..200 do
                    do! appendLarge one (partition 0) 2_000
                    let! counts = pass compactor
                    written <- written + counts.WrittenBytes

                // 2 KB, 16 KB and 128 KB.
                Expect.isLessThan (float written) (200.0 * 2_100.0 * 4.0) "a few times"
            })

        testCaseTask "a large topic has segments to itself" (fun () ->
            task {
                let! one = openMember (MemorySpace())

                for _ in 1..3 do
                    do! appendLarge one { TopicId = other; Partition = 0 } 500_000
                    let! _ = append one (partition 0) 3
                    ()

                let! _ = pass (compactor kept one)
                let small = sourcesOf one (partition 0)
                let large = sourcesOf one { TopicId = other; Partition = 0 }
                Expect.isTrue (List.forall (fun source -> not (List.contains source large)) small) "no common segment"
            })

        testCaseTask
            "two brokers at once do no harm: the claim keeps one of them back, and without it one is refused"
            (fun () ->
                task {
                    let space = MemorySpace()
                    let! one = openMember space
                    let! two = openMember space

                    for _ in 1..20 do
                        let! _ = append one (partition 0) 3
                        ()

                    let! before = readAll one (partition 0)
                    do! two.replica.CatchUpAsync patience
                    let greedy = CompactorOptions(Grace = TimeSpan.Zero, ClaimLease = TimeSpan.Zero)
                    let first = compactorWith greedy kept one
                    let second = compactorWith greedy kept two

                    let passes = [
                        first.PassAsync CancellationToken.None
                        second.PassAsync CancellationToken.None
                    ]

                    let! _ = (Task.WhenAll passes).WaitAsync patience
                    do! one.replica.CatchUpAsync patience
                    let! after = readAll one (partition 0)
                    Expect.equal after before "the records"
                    let! claimed = pass (compactor kept one)
                    let! _ = append two (partition 0) 3
                    let! late = pass (compactor kept two)

                    Expect.equal
                        (claimed.Passes, late.Passes)
                        (0L, 0L)
                        "whoever has not claimed the shard leaves it alone"
                })
    ]

/// Spoils a byte of every data object that is read.
let private spoiling (inner: IBlobStore) = {
    new IBlobStore with
        member _.PutAsync(name, content, token) = inner.PutAsync(name, content, token)

        member _.ReadAsync(name, position, destination, token) =
            task {
                do! inner.ReadAsync(name, position, destination, token)
                destination.Span[destination.Length - 1] <- destination.Span[destination.Length - 1] ^^^ 1uy
            }
            |> ValueTask

        member _.DeleteAsync(names, token) = inner.DeleteAsync(names, token)
        member _.ListAsync(prefix, token) = inner.ListAsync(prefix, token)
}

/// Whose every look at the stopwatch takes a second, and whose timers are up at once, but counted.
type private JobsOfSeconds() =
    inherit TimeProvider()
    let mutable now = 0L
    member val Rests = ResizeArray<TimeSpan>()
    override _.TimestampFrequency = 1L
    override _.GetTimestamp() = Interlocked.Increment &now

    override this.CreateTimer(callback, state, dueTime, _) =
        this.Rests.Add dueTime
        TimeProvider.System.CreateTimer(callback, state, TimeSpan.Zero, Timeout.InfiniteTimeSpan)

let private resting =
    testList "rests" [
        for mostRest, claimLease, expected in
            [
                100.0, 100.0, List.replicate 8 3.0
                8.0, 100.0, List.replicate 8 1.0
                100.0, 8.0, List.replicate 8 2.0
                0.0, 100.0, []
            ] do
            testCaseTask
                $"a pass rests three times as long as its jobs took, at most {mostRest} s and not as long as a claim of {claimLease} s"
                (fun () ->
                    task {
                        let! one = openMember (MemorySpace())

                        for _ in 1..8 do
                            let! _ = append one (partition 0) 3
                            ()

                        let time = JobsOfSeconds()

                        let options =
                            CompactorOptions(
                                MemoryBytes = 2L,
                                MostRest = TimeSpan.FromSeconds(mostRest: float),
                                ClaimLease = TimeSpan.FromSeconds(claimLease: float),
                                TimeProvider = time
                            )

                        let! _ = pass (compactorWith options kept one)
                        Expect.equal [ for rest in time.Rests -> rest.TotalSeconds ] expected "rests"
                    })
    ]

let private careful =
    testList "what is there stays there" [
        testCaseTask "damaged records are left where they are, and told of" (fun () ->
            task {
                let! one = openWith options 0L (MemorySpace())

                for _ in 1..8 do
                    let! _ = append one (partition 0) 3
                    ()

                let! _ = pass (compactor kept one)
                let before = sourcesOf one (partition 0)
                let notices = Collections.Concurrent.ConcurrentQueue<string>()

                let options =
                    CompactorOptions(
                        Grace = TimeSpan.Zero,
                        ClaimLease = TimeSpan.Zero,
                        OnNotice = (fun notice -> notices.Enqueue notice)
                    )

                let spoiled =
                    Compactor(
                        one.replica,
                        one.reader,
                        one.log,
                        spoiling one.blobs,
                        (fun _ -> ValueSome { kept with Compacts = true }),
                        options
                    )

                let! _ = pass spoiled
                Expect.equal (sourcesOf one (partition 0)) before "nothing is replaced"
                Expect.exists notices (fun notice -> notice.Contains "damaged" || notice.Contains "CRC") "a notice"
            })

        testCaseTask "a segment that may have been collected is not taken" (fun () ->
            task {
                let! one = openMember (MemorySpace())
                let! _ = append one (partition 0) 3
                let! _ = one.replica.SubmitAsync(CollectObjects 5000L, Payload.None, patience)
                let state = stateOf one (partition 0)
                let chunk = state.Chunks[0]

                let replacement = {
                    New = {
                        Partition = partition 0
                        FirstOffset = chunk.BaseOffset
                        LastOffset = chunk.LastOffset
                        Pages = [||]
                        Chunks = [| { chunk with Source = Segment "data/shard-0/0000000004999-x-1" } |]
                        PagedReferences = [||]
                        CleanedToOffset = 0L
                        MarkersRemovedBelow = 0L
                    }
                    OldPages = [||]
                    OldChunks = [| chunk |]
                }

                let judge namedAtMs =
                    task {
                        match!
                            one.replica.SubmitAsync(
                                ReplaceChunks([| replacement |], namedAtMs),
                                Payload.None,
                                patience
                            )
                        with
                        | ReplacementsJudged [| isMade |] -> return isMade
                        | _ -> return failtest "not an answer to that"
                    }

                let! late = judge 4999L
                let! good = judge 5000L
                let! again = judge 5000L
                Expect.equal (late, good, again) (false, true, false) "only a young one, only once"
            })

        testCaseTask
            "what an earlier broker left is trimmed by the first pass that can, however late it comes"
            (fun () ->
                task {
                    let! one = openMember (MemorySpace())
                    let time = Host.ManualTime()

                    let compactor =
                        compactorWith
                            (CompactorOptions(TimeProvider = time, TrimGrace = TimeSpan.FromHours 1.0))
                            kept
                            one

                    time.Advance(TimeSpan.FromHours 9.0)
                    one.log.FailTrims 1

                    do! failsWith<StoreUnavailableException>(pass compactor)

                    for _ in 1..3 do
                        let! _ = pass compactor
                        Expect.equal one.log.Trims 2 "once more, and then no more"
                })
        testCaseTask "a reader whose state is old gets its records after a second look" (fun () ->
            task {
                let trimming =
                    ReplicaOptions(
                        FirstBackoff = options.FirstBackoff,
                        SnapshotEveryEntries = 1,
                        SnapshotLeastShareOfState = 0.0
                    )

                let! one = openWith trimming 0L (MemorySpace())
                let! _ = append one (partition 0) 3
                let old = stateOf one (partition 0)
                let compactor = compactor kept one

                // Moved, and two snapshots later the entry is gone.
                for _ in 1..4 do
                    let! _ = pass compactor
                    let! _ = append one (partition 1) 1
                    do! one.replica.LastSave

                let! isGone =
                    task {
                        try
                            let! _ = one.reader.ReadAsync(old, 0L, 1000, true, CancellationToken.None)
                            return false
                        with :? EntryMissingException ->
                            return true
                    }

                Expect.isTrue isGone "the old place is empty"

                let! records = readAll one (partition 0)
                Expect.equal records.Length (recordBatch 3 10).Length "what it was"
            })
    ]

/// The store finds this object no more, or refuses to give it away.
let private without (lost: string ref) (failure: string -> exn) (inner: IBlobStore) = {
    new IBlobStore with
        member _.PutAsync(name, content, token) = inner.PutAsync(name, content, token)

        member _.ReadAsync(name, position, destination, token) =
            if name = lost.Value then
                raise (failure name)

            inner.ReadAsync(name, position, destination, token)

        member _.DeleteAsync(names, token) = inner.DeleteAsync(names, token)
        member _.ListAsync(prefix, token) = inner.ListAsync(prefix, token)
}

let private losses =
    testList "what cannot be read" [
        for what, failure in
            [
                "is missing", (fun name -> BlobMissingException(name, $"{name} is gone") :> exn)
                "is refused", (fun name -> StoreRefusedException $"{name} is gone")
                "is unavailable", (fun name -> StoreUnavailableException $"{name} is gone")
            ] do
            testCaseTask $"and {what} is told of once, and the rest of the pass goes on" (fun () ->
                task {
                    let lost = ref ""
                    let! one = openThrough (without lost failure) options 0L (MemorySpace())
                    let notices = Collections.Generic.List<string>()
                    let rules = ref kept

                    let options =
                        CompactorOptions(Grace = TimeSpan.Zero, OnNotice = (fun text -> notices.Add text))

                    let compactor = compactorBy options rules one

                    // Each has a segment to itself.
                    for number in 0..2 do
                        for _ in 1..3 do
                            let! _ = append one (partition number) 3
                            ()

                        let! _ = pass compactor
                        ()

                    lost.Value <-
                        match sourcesOf one (partition 0) with
                        | [ Segment name ] -> name
                        | other -> failtest $"{other}"

                    let! before = readAll one (partition 1)
                    rules.Value <- { kept with Compacts = true }
                    let! counts = pass compactor
                    Expect.equal counts.PartitionsCleaned 2L "the others"
                    let! after = readAll one (partition 1)
                    Expect.isLessThan after.Length before.Length "by key"
                    Expect.isGreaterThan counts.ObjectsDeleted 0L "what they were in is collected"
                    Expect.hasLength notices 1 "told once"
                    Expect.stringContains notices[0] lost.Value "of what"
                })

        testCaseTask "is left alone for a while by cleaning, and an index page has another one after it" (fun () ->
            task {
                let lost = ref ""

                let! one =
                    openThrough (without lost (fun name -> StoreUnavailableException name)) options 0L (MemorySpace())

                let notices = Collections.Generic.List<string>()
                let rules = ref kept

                let limits = {
                    LargeChunkBytes = 1
                    MaxChunkBytes = 100_000
                    MergeWidth = 2
                    PagedAtChunks = 2
                    UnpagedChunks = 1
                    PageChunks = 100
                }

                let options =
                    CompactorOptions(OnNotice = (fun text -> notices.Add text), Limits = limits)

                let compactor = compactorBy options rules one

                let write times =
                    task {
                        for _ in 1..times do
                            for number in 0..1 do
                                let! _ = append one (partition number) 3
                                ()

                            let! _ = pass compactor
                            ()
                    }

                let pagesOf number =
                    (stateOf one (partition number)).Pages |> Seq.toList

                do! write 4
                let page = Expect.wantSome (List.tryLast (pagesOf 0)) "a page"
                lost.Value <- page.ObjectName
                let before = notices.Count
                do! write 3
                Expect.equal (pagesOf 0).Length 2 "one more"
                Expect.equal (pagesOf 0).Head page "after the one that is lost"
                Expect.isGreaterThan notices.Count before "told"
                rules.Value <- { kept with Compacts = true }
                let before = notices.Count

                for _ in 1..3 do
                    let! _ = pass compactor
                    ()

                Expect.equal notices.Count (before + 1) "tried once"
            })
    ]

let private retention =
    testList "retention and keys" [
        testCaseTask "retention.bytes moves the log start on, and what it frees is deleted" (fun () ->
            task {
                let! one = openMember (MemorySpace())

                let compactor =
                    compactor { kept with Deletes = true; RetentionBytes = 300_000L } one

                for _ in 1..60 do
                    do! appendLarge one (partition 0) 20_000
                    let! _ = pass compactor
                    ()

                let state = stateOf one (partition 0)
                Expect.isGreaterThan state.LogStartOffset 0L "it has moved"

                Expect.isLessThan
                    (Partition.sizeBytes state)
                    500_000L
                    "little is left: a merged chunk more than allowed"

                Expect.isGreaterThanOrEqual (Partition.sizeBytes state) 300_000L "but not too little"
            })

        testCaseTask
            "compaction by key keeps the last record of each key at its offset, in as many passes as the memory takes"
            (fun () ->
                task {
                    let! one = openMember (MemorySpace())

                    // Keys 0 to 9 in every batch.
                    for _ in 1..20 do
                        let! _ = append one (partition 0) 10
                        ()

                    // Room for a single key or so.
                    let options = CompactorOptions(Grace = TimeSpan.Zero, MemoryBytes = 200L)
                    let! done' = pass (compactorWith options { kept with Compacts = true } one)
                    Expect.isGreaterThan done'.PartitionsCleaned 1L "several passes"
                    let! records = readAll one (partition 0)
                    let offsets = offsetsOf (ReadOnlyMemory records)
                    Expect.equal offsets [ 190L .. 199L ] "the last batch's"
                    Expect.equal (stateOf one (partition 0)).CleanedToOffset 200L "everything is clean"
                })
    ]

let tests = testList "compacting" [ merging; resting; careful; losses; retention ]
