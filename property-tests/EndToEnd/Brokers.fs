/// Several brokers on one store.
module Tansu.PropertyTests.EndToEnd.Brokers

open System
open Tansu.PropertyTests
open Tansu.PropertyTests.EndToEnd.RealBroker

/// The brokers of one cluster, each with an address of its own, at which it comes back after a SIGKILL.
type Brokers
    (count: int, directory: string, storageEngine: string, environment: (string * string) list, arguments: string list)
    =
    let ports = [| for _ in 1..count -> Machine.freePort () |]

    let startOne (port: int) =
        RealBroker.Start(
            directory,
            [
                "--listener-url"
                $"tcp://127.0.0.1:{port}"
                "--advertised-listener-url"
                $"tcp://127.0.0.1:{port}"
                "--storage-engine"
                storageEngine
                "--shards"
                "2"
                "--node-lease-ms"
                "1000"
            ]
            @ arguments,
            environment
        )

    // A broker that cannot reach the store ends with an error, and whoever supervises it starts it again.
    let rec supervised attempts port =
        try
            startOne port
        with error when attempts > 1 ->
            Console.Error.WriteLine $"a broker is started again: {error.Message}"
            supervised (attempts - 1) port

    let running = ports |> Array.map (supervised 5)

    member _.Bootstrap =
        String.Join(",", ports |> Array.map (fun port -> $"127.0.0.1:{port}"))

    /// Which broker clients find at that port.
    member _.IndexOf(port: int) = Array.IndexOf(ports, port)

    member _.Item
        with get (index: int) = running[index]

    member _.Log = String.Join("\n--\n", running |> Array.map _.Log)

    member _.KillAndRestart(index: int) =
        running[index].Kill()
        (running[index] :> IDisposable).Dispose()
        running[index] <- supervised 5 ports[index]

    interface IDisposable with
        member _.Dispose() =
            for broker in running do
                (broker :> IDisposable).Dispose()
