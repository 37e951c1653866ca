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

/// Where reads of objects wait until it is opened.
type private Gate() =
    let opened = TaskCompletionSource()

    let reached =
        Collections.Concurrent.ConcurrentDictionary<int, TaskCompletionSource>()

    let mutable inside = 0
    let mutable most = 0

    let at number =
        reached.GetOrAdd(number, (fun _ -> TaskCompletionSource TaskCreationOptions.RunContinuationsAsynchronously))

    /// Once so many stand before it.
    member _.Reached(number: int) = (at number).Task

    /// How many have been under way at a time.
    member _.Most = most

    member _.Open() = opened.TrySetResult() |> ignore

    member _.Pass(send: unit -> Task<'Result>) =
        task {
            let number = Interlocked.Increment &inside
            lock reached (fun () -> most <- max most number)
            (at number).TrySetResult() |> ignore

            try
                do! opened.Task
                return! send ()
            finally
                Interlocked.Decrement &inside |> ignore
        }

/// A store whose reads of objects wait at a gate, and one object of so many bytes.
let private withGate name (length: int) (body: S3Store -> byte array -> Gate -> Task<unit>) =
    testCaseTask name (fun () ->
        task {
            let gate = Gate()

            let decide: Decide =
                fun request _ send ->
                    if
                        request.Method = HttpMethod.Get
                        && request.RequestUri.AbsolutePath.Contains "/blobs/"
                    then
                        gate.Pass send
                    else
                        send ()

            use! store = openWith { at (freshPlace ()) with wrap = intercept decide }
            let bytes = content length length
            do! store.Blobs.PutAsync("some", sequence bytes, none)

            try
                do! body store bytes gate
            finally
                gate.Open()
        })

let private withObject name length (body: S3Store -> byte array -> (unit -> unit) -> Task<unit>) =
    withGate name length (fun store bytes gate -> body store bytes gate.Open)

let private readOf (name: string) (store: S3Store) (position: int) (length: int) =
    readBlob store.Blobs name (int64 position) length

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
        withGate "however many reads there are, they leave connections for commits" 10 (fun store _ gate ->
            task {
                let! log = store.OpenLogAsync("shard-0", none)
                let reading = [| for number in 1..300 -> readOf $"other-{number}" store 0 10 |]
                do! gate.Reached 192
                do! appendNext log 1L
                gate.Open()

                for read in reading do
                    let! _ = failure<BlobMissingException> "no such object" (fun () -> read)
                    ()

                Expect.equal gate.Most 192 "of 256"
            })
        withGate "nor do they share a slow line until none comes in time" 300_000 (fun store bytes gate ->
            task {
                // So large that none waits for another one of the same object.
                let reading = [| for _ in 1..300 -> read store 0 bytes.Length |]
                let expected = 32 * 1024 * 1024 / bytes.Length
                do! gate.Reached expected
                gate.Open()
                let! found = Task.WhenAll reading
                Expect.all found ((=) bytes) "all in the end"
                Expect.equal gate.Most expected "as many as 32 MiB hold"
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
