/// What tests need of the machine they run on.
module Tansu.PropertyTests.Machine

open System
open System.IO
open System.Net
open System.Net.Sockets

/// The first folder above the tests that holds the solution.
let repository =
    let rec above (directory: DirectoryInfo) =
        if File.Exists(Path.Combine(directory.FullName, "Tansu.sln")) then
            directory.FullName
        else
            above directory.Parent

    above (DirectoryInfo AppContext.BaseDirectory)

/// Where ./publish puts the native program.
let nativeProgram = Path.Combine(repository, "artifacts", "tansu")

/// A port that nothing listens on.
let freePort () =
    use listener = new TcpListener(IPAddress.Loopback, 0)
    listener.Start()
    (listener.LocalEndpoint :?> IPEndPoint).Port
