/// What the documents say of the program is compared with the program.
module Tansu.PropertyTests.Documentation

open System
open System.IO
open System.Text.RegularExpressions
open Expecto
open Serilog
open Tansu.Adapters
open Tansu.Host
open Tansu.Host.Handlers

let private read (path: string) =
    File.ReadAllText(Path.Combine(Machine.repository, path))

/// Key, name and versions of every row of the table of APIs.
let private documented () =
    read("docs/compatibility.md").Split '\n'
    |> Array.map (fun line -> line.Split '|' |> Array.map _.Trim())
    |> Array.filter (fun cells -> cells.Length > 4 && fst (Int16.TryParse cells[1]))
    |> Array.map (fun cells -> cells[1], cells[2], cells[3])
    |> List.ofArray

let private served () =
    task {
        use log = LoggerConfiguration().CreateLogger()
        let space = new MemoryStore(MemorySpace(), StoreOptions.Default)

        let options = ClusterOptions(AdvertisedHost = "localhost", AdvertisedPort = 9092)

        let! cluster = Cluster.OpenAsync(space, options, Threading.CancellationToken.None)
        let broker = Broker(cluster, BrokerSettings(), log, TimeProvider.System)

        let rows = [
            for handler in HandlerList.Create(broker).All ->
                let versions =
                    if handler.LowestVersion = handler.HighestVersion then
                        $"{handler.LowestVersion}"
                    else
                        $"{handler.LowestVersion}-{handler.HighestVersion}"

                string handler.ApiKey, handler.Name, versions
        ]

        do! broker.DisposeAsync()
        return rows
    }

let tests =
    testList "documentation" [
        testCaseTask "docs/compatibility.md lists the APIs and versions that are served" (fun () ->
            task {
                let! served = served ()
                Expect.equal (documented ()) served "the table"
            })

        testCase "the dashboard and the alerts use metrics that there are"
        <| fun () ->
            let metrics =
                Directory.GetFiles(Path.Combine(Machine.repository, "Tansu.Host/Metrics"))
                |> Array.map File.ReadAllText
                |> String.concat "\n"

            for document in [ "docs/operations.md"; "docs/grafana.json" ] do
                for found in Regex.Matches(read document, @"(?<![\w-])(tansu|process|dotnet)_[a-z_]*[a-z]\b(?!_)(?!\*)") do
                    let name = Regex.Replace(found.Value, "_(bucket|sum|count)$", "")
                    Expect.stringContains metrics $"\"{name}" $"{document}: {found.Value}"

        testCase "the README explains every flag of the broker"
        <| fun () ->
            let readme = read "README.md"
            let settings = read "Tansu.Host/CommandLine/Settings.fs"

            let flags =
                Text.RegularExpressions.Regex.Matches(settings, "\"(--[a-z-]+)\"")
                |> Seq.map _.Groups[1].Value
                |> Seq.distinct
                |> List.ofSeq

            for flag in flags do
                Expect.stringContains readme $"`{flag}`" "in the table"
    ]
