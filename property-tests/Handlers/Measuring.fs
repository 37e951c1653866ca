/// What the metrics tell of requests, commits, the store, groups and the cache, and when the broker calls itself ready.
module Tansu.PropertyTests.Handlers.Measuring

open System
open System.Threading
open System.Threading.Tasks
open Expecto
open Serilog
open Tansu.Adapters
open Tansu.Adapters.Measuring
open Tansu.Adapters.Ports
open Tansu.Codec
open Tansu.Codec.Messages
open Tansu.Codec.Records
open Tansu.Host
open Tansu.Host.Handlers
open Tansu.Host.Metrics
open Tansu.Host.Network
open Tansu.PropertyTests.Handlers.Desk
open Tansu.PropertyTests.Handlers.GroupRig
open Tansu.PropertyTests.Host
open Tansu.PropertyTests.Host.Fixture

/// A broker on a measured store, with its metrics.
let private measured (way: Way) (body: Desk -> BrokerMetrics -> Task<unit>) =
    task {
        let store =
            MeasuredStore(
                way.Store(new MemoryStore(MemorySpace(), StoreOptions.Default)),
                StoreMeasures TimeProvider.System
            )

        let! desk = Desk.Open(store = store, measures = store.Measures)
        let log = LoggerConfiguration().CreateLogger()
        let listener = KafkaListener.Bind(loopback, NetworkOptions(), log)
        let metrics = BrokerMetrics("1.2.3", DateTimeOffset.UnixEpoch, listener)
        let! before = metrics.ProblemAsync()
        Expect.equal before "starting" "not opened"
        metrics.Open(desk.Broker, desk.Handlers)
        do! body desk metrics
        do! listener.DisposeAsync()
        do! (desk :> IAsyncDisposable).DisposeAsync()
    }

let private histograms =
    testList "histogram" [
        testCase "counts up to each bound"
        <| fun () ->
            let histogram = Histogram(ReadOnlySpan [| 10L; 100L |])

            for value in [ 0L; 10L; 11L; 100L; 101L; 5_000L ] do
                histogram.Record value

            Expect.equal (histogram.Cumulated()) [| 2L; 4L; 6L |] "cumulated"
            Expect.equal histogram.Sum 5_222L "sum"

        testCase "is written as Prometheus reads it"
        <| fun () ->
            let histogram = Histogram(ReadOnlySpan [| 1_000L; 2_500_000L |])
            histogram.Record(TimeSpan.FromMilliseconds 1.0)
            histogram.Record(TimeSpan.FromSeconds 3.0)

            let text =
                PrometheusText()
                    .Histogram("h_seconds", "Help.")
                    .Sample(histogram, PrometheusText.MicrosecondsPerSecond, ReadOnlySpan [| struct ("a", "b") |])
                    .ToString()

            Expect.equal
                (MetricsTests.parse text)
                (Map.ofList [
                    "h_seconds_bucket{a=\"b\",le=\"0.001\"}", 1.0
                    "h_seconds_bucket{a=\"b\",le=\"2.5\"}", 1.0
                    "h_seconds_bucket{a=\"b\",le=\"+Inf\"}", 2.0
                    "h_seconds_sum{a=\"b\"}", 3.001
                    "h_seconds_count{a=\"b\"}", 2.0
                ])
                "buckets, sum and count"
    ]

let private told =
    testCaseTask "requests, errors, commits, the store, the cache and lags are told" (fun () ->
        measured (Way()) (fun desk metrics ->
            task {
                let! _ = desk.Create("topic", 2, [])

                for _ in 1..3 do
                    let! answers = desk.Produce("topic", [ 0, batchAt CompressionCodec.None 0L 5 10 ])
                    Expect.equal answers[0].ErrorCode ErrorCode.None "produced"

                let! refused = desk.Produce("topic", [ 7, batchAt CompressionCodec.None 0L 1 10 ])
                Expect.equal refused[0].ErrorCode ErrorCode.UnknownTopicOrPartition "no such partition"

                let commit =
                    OffsetCommitRequest(
                        GroupId = "group",
                        GenerationIdOrMemberEpoch = -1,
                        Topics = [|
                            OffsetCommitRequest.OffsetCommitRequestTopic(
                                Name = "topic",
                                Partitions = [|
                                    OffsetCommitRequest.OffsetCommitRequestPartition(
                                        PartitionIndex = 0,
                                        CommittedOffset = 4L
                                    )
                                |]
                            )
                        |]
                    )

                let! committed = desk.Ask<_, OffsetCommitResponse>(commit, 8)
                Expect.equal committed.Topics[0].Partitions[0].ErrorCode ErrorCode.None "committed"
                let told = MetricsTests.parse (metrics.Write())
                let value series = Map.find series told
                Expect.equal (value "tansu_requests_total{api=\"Produce\"}") 4.0 "requests"
                Expect.isGreaterThan (value "tansu_request_bytes_total{api=\"Produce\"}") 300.0 "bytes in"
                Expect.isGreaterThan (value "tansu_response_bytes_total{api=\"Produce\"}") 100.0 "bytes out"
                Expect.equal (value "tansu_request_seconds_count{api=\"Produce\"}") 4.0 "latencies"
                Expect.isGreaterThan (value "tansu_request_seconds_sum{api=\"Produce\"}") 0.0 "some time"

                Expect.equal
                    (value "tansu_response_errors_total{api=\"Produce\",error=\"UNKNOWN_TOPIC_OR_PARTITION\"}")
                    1.0
                    "errors"

                Expect.equal (value "tansu_commit_commands_total{log=\"shard-0\"}") 4.0 "commands"
                Expect.equal (value "tansu_commit_seconds_count{log=\"shard-0\"}") 4.0 "commits"
                Expect.equal (value "tansu_commit_wait_seconds_count{log=\"shard-0\"}") 4.0 "waits"
                Expect.equal (value "tansu_commit_conflicts_total{log=\"shard-0\"}") 0.0 "nobody else is there"
                Expect.equal (value "tansu_log_entry{log=\"shard-0\"}") 4.0 "entries"
                Expect.isGreaterThanOrEqual (value "tansu_store_seconds_count{operation=\"append\"}") 5.0 "appends"
                Expect.isGreaterThan (value "tansu_store_bytes_total{operation=\"append\"}") 500.0 "bytes written"
                Expect.equal (value "tansu_store_errors_total{operation=\"append\"}") 0.0 "no failure"
                Expect.equal (value "tansu_groups{state=\"Empty\"}") 1.0 "a group"
                Expect.equal (value "tansu_group_lag{group=\"group\",topic=\"topic\"}") 11.0 "lag"
                Expect.equal (value "tansu_topics") 1.0 "topics"
                Expect.equal (value "tansu_partitions") 1.0 "partitions with records"
                Expect.isGreaterThan (value "tansu_cache_bytes") 0.0 "what was produced is in memory"
            }))

let private readiness =
    testCaseTask "a broker whose store does not answer is not ready" (fun () ->
        let way = Way()

        measured way (fun _ metrics ->
            task {
                let! problem = metrics.ProblemAsync()
                Expect.isNull problem "ready"
                way.IsCut <- true
                let! problem = metrics.ProblemAsync()
                Expect.equal problem "the store does not answer" "cut off"
                let told = MetricsTests.parse (metrics.Write())
                Expect.isGreaterThan told["tansu_store_errors_total{operation=\"read_entries\"}"] 0.0 "counted"
                way.IsCut <- false
                let! problem = metrics.ProblemAsync()
                Expect.isNull problem "ready again"
                metrics.Stop()
                let! problem = metrics.ProblemAsync()
                Expect.equal problem "stopping" "on its way out"
            }))

let tests = testList "measuring" [ histograms; told; readiness ]
