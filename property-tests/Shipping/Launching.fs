/// Which program `./tansu` starts.
module Tansu.PropertyTests.Shipping.Launching

open System
open System.IO
open Expecto
open Tansu.PropertyTests
open Tansu.PropertyTests.EndToEnd.RealBroker

let private launcher = Path.Combine(Machine.repository, "tansu")

/// Runs `./tansu --version` where `dotnet` does nothing but fail, with the native program as old as said.
let private versionWith (age: DateTime) =
    task {
        use scratch = new Scratch()
        let dotnet = Path.Combine(scratch.Path, "dotnet")
        File.WriteAllText(dotnet, "#!/bin/sh\nexit 3\n")
        File.SetUnixFileMode(dotnet, UnixFileMode.UserRead ||| UnixFileMode.UserExecute)
        let path = Environment.GetEnvironmentVariable "PATH"
        let before = File.GetLastWriteTimeUtc Native.program.Value

        try
            File.SetLastWriteTimeUtc(Native.program.Value, age)
            return! runBy [ launcher ] scratch.Path [ "PATH", $"{scratch.Path}:{path}" ] [ "--version" ]
        finally
            File.SetLastWriteTimeUtc(Native.program.Value, before)
    }

let tests =
    testList "./tansu" [
        testCaseTask "starts the native program if it is newer than the sources" (fun () ->
            task {
                let! launched = versionWith (DateTime.UtcNow.AddMinutes 1.0)
                Expect.equal launched.exitCode 0 $"it said {launched.error}"
                Expect.stringContains launched.output "tansu " "the version"
            })

        testCaseTask "leaves the native program alone if it is older" (fun () ->
            task {
                let! launched = versionWith (DateTime(2020, 1, 1))
                Expect.notEqual launched.exitCode 0 "it turned to dotnet"
            })
    ]
