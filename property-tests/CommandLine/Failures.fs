/// What commands say when there is no broker.
module Tansu.PropertyTests.CommandLine.Failures

open Expecto
open Tansu.PropertyTests
open Tansu.PropertyTests.CommandLine.Running

let private commands = [
    [ "topic"; "create"; "a" ]
    [ "topic"; "list" ]
    [ "topic"; "describe"; "a" ]
    [ "topic"; "alter"; "a"; "--partitions"; "2" ]
    [ "topic"; "delete"; "a" ]
    [ "group"; "list" ]
    [ "group"; "describe"; "g" ]
    [ "group"; "reset-offsets"; "g"; "--topic"; "a"; "--to-latest" ]
    [ "group"; "delete"; "g" ]
    [ "group"; "delete-offsets"; "g"; "--topic"; "a" ]
    [ "config"; "get"; "--topic"; "a" ]
    [ "config"; "set"; "--topic"; "a"; "b=c" ]
]

let tests =
    testList "nobody is there" [
        for command in commands do
            testCaseTask (String.concat " " command) (fun () ->
                task {
                    let nobody = $"127.0.0.1:{Machine.freePort ()}"

                    for arguments in [ command; command @ [ "--json" ] ] do
                        let! ran = run nobody arguments
                        Expect.equal (ran.ExitCode, ran.Output) (1, "") "nothing to standard output"
                        Expect.stringContains ran.Error $"cannot reach {nobody}: connection refused" "why"
                        Expect.equal (ran.Error.Trim().Split('\n').Length) 1 "one line"
                })
    ]
