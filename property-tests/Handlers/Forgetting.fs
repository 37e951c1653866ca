/// The store that forgets everything, under a broker.
module Tansu.PropertyTests.Handlers.Forgetting

open System
open System.Buffers
open System.Threading
open System.Threading.Tasks
open Expecto
open Tansu.Adapters
open Tansu.Adapters.Ports
open Tansu.Codec
open Tansu.Codec.Messages
open Tansu.Codec.Records
open Tansu.PropertyTests.Handlers.Desk
open Tansu.PropertyTests.Host

let private none = CancellationToken.None

let private counting =
    testCaseTask "entries are counted, and not kept" (fun () ->
        task {
            let store = NullStore() :> IStore
            let! log = store.OpenLogAsync("shard-0", none)

            let append number =
                log.TryAppendAsync(number, ReadOnlySequence [| 1uy |], ReadOnlySequence [||], none).AsTask()

            let! first = append 1L
            let! again = append 1L
            let! second = append 2L
            let! ahead = append 4L

            Expect.equal
                [ first; again; second; ahead ]
                [
                    AppendOutcome.Appended
                    AppendOutcome.Conflict
                    AppendOutcome.Appended
                    AppendOutcome.Conflict
                ]
                "as any log"

            let! heads = log.ReadHeadsAsync(2L, 10, none)
            Expect.equal (heads.Count, heads.IsEnd) (0, true) "the end"

            let read () =
                log.ReadHeadsAsync(0L, 10, none).AsTask() :> Task

            do!
                task {
                    try
                        do! read ()
                        failtest "nothing is kept"
                    with :? EntryMissingException ->
                        ()
                }

            let! proposed = store.GetOrCreateClusterAsync(ReadOnlyMemory [| 1uy |], none)
            let! kept = store.GetOrCreateClusterAsync(ReadOnlyMemory [| 2uy |], none)
            Expect.equal (proposed.ToArray(), kept.ToArray()) ([| 1uy |], [| 1uy |]) "one cluster"
        })

let private serving =
    testCaseTask "records are acknowledged, read from the cache, and dropped by the next pass" (fun () ->
        task {
            let! desk =
                Desk.Open(
                    store = NullStore(),
                    options = ClusterOptions(AdvertisedHost = "h", AdvertisedPort = 1, CacheBytes = 1_000_000L)
                )

            let! topicId = desk.Create("topic", 1, [])

            for round in 0..2 do
                let! answers = desk.Produce("topic", [ 0, batchAt CompressionCodec.None 0L 5 100 ])

                Expect.equal
                    (answers[0].ErrorCode, answers[0].BaseOffset)
                    (ErrorCode.None, int64 (5 * round))
                    "appended"

            let fetch offset =
                desk.Ask<_, FetchResponse>(
                    FetchRequest(
                        MaxWaitMs = 0,
                        MaxBytes = 1_000_000,
                        Topics = [|
                            FetchRequest.FetchTopic(
                                TopicId = topicId,
                                Partitions = [|
                                    FetchRequest.FetchPartition(
                                        Partition = 0,
                                        FetchOffset = offset,
                                        PartitionMaxBytes = 1_000_000
                                    )
                                |]
                            )
                        |]
                    ),
                    13
                )

            let! read = fetch 0L
            Expect.equal read.Responses[0].Partitions[0].ErrorCode ErrorCode.None "from the cache"
            let shard = desk.Broker.Cluster.Shards[0]
            let! _ = shard.Compactor.PassAsync none
            let! gone = fetch 0L
            Expect.equal gone.Responses[0].Partitions[0].ErrorCode ErrorCode.OffsetOutOfRange "dropped"
            let! next = desk.Produce("topic", [ 0, batchAt CompressionCodec.None 0L 1 100 ])
            Expect.equal next[0].BaseOffset 15L "it goes on"
            do! (desk :> IAsyncDisposable).DisposeAsync()
        })

let tests = testList "forgetting" [ counting; serving ]
