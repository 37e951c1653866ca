/// The command line of the native program, where what Argu finds by reflection may be missing.
module Tansu.PropertyTests.Shipping.CommandLines

open Expecto
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
]

let tests =
    testList "the command line says what the one of the built program says" [
        for arguments, exitCode in commandLines do
            let line = String.concat " " arguments

            testCaseTask line (fun () ->
                task {
                    use scratch = new Scratch()
                    let! built = run scratch.Path [] arguments
                    let! native = runBy [ Native.program.Value ] scratch.Path [] arguments
                    Expect.equal native built "output and exit code"
                    Expect.equal native.exitCode exitCode "exit code"
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

                let! built = run scratch.Path [] ("broker" :: arguments)
                let! native = runBy [ Native.program.Value ] scratch.Path [] ("broker" :: arguments)
                Expect.equal native built "output and exit code"
                Expect.equal native.exitCode 1 "a value is refused, not a flag"
            })
    ]
