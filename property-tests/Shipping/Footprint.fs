/// What the native program weighs while it runs.
module Tansu.PropertyTests.Shipping.Footprint

open System.Diagnostics
open Expecto
open Tansu.PropertyTests.EndToEnd.RealBroker

let private mostIdleMemory = 40_000_000L

let private arguments (scratch: Scratch) = [ "--listener-url"; "tcp://127.0.0.1:0"; "--storage-engine"; scratch.Store ]

let private startNative (scratch: Scratch) =
    RealBroker.Start(scratch.Path, arguments scratch, command = [ Native.program.Value ])

let tests =
    testList "what it costs" [
        testCase $"an idle broker holds at most {mostIdleMemory} bytes of memory"
        <| fun () ->
            use scratch = new Scratch()
            use broker = startNative scratch
            use running = Process.GetProcessById broker.ProcessId
            Expect.isLessThanOrEqual running.WorkingSet64 mostIdleMemory "resident memory"
    ]
