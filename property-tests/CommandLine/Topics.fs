/// `tansu topic` against a broker.
module Tansu.PropertyTests.CommandLine.Topics

open System
open System.IO
open Expecto
open Tansu.PropertyTests.EndToEnd.Brokers
open Tansu.PropertyTests.EndToEnd.RealBroker
open Tansu.PropertyTests.Stores
open Tansu.PropertyTests.CommandLine.Running

let private lines (output: string) =
    output.Split(Environment.NewLine, StringSplitOptions.RemoveEmptyEntries)
    |> List.ofArray

let private walk =
    testCaseTask "create, list, describe, alter, delete, for people and as JSON" (fun () ->
        task {
            use scratch = new Scratch()
            use broker = start scratch
            let run = run broker.Bootstrap
            let succeed = succeed broker.Bootstrap
            let succeedJson = succeedJson broker.Bootstrap
            let fail = fail broker.Bootstrap

            let! output = succeed [ "topic"; "list" ]
            Expect.equal output "" "nothing yet"

            let! output =
                succeed [
                    "topic"
                    "create"
                    "b"
                    "a"
                    "--partitions"
                    "2"
                    "--config"
                    "retention.ms=1000"
                ]

            Expect.equal (lines output) [ "b: created"; "a: created" ] "in the order asked"

            let! ran = run [ "topic"; "create"; "a"; "c" ]
            Expect.equal ran.ExitCode 1 "one of two failed"
            Expect.equal (lines ran.Output) [ "c: created" ] "the other was created"
            Expect.stringContains ran.Error "tansu: topic a:" "which failed"
            Expect.stringContains ran.Error "TOPIC_ALREADY_EXISTS" "why"
            let! output = succeed [ "topic"; "create"; "a"; "--if-not-exists" ]
            Expect.equal (lines output) [ "a: exists" ] "no failure"

            let! ran = run [ "topic"; "create"; "a"; "d"; "--json" ]
            Expect.equal ran.ExitCode 1 "one of two failed"
            let document = json ran.Output

            Expect.equal
                (text "topics.0.result" document, text "topics.1.result" document)
                ("failed", "created")
                "both"

            Expect.equal (text "topics.0.error.code" document) "TOPIC_ALREADY_EXISTS" "why"

            let! document = succeedJson [ "topic"; "list" ]

            Expect.equal
                [
                    for topic in (at "topics" document).EnumerateArray() ->
                        text "name" topic, number "partitions" topic
                ]
                [ "a", 2L; "b", 2L; "c", 1L; "d", 1L ]
                "by name"

            let! output = succeed [ "topic"; "list" ]
            let table = cells output
            Expect.equal table[0] [ "TOPIC"; "PARTITIONS"; "REPLICAS"; "ID" ] "headings"
            Expect.equal table[1] [ "a"; "2"; "1"; text "topics.0.id" document ] "a row"
            Expect.hasLength (text "topics.0.id" document) 22 "16 bytes in base64"

            let! _ =
                shell "kcat" [ "-b"; broker.Bootstrap; "-t"; "a"; "-p"; "1"; "-P" ] "1\n2\n3\n"

            let! document = succeedJson [ "topic"; "describe"; "a" ]
            Expect.equal (number "topics.0.partitions.1.latest" document) 3L "three records"
            Expect.equal (number "topics.0.partitions.1.earliest" document) 0L "from the start"
            Expect.equal (number "topics.0.partitions.0.latest" document) 0L "none in the other"
            Expect.isGreaterThan (number "topics.0.partitions.0.leader" document) 0L "a leader"
            Expect.equal (text "topics.0.configs.0.name" document) "retention.ms" "what was set"
            Expect.equal (text "topics.0.configs.0.value" document) "1000" "its value"
            let! output = succeed [ "topic"; "describe"; "a" ]
            Expect.contains (cells output) [ "retention.ms"; "1000"; "DYNAMIC_TOPIC_CONFIG" ] "configurations"
            Expect.stringContains output "topic a, id " "title"
            let! output = succeed [ "topic"; "describe" ]

            for name in [ "a"; "b"; "c"; "d" ] do
                Expect.stringContains output $"topic {name}, " "all of them"

            let! output =
                succeed [
                    "topic"
                    "alter"
                    "a"
                    "--partitions"
                    "5"
                    "--config"
                    "max.message.bytes=2000"
                    "--delete-config"
                    "retention.ms"
                ]

            Expect.equal (lines output) [ "a: altered" ] "altered"
            let! document = succeedJson [ "topic"; "describe"; "a" ]
            Expect.equal ((at "topics.0.partitions" document).GetArrayLength()) 5 "partitions"
            Expect.equal (text "topics.0.configs.0.name" document) "max.message.bytes" "set, and the other deleted"
            Expect.equal ((at "topics.0.configs" document).GetArrayLength()) 1 "no other"
            let! said = fail [ "topic"; "alter"; "a"; "--partitions"; "2" ]
            Expect.stringContains said "INVALID_PARTITIONS" "fewer"
            let! said = fail [ "topic"; "alter"; "a"; "--config"; "nonsense=1" ]
            Expect.stringContains said "nonsense" "which"

            let! ran = run [ "topic"; "delete"; "a"; "nope"; "--json" ]
            Expect.equal ran.ExitCode 1 "one of two failed"
            Expect.equal (text "topics.0.result" (json ran.Output)) "deleted" "the other is gone"
            Expect.equal (text "topics.1.error.code" (json ran.Output)) "UNKNOWN_TOPIC_OR_PARTITION" "why"
            let! output = succeed [ "topic"; "delete"; "nope"; "b"; "--if-exists" ]
            Expect.equal (lines output) [ "nope: missing"; "b: deleted" ] "no failure"
            let! ran = run [ "topic"; "describe"; "a"; "c"; "--json" ]
            Expect.equal ran.ExitCode 1 "a is gone"
            Expect.equal (text "topics.0.name" (json ran.Output)) "c" "c is shown"
            Expect.stringContains ran.Error "topic a: the topic or partition does not exist" "which"
        })

let private assignment =
    testCaseTask "create with an assignment has as many partitions as it names" (fun () ->
        task {
            use scratch = new Scratch()
            use broker = start scratch
            let! _ = succeed broker.Bootstrap [ "topic"; "create"; "a"; "--assignment"; "1,1,1" ]
            let! document = succeedJson broker.Bootstrap [ "topic"; "list" ]
            Expect.equal (number "topics.0.partitions" document) 3L "partitions"

            let! said =
                fail broker.Bootstrap [ "topic"; "create"; "b"; "--config"; "retention.ms=x" ]

            Expect.stringContains said "retention.ms" "which configuration"
        })

let private outside =
    testCaseTask "as a program: exit codes, and .env" (fun () ->
        task {
            use scratch = new Scratch()
            use broker = start scratch
            File.WriteAllText(Path.Combine(scratch.Path, ".env"), $"BOOTSTRAP_SERVER={broker.Bootstrap}\n")

            let tansu arguments =
                Tansu.PropertyTests.EndToEnd.RealBroker.run scratch.Path [] arguments

            let! created = tansu [ "topic"; "create"; "a" ]
            Expect.equal (created.exitCode, created.output, created.error) (0, "a: created\n", "") "done"
            let! again = tansu [ "topic"; "create"; "a" ]
            Expect.equal (again.exitCode, again.output) (1, "") "failed"
            Expect.stringStarts again.error "tansu: topic a: " "why"
            let! wrong = tansu [ "topic"; "create" ]
            Expect.equal (wrong.exitCode, wrong.output) (2, "") "wrong usage"
            Expect.stringContains wrong.error "--help" "where to look"
            let! listed = tansu [ "topic"; "list"; "--json" ]
            Expect.equal (text "topics.0.name" (json listed.output)) "a" "one document"
        })

let private severalBrokers =
    testCaseTask "of several brokers, each is asked for what it leads and coordinates" (fun () ->
        task {
            use scratch = new Scratch()
            let server = PostgresServer.shared.Value
            let! database = server.NewDatabase()

            use brokers =
                new Brokers(2, scratch.Path, server.Url database, [], [ "--shards"; "16" ])
            // The second is learned of from the first.
            let bootstrap = brokers[0].Bootstrap

            let isKnown () =
                task {
                    let! ran = run bootstrap [ "config"; "get"; "--broker"; "2"; "--all" ]
                    return ran.ExitCode = 0
                }

            let clock = Diagnostics.Stopwatch.StartNew()
            let! known = isKnown ()
            let mutable known = known

            while not known && clock.Elapsed < patience do
                let! again = isKnown ()
                known <- again

            Expect.isTrue known "the first broker has learned of the second"
            let names = [ for index in 1..8 -> $"n{index}" ]
            let! _ = succeed bootstrap ([ "topic"; "create" ] @ names)
            let! document = succeedJson bootstrap ([ "topic"; "describe" ] @ names)
            let topics = (at "topics" document).EnumerateArray() |> List.ofSeq
            let leaders = [ for topic in topics -> number "partitions.0.leader" topic ]
            Expect.equal (List.sort (List.distinct leaders)) [ 1L; 2L ] "both lead something"

            Expect.equal
                [ for topic in topics -> number "partitions.0.latest" topic ]
                [ for _ in names -> 0L ]
                "offsets"

            for name in names do
                let! _ =
                    succeed bootstrap [ "group"; "reset-offsets"; name; "--topic"; name; "--to-latest"; "--execute" ]

                ()

            let! document = succeedJson bootstrap [ "group"; "list" ]

            Expect.equal
                [ for group in (at "groups" document).EnumerateArray() -> text "group" group ]
                names
                "each once"

            let! document = succeedJson bootstrap [ "group"; "describe" ]

            let coordinators = [
                for group in (at "groups" document).EnumerateArray() -> text "coordinator" group
            ]

            Expect.hasLength (List.distinct coordinators) 2 "both coordinate something"
            let! _ = succeed bootstrap ([ "group"; "delete" ] @ names)

            for broker in [ "1"; "2" ] do
                let! document =
                    succeedJson bootstrap [ "config"; "get"; "--broker"; broker; "--all" ]

                Expect.equal (text "name" document) broker "whose"

            let! _ = succeed bootstrap ([ "topic"; "delete" ] @ names)
            let! output = succeed bootstrap [ "topic"; "list" ]
            Expect.equal output "" "none is left"
        })

let tests = testList "topic" [ walk; assignment; outside; severalBrokers ]
