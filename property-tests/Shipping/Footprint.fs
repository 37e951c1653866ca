/// What a start of the native program costs.
module Tansu.PropertyTests.Shipping.Footprint

open System
open System.Diagnostics
open Expecto
open Tansu.PropertyTests.EndToEnd.RealBroker

let private mostIdleMemory = 40_000_000L
let private starts = 5

let private arguments (scratch: Scratch) = [ "--listener-url"; "tcp://127.0.0.1:0"; "--storage-engine"; scratch.Store ]

let private startNative (scratch: Scratch) =
    RealBroker.Start(scratch.Path, arguments scratch, command = [ Native.program.Value ])

/// The middle one of several times until the broker says that it listens.
let private timeToStart (start: Scratch -> RealBroker) =
    List.init starts (fun _ ->
        use scratch = new Scratch()
        let clock = Stopwatch.StartNew()
        use _ = start scratch
        clock.Elapsed)
    |> List.sort
    |> List.item (starts / 2)

let tests =
    testList "what it costs" [
        testCase $"an idle broker holds at most {mostIdleMemory} bytes of memory"
        <| fun () ->
            use scratch = new Scratch()
            use broker = startNative scratch
            use running = Process.GetProcessById broker.ProcessId
            Expect.isLessThanOrEqual running.WorkingSet64 mostIdleMemory "resident memory"

        testCase "it starts in less than half the time of the built program"
        <| fun () ->
            let native = timeToStart startNative
            let built = timeToStart start
            Expect.isLessThan (native * 2.0) built "twice the native program's time against the other's"
    ]
