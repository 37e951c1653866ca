/// The program as an operator meets it: start, stop, and what it says when something is wrong.
module Tansu.PropertyTests.EndToEnd.Process

open System
open System.IO
open System.Net
open System.Net.Http
open System.Net.Sockets
open System.Text.RegularExpressions
open Confluent.Kafka
open Expecto
open Tansu.PropertyTests.EndToEnd.RealBroker
open Tansu.PropertyTests.Stores

let private listener = [ "--listener-url"; "tcp://127.0.0.1:0" ]

let private stopsOnSigterm =
    testCaseTask
        "SIGTERM ends the broker with exit code 0 within 5 s, also while clients wait in a long poll"
        (fun () ->
            task {
                use scratch = new Scratch()
                use broker = start scratch

                let config =
                    Clients.configure (ConsumerConfig(GroupId = "unused", FetchWaitMaxMs = 30_000)) broker.Bootstrap

                use producer =
                    Clients.producer (Clients.configure (ProducerConfig()) broker.Bootstrap)

                let! _ =
                    producer.ProduceAsync("waits", Message<byte array, byte array>(Value = [| 1uy |]))

                use consumer =
                    ConsumerBuilder<byte array, byte array>(config).SetLogHandler(fun _ _ -> ()).Build()

                consumer.Assign(TopicPartitionOffset("waits", Partition 0, Offset.Beginning))
                Expect.isNotNull (consumer.Consume patience) "the record"
                let exitCode, elapsed = broker.Terminate()
                Expect.equal exitCode 0 $"exit code; it said:\n{broker.Log}"
                Expect.isLessThan elapsed (TimeSpan.FromSeconds 5.0) "time to stop"
            })

let private secondBroker =
    testCaseTask "a second broker on the same directory is refused with one clear line" (fun () ->
        task {
            use scratch = new Scratch()
            use broker = start scratch

            let! second =
                run scratch.Path [] ([ "broker"; "--storage-engine"; scratch.Store ] @ listener)

            Expect.equal second.exitCode 1 "exit code"

            Expect.stringContains
                (second.output + second.error)
                $"{broker.ProcessId}"
                "it names who holds the directory"
        })

let private portInUse =
    testCaseTask "a port in use is refused with one clear line" (fun () ->
        task {
            use scratch = new Scratch()
            use taken = new TcpListener(IPAddress.Loopback, 0)
            taken.Start()
            let port = (taken.LocalEndpoint :?> IPEndPoint).Port

            let! refused =
                run scratch.Path [] [
                    "broker"
                    "--listener-url"
                    $"tcp://127.0.0.1:{port}"
                    "--storage-engine"
                    "memory://"
                ]

            Expect.equal refused.exitCode 1 "exit code"
            Expect.stringContains (refused.output + refused.error) "in use" "what is wrong"
        })

let private metricsPortInUse =
    testCaseTask "a metrics port in use is refused with one clear line" (fun () ->
        task {
            use scratch = new Scratch()
            use taken = new TcpListener(IPAddress.Loopback, 0)
            taken.Start()
            let port = (taken.LocalEndpoint :?> IPEndPoint).Port
            let metrics = [ "--metrics-listener-url"; $"tcp://127.0.0.1:{port}" ]

            let! refused =
                run scratch.Path [] ([ "broker"; "--storage-engine"; scratch.Store ] @ listener @ metrics)

            Expect.equal refused.exitCode 1 "exit code"
            let said = (refused.output + refused.error).Trim()
            Expect.stringContains said "in use" "what is wrong"
            Expect.stringContains said "--metrics-listener-url" "what to change"
            Expect.equal (said.Split('\n').Length) 1 "one line"
            Expect.isFalse (Directory.Exists(Path.Combine(scratch.Path, "store"))) "the store was not touched"
        })

let private defaultMetricsPortInUse =
    testCaseTask "a broker runs without metrics if the default port is in use" (fun () ->
        task {
            use scratch = new Scratch()
            use taken = new TcpListener(IPAddress.IPv6Any, 9100)
            taken.Server.DualMode <- true

            try
                taken.Start()
            with :? SocketException ->
                // In use anyway.
                ()

            use broker =
                RealBroker.Start(
                    scratch.Path,
                    listener @ [ "--storage-engine"; "memory://" ],
                    [ "METRICS_LISTENER_URL", "" ]
                )

            Expect.stringContains broker.Log "There is no metrics and health port" "it is said"
            let exitCode, _ = broker.Terminate()
            Expect.equal exitCode 0 $"exit code; it said:\n{broker.Log}"
        })

let private metricsPort (broker: RealBroker) =
    Regex.Match(broker.Log, @"Metrics and health on tcp://\S*:(\d+)").Groups[1].Value

let private metrics =
    testCaseTask "metrics and health of a running broker, over IPv6 and IPv4" (fun () ->
        task {
            use scratch = new Scratch()

            let url =
                if Socket.OSSupportsIPv6 then
                    "tcp://[::]:0"
                else
                    "tcp://0.0.0.0:0"

            let store = "file://" + scratch.Path + "/store"

            use broker =
                RealBroker.Start(
                    scratch.Path,
                    listener @ [ "--storage-engine"; store ],
                    [ "METRICS_LISTENER_URL", url ]
                )

            let port = metricsPort broker

            use producer =
                Clients.producer (Clients.configure (ProducerConfig()) broker.Bootstrap)

            let! _ =
                producer.ProduceAsync("counted", Message<byte array, byte array>(Value = [| 1uy |]))

            use http = new HttpClient(Timeout = patience)

            for host in
                [
                    "127.0.0.1"
                    if Socket.OSSupportsIPv6 then
                        "[::1]"
                ] do
                let! ready = http.GetStringAsync $"http://{host}:{port}/health/ready"
                Expect.equal ready "ok\n" "ready"
                let! text = http.GetStringAsync $"http://{host}:{port}/metrics"
                Expect.isMatch text @"(?m)^tansu_requests_total\{api=""Produce""\} [1-9]" "produced"
                Expect.isMatch text @"(?m)^tansu_log_entry\{log=""shard-0""\} [1-9]" "an entry"
                Expect.isMatch text @"(?m)^tansu_build_info\{version=""0\.1\.0""\} 1$" "version"

            let exitCode, _ = broker.Terminate()
            Expect.equal exitCode 0 $"exit code; it said:\n{broker.Log}"
        })

let private metricsOfS3 =
    testCaseTask "metrics tell of the requests to S3, and no secret" (fun () ->
        task {
            use scratch = new Scratch()
            let! endpoint = S3Server.endpoint ()
            let credentials = S3Server.environment endpoint
            let arguments = [ "--metrics-listener-url"; "tcp://127.0.0.1:0"; "--storage-engine" ]

            use broker =
                RealBroker.Start(
                    scratch.Path,
                    listener @ arguments @ [ "s3://" + S3Server.freshPlace () ],
                    Map.toList credentials
                )

            use http = new HttpClient(Timeout = patience)
            let! text = http.GetStringAsync $"http://127.0.0.1:{metricsPort broker}/metrics"
            Expect.isMatch text @"(?m)^tansu_store_requests_total\{kind=""put""\} [1-9]" "PUT"

            for kind in [ "get"; "head"; "list"; "delete" ] do
                Expect.isMatch text $"(?m)^tansu_store_requests_total\\{{kind=\"{kind}\"\\}} [0-9]" kind

            for name in [ "AWS_ACCESS_KEY_ID"; "AWS_SECRET_ACCESS_KEY" ] do
                Expect.isFalse (text.Contains credentials[name]) name
        })

let private unknownStore =
    testCaseTask "a storage engine that does not exist is refused with the forms that do" (fun () ->
        task {
            use scratch = new Scratch()

            let! refused =
                run scratch.Path [ "STORAGE_ENGINE", "redis://user:secret@host" ] ([ "broker" ] @ listener)

            Expect.equal refused.exitCode 1 "exit code"
            let said = refused.output + refused.error
            Expect.stringContains said "file://" "what is allowed"
            Expect.isFalse (said.Contains "secret") "no secret is said"
        })

let private help =
    testCaseTask "--version and broker --help answer" (fun () ->
        task {
            use scratch = new Scratch()
            let! version = run scratch.Path [] [ "--version" ]
            Expect.equal version.exitCode 0 "exit code"
            Expect.stringContains version.output "0.1.0" "the version"
            let! help = run scratch.Path [] [ "broker"; "--help" ]
            Expect.equal help.exitCode 0 "exit code"

            for flag in
                [
                    "--cluster-id"
                    "--listener-url"
                    "--advertised-listener-url"
                    "--storage-engine"
                    "--cache-bytes"
                    "--max-request-bytes"
                    "--connection-idle-ms"
                    "--auto-create-topics"
                    "--default-partitions"
                ] do
                Expect.stringContains help.output flag "the flag is explained"
        })

let private startLine =
    testCaseTask "the start line tells version, listener, store and milliseconds" (fun () ->
        task {
            use scratch = new Scratch()
            use broker = start scratch

            for part in [ "0.1.0"; "tcp://127.0.0.1:"; "file"; "ms" ] do
                Expect.stringContains broker.Log part "the start line"
        })

let tests =
    testList "process" [
        stopsOnSigterm
        secondBroker
        portInUse
        metricsPortInUse
        defaultMetricsPortInUse
        metrics
        unknownStore
        help
        startLine
    ]
