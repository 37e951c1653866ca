/// Fetch: limits, long polls, sessions.
module Tansu.PropertyTests.Handlers.Fetching

open System
open System.Threading.Tasks
open Expecto
open Tansu.Codec
open Tansu.Codec.Messages
open Tansu.Host
open Tansu.Host.Fetching
open Tansu.PropertyTests.Host
open Tansu.PropertyTests.Handlers.Desk

let private test name (body: Desk -> Task<unit>) =
    deskTest name (fun desk ->
        task {
            let! _ = desk.Create("a", 3, [])
            do! body desk
        })

let private ask (desk: Desk) (request: FetchRequest) = desk.Ask<_, FetchResponse>(request, 11)

let private filled (desk: Desk) partition count =
    task {
        for _ in 1..count do
            let! _ = desk.Produce("a", [ partition, batch 3 ])
            ()
    }

let private batchBytes = (batch 3).Length

/// Partition and base offsets of every partition in the answer.
let private answered (response: FetchResponse) = [
    for topic in response.Responses do
        for partition in topic.Partitions -> partition.PartitionIndex, baseOffsets partition
]

let private errors (response: FetchResponse) = [
    for topic in response.Responses do
        for partition in topic.Partitions -> partition.ErrorCode
]

let private limits =
    testList "limits" [
        test "whole batches from the one that holds the offset, with the watermarks" (fun desk ->
            task {
                do! filled desk 0 4
                let! response = ask desk (fetch "a" [ wanted 0 4L 100_000 ])
                Expect.equal (answered response) [ 0, [ 3L; 6L; 9L ] ] "batches"
                let data = response.Responses[0].Partitions[0]
                Expect.equal (data.HighWatermark, data.LastStableOffset, data.LogStartOffset) (12L, 12L, 0L) "offsets"
            })

        test "a batch larger than every limit comes all the same, but only one" (fun desk ->
            task {
                do! filled desk 0 2
                do! filled desk 1 1
                let request = fetch "a" [ wanted 0 0L 1; wanted 1 0L 1 ]
                request.MaxBytes <- 1
                let! response = ask desk request
                Expect.equal (answered response) [ 0, [ 0L ]; 1, [] ] "progress, and no more"
            })

        test "each partition keeps its limit, and all together theirs" (fun desk ->
            task {
                do! filled desk 0 5
                do! filled desk 1 5
                let request = fetch "a" [ wanted 0 0L (2 * batchBytes); wanted 1 0L 100_000 ]
                request.MaxBytes <- 5 * batchBytes
                let! response = ask desk request
                Expect.equal (answered response) [ 0, [ 0L; 3L ]; 1, [ 0L; 3L; 6L ] ] "batches"
            })

        test "offsets outside of the log are OFFSET_OUT_OF_RANGE, its end is not" (fun desk ->
            task {
                do! filled desk 0 2

                let! _ =
                    desk.Ask<_, DeleteRecordsResponse>(
                        DeleteRecordsRequest(
                            Topics = [|
                                DeleteRecordsRequest.DeleteRecordsTopic(
                                    Name = "a",
                                    Partitions = [|
                                        DeleteRecordsRequest.DeleteRecordsPartition(PartitionIndex = 0, Offset = 3L)
                                    |]
                                )
                            |]
                        ),
                        2
                    )

                for offset, error in
                    [
                        2L, ErrorCode.OffsetOutOfRange
                        3L, ErrorCode.None
                        6L, ErrorCode.None
                        7L, ErrorCode.OffsetOutOfRange
                    ] do
                    let! response = ask desk (fetch "a" [ wanted 0 offset 1000 ])
                    Expect.equal (errors response) [ error ] $"offset {offset}"
            })

        test "an unknown topic or partition fails alone" (fun desk ->
            task {
                do! filled desk 0 1
                let request = fetch "a" [ wanted 0 0L 1000; wanted 9 0L 1000 ]

                request.Topics <-
                    Array.append request.Topics [|
                        FetchRequest.FetchTopic(Topic = "missing", Partitions = [| wanted 0 0L 1000 |])
                    |]

                let! response = ask desk request
                let unknown = ErrorCode.UnknownTopicOrPartition
                Expect.equal (errors response) [ ErrorCode.None; unknown; unknown ] "errors"
            })

        test "topic ids from version 13 on" (fun desk ->
            task {
                do! filled desk 0 1
                let topic = desk.Broker.FindTopic(false, Guid.Empty, "a")

                let request (id: Guid) =
                    FetchRequest(
                        MinBytes = 1,
                        Topics = [| FetchRequest.FetchTopic(TopicId = id, Partitions = [| wanted 0 0L 1000 |]) |]
                    )

                let! known = desk.Ask<_, FetchResponse>(request topic.Id.Value, 17)
                Expect.equal (answered known) [ 0, [ 0L ] ] "known"
                let! unknown = desk.Ask<_, FetchResponse>(request (Guid.NewGuid()), 17)
                Expect.equal (errors unknown) [ ErrorCode.UnknownTopicId ] "unknown"
            })

        test "a leader epoch that never was is refused" (fun desk ->
            task {
                for epoch, error in [ 0, ErrorCode.None; 1, ErrorCode.UnknownLeaderEpoch ] do
                    let partition = wanted 0 0L 1000
                    partition.CurrentLeaderEpoch <- epoch
                    let! response = ask desk (fetch "a" [ partition ])
                    Expect.equal (errors response) [ error ] $"epoch {epoch}"
            })
    ]

let private polls =
    testList "long polls" [
        test "wake on the commit that brings enough bytes" (fun desk ->
            task {
                let request = fetch "a" [ wanted 0 0L 100_000 ]
                request.MaxWaitMs <- 60_000
                request.MinBytes <- batchBytes + 1
                let polling = ask desk request
                do! filled desk 0 1
                Expect.isFalse polling.IsCompleted "one batch is not enough"
                do! filled desk 0 1
                let! response = polling.WaitAsync patience
                Expect.equal (answered response) [ 0, [ 0L; 3L ] ] "both batches"
            })

        testCaseTask "wait for no more than a fetch may give" (fun () ->
            task {
                let! desk = Desk.Open(settings = BrokerSettings(FetchMaxBytes = 2 * batchBytes))

                let! _ = desk.Create("a", 1, [])
                do! filled desk 0 3

                for maxBytes, offsets in [ batchBytes, [ 0L ]; Int32.MaxValue, [ 0L; 3L ] ] do
                    let request = fetch "a" [ wanted 0 0L 100_000 ]
                    request.MaxWaitMs <- 60_000
                    request.MinBytes <- 100_000
                    request.MaxBytes <- maxBytes
                    let! response = (ask desk request).WaitAsync patience
                    Expect.equal (answered response) [ 0, offsets ] $"at most {maxBytes} bytes"
            })

        testCaseTask "end with their time" (fun () ->
            task {
                let time = ManualTime()
                let! desk = Desk.Open(time = time)
                let! _ = desk.Create("a", 1, [])
                let request = fetch "a" [ wanted 0 0L 100_000 ]
                request.MaxWaitMs <- 500
                let polling = ask desk request
                time.Advance(TimeSpan.FromMilliseconds 499.0)
                Expect.isFalse polling.IsCompleted "not yet"
                time.Advance(TimeSpan.FromMilliseconds 1.0)
                let! response = polling.WaitAsync patience
                Expect.equal (answered response) [ 0, [] ] "empty"
            })

        test "are answered when the broker stops" (fun desk ->
            task {
                let request = fetch "a" [ wanted 0 0L 100_000 ]
                request.MaxWaitMs <- 60_000
                let polling = ask desk request
                desk.Stop()
                let! response = polling.WaitAsync patience
                Expect.equal (answered response) [ 0, [] ] "empty"
            })

        test "are answered when their topic is deleted" (fun desk ->
            task {
                let request = fetch "a" [ wanted 0 0L 100_000 ]
                request.MaxWaitMs <- 60_000
                let polling = ask desk request

                let! _ =
                    desk.Ask<_, DeleteTopicsResponse>(DeleteTopicsRequest(TopicNames = [| "a" |], TimeoutMs = 1000), 5)

                let! response = polling.WaitAsync patience
                Expect.equal (errors response) [ ErrorCode.UnknownTopicOrPartition ] "gone"
            })

        test "do not wait when nothing is asked to be waited for" (fun desk ->
            task {
                let request = fetch "a" [ wanted 0 0L 100_000 ]
                request.MaxWaitMs <- 60_000
                request.MinBytes <- 0
                let! response = (ask desk request).WaitAsync patience
                Expect.equal (answered response) [ 0, [] ] "at once"
            })
    ]

/// Opens a session on partitions 0 to 2 and gives its id.
let private openSession (desk: Desk) =
    task {
        let request = fetch "a" [ for partition in 0..2 -> wanted partition 0L 1000 ]
        request.SessionEpoch <- 0
        let! response = ask desk request
        Expect.equal (List.length (answered response)) 3 "a full answer"
        Expect.notEqual response.SessionId 0 "a session"
        return response.SessionId
    }

let private next sessionId epoch (partitions: FetchRequest.FetchPartition list) =
    let request = fetch "a" partitions
    request.SessionId <- sessionId
    request.SessionEpoch <- epoch

    if List.isEmpty partitions then
        request.Topics <- [||]

    request

let private sessions =
    testList "sessions" [
        test "answers carry only what has changed" (fun desk ->
            task {
                let! session = openSession desk
                let! nothing = ask desk (next session 1 [])
                Expect.isEmpty (answered nothing) "nothing has changed"
                do! filled desk 1 1
                let! one = ask desk (next session 2 [])
                Expect.equal (answered one) [ 1, [ 0L ] ] "what was written"
                let! after = ask desk (next session 3 [ wanted 1 3L 1000 ])
                Expect.isEmpty (answered after) "its high watermark is known"
            })

        test "partitions are added, moved on and forgotten" (fun desk ->
            task {
                let request = fetch "a" [ wanted 0 0L 1000 ]
                request.SessionEpoch <- 0
                let! opened = ask desk request
                do! filled desk 1 1
                let! added = ask desk (next opened.SessionId 1 [ wanted 1 0L 1000 ])
                Expect.equal (answered added) [ 1, [ 0L ] ] "the added one"
                let forget = next opened.SessionId 2 []
                forget.ForgottenTopicsData <- [| FetchRequest.ForgottenTopic(Topic = "a", Partitions = [| 1 |]) |]
                let! forgotten = ask desk forget
                Expect.isEmpty (answered forgotten) "it is not fetched any more"
            })

        test "a partition that was served goes behind the others" (fun desk ->
            task {
                let! session = openSession desk

                for partition in 0..2 do
                    do! filled desk partition 2

                let limited epoch =
                    let request = next session epoch []
                    request.MaxBytes <- 1
                    request

                let served (response: FetchResponse) =
                    answered response |> List.filter (snd >> List.isEmpty >> not) |> List.map fst

                let! first = ask desk (limited 1)
                let! second = ask desk (limited 2)
                let! third = ask desk (limited 3)
                Expect.equal (List.collect served [ first; second; third ]) [ 0; 1; 2 ] "each in its turn"
            })

        test "errors of a partition are told again until they are over" (fun desk ->
            task {
                let request = fetch "a" [ wanted 0 5L 1000 ]
                request.SessionEpoch <- 0
                let! opened = ask desk request
                let! again = ask desk (next opened.SessionId 1 [])

                Expect.equal
                    (errors opened @ errors again)
                    [ ErrorCode.OffsetOutOfRange; ErrorCode.OffsetOutOfRange ]
                    "both"
            })

        test "a wrong epoch, an unknown id and a change from names to ids are refused" (fun desk ->
            task {
                let! session = openSession desk
                let! epoch = ask desk (next session 7 [])
                Expect.equal epoch.ErrorCode ErrorCode.InvalidFetchSessionEpoch "epoch"
                let! unknown = ask desk (next (session + 1) 1 [])
                Expect.equal unknown.ErrorCode ErrorCode.FetchSessionIdNotFound "id"
                let! switched = desk.Ask<_, FetchResponse>(next session 1 [], 13)
                Expect.equal switched.ErrorCode ErrorCode.FetchSessionTopicIdError "names to ids"
            })

        test "a final epoch ends a session" (fun desk ->
            task {
                let! session = openSession desk
                let! final = ask desk (next session -1 [])
                Expect.equal final.SessionId 0 "no session"
                let! gone = ask desk (next session 1 [])
                Expect.equal gone.ErrorCode ErrorCode.FetchSessionIdNotFound "gone"
            })

        testCaseTask "are not made when there is no room" (fun () ->
            task {
                let! desk = Desk.Open(settings = BrokerSettings(MaxFetchSessions = 1))
                let! _ = desk.Create("a", 3, [])
                let! _ = openSession desk
                let request = fetch "a" [ wanted 0 0L 1000 ]
                request.SessionEpoch <- 0
                let! second = ask desk request
                Expect.equal second.SessionId 0 "fetches without one"
            })
    ]

let private sessionRoom =
    testList "session memory" [
        testCase "sessions have so many partitions together; old ones make room"
        <| fun () ->
            let time = ManualTime()
            let sessions = FetchSessions(1000, 10L, time)

            let create count =
                match sessions.Create(true, count) with
                | null -> false
                | session ->
                    for partition in 1..count do
                        session.Set(FetchKey("", Guid.Empty, partition)) |> ignore

                    true

            Expect.isFalse (create 11) "more than there may be"
            Expect.isTrue (create 6) "the first"
            Expect.isFalse (create 5) "no room"
            Expect.isTrue (create 4) "just enough"
            time.Advance(TimeSpan.FromMinutes 3.0)
            Expect.isTrue (create 5) "the oldest goes"
            Expect.isFalse (create 10) "one of them is in use"

        testCase "a reply that cannot be written gives back what it borrowed"
        <| fun () ->
            // As one has it that was asked for bytes that are no UTF-8: each becomes three.
            let response =
                FetchResponse(Responses = [| FetchResponse.FetchableTopicResponse(Topic = String('\uFFFD', 11_000)) |])

            let mutable given = 0

            let borrowed = {
                new IDisposable with
                    member _.Dispose() = given <- given + 1
            }

            Expect.throws
                (fun () ->
                    Tansu.Host.Requests.Handler<FetchRequest, FetchResponse>.Write(response, 12s, 1, borrowed)
                    |> ignore)
                "too long"

            Expect.equal given 1 "given back"
    ]

/// A broker that has memory for one reply, which is in use.
let private shortOfMemory (check: Desk -> ManualTime -> Task<FetchResponse> -> Task<unit>) =
    fun () ->
        task {
            let time = ManualTime()

            let! desk =
                Desk.Open(settings = BrokerSettings(FetchMemoryBytes = 1000L), time = time)

            let! _ = desk.Create("a", 1, [])
            do! filled desk 0 1
            Expect.isTrue (desk.Broker.FetchBudget.TryHold 1000L) "all of it"
            let asked = ask desk (fetch "a" [ wanted 0 0L 1000 ])
            Expect.isTrue desk.Broker.FetchBudget.HasWaiters "it waits"
            do! check desk time asked
        }

let private memory =
    testList "memory" [
        testCaseTask "a fetch waits until replies before it have been sent, and gives back what it took"
        <| shortOfMemory (fun desk _ asked ->
            task {
                desk.Broker.FetchBudget.Release 1000L
                let! response = asked.WaitAsync patience
                Expect.equal (answered response) [ 0, [ 0L ] ] "records"
                Expect.equal desk.Broker.FetchBudget.HeldBytes 0L "given back"
            })

        testCaseTask "a fetch behind a request that still waits holds none"
        <| fun () ->
            task {
                let! desk = Desk.Open()
                let! _ = desk.Create("a", 1, [])
                do! filled desk 0 1

                for _ in 1..2 do
                    desk.Answers.Start()

                let asked = ask desk (fetch "a" [ wanted 0 0L 1000 ])
                Expect.isFalse asked.IsCompleted "it waits for its turn"
                Expect.equal desk.Broker.FetchBudget.HeldBytes 0L "and holds nothing"
                desk.Answers.Answer()
                let! response = asked.WaitAsync patience
                Expect.equal (answered response) [ 0, [ 0L ] ] "records"
            }

        testCaseTask "it does not wait for ever"
        <| shortOfMemory (fun desk time asked ->
            task {
                time.Advance(TimeSpan.FromSeconds 5.0)
                let! response = asked.WaitAsync patience

                Expect.equal
                    (answered response, errors response)
                    ([ 0, [] ], [ ErrorCode.None ])
                    "no records, no error"

                Expect.equal desk.Broker.FetchBudget.HeldBytes 1000L "it holds nothing"
            })

        testCaseTask "a broker that stops answers it"
        <| shortOfMemory (fun desk _ asked ->
            task {
                desk.Stop()
                let! response = asked.WaitAsync patience

                Expect.equal
                    (answered response, errors response)
                    ([ 0, [] ], [ ErrorCode.None ])
                    "no records, no error"
            })
    ]

let tests = testList "fetch" [ limits; polls; sessions; sessionRoom; memory ]
