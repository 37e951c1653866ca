/// `tansu perf` against a broker, with few records.
module Tansu.PropertyTests.CommandLine.Measuring

open System.IO
open System.Threading
open Expecto
open Tansu.Host.CommandLine
open Tansu.Host.Commands.Perf
open Tansu.PropertyTests.EndToEnd.RealBroker
open Tansu.PropertyTests.CommandLine.Running

let private perf bootstrap arguments =
    task {
        match parseIn [ "BOOTSTRAP_SERVER", bootstrap ] ("perf" :: arguments) with
        | UseCluster(settings, Measure asked) ->
            use output = new StringWriter()
            use error = new StringWriter()

            let! exitCode =
                PerfCommand.RunAsync(settings, asked, "1.2.3", output, error, CancellationToken.None)

            return { ExitCode = exitCode; Output = string output; Error = string error }
        | other -> return failtest $"{other}"
    }

let private measure bootstrap arguments =
    task {
        let! ran = perf bootstrap (arguments @ [ "--json" ])
        Expect.equal ran.ExitCode 0 ran.Error
        return json ran.Output
    }

let private latencies name document =
    let figures = [
        for figure in [ "p50"; "p95"; "p99"; "p999"; "max" ] -> (at $"{name}.{figure}" document).GetDouble()
    ]

    Expect.equal figures (List.sort figures) "in their order"
    Expect.isGreaterThan (List.last figures) 0.0 "it took some time"

let private ways = [
    "one producer", [ "--record-size"; "10" ]
    "several producers, small batches", [ "--producers"; "3"; "--batch-bytes"; "500" ]
    "compressed", [ "--compression"; "zstd"; "--acks"; "1"; "--in-flight"; "20" ]
    "not acknowledged", [ "--acks"; "0" ]
    "in transactions", [ "--producers"; "2"; "--transaction-records"; "300" ]
    "at a rate", [ "--throughput"; "20000"; "--linger-ms"; "2" ]
]

let tests =
    testList "perf" [
        for name, flags in ways do
            testCaseTask $"produce writes as many records as it is told: {name}" (fun () ->
                task {
                    use scratch = new Scratch()
                    use broker = start scratch

                    let! document =
                        measure
                            broker.Bootstrap
                            ([ "produce"; "t"; "--records"; "2001"; "--create"; "--partitions"; "3" ] @ flags)

                    Expect.equal (number "records" document, number "recordsLost" document) (2001L, 0L) "written"
                    Expect.isGreaterThan ((at "recordsPerSecond" document).GetDouble()) 0.0 "rate"
                    latencies "latencyMs" document

                    if name <> "not acknowledged" then
                        let! document =
                            measure broker.Bootstrap [
                                "consume"
                                "t"
                                "--consumers"
                                "2"
                                "--isolation"
                                "read_committed"
                            ]

                        Expect.equal (number "records" document) 2001L "read"
                        latencies "latencyMs" document
                })

        testCaseTask "latency measures each record twice, and a duration ends it" (fun () ->
            task {
                use scratch = new Scratch()
                use broker = start scratch

                let! document =
                    measure broker.Bootstrap [ "latency"; "t"; "--create"; "--records"; "20" ]

                Expect.equal (number "records" document) 20L "records"
                latencies "produceMs" document
                latencies "endToEndMs" document

                let! ran =
                    perf broker.Bootstrap [ "produce"; "t"; "--duration"; "0.2"; "--throughput"; "1000" ]

                Expect.equal ran.ExitCode 0 ran.Error
                Expect.stringContains ran.Output "records/s" "for people"
                let! ran = perf broker.Bootstrap [ "consume"; "none" ]
                Expect.equal ran.ExitCode 1 "no such topic"
                let! ran = perf broker.Bootstrap [ "produce"; "bad name"; "--create" ]
                Expect.equal ran.ExitCode 1 "no such topic can be"
            })
    ]
