/// Housekeeping goes on, whatever a pass comes to.
module Tansu.PropertyTests.Replica.Housekeepers

open System
open System.Collections.Concurrent
open System.Threading
open System.Threading.Tasks
open Expecto
open Tansu.Adapters
open Tansu.Adapters.Compaction
open Tansu.Adapters.Ports
open Tansu.PropertyTests.Host
open Tansu.PropertyTests.Replica.Rig

/// Fails at the first listing, and tells of the second.
let private failingOnce (failure: exn) (again: TaskCompletionSource) (inner: IBlobStore) =
    let mutable listings = 0

    {
        new IBlobStore with
            member _.PutAsync(name, content, token) = inner.PutAsync(name, content, token)

            member _.ReadAsync(name, position, destination, token) =
                inner.ReadAsync(name, position, destination, token)

            member _.DeleteAsync(names, token) = inner.DeleteAsync(names, token)

            member _.ListAsync(prefix, token) =
                if Interlocked.Increment &listings = 1 then
                    raise failure

                again.TrySetResult() |> ignore
                inner.ListAsync(prefix, token)
    }

/// Nobody else's, so that a broker has no lease to keep and no commit waits on the clock.
let private storeWith (wrap: IBlobStore -> IBlobStore) =
    let memory = new MemoryStore(MemorySpace(), StoreOptions.Default) :> IStore
    let blobs = wrap memory.Blobs

    let limits =
        StoreLimits(memory.Limits.InlinePayloadBytes, memory.Limits.DefaultCommitInterval, IsShared = false)

    {
        new IStore with
            member _.Description = memory.Description
            member _.Limits = limits
            member _.Blobs = blobs
            member _.OpenLogAsync(name, token) = memory.OpenLogAsync(name, token)

            member _.GetOrCreateClusterAsync(proposed, token) =
                memory.GetOrCreateClusterAsync(proposed, token)

            member _.DisposeAsync() = memory.DisposeAsync()
    }

let private optionsWith (time: TimeProvider) compactionInterval storeTimeout =
    ClusterOptions(
        AdvertisedHost = "localhost",
        AdvertisedPort = 9092,
        CommitInterval = TimeSpan.Zero,
        CompactionInterval = compactionInterval,
        StoreTimeout = storeTimeout,
        TimeProvider = time
    )

/// Counts the timers that are set to go off after so long.
type private CountingTime(counted: TimeSpan) =
    inherit ManualTime()
    let mutable count = 0
    member _.Count = Volatile.Read &count

    override _.CreateTimer(callback, state, dueTime, period) =
        let timer = base.CreateTimer(callback, state, dueTime, period)

        if dueTime = counted then
            Interlocked.Increment &count |> ignore

        timer

/// As many entries as make the next pass come sooner.
let private addBacklog (shard: ClusterShard) =
    task {
        for _ in 1L .. CompactorOptions().BacklogEntries do
            let! _ = appendTo shard.Replica (partition 0) 1
            ()
    }

let tests =
    testList "housekeeping" [
        for failure: exn in
            [
                OutOfMemoryException() :> exn
                StoreRefusedException "as the test wants it"
                InvalidOperationException "as the test wants it"
            ] do
            testCaseTask $"goes on after a pass that failed with {failure.GetType().Name}" (fun () ->
                task {
                    let again = TaskCompletionSource()

                    let! cluster =
                        Cluster.OpenAsync(
                            storeWith (failingOnce failure again),
                            optionsWith TimeProvider.System (TimeSpan.FromMilliseconds 10.0) (TimeSpan.FromSeconds 1.0),
                            CancellationToken.None
                        )

                    do! again.Task.WaitAsync patience
                    do! (cluster :> IAsyncDisposable).DisposeAsync()
                })

        testCaseTask
            "with a backlog the first pass begins 15 s after the start, and another at once after one that took longer"
            (fun () ->
                task {
                    let leastPause = TimeSpan.FromSeconds 15.0
                    let time = CountingTime leastPause
                    let started = time.GetUtcNow()
                    let begun = ConcurrentQueue<TimeSpan>()
                    let second = TaskCompletionSource TaskCreationOptions.RunContinuationsAsynchronously
                    let mutable during = fun () -> task { return () }

                    let notePut _ : Task =
                        task {
                            begun.Enqueue(time.GetUtcNow() - started)

                            if begun.Count = 1 then
                                do! during ()
                            else
                                second.TrySetResult() |> ignore
                        }

                    let options = optionsWith time (TimeSpan.FromMinutes 5.0) (TimeSpan.FromMinutes 1.0)

                    let! cluster =
                        Cluster.OpenAsync(storeWith (beforePuts notePut), options, CancellationToken.None)

                    let writing =
                        TaskCompletionSource TaskCreationOptions.RunContinuationsAsynchronously

                    during <-
                        fun () ->
                            task {
                                do! addBacklog cluster.Shards[0]
                                time.Advance(TimeSpan.FromSeconds 20.0)
                                writing.SetResult()
                            }

                    do! addBacklog cluster.Shards[0]
                    time.Advance leastPause
                    do! writing.Task.WaitAsync patience

                    // It rests within the pass for as long as that may be, which is as long again.
                    Expect.isTrue (SpinWait.SpinUntil((fun () -> time.Count >= 2), patience)) "it rests"
                    time.Advance leastPause
                    do! second.Task.WaitAsync patience
                    Expect.equal [ for at in begun -> at.TotalSeconds ] [ 15.0; 50.0 ] "passes begin"
                    do! (cluster :> IAsyncDisposable).DisposeAsync()
                })
    ]
