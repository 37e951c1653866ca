/// The command line of the native program, where what Argu finds by reflection may be missing.
module Tansu.PropertyTests.Shipping.CommandLines

open System.Text.RegularExpressions
open Expecto
open Tansu.PropertyTests.CommandLine
open Tansu.PropertyTests.EndToEnd
open Tansu.PropertyTests.EndToEnd.RealBroker

let private commandLines = [
    [ "--help" ], 0
    [ "broker"; "--help" ], 0
    [ "verify-store"; "--help" ], 0
    [ "--version" ], 0
    [ "nonsense" ], 2
    [ "broker"; "--nonsense" ], 2
    [ "--listener-url" ], 2
    [ "verify-store"; "--nonsense"; "1" ], 2
    [ "--shards=0" ], 1
    [ "broker"; "--shards"; "1"; "--log-level"; "loud" ], 1
    [ "verify-store"; "--rounds"; "0" ], 1
    [ "verify-store"; "--storage-engine"; "memory://"; "--rounds"; "3" ], 0
    [ "cat"; "produce"; "t"; "--acks"; "2" ], 2
    [ "perf"; "produce"; "--help" ], 0
    [ "dump"; "--storage-engine"; "file:///nowhere" ], 1
    [ "topic"; "--help" ], 0
    [ "topic" ], 2
    [ "topic"; "nonsense" ], 2
    [ "topic"; "create" ], 2
    [ "topic"; "create"; "t"; "--nonsense" ], 2
    [ "topic"; "list"; "--bootstrap-server"; "127.0.0.1:1" ], 1
    [ "topic"; "list"; "--bootstrap-server"; "no-such-host.invalid" ], 1
]

/// What is done to a cluster, one after the other.
let private administration = [
    "topic create t u --partitions 3 --config retention.ms=1000"
    "topic create t --if-not-exists"
    "topic list"
    "topic alter t --partitions 5 --delete-config retention.ms"
    "topic describe t"
    "config set --topic t retention.ms=2000"
    "config get --topic t --describe"
    "config get --broker 1 --all"
    "group reset-offsets g --topic t:0,1 --to-latest --execute"
    "group reset-offsets g --all-topics --by-duration PT1H"
    "group list"
    "group describe g"
    "group delete-offsets g --topic t:0"
    "group delete g"
    "topic delete t u"
]

let private words (line: string) = line.Split ' ' |> List.ofArray

/// Without the seconds that races of verify-store took.
let private timeless finished = {
    finished with
        output = Regex.Replace(finished.output, @"(?<=one winner each, )\d+\.\d s$", "", RegexOptions.Multiline)
}

/// A command with all its flags, each with the value 0, which --timeout-ms refuses: by then Argu has taken all of them.
let private everything (command: string) =
    match Running.parse (words command @ [ "--help" ]) with
    | Tansu.Host.CommandLine.Print text ->
        Regex.Matches(text, @"^ {4}(--[a-z-]+)( <)?", RegexOptions.Multiline)
        |> Seq.collect (fun found -> found.Groups[1].Value :: (if found.Groups[2].Success then [ "0" ] else []))
        |> List.ofSeq
        |> List.append (words command @ [ "name" ])
    | other -> failtest $"{other}"

let tests =
    testList "the command line says what the one of the built program says" [
        for arguments, exitCode in commandLines do
            let line = String.concat " " arguments

            testCaseTask line (fun () ->
                task {
                    use scratch = new Scratch()
                    let! built = runBuilt scratch.Path [] arguments
                    let! native = runBy [ Native.program.Value ] scratch.Path [] arguments
                    Expect.equal (timeless native) (timeless built) "output and exit code"
                    Expect.equal native.exitCode exitCode "exit code"
                })

        for command in Parsing.commands () |> List.filter (fun command -> command.Contains ' ') do
            testCaseTask $"every flag of {command} is taken" (fun () ->
                task {
                    use scratch = new Scratch()

                    for arguments in [ everything command; words command @ [ "--help" ] ] do
                        let! built = runBuilt scratch.Path [] arguments
                        let! native = runBy [ Native.program.Value ] scratch.Path [] arguments
                        Expect.equal native built "output and exit code"
                })

        testCaseTask "every command works against a broker" (fun () ->
            task {
                use scratch = new Scratch()
                use broker = start scratch

                for line in administration do
                    for arguments in [ words line; words line @ [ "--json" ] ] do
                        let! ran =
                            runBy
                                [ Native.program.Value ]
                                scratch.Path
                                [ "BOOTSTRAP_SERVER", broker.Bootstrap ]
                                arguments

                        // What was done by the first cannot be done again by the second.
                        if not (List.contains "--json" arguments) then
                            Expect.equal (ran.exitCode, ran.error) (0, "") line
                            Expect.isNotEmpty ran.output line
                        elif ran.exitCode = 0 then
                            Running.json ran.output |> ignore
            })

        testCaseTask "every flag of the broker is taken" (fun () ->
            task {
                use scratch = new Scratch()

                let arguments = [
                    for setting in Tansu.Host.CommandLine.Setting.all do
                        setting.Flag
                        // The last flag is the one that is refused, after all others were read.
                        "x"
                ]

                let! built = runBuilt scratch.Path [] ("broker" :: arguments)
                let! native = runBy [ Native.program.Value ] scratch.Path [] ("broker" :: arguments)
                Expect.equal native built "output and exit code"
                Expect.equal native.exitCode 1 "a value is refused, not a flag"
            })
    ]
