/// Record batches that travel in data objects: bundled, uploaded ahead of commits, renewed, collected.
module Tansu.PropertyTests.Replica.Objects

open System
open System.Buffers
open System.Threading
open System.Threading.Tasks
open Expecto
open Tansu.Adapters
open Tansu.Adapters.Ports
open Tansu.Adapters.Replica
open Tansu.Domain
open Tansu.PropertyTests.Host
open Tansu.PropertyTests.Replica.Rig
open Tansu.PropertyTests.Replica.ScriptedLog

/// Three of these batches fit inline, ten into an object, of which five are worth one while an entry is appended.
let private batchBytes = (recordBatch 1 10).Length

let private bundling =
    ReplicaOptions(
        FirstBackoff = options.FirstBackoff,
        MaxBackoff = options.MaxBackoff,
        InlinePayloadBytes = 3 * batchBytes,
        DataObjectBytes = 10 * batchBytes
    )

let private listed (blobs: IBlobStore) prefix =
    task {
        let names = ResizeArray<string>()
        let found = blobs.ListAsync(prefix, CancellationToken.None).GetAsyncEnumerator()
        let mutable more = true

        while more do
            match! found.MoveNextAsync() with
            | true -> names.Add found.Current.Name
            | false -> more <- false

        return List.ofSeq names
    }

let private sources (one: Member) key = [
    for chunk in (Shard.partition key one.replica.Current.State).Chunks do
        chunk.Source
]

/// An upload of so many batches waits for its gate. Which of several comes first nobody knows.
let private waitingFor (gates: Map<int, Task>) =
    beforePuts (fun content -> gates[int content.Length / batchBytes])

/// Submits while the log's first append waits, so that all the rest is one flush.
let private flushOf count =
    task {
        let! one = openWith bundling 1_000_000L (MemorySpace())
        let gate = TaskCompletionSource()
        one.log.Script [ After gate.Task ]
        let first = append one (partition 0) 1
        SpinWait.SpinUntil(fun () -> one.log.Appends = 1)
        let others = [ for index in 1..count -> append one (partition index) 1 ]
        gate.SetResult()
        let! _ = first.WaitAsync patience
        let! _ = (Task.WhenAll others).WaitAsync patience
        let! objects = listed one.blobs "data/shard-0/"
        return one, objects
    }

let private flushes =
    testList "a flush" [
        for batches, objects in [ 1, 0; 3, 0; 4, 1; 5, 1; 8, 1; 10, 2; 25, 5 ] do
            testCaseTask
                $"of {batches} batches for as many partitions is {objects} data object(s) and one entry"
                (fun () ->
                    task {
                        let! one, stored = flushOf batches
                        Expect.equal one.replica.Current.EntryNumber 2L "entries"
                        Expect.equal stored.Length objects "objects"

                        for index in 1..batches do
                            let state = Shard.partition (partition index) one.replica.Current.State
                            let! records = one.reader.ReadAsync(state, 0L, 10_000, true, CancellationToken.None)
                            Expect.equal records.Length batchBytes "it reads back"
                    })

        testCaseTask "waits for the objects that were begun during the append before it, not for the next" (fun () ->
            task {
                let five, four = TaskCompletionSource(), TaskCompletionSource()
                let gates = Map [ 5, five.Task; 4, four.Task ]
                let! one = openThrough (waitingFor gates) bundling 1_000_000L (MemorySpace())
                let appending = TaskCompletionSource()
                one.log.Script [ After appending.Task ]
                let first = append one (partition 0) 1
                SpinWait.SpinUntil(fun () -> one.log.Appends = 1)
                let begun = [ for index in 1..5 -> append one (partition index) 1 ]
                let next = [ for index in 6..9 -> append one (partition index) 1 ]
                appending.SetResult()
                let! _ = first.WaitAsync patience
                five.SetResult()
                let! _ = (Task.WhenAll begun).WaitAsync patience
                Expect.isFalse (next |> List.exists _.IsCompleted) "their object is still on its way"
                four.SetResult()
                let! _ = (Task.WhenAll next).WaitAsync patience
                Expect.equal one.replica.Current.EntryNumber 3L "entries"
            })

        testCaseTask "reads back the same on a broker that did not write it" (fun () ->
            task {
                let space = MemorySpace()
                let! one = openWith bundling 0L space
                let values = [ for index in 0..24 -> append one (partition 0) (1 + index % 3) ]
                let! offsets = (Task.WhenAll values).WaitAsync patience
                Expect.equal (Array.sort offsets) offsets "in order"
                let! other = openWith bundling 0L space
                let state = Shard.partition (partition 0) other.replica.Current.State

                let! records =
                    other.reader.ReadAsync(state, 0L, 1_000_000, true, CancellationToken.None)

                let total =
                    [ for index in 0..24 -> (recordBatch (1 + index % 3) 10).Length ] |> List.sum

                Expect.equal records.Length total "every byte"
            })

        testCaseTask "is read from memory by the broker that wrote it" (fun () ->
            task {
                let! one, _ = flushOf 10
                let! names = listed one.blobs ""
                do! one.blobs.DeleteAsync(ResizeArray names, CancellationToken.None)
                let state = Shard.partition (partition 5) one.replica.Current.State
                let! records = one.reader.ReadAsync(state, 0L, 10_000, true, CancellationToken.None)
                Expect.equal records.Length batchBytes "although the object is gone"
            })
    ]

let private collecting =
    testList "collecting" [
        testCaseTask "a commit never refers to an object that may have been collected: it uploads it again" (fun () ->
            task {
                let space = MemorySpace()
                let! one = openWith bundling 0L space
                let! other = openWith bundling 0L space
                let gate = TaskCompletionSource()
                // Its objects are uploaded and its entry is decided, but another broker's collection comes first.
                one.log.Script [ After gate.Task ]
                let pending = append one (partition 0) 40
                SpinWait.SpinUntil(fun () -> one.log.Appends = 1)
                let! before = listed one.blobs "data/"
                Expect.hasLength before 1 "uploaded ahead"
                let horizon = DateTimeOffset.UtcNow.AddMinutes(1.0).ToUnixTimeMilliseconds()
                let! _ = other.replica.SubmitAsync(CollectObjects horizon, Payload.None, patience)
                do! other.blobs.DeleteAsync(ResizeArray before, CancellationToken.None)
                gate.SetResult()
                let! offset = pending.WaitAsync patience
                Expect.equal offset 0L "accepted"
                let! after = listed one.blobs "data/"

                let isNew =
                    match sources one (partition 0) with
                    | [ DataObject name ] -> after = [ name ] && not (List.contains name before)
                    | _ -> false

                Expect.isTrue isNew "under a new name"
                let state = Shard.partition (partition 0) one.replica.Current.State
                let! records = one.reader.ReadAsync(state, 0L, 10_000, true, CancellationToken.None)
                Expect.isGreaterThan records.Length 0 "it reads back"
            })

        testCaseTask
            "deletes what nothing refers to once it is old, keeps the rest, and writes nothing when there is nothing"
            (fun () ->
                task {
                    let time = ManualTime()
                    let space = MemorySpace()
                    let store = new MemoryStore(space, StoreOptions(TimeProvider = time)) :> IStore

                    let cluster () =
                        Cluster.OpenAsync(
                            store,
                            ClusterOptions(AdvertisedHost = "localhost", AdvertisedPort = 9092, TimeProvider = time),
                            CancellationToken.None
                        )

                    let entries (cluster: Cluster) =
                        cluster.Shards[0].Replica.Current.EntryNumber

                    let! one = cluster ()

                    let nowMs () =
                        time.GetUtcNow().ToUnixTimeMilliseconds()

                    let name (atMs: int64) = $"data/shard-0/{atMs:D13}-x-1"
                    let old = name (nowMs () - 1L)
                    let young = name (nowMs () + 6_000_000L)
                    let foreign = $"data/shard-1/{nowMs () - 1L:D13}-x-1"

                    for name in [ old; young; foreign ] do
                        do! store.Blobs.PutAsync(name, ReadOnlySequence [| 1uy |], CancellationToken.None)

                    do! one.HousekeepAsync()
                    Expect.equal (entries one) 0L "nothing is old yet, so nothing is written"

                    // While no cluster is open: one would look by itself as the clock moves on, and could run out of time in the middle.
                    do! one.DisposeAsync()
                    time.Advance(TimeSpan.FromMinutes 61.0)
                    let! two = cluster ()
                    do! two.HousekeepAsync()
                    let! left = listed store.Blobs "data/"
                    Expect.equal left [ young; foreign ] "only the old one of this shard is gone"
                    Expect.equal (entries two) 1L "the log says so"
                    do! two.HousekeepAsync()
                    Expect.equal (entries two) 1L "and only once"
                    do! two.DisposeAsync()
                })
    ]

let tests = testList "objects" [ flushes; collecting ]
