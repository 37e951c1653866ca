/// Reading records, from the cache or the store, and waiting for them.
module Tansu.PropertyTests.Replica.Reading

open System
open System.Collections.Generic
open System.Threading
open System.Threading.Tasks
open Expecto
open Tansu.Adapters
open Tansu.Adapters.Reading
open Tansu.Adapters.Replica
open Tansu.Codec.Records
open Tansu.Domain
open Tansu.PropertyTests
open Tansu.PropertyTests.Replica.Rig

let private baseOffsets (records: ReadOnlyMemory<byte>) =
    let offsets = ResizeArray()
    let mutable batches = (RecordBatches records).GetEnumerator()

    while batches.MoveNext() do
        offsets.Add(batches.Current.Header.BaseOffset)

    List.ofSeq offsets

/// Ten batches of three records, each in an entry of its own.
let private filled cacheBytes =
    task {
        let! one = openWith options cacheBytes (MemorySpace())

        for _ in 1..10 do
            let! _ = (append one (partition 0) 3).WaitAsync patience
            ()

        return one, Shard.partition (partition 0) one.replica.Current.State
    }

let private read (one: Member) state offset maxBytes atLeastOne =
    task {
        let! records =
            one.reader.ReadAsync(state, offset, maxBytes, atLeastOne, CancellationToken.None)

        return records.Joined()
    }

let private batchBytes = (recordBatch 3 10).Length

/// How many regions 1,000 blocks lie in, in a cache of eight regions of ten blocks, when so many of the last blocks are still being read.
let private regionsUsed readers =
    let cache = RecordCache 80_000L
    let seen = HashSet<obj>(HashIdentity.Reference)
    let held = Queue<RecordLease>()

    for number in 1L .. 1000L do
        let lease = new RecordLease()
        let block = (cache.Reserve(1000, lease)).Value
        seen.Add block.Region.Bytes |> ignore
        cache.Publish(CacheKey(0, number, null, CacheKey.Whole), block)
        held.Enqueue lease

        if held.Count > readers then
            held.Dequeue().Dispose()

    seen.Count

let private reading =
    testList "reading" [
        for name, cacheBytes in [ "from the cache", 1_000_000L; "from the store", 0L ] do
            testCaseTask $"{name}: whole batches from the one that holds the offset, with their offsets set" (fun () ->
                task {
                    let! one, state = filled cacheBytes

                    for offset in 0L .. 29L do
                        let! records = read one state offset Int32.MaxValue true

                        Expect.equal
                            (baseOffsets records)
                            [ for first in offset / 3L .. 9L -> first * 3L ]
                            "base offsets"

                    let! atEnd = read one state 30L Int32.MaxValue true
                    Expect.equal atEnd.Length 0 "nothing at the end"
                })

            testCaseTask $"{name}: no more than was asked for, but one batch at least if so asked" (fun () ->
                task {
                    let! one, state = filled cacheBytes
                    let! two = read one state 4L (2 * batchBytes + 1) true
                    Expect.equal (baseOffsets two) [ 3L; 6L ] "two fit"
                    let! one' = read one state 4L 1 true
                    Expect.equal (baseOffsets one') [ 3L ] "one all the same"
                    let! none = read one state 4L 1 false
                    Expect.equal none.Length 0 "none"
                })

        testCaseTask "nothing is loaded that begins where the reader is to stop" (fun () ->
            task {
                let! one, state = filled 0L
                use lease = new RecordLease()

                let! records =
                    one.reader.ReadAsync(
                        state,
                        0L,
                        6L,
                        ReadLimits(Int32.MaxValue, true),
                        lease,
                        CancellationToken.None
                    )

                Expect.equal (baseOffsets (records.Joined())) [ 0L; 3L ] "two batches"
                Expect.equal one.log.PayloadReads 2 "of ten"
            })

        testCaseTask "a read that is abandoned lasts as long as what the store was asked for" (fun () ->
            task {
                let! one, state = filled 0L
                let gate = TaskCompletionSource()
                one.log.BeforePayload <- fun () -> gate.Task
                use lease = new RecordLease()
                use leaving = new CancellationTokenSource()
                let limits = ReadLimits(Int32.MaxValue, true)

                let reading =
                    one.reader.ReadAsync(state, 0L, 30L, limits, lease, leaving.Token).AsTask()

                leaving.Cancel()
                Expect.equal one.log.PayloadReads 10 "asked for"
                Expect.isFalse reading.IsCompleted "its memory is theirs"
                gate.SetResult()
                do! (reading :> Task).ContinueWith(ignore<Task>).WaitAsync patience
            })

        testCaseTask "behind an index page nothing is given as long as the first batch there does not fit" (fun () ->
            task {
                let! one = openMember (MemorySpace())
                let large = recordBatch 3 200
                let small = recordBatch 3 1
                RecordBatchEditor.SetBaseOffset(Span small, 3L)

                let put (name: string) (content: byte[]) =
                    one.blobs.PutAsync(name, Buffers.ReadOnlySequence content, CancellationToken.None)

                do! put "s" (Array.append large small)

                let chunk first position (bytes: byte[]) : Chunk = {
                    BaseOffset = first
                    LastOffset = first + 2L
                    Source = Segment "s"
                    Position = position
                    Length = bytes.Length
                    MaxTimestampMs = 2L
                }

                let chunks = [ chunk 0L 0 large; chunk 3L large.Length small ]
                let pages = [ for chunk in chunks -> CompactionCodec.EncodePage [| chunk |] ]
                do! put "p" (Array.concat pages)

                let page index position : IndexPage = {
                    BaseOffset = chunks[index].BaseOffset
                    LastOffset = chunks[index].LastOffset
                    ObjectName = "p"
                    Position = position
                    Length = pages[index].Length
                    ChunkCount = 1
                    RecordBytes = int64 chunks[index].Length
                    MaxTimestampMs = 2L
                }

                let state = {
                    Partition.empty with
                        HighWatermark = 6L
                        Pages = Collections.Immutable.ImmutableList.Create(page 0 0, page 1 pages[0].Length)
                }

                let! none = read one state 0L small.Length false
                Expect.equal none.Length 0 "the small one comes after the large one"
                let! first = read one state 0L small.Length true
                Expect.equal (baseOffsets first) [ 0L ] "the first one all the same"
                let! second = read one state 3L small.Length false
                Expect.equal (baseOffsets second) [ 3L ] "the second one fits"
            })

        testCaseTask "the cache keeps its bound, and the newest" (fun () ->
            task {
                let cache = RecordCache 250L

                let key number =
                    CacheKey(0, number, null, CacheKey.Whole)

                let has number =
                    use lease = new RecordLease()
                    fst (cache.TryGet(key number, lease))

                for number in 1L .. 3L do
                    cache.Add(key number, Array.zeroCreate 100)

                Expect.equal (has 1L, has 2L, has 3L) (false, true, true) "the oldest went"
                cache.Add(key 4L, Array.zeroCreate 251)
                Expect.isFalse (has 4L) "too large for the cache"
                Expect.equal cache.Bytes 200L "bytes"
            })

        testCase "whoever holds a lease reads what was there, however much is written meanwhile" (fun () ->
            let random = Random(Check.seed |> int)

            let key number =
                CacheKey(0, number, null, CacheKey.Whole)

            for _ in 1..20 do
                let capacity = int64 (random.Next(1, 4000))
                let cache = RecordCache capacity
                let held = List<struct (RecordLease * ReadOnlyMemory<byte> * int64)>()
                let mutable written = 0L

                let write () =
                    written <- written + 1L
                    use lease = new RecordLease()

                    match cache.Reserve(random.Next(1, 300), lease) |> Option.ofNullable with
                    | Some block ->
                        block.Memory.Span.Fill(byte written)

                        // Others go on while this one is written.
                        if random.Next 8 > 0 then
                            cache.Publish(key written, block)
                    | None -> ()

                let read () =
                    let number = written - int64 (random.Next 30)
                    let lease = new RecordLease()
                    let found, bytes = cache.TryGet(key number, lease)

                    if found then
                        held.Add(struct (lease, bytes, number))

                let release () =
                    if held.Count > 0 then
                        let index = random.Next held.Count
                        let struct (lease, bytes, number) = held[index]
                        Expect.isFalse (bytes.Span.ContainsAnyExcept(byte number)) "as it was written"
                        lease.Dispose()
                        lease.Dispose()
                        held.RemoveAt index

                for _ in 1..1000 do
                    match random.Next 10 with
                    | 0
                    | 1 -> read ()
                    | 2
                    | 3 -> release ()
                    | _ -> write ()

                    Expect.isLessThanOrEqual cache.Bytes capacity "within the bound")

        testCase "records that nobody reads make room in memory that is there" (fun () ->
            Expect.equal (regionsUsed 0) 8 "regions")

        testCase "so do records that somebody still read when their time had come" (fun () ->
            // Longer than the eight regions take to come round.
            Expect.isLessThanOrEqual (regionsUsed 100) 12 "regions, and half as many that are read")
    ]

let private waiting =
    testList "waiting" [
        testCaseTask "a commit wakes who waits for its partition, and nobody else" (fun () ->
            task {
                let! one = openMember (MemorySpace())
                use hears = one.waiters.Register [ partition 0; partition 1 ]
                use deaf = one.waiters.Register [ partition 2 ]
                let! _ = (append one (partition 1) 1).WaitAsync patience
                do! hears.Changed.WaitAsync patience
                Expect.isFalse deaf.Changed.IsCompleted "another partition"
                hears.Rearm()
                Expect.isFalse hears.Changed.IsCompleted "armed again"
                let! _ = (append one (partition 0) 1).WaitAsync patience
                do! hears.Changed.WaitAsync patience
            })

        testCaseTask "the removal of a topic wakes who waits for any of its partitions" (fun () ->
            task {
                let! one = openMember (MemorySpace())
                use hears = one.waiters.Register [ partition 5 ]

                let! _ =
                    one.replica.SubmitAsync(RemoveTopic topic, Tansu.Adapters.Replica.Payload.None, patience)

                do! hears.Changed.WaitAsync patience
            })

        testCase
            "a thread that serves clients goes on with a few of them afterwards, and others do with the rest"
            (fun () ->
                let waiters = PartitionWaiters()
                let here = Environment.CurrentManagedThreadId

                let waiting =
                    List.init 6 (fun _ ->
                        let waiter = waiters.Register([ partition 0; partition 1 ], isBrief = true)

                        task {
                            // As a fetch waits.
                            do! waiter.Changed.WaitAsync(patience, TimeProvider.System, CancellationToken.None)
                            waiter.Dispose()
                            return Environment.CurrentManagedThreadId
                        })

                Afterwards.Begin()

                let woken =
                    try
                        // One commit for both: the second signal is none.
                        waiters.Wake(partition 0)
                        waiters.Wake(partition 1)
                        waiting |> List.filter _.IsCompleted
                    finally
                        Afterwards.Run()

                Expect.isLessThanOrEqual woken.Length 2 "not before it runs"
                Expect.isTrue (Task.WhenAll(waiting).Wait patience) "all are woken"

                let onThis = waiting |> List.filter (fun one -> one.Result = here) |> List.length

                Expect.equal onThis 4 "on this thread")

        testCase "signals of other threads, and of waiters that are not brief, do not wait for it" (fun () ->
            let waiters = PartitionWaiters()
            use brief = waiters.Register([ partition 0 ], isBrief = true)
            use other = waiters.Register [ partition 1 ]
            Afterwards.Begin()

            try
                let thread = Thread(fun () -> waiters.Wake(partition 0))
                thread.Start()
                thread.Join()
                waiters.Wake(partition 1)
                Expect.isTrue other.Changed.IsCompleted "not brief"
                Expect.isTrue (brief.Changed.Wait patience) "another thread's"
            finally
                Afterwards.Run())

        testCase "a signal on its way is not given twice, and the next one is after rearming" (fun () ->
            let waiters = PartitionWaiters()
            use waiter = waiters.Register([ partition 0 ], isBrief = true)
            Afterwards.Begin()
            waiters.Wake(partition 0)
            let first = waiter.Changed
            waiter.Rearm()
            let isSame = obj.ReferenceEquals(waiter.Changed, first)
            Afterwards.Run()
            Expect.isTrue (isSame && first.IsCompleted) "one that is on its way is still the one to wait for"
            waiter.Rearm()
            Expect.isFalse waiter.Changed.IsCompleted "armed again"
            waiters.Wake(partition 0)
            Expect.isTrue (waiter.Changed.Wait patience) "signalled again")
    ]

let tests = testList "reading" [ reading; waiting ]
