/// The collector while the state is read.
module Tansu.PropertyTests.Host.StartHeapTests

open System.Runtime
open Expecto
open Tansu.Host

[<Literal>]
let private MiB = 1048576L

/// What the collector does in the middle of a start, and after it.
let private modes heapBytes (snapshots: int64 list) =
    let heap = StartHeap(heapBytes)
    heap.Begin()
    List.iter heap.Expect snapshots
    let during = GCSettings.LatencyMode
    heap.End()
    during, GCSettings.LatencyMode

// The mode is the process's: nothing else may run that collects or starts a broker.
let tests =
    testSequenced
    <| testList "start heap" [
        testCase "a large snapshot is read without collections"
        <| fun () ->
            let before = GCSettings.LatencyMode
            Expect.equal (modes (8192L * MiB) [ 1000L; 5L * MiB; 6L * MiB ]) (GCLatencyMode.NoGCRegion, before) "modes"

        testCase "a small snapshot needs no preparation"
        <| fun () ->
            let before = GCSettings.LatencyMode

            Expect.equal
                (modes (8192L * MiB) [ 0L; StartHeap.LeastSnapshotBytes - 1L ])
                (GCLatencyMode.Batch, before)
                "modes"

        testCase "a small heap is collected as ever"
        <| fun () ->
            let before = GCSettings.LatencyMode
            Expect.equal (modes (32L * MiB) [ 5L * MiB ]) (GCLatencyMode.Batch, before) "modes"

        testCase "more than the collector can promise is no error"
        <| fun () ->
            let before = GCSettings.LatencyMode
            Expect.equal (modes (1L <<< 50) [ 1L <<< 44 ] |> snd) before "mode"

        testCase "a snapshot that is read later changes nothing"
        <| fun () ->
            let before = GCSettings.LatencyMode
            let heap = StartHeap(8192L * MiB)
            heap.Begin()
            heap.End()
            heap.Expect(5L * MiB)
            Expect.equal GCSettings.LatencyMode before "mode"
    ]
