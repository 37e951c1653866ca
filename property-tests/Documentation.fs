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

/// The commands that a section of docs/command-line.md explains, each with the flags of its table.
let private explained () =
    let mutable command = ""

    [
        for line in read("docs/command-line.md").Split '\n' do
            let heading = Regex.Match(line, "^### `tansu ([a-z -]+?)(?: <.*)?`")
            let flag = Regex.Match(line, @"^\| `(--[a-z-]+)")

            if heading.Success then
                command <- heading.Groups[1].Value
            elif line.StartsWith "## " then
                command <- ""
            elif flag.Success && command <> "" then
                command, flag.Groups[1].Value
    ]

let tests =
    testList "documentation" [
        testCase "docs/command-line.md explains every flag of every command for a cluster, and no other"
        <| fun () ->
            let common = [ "--bootstrap-server"; "--timeout-ms"; "--json" ]

            let flags = [
                for command in CommandLine.Parsing.commands () do
                    if command.Contains ' ' then
                        for flag in CommandLine.Parsing.flagsOf command |> List.except common do
                            command, flag
            ]

            Expect.equal (explained ()) flags "flags"
            let text = read "docs/command-line.md"

            for part in common @ CommandLine.Parsing.commands () do
                Expect.stringContains text part "mentioned"

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
