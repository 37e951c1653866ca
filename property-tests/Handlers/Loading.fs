/// Fetches of records that the broker has to load from its store.
module Tansu.PropertyTests.Handlers.Loading

open System
open System.Threading
open System.Threading.Tasks
open Expecto
open Tansu.Adapters
open Tansu.Adapters.Ports
open Tansu.Codec
open Tansu.Codec.Messages
open Tansu.PropertyTests.Handlers.Desk
open Tansu.PropertyTests.Handlers.GroupRig

let private small = batch 3
let private large = batch 100

/// Kept until all has been read.
let private plenty = int64 large.Length * 1000L

/// What a fetch came to.
type private Fetched = {
    /// How many reads were under way before the first was given anything.
    AtOnce: int
    /// How many there were in all.
    Reads: int
    /// Of each partition: the error and the base offsets.
    Answers: (ErrorCode * int64 list) list
}

/// Another broker has written to some partitions, each batch in an entry of its own. A fetch here waits for a store that gives nothing until
/// it has been asked for all that it is asked for at once, and then does to each read, by its number, what the test says. In a session, and then
/// again without waiting if `next` makes another request of the first's answer.
let private fetchingTwice
    (partitions: byte array list list)
    (cacheBytes: int64)
    (readAheadBytes: int)
    (request: FetchRequest)
    (onRead: int -> unit)
    (next: FetchResponse -> FetchRequest option)
    =
    task {
        let space = MemorySpace()
        let! writer = Desk.Open(store = new MemoryStore(space, StoreOptions.Default))
        let! _ = writer.Create("a", partitions.Length, [])

        for partition, batches in List.indexed partitions do
            for batch in batches do
                let! _ = writer.Produce("a", [ partition, Array.copy batch ])
                ()

        let gate = TaskCompletionSource()
        let reads = ref 0
        let way = Way(ReadAheadBytes = readAheadBytes)

        way.BeforeRecords <-
            fun () ->
                let number = Interlocked.Increment reads - 1

                task {
                    do! gate.Task
                    onRead number
                }

        let! reader =
            Desk.Open(
                store = way.Store(new MemoryStore(space, StoreOptions.Default)),
                options = ClusterOptions(AdvertisedHost = "localhost", AdvertisedPort = 9093, CacheBytes = cacheBytes)
            )

        // It goes on here until it has to wait.
        let asking = reader.Ask<_, FetchResponse>(request, 11)
        let atOnce = Volatile.Read &reads.contents
        gate.SetResult()
        let! first = asking

        let! response =
            match next first with
            | Some request -> reader.Ask<_, FetchResponse>(request, 11)
            | None -> Task.FromResult first

        for desk in [ writer; reader ] do
            do! (desk :> IAsyncDisposable).DisposeAsync()

        return {
            AtOnce = atOnce
            Reads = Volatile.Read &reads.contents
            Answers = [
                for data in response.Responses[0].Partitions -> data.ErrorCode, baseOffsets data
            ]
        }
    }

let private fetching partitions cacheBytes readAheadBytes request onRead =
    fetchingTwice partitions cacheBytes readAheadBytes request onRead (fun _ -> None)

let private fetchAll partitions maxBytes =
    fetch "a" [ for partition in 0 .. partitions - 1 -> wanted partition 0L maxBytes ]

let private given offsets = ErrorCode.None, offsets

let tests =
    testList "loading" [
        for name, cacheBytes in [ "with", plenty; "without", 0L ] do
            testCaseTask $"{name} a cache, the partitions of a fetch are read side by side, each chunk once" (fun () ->
                task {
                    let! fetched =
                        fetching (List.replicate 20 [ small; small ]) cacheBytes 0 (fetchAll 20 100_000) ignore

                    Expect.equal
                        fetched
                        { AtOnce = 40; Reads = 40; Answers = List.replicate 20 (given [ 0L; 3L ]) }
                        "both batches of each"
                })

        testCaseTask "64 partitions at a time" (fun () ->
            task {
                let! fetched =
                    fetching (List.replicate 70 [ small ]) plenty 0 (fetchAll 70 100_000) ignore

                Expect.equal
                    fetched
                    { AtOnce = 64; Reads = 70; Answers = List.replicate 70 (given [ 0L ]) }
                    "all in the end"
            })

        testCaseTask "nothing is read that the request's limit leaves no place for" (fun () ->
            task {
                let request = fetchAll 20 100_000
                request.MaxBytes <- small.Length * 3
                let! fetched = fetching (List.replicate 20 [ small ]) plenty 0 request ignore

                Expect.equal
                    fetched
                    { AtOnce = 3; Reads = 3; Answers = List.replicate 3 (given [ 0L ]) @ List.replicate 17 (given []) }
                    "three"
            })

        testCaseTask "one batch that is larger than the limit is given, by the first that can be read" (fun () ->
            task {
                let request = fetchAll 4 10
                request.MaxBytes <- 10

                let fail number =
                    if number = 0 then
                        raise (StoreRefusedException "scripted")

                let! fetched = fetching (List.replicate 4 [ large ]) plenty 0 request fail

                Expect.equal
                    fetched
                    {
                        AtOnce = 1
                        Reads = 2
                        Answers = [ ErrorCode.KafkaStorageError, []; given [ 0L ]; given []; given [] ]
                    }
                    "the second one's"
            })

        testCaseTask "a batch that is larger than its partition's limit is not given after others" (fun () ->
            task {
                let contents = [ [ small ]; [ large ]; [ small ]; [ large ] ]
                let! fetched = fetching contents plenty 0 (fetchAll 4 (small.Length * 2)) ignore
                Expect.equal fetched.Answers [ given [ 0L ]; given []; given [ 0L ]; given [] ] "the small ones"
            })

        testCaseTask "what is too large for those that can be read is given if those before them cannot be" (fun () ->
            task {
                let fail number =
                    if number < 2 then
                        raise (StoreUnavailableException "scripted")

                let contents = [ [ small ]; [ small ]; [ large ]; [ large ] ]
                let! fetched = fetching contents plenty 0 (fetchAll 4 (small.Length * 2)) fail

                Expect.equal
                    fetched.Answers
                    [
                        ErrorCode.KafkaStorageError, []
                        ErrorCode.KafkaStorageError, []
                        given [ 0L ]
                        given []
                    ]
                    "one batch at least"
            })

        testCaseTask "once the store is away the rest is left for the next fetch" (fun () ->
            task {
                let fail _ =
                    raise (StoreUnavailableException "scripted")

                let! fetched =
                    fetching (List.replicate 70 [ small ]) plenty 0 (fetchAll 70 100_000) fail

                Expect.equal
                    fetched
                    {
                        AtOnce = 64
                        Reads = 64
                        Answers =
                            List.replicate 64 (ErrorCode.KafkaStorageError, [])
                            @ List.replicate 6 (given [])
                    }
                    "errors where reads failed"
            })

        testCaseTask "in a session a partition that cannot be read does not stand before the others for ever" (fun () ->
            task {
                let request = fetchAll 2 10
                request.MaxBytes <- 10
                request.SessionEpoch <- 0

                let fail number =
                    if number = 0 then
                        raise (StoreUnavailableException "scripted")

                let next (first: FetchResponse) =
                    Expect.equal
                        [
                            for data in first.Responses[0].Partitions -> data.ErrorCode, baseOffsets data
                        ]
                        [ ErrorCode.KafkaStorageError, []; given [] ]
                        "the store is away"

                    let again = fetch "a" []
                    again.Topics <- [||]
                    again.MaxBytes <- 10
                    again.SessionId <- first.SessionId
                    again.SessionEpoch <- 1
                    Some again

                let! fetched = fetchingTwice [ [ large ]; [ large ] ] plenty 0 request fail next
                Expect.equal fetched.Answers[0] (given [ 0L ]) "the one that had nothing"
            })

        testCaseTask "what comes before a chunk that cannot be read is given, and the next fetch is told" (fun () ->
            task {
                let fail number =
                    if number = 1 then
                        raise (StoreRefusedException "scripted")

                let! fetched =
                    fetching [ [ small; small; small ] ] plenty 0 (fetchAll 1 100_000) fail

                Expect.equal fetched.Answers [ given [ 0L ] ] "the first batch"
                let next = fetch "a" [ wanted 0 3L 100_000 ]

                let failFirst number =
                    if number = 0 then
                        fail 1

                let! fetched = fetching [ [ small; small; small ] ] plenty 0 next failFirst
                Expect.equal fetched.Answers [ ErrorCode.KafkaStorageError, [] ] "then the error"
            })

        for name, cacheBytes, inAdvance in
            [
                "what the cache keeps until the reader comes back", 16, 3
                "as much as the cache keeps until the reader comes back", 6, 1
                "nothing that the reader's other records push out", 4, 0
            ] do
            testCaseTask $"is read in advance: {name}" (fun () ->
                task {
                    let request = fetchAll 1 (small.Length * 2)

                    let! fetched =
                        fetching
                            [ List.replicate 10 small ]
                            (int64 (cacheBytes * small.Length))
                            (small.Length * 3)
                            request
                            ignore

                    Expect.equal
                        fetched
                        { AtOnce = 2 + inAdvance; Reads = 2 + inAdvance; Answers = [ given [ 0L; 3L ] ] }
                        "two, and what comes after them"
                })

        testCaseTask "the more partitions a fetch has, the less is read in advance of each" (fun () ->
            task {
                let! fetched =
                    fetching
                        (List.replicate 4 (List.replicate 10 small))
                        (int64 (4 * 3 * 2 * small.Length))
                        (small.Length * 3)
                        (fetchAll 4 (small.Length * 2))
                        ignore

                Expect.equal
                    fetched
                    { AtOnce = 4 * 3; Reads = 4 * 3; Answers = List.replicate 4 (given [ 0L; 3L ]) }
                    "one of each"
            })
    ]
