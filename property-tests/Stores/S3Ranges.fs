/// Ranges of one object that several want at once: fewer requests than ranges, and the same bytes.
module Tansu.PropertyTests.Stores.S3Ranges

open System
open System.Net.Http
open System.Threading
open System.Threading.Tasks
open Expecto
open Tansu.Adapters
open Tansu.Adapters.Ports
open Tansu.PropertyTests.Stores.Helpers
open Tansu.PropertyTests.Stores.S3Server

/// A store whose reads of objects wait at a gate, and one object of so many bytes.
let private withObject name (length: int) (body: S3Store -> byte array -> (unit -> unit) -> Task<unit>) =
    testCaseTask name (fun () ->
        task {
            let gate = TaskCompletionSource()

            let decide: Decide =
                fun request _ send ->
                    task {
                        if
                            request.Method = HttpMethod.Get
                            && request.RequestUri.AbsolutePath.Contains "/blobs/"
                        then
                            do! gate.Task

                        return! send ()
                    }

            use! store = openWith { at (freshPlace ()) with wrap = intercept decide }
            let bytes = content length length
            do! store.Blobs.PutAsync("some", sequence bytes, none)
            do! body store bytes (fun () -> gate.TrySetResult() |> ignore)
        })

let private readOf (name: string) (store: S3Store) (position: int) (length: int) =
    task {
        let destination = Array.zeroCreate<byte> length
        do! store.Blobs.ReadAsync(name, int64 position, destination.AsMemory(), none)
        return destination
    }

let private read = readOf "some"

/// What all of the ranges hold, asked for at once and in that order; and how many requests that took.
let private readAll (store: S3Store) openGate (ranges: (int * int) array) =
    task {
        let before = store.Requests.Snapshot().Get

        let reading =
            ranges |> Array.map (fun (position, length) -> read store position length)

        openGate ()
        let! found = Task.WhenAll reading
        return found, store.Requests.Snapshot().Get - before
    }

let private expectRanges (bytes: byte array) (ranges: (int * int) array) (found: byte array array) =
    for (position, length), part in Array.zip ranges found do
        Expect.equal part bytes[position .. position + length - 1] $"{length} bytes at {position}"

let tests =
    testList "ranges" [
        withObject "what comes while two requests are under way is asked for as one" 64_000 (fun store bytes openGate ->
            task {
                // Every third first, so that nothing comes in order, and with gaps where the first two were.
                let ranges =
                    [| for number in 0..63 -> number * 1000, 1000 |]
                    |> Array.sortBy (fun (position, _) -> position / 1000 % 3)

                let! found, requests = readAll store openGate ranges
                expectRanges bytes ranges found
                Expect.equal requests 3L "two alone, and one for all others"
            })
        withObject "what lies far apart is asked for by itself" 1_000_000 (fun store bytes openGate ->
            task {
                let ranges = [|
                    for number in 0..1 do
                        yield number * 10, 10

                    yield! [ 400_000, 100; 400_100 + 64 * 1024, 100; 900_000, 100; 900_000, 50 ]
                |]

                let! found, requests = readAll store openGate ranges
                expectRanges bytes ranges found
                Expect.equal requests 5L "two alone; two that are near, one that is not, and one that shares its bytes"
            })
        withObject
            "who goes away before a gathered range is asked for waits for nothing"
            1000
            (fun store bytes openGate ->
                task {
                    let running = [| for number in 0..1 -> read store (number * 10) 10 |]
                    use leaving = new CancellationTokenSource()
                    let destination = Array.zeroCreate<byte> 10

                    let gathered =
                        store.Blobs.ReadAsync("some", 500L, destination.AsMemory(), leaving.Token).AsTask()

                    let staying = read store 600 10
                    leaving.Cancel()
                    let! _ = failure<OperationCanceledException> "gone" (fun () -> gathered)
                    Expect.isFalse staying.IsCompleted "the gate is closed"
                    openGate ()
                    let! _ = Task.WhenAll running
                    let! found = staying
                    Expect.equal found bytes[600..609] "the other's"
                    Expect.equal destination (Array.zeroCreate 10) "nothing came where nobody waits"
                })
        withObject "what is missing is missing for all" 1000 (fun store _ openGate ->
            task {
                let missing = [| for number in 0..9 -> readOf "other" store (number * 10) 10 |]

                // Two that run, then one that is there and three that reach or lie beyond the end.
                let running = [| for number in 0..1 -> read store (number * 10) 10 |]
                let there = read store 980 10
                let beyond = [| for position in [ 995; 1000; 5000 ] -> read store position 10 |]
                openGate ()

                for reading in missing do
                    let! _ = failure<BlobMissingException> "no such object" (fun () -> reading)
                    ()

                let! _ = Task.WhenAll running
                let! found = there
                Expect.equal found.Length 10 "what is there"

                for reading in beyond do
                    let! _ = failure<BlobMissingException> "beyond the end" (fun () -> reading)
                    ()
            })
        withObject "any ranges hold the object's bytes" 300_000 (fun store bytes openGate ->
            task {
                openGate ()

                for seed in 1..10 do
                    let random = Random seed

                    let ranges = [|
                        for _ in 1..60 ->
                            let position = random.Next bytes.Length
                            position, 1 + random.Next(min (bytes.Length - position) (pown 10 (1 + random.Next 5)))
                    |]

                    let! found, _ = readAll store ignore ranges
                    expectRanges bytes ranges found
            })
    ]
