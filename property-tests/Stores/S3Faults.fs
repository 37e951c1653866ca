/// What a store makes of the ways in which requests fail, and of servers that do not keep their promises.
module Tansu.PropertyTests.Stores.S3Faults

open System
open System.Collections.Generic
open System.Net
open System.Net.Http
open System.Threading
open System.Threading.Tasks
open Expecto
open Tansu.Adapters
open Tansu.Adapters.Ports
open Tansu.PropertyTests
open Tansu.PropertyTests.Host
open Tansu.PropertyTests.Stores.Helpers
open Tansu.PropertyTests.Stores.S3Server

let private isEntryPut (request: HttpRequestMessage) =
    request.Method = HttpMethod.Put
    && request.RequestUri.AbsolutePath.Contains "/entries/"

/// Entry 1 is there; what `fault` says happens to the requests that `chosen` names, as often as `times` says.
let private withFault name (times: int) chosen (fault: Decide) (body: S3Store -> IEventLog -> Task<unit>) =
    testCaseTask name (fun () ->
        task {
            let mutable left = 0

            let decide: Decide =
                fun request token send ->
                    if chosen request && Interlocked.Decrement &left >= 0 then
                        fault request token send
                    else
                        send ()

            use! store =
                openWith {
                    at (freshPlace ()) with
                        options = StoreOptions(RequestTimeout = TimeSpan.FromSeconds 5.0)
                        wrap = intercept decide
                }

            let! log = store.OpenLogAsync("shard-0", none)
            do! appendNext log 1L
            left <- times
            do! body store log
        })

let private answer status code : Decide =
    fun request _ _ -> Task.FromResult(errorAnswer status code request)

let private answerAfterDoing status code : Decide =
    fun request _ send ->
        task {
            use! _ = send ()
            return errorAnswer status code request
        }

/// As from a proxy in whose list the store is not at the moment.
let private proxyAnswer: Decide =
    fun request _ _ ->
        Task.FromResult(
            new HttpResponseMessage(
                HttpStatusCode.NotFound,
                RequestMessage = request,
                Content = new StringContent("404 page not found")
            )
        )

let private expectOutcome expected (log: IEventLog) number =
    task {
        let! outcome = tryAppend log number (headOf number) (payloadOf number)
        Expect.equal outcome expected $"entry {number}"
    }

let private appends = [
    withFault
        "409 ConditionalRequestConflict is asked again"
        2
        isEntryPut
        (answer 409 "ConditionalRequestConflict")
        (fun store log ->
            task {
                let before = store.Requests.Snapshot().Put
                do! expectOutcome AppendOutcome.Appended log 2L
                Expect.equal (store.Requests.Snapshot().Put - before) 3L "PUTs"
            })
    withFault "409 without end is unknown" 1000 isEntryPut (answer 409 "ConditionalRequestConflict") (fun _ log ->
        expectOutcome AppendOutcome.Unknown log 2L)
    withFault
        "an error after the entry was stored is unknown; the entry is there"
        1
        isEntryPut
        (answerAfterDoing 500 "InternalError")
        (fun _ log ->
            task {
                do! expectOutcome AppendOutcome.Unknown log 2L
                do! expectOutcome AppendOutcome.Conflict log 2L
                do! expectEntries log 2L 2L
            })
    withFault
        "an error before the entry was stored is unknown; the same entry can be appended"
        1
        isEntryPut
        (answer 503 "SlowDown")
        (fun _ log ->
            task {
                do! expectOutcome AppendOutcome.Unknown log 2L
                let! heads = readHeads log 1L 10
                Expect.isEmpty heads "nothing there"
                do! expectOutcome AppendOutcome.Appended log 2L
            })
    withFault
        "a connection that is lost after sending is unknown"
        1
        isEntryPut
        (fun _ _ send ->
            task {
                use! _ = send ()
                return raise (HttpRequestException(HttpRequestError.ResponseEnded, "lost"))
            })
        (fun _ log ->
            task {
                do! expectOutcome AppendOutcome.Unknown log 2L
                do! expectEntries log 2L 2L
            })
    withFault
        "a connection that cannot be made is no entry"
        1
        isEntryPut
        (fun request _ send ->
            request.RequestUri <- UriBuilder(request.RequestUri, Port = Machine.freePort ()).Uri
            send ())
        (fun _ log ->
            task {
                let! error =
                    failure<StoreUnavailableException> "refused" (fun () -> tryAppend log 2L [| 1uy |] [||])

                Expect.stringContains error.Message "cannot be reached" "the message"
                do! expectOutcome AppendOutcome.Appended log 2L
            })
    withFault "rights that were taken away are no entry" 1 isEntryPut (answer 403 "AccessDenied") (fun _ log ->
        task {
            let! error =
                failure<StoreUnavailableException> "denied" (fun () -> tryAppend log 2L [| 1uy |] [||])

            Expect.stringContains error.Message "s3:PutObject" "the message"
        })
    withFault "a server without conditional writes is refused" 1 isEntryPut (answer 501 "NotImplemented") (fun _ log ->
        task {
            let! error =
                failure<StoreRefusedException> "refused" (fun () -> tryAppend log 2L [| 1uy |] [||])

            Expect.stringContains error.Message "If-None-Match" "the message"
        })
    testCaseTask "no answer in time is unknown, and so is a cancelled append" (fun () ->
        task {
            let mutable silent = false
            let sent = new SemaphoreSlim(0)

            let decide: Decide =
                fun request token send ->
                    task {
                        let! response = send ()

                        if silent && isEntryPut request then
                            sent.Release() |> ignore
                            do! Task.Delay(Timeout.Infinite, token)

                        return response
                    }

            let place = freshPlace ()
            let options = StoreOptions(RequestTimeout = TimeSpan.FromSeconds 2.0)
            use! store = openWith { at place with options = options; wrap = intercept decide }
            let! log = store.OpenLogAsync("shard-0", none)
            do! appendNext log 1L
            silent <- true
            do! expectOutcome AppendOutcome.Unknown log 2L
            do! sent.WaitAsync()
            use cancelling = new CancellationTokenSource()

            let appending =
                log.TryAppendAsync(3L, sequence (headOf 3L), sequence (payloadOf 3L), cancelling.Token)

            do! sent.WaitAsync()
            cancelling.Cancel()
            let! outcome = appending
            Expect.equal outcome AppendOutcome.Unknown "cancelled"
            silent <- false
            do! expectEntries log 1L 3L
        })
]

let private others = [
    withFault
        "reading from an overloaded server may be tried again"
        1
        (fun request -> request.Method = HttpMethod.Get)
        (answer 503 "SlowDown")
        (fun _ log ->
            task {
                let! error =
                    failure<StoreUnavailableException> "overloaded" (fun () -> readHeads log 0L 1)

                Expect.stringContains error.Message "SlowDown" "the message"
                do! expectEntries log 1L 1L
            })
    withFault
        "a snapshot that does not come in time may be tried again"
        1
        (fun request ->
            request.Method = HttpMethod.Get
            && request.RequestUri.AbsolutePath.Contains "/snapshots/")
        (fun _ token send ->
            task {
                do! Task.Delay(Timeout.Infinite, token)
                return! send ()
            })
        (fun _ log ->
            task {
                do! log.SaveSnapshotAsync(1L, sequence [| 1uy |], none)
                use tooLate = new CancellationTokenSource(TimeSpan.FromSeconds 30.0)

                let! error =
                    failure<StoreUnavailableException> "hanging" (fun () ->
                        log.LoadSnapshotAsync(Int64.MaxValue, tooLate.Token).AsTask())

                Expect.stringContains error.Message "did not answer in time" "the message"
                let! found = log.LoadSnapshotAsync(Int64.MaxValue, none)
                Expect.equal found.Number 1L "the snapshot"
            })
    withFault
        "a hint whose writing is in doubt is looked at again"
        3
        (fun request ->
            request.Method = HttpMethod.Put
            && request.RequestUri.AbsolutePath.EndsWith "/hint")
        (answerAfterDoing 500 "InternalError")
        (fun _ log ->
            task {
                do! log.SaveSnapshotAsync(1L, sequence [| 1uy |], none)
                let! found = log.LoadSnapshotAsync(Int64.MaxValue, none)
                Expect.equal found.Number 1L "the snapshot"
            })
    testCaseTask
        "a snapshot that is dropped from the hint is deleted, also when the hint's writing is in doubt"
        (fun () ->
            task {
                let place = freshPlace ()
                let mutable left = 0

                let decide: Decide =
                    fun request token send ->
                        if
                            request.Method = HttpMethod.Put
                            && request.RequestUri.AbsolutePath.EndsWith "/hint"
                            && Interlocked.Decrement &left >= 0
                        then
                            answerAfterDoing 500 "InternalError" request token send
                        else
                            send ()

                use! store = openWith { at (place + "/blobs/inner") with wrap = intercept decide }

                use! meddler = openWith (at place)
                let! log = store.OpenLogAsync("shard-0", none)
                do! appendRange log 1L 4L

                for number in 1L .. 4L do
                    left <- if number = 4L then 1 else 0
                    do! log.SaveSnapshotAsync(number, sequence [| byte number |], none)

                let! names = namesOf meddler.Blobs "inner/shard-0/snapshots/"
                Expect.equal names.Length 3 "the newest three"
            })
    withFault
        "objects are deleted one by one where they cannot be at once"
        1
        (fun request -> request.Method = HttpMethod.Post)
        (answer 501 "NotImplemented")
        (fun store _ ->
            task {
                for name in [ "a"; "b"; "c" ] do
                    do! store.Blobs.PutAsync(name, sequence [| 1uy |], none)

                do! store.Blobs.DeleteAsync([| "a"; "b"; "none" |], none)
                let! names = namesOf store.Blobs ""
                Expect.equal names [ "c" ] "what stays"
            })
    withFault
        "a cluster object whose writing is in doubt is read back"
        1
        (fun request -> request.Method = HttpMethod.Put)
        (answerAfterDoing 500 "InternalError")
        (fun store _ ->
            task {
                let! stored = store.GetOrCreateClusterAsync(ReadOnlyMemory [| 5uy |], none)
                Expect.equal (stored.ToArray()) [| 5uy |] "ours"
            })
    withFault
        "what a proxy does not find may be there"
        3
        (fun request -> request.Method = HttpMethod.Get)
        proxyAnswer
        (fun store log ->
            task {
                let room = Memory(Array.zeroCreate<byte> 1)

                do! failsWith<StoreUnavailableException> "the end of the log" (fun () -> readHeads log 0L 1)

                do!
                    failsWith<StoreUnavailableException> "an entry" (fun () ->
                        task { do! log.ReadPayloadAsync(1L, 0, room, none) })

                do!
                    failsWith<StoreUnavailableException> "an object" (fun () ->
                        task { do! store.Blobs.ReadAsync("a", 0L, room, none) })

                do! expectEntries log 1L 1L
            })
    testCaseTask "a request that fails when the caller has given it up ends as given up" (fun () ->
        task {
            use givenUp = new CancellationTokenSource()

            let decide: Decide =
                fun request token send ->
                    if request.RequestUri.AbsolutePath.EndsWith "/blobs/a" then
                        givenUp.Cancel()
                        answer 500 "InternalError" request token send
                    else
                        send ()

            use! store = openWith { at (freshPlace ()) with wrap = intercept decide }

            do!
                failsWith<OperationCanceledException> "given up" (fun () ->
                    task { do! store.Blobs.ReadAsync("a", 0L, Memory(Array.zeroCreate 1), givenUp.Token) })
        })
]

/// A server in memory that honours the conditions it is told to.
type private Careless(honoursNoneMatch: bool, honoursMatch: bool) =
    inherit HttpMessageHandler()
    let objects = Dictionary<string, byte array>()

    let missing (request: HttpRequestMessage) = errorAnswer 404 "NoSuchKey" request

    let eTag (bytes: byte array) =
        $"\"{Convert.ToHexStringLower(Security.Cryptography.MD5.HashData bytes)}\""

    let ok (request: HttpRequestMessage) (bytes: byte array) =
        let response =
            new HttpResponseMessage(HttpStatusCode.OK, RequestMessage = request, Content = new ByteArrayContent(bytes))

        response.Headers.TryAddWithoutValidation("ETag", eTag bytes) |> ignore
        response

    member private _.Put(request: HttpRequestMessage, key: string, bytes: byte array) =
        let condition (name: string) =
            match request.Headers.TryGetValues name with
            | true, values -> Seq.tryHead values
            | false, _ -> None

        let exists, stored = objects.TryGetValue key

        let isRefused =
            (honoursNoneMatch && exists && (condition "If-None-Match").IsSome)
            || (honoursMatch
                && match condition "If-Match" with
                   | Some expected -> not exists || (eTag stored).Trim('"') <> expected.Trim('"')
                   | None -> false)

        if isRefused then
            errorAnswer 412 "PreconditionFailed" request
        else
            objects[key] <- bytes
            let response = ok request [||]
            response.Headers.Remove "ETag" |> ignore
            response.Headers.TryAddWithoutValidation("ETag", eTag bytes) |> ignore
            response

    member private _.Get(request: HttpRequestMessage, bytes: byte array) =
        let range = request.Headers.Range.Ranges |> Seq.head
        let first = int range.From.Value
        let last = min (int range.To.Value) (bytes.Length - 1)
        let response = ok request bytes[first..last]
        response.StatusCode <- HttpStatusCode.PartialContent
        response.Content.Headers.ContentRange <- Headers.ContentRangeHeaderValue(first, last, bytes.Length)
        response

    override this.SendAsync(request, token) =
        task {
            let key = request.RequestUri.AbsolutePath

            let! body =
                if isNull request.Content then
                    Task.FromResult [||]
                else
                    request.Content.ReadAsByteArrayAsync token

            return
                lock objects (fun () ->
                    match request.Method.Method with
                    | "PUT" -> this.Put(request, key, body)
                    | "GET" when objects.ContainsKey key -> this.Get(request, objects[key])
                    | "GET"
                    | "HEAD" -> missing request
                    | _ -> ok request [||])
        }

let private verified name (server: (unit -> HttpMessageHandler) option) (expected: string option) =
    testCaseTask name (fun () ->
        task {
            let place = freshPlace ()

            let wrap =
                match server with
                | Some make -> fun (_: HttpMessageHandler) -> make ()
                | None -> id

            use! store = openWith { at (place + "/blobs/inner") with wrap = wrap }

            match expected with
            | None ->
                do! StoreVerifier.VerifyAsync(store, 5, true, none)
                use! meddler = openWith (at place)
                let! left = namesOf meddler.Blobs ""
                Expect.isEmpty left "nothing stays"
            | Some promise ->
                let! error =
                    failure<StoreRefusedException> name (fun () -> StoreVerifier.VerifyAsync(store, 1, true, none))

                Expect.stringContains error.Message promise "the broken promise"
                Expect.isFalse (error.Message.Contains '\n') "one line"
        })

let private careless noneMatch ifMatch =
    Some(fun () -> new Careless(noneMatch, ifMatch) :> HttpMessageHandler)

let private verifying =
    testList "verifying" [
        verified "a store that keeps its promises passes, and nothing of it stays" None None
        verified
            "a store that ignores all conditions is refused"
            (careless false false)
            (Some "does not honour If-None-Match")
        verified
            "a store that ignores If-None-Match is refused"
            (careless false true)
            (Some "does not honour If-None-Match")
        verified "a store that ignores If-Match is refused" (careless true false) (Some "does not honour If-Match")
        verified
            "a store that refuses every condition is refused"
            (Some(fun () ->
                intercept
                    (fun request _ send ->
                        if request.Headers.Contains "If-None-Match" then
                            Task.FromResult(errorAnswer 412 "PreconditionFailed" request)
                        else
                            send ())
                    (new Careless(true, true))))
            (Some "refused every one")
        testCaseTask "a slow store that keeps its promises passes" (fun () ->
            task {
                let clock = ManualTime()
                let raced = TaskCompletionSource()
                let mutable entries = 0

                let decide: Decide =
                    fun request _ send ->
                        task {
                            // If-Match is tried when the race is over, and the race looks for trims, as it took so long.
                            if request.Method = HttpMethod.Put && request.Headers.Contains "If-Match" then
                                do! Task.WhenAny(raced.Task, Task.Delay(TimeSpan.FromSeconds 3.0)) :> Task

                            let! response = send ()

                            if isEntryPut request && Interlocked.Increment &entries = 1 then
                                clock.Advance(TimeSpan.FromSeconds 11.0)
                            elif
                                request.Method = HttpMethod.Get
                                && request.RequestUri.AbsolutePath.Contains "/entries/"
                            then
                                raced.TrySetResult() |> ignore

                            return response
                        }

                use! store =
                    openWith {
                        at (freshPlace ()) with
                            options = StoreOptions(TimeProvider = clock)
                            wrap = intercept decide
                    }

                do! StoreVerifier.VerifyAsync(store, 1, true, none)
            })
        testCaseTask "one round sends 32 PUTs for the race" (fun () ->
            task {
                use! store = openWith (at (freshPlace ()))
                let before = store.Requests.Snapshot()
                do! StoreVerifier.VerifyAsync(store, 1, true, none)
                let sent = store.Requests.Snapshot().Minus before
                Expect.equal sent.Put 35L "32 writers, and three for If-Match"
                Expect.isLessThanOrEqual sent.Get 3L "reading back"
                Expect.equal sent.List 0L "no listing"
            })
        testCaseTask "the memory store passes" (fun () ->
            task {
                use store = new MemoryStore()
                do! StoreVerifier.VerifyAsync(store, 3, true, none)
            })
    ]

let tests = testList "faults" [ yield! appends; yield! others; verifying ]
