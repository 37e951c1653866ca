/// An operator's walk: the whole command line, as processes, against a live broker, and its metrics afterwards.
module Tansu.PropertyTests.EndToEnd.Operating

open System
open System.Net.Http
open System.Text.Json
open System.Text.RegularExpressions
open Expecto
open Tansu.PropertyTests.EndToEnd.RealBroker
open Tansu.PropertyTests.Host

let private json (text: string) = (JsonDocument.Parse text).RootElement

let private walk =
    testCaseTask
        "topics, records, groups, configurations, measuring, metrics and the store, from the command line"
        (fun () ->
            task {
                use scratch = new Scratch()

                use broker =
                    RealBroker.Start(
                        scratch.Path,
                        [ "--listener-url"; "tcp://127.0.0.1:0"; "--storage-engine"; scratch.Store ],
                        [ "METRICS_LISTENER_URL", "tcp://127.0.0.1:0" ]
                    )

                let environment = [ "BOOTSTRAP_SERVER", broker.Bootstrap ]

                let expect exitCode (arguments: string) =
                    task {
                        let! ran = run scratch.Path environment (List.ofArray (arguments.Split ' '))
                        Expect.equal ran.exitCode exitCode $"{arguments}: {ran.output}{ran.error}"
                        return if exitCode = 0 then ran.output else ran.error
                    }

                let withInput (arguments: string) (input: string) =
                    shell
                        (List.head tansu)
                        (List.tail tansu
                         @ List.ofArray ($"{arguments} --bootstrap-server {broker.Bootstrap}".Split ' '))
                        input

                // Topics.
                let! _ = expect 0 "topic create orders --partitions 3 --config retention.ms=86400000"
                let! refused = expect 1 "topic create orders"
                Expect.stringContains refused "TOPIC_ALREADY_EXISTS" "Kafka's name of it"
                let! _ = expect 2 "topic create"
                let! _ = expect 0 "topic alter orders --partitions 4"
                let! described = expect 0 "topic describe orders --json"
                let topic = (json described).GetProperty("topics")[0]
                Expect.equal ((topic.GetProperty "partitions").GetArrayLength()) 4 "partitions"

                // Records.
                let lines =
                    String.Join('\n', [ for number in 1..10 -> $"customer-{number % 3}:order {number}" ])
                    + "\n"

                let! _ = withInput "cat produce orders --key-separator : --header source=walk" lines

                let! consumed =
                    withInput "cat consume orders --group billing --format %k:%v:%h\\n" ""

                Expect.equal
                    (consumed.Split('\n', StringSplitOptions.RemoveEmptyEntries) |> Array.sort)
                    (lines.Split('\n', StringSplitOptions.RemoveEmptyEntries)
                     |> Array.map (fun line -> line + ":source=walk")
                     |> Array.sort)
                    "what was produced"

                // Groups.
                let! groups = expect 0 "group list --json"
                let listed = (json groups).GetProperty("groups")
                Expect.equal ((listed[0].GetProperty "group").GetString()) "billing" "the group"

                let! _ =
                    expect 0 "group reset-offsets billing --topic orders --to-earliest --execute"

                let! group = expect 0 "group describe billing --json"

                let described = (json group).GetProperty("groups")

                let lag =
                    [
                        for offset in (described[0].GetProperty "offsets").EnumerateArray() ->
                            (offset.GetProperty "lag").GetInt64()
                    ]
                    |> List.sum

                Expect.equal lag 10L "it has all to read again"

                // Configurations.
                let! _ = expect 0 "config set --topic orders cleanup.policy=compact,delete"
                let! _ = expect 1 "config set --topic orders cleanup.policy=shred"
                let! _ = expect 0 "config set --broker default log.retention.ms=3600000"
                let! configs = expect 0 "config get --topic orders --all --describe"
                Expect.stringContains configs "compact,delete" "set"

                // Measuring.
                let! measured =
                    expect 0 "perf produce load --create --partitions 2 --records 5000 --record-size 200 --json"

                Expect.equal (((json measured).GetProperty "records").GetInt64()) 5000L "records written"
                let! read = expect 0 "perf consume load --json"
                Expect.isGreaterThanOrEqual (((json read).GetProperty "records").GetInt64()) 5000L "records read"

                // Metrics.
                let port =
                    Regex.Match(broker.Log, @"Metrics and health on tcp://\S*:(\d+)").Groups[1].Value

                use http = new HttpClient(Timeout = patience)
                let! ready = http.GetStringAsync $"http://127.0.0.1:{port}/health/ready"
                Expect.equal ready "ok\n" "ready"
                let! text = http.GetStringAsync $"http://127.0.0.1:{port}/metrics"
                let told = MetricsTests.parse text
                let value series = Map.find series told
                Expect.equal (value "tansu_topics") 2.0 "topics"

                Expect.equal
                    (value "tansu_group_lag{group=\"billing\",topic=\"orders\"}")
                    (float lag)
                    "the lag that was told"

                Expect.equal
                    (value "tansu_response_errors_total{api=\"CreateTopics\",error=\"TOPIC_ALREADY_EXISTS\"}")
                    1.0
                    "the refusal"

                for series in
                    [
                        "tansu_request_seconds_count{api=\"Produce\"}"
                        "tansu_commit_seconds_count{log=\"shard-0\"}"
                        "tansu_commit_bytes_sum{log=\"shard-0\"}"
                        "tansu_store_seconds_count{operation=\"append\"}"
                        "tansu_store_bytes_total{operation=\"append\"}"
                        "tansu_cache_hits_total"
                    ] do
                    Expect.isGreaterThan (value series) 0.0 series

                // The store.
                let! locked = expect 1 $"dump --storage-engine {scratch.Store}"
                Expect.stringContains locked "stop" "a running broker has it"
                let! _ = expect 0 "group delete billing"
                let! _ = expect 0 "topic delete orders load"
                let! none = expect 0 "topic list --json"
                Expect.equal (((json none).GetProperty "topics").GetArrayLength()) 0 "none is left"
                let exitCode, _ = broker.Terminate()
                Expect.equal exitCode 0 $"it said:\n{broker.Log}"
                let! dumped = expect 0 $"dump --storage-engine {scratch.Store} --json"

                Expect.isGreaterThan
                    (dumped.Split('\n', StringSplitOptions.RemoveEmptyEntries)
                     |> Array.sumBy (fun line -> (json line).EnumerateObject() |> Seq.length))
                    0
                    "entries as JSON"

                let! verified =
                    expect 0 $"verify-store --storage-engine {scratch.Store} --rounds 1 --json"

                Expect.isTrue (((json verified).GetProperty "keepsItsPromises").GetBoolean()) "the store"
                let! gone = expect 1 "topic list"
                Expect.stringContains gone "cannot" "a cluster that is not there"
            })

let tests = testList "operating" [ walk ]
