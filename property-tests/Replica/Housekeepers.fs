/// Housekeeping goes on, whatever a pass comes to.
module Tansu.PropertyTests.Replica.Housekeepers

open System
open System.Threading
open System.Threading.Tasks
open Expecto
open Tansu.Adapters
open Tansu.Adapters.Ports
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
                    let memory = new MemoryStore(MemorySpace(), StoreOptions.Default) :> IStore
                    let blobs = failingOnce failure again memory.Blobs

                    let store = {
                        new IStore with
                            member _.Description = memory.Description
                            member _.Limits = memory.Limits
                            member _.Blobs = blobs
                            member _.OpenLogAsync(name, token) = memory.OpenLogAsync(name, token)

                            member _.GetOrCreateClusterAsync(proposed, token) =
                                memory.GetOrCreateClusterAsync(proposed, token)

                            member _.DisposeAsync() = memory.DisposeAsync()
                    }

                    let! cluster =
                        Cluster.OpenAsync(
                            store,
                            ClusterOptions(
                                AdvertisedHost = "localhost",
                                AdvertisedPort = 9092,
                                CommitInterval = TimeSpan.Zero,
                                CompactionInterval = TimeSpan.FromMilliseconds 10.0,
                                StoreTimeout = TimeSpan.FromSeconds 1.0
                            ),
                            CancellationToken.None
                        )

                    do! again.Task.WaitAsync patience
                    do! (cluster :> IAsyncDisposable).DisposeAsync()
                })
    ]
