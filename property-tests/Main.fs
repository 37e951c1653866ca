module Tansu.PropertyTests.Main

open System
open System.Collections.Generic
open System.IO
open Expecto

/// Every test list; a new file of tests is named here.
let private all: Test list = [
    Lint.tests
    Domain.Tests.tests
    Codec.RecordTests.tests
    Compaction.Tests.tests
    Codec.MessageTests.tests
    Codec.Golden.tests
    Stores.Tests.tests
    Replica.Tests.tests
    Simulation.Tests.tests
    Host.Tests.tests
    Handlers.Tests.tests
    Documentation.tests
    CommandLine.Tests.tests
    EndToEnd.Tests.tests
    Shipping.Tests.tests
]

/// Commands that are not test lists: `./test NAME …` runs the one named NAME with the arguments after it.
let private commands: Map<string, string list -> int> =
    Map.ofList [
        "capture-frames", EndToEnd.Capture.run
        "simulate", Simulation.Tests.simulate
        "consume-in-group", EndToEnd.GroupMembers.consume
        "copy-exactly-once", EndToEnd.PipelineWorker.copy
        "pipeline", EndToEnd.Pipeline.pipeline
        "soak", EndToEnd.Soak.soak
    ]

[<NoComparison; NoEquality>]
type private Arguments = { countsFile: string option; names: string list }

let rec private parse arguments (rest: string list) =
    match rest with
    | [] -> { arguments with names = List.rev arguments.names }
    | "--seed" :: _ :: tail -> parse arguments tail
    | "--counts" :: file :: tail -> parse { arguments with countsFile = Some file } tail
    | name :: tail -> parse { arguments with names = name :: arguments.names } tail

let private isWanted (names: string list) (path: string list) =
    let full = String.Join(".", path)

    List.isEmpty names
    || names
       |> List.exists (fun name -> full.Contains(name, StringComparison.OrdinalIgnoreCase))

let private report countsFile (passed: int) (failed: int) =
    let line = $"{passed} passed, {failed} failed"

    match countsFile with
    | Some(file: string) -> File.WriteAllText(file, line + "\n")
    | None -> Console.Out.WriteLine line

/// How many of the slowest tests are named at the end.
[<Literal>]
let private SlowestTold = 25

/// Where the time went: tests that ran beside others have waited for them as well.
let private tellSlowest results =
    let slowest =
        results
        |> List.sortByDescending (fun (_, result: Impl.TestSummary) -> result.duration)
        |> List.truncate SlowestTold
        |> List.filter (fun (_, result) -> result.duration >= TimeSpan.FromSeconds 1.)

    for test: FlatTest, result in slowest do
        Console.Out.WriteLine $"{result.duration.TotalSeconds, 6:F1} s  {String.Join('.', test.name)}"

/// Keeps a file of the tests that have begun and not ended, so that whoever finds the process gone knows what it was at.
type private Running(path: string) =
    let names = HashSet<string>()

    let change (change: HashSet<string> -> bool) =
        async {
            lock names (fun () ->
                if change names then
                    File.WriteAllLines(path, Seq.sort names))
        }

    member _.Begin name = change (fun names -> names.Add name)
    member _.End name = change (fun names -> names.Remove name)

    /// The same printer, which also keeps the file.
    member this.In(printer: Impl.TestPrinters) =
        let both (first: Async<unit>) (second: Async<unit>) =
            async {
                do! first
                do! second
            }

        {
            printer with
                beforeEach = fun name isVerbose -> both (this.Begin name) (printer.beforeEach name isVerbose)
                passed = fun name took -> both (this.End name) (printer.passed name took)
                failed = fun name message took -> both (this.End name) (printer.failed name message took)
                exn = fun name error took -> both (this.End name) (printer.exn name error took)
        }

let private runTests arguments =
    Console.Out.WriteLine $"seed {Check.seed} (the same cases again: ./test --seed {Check.seed})"
    let summaries = List<Impl.TestRunSummary>()

    let printer =
        Impl.TestPrinters.withSummary
            (fun _ summary -> async { summaries.Add summary })
            (match arguments.countsFile with
             | Some counts -> Running($"{counts}.running").In Impl.TestPrinters.defaultPrinter
             | None -> Impl.TestPrinters.defaultPrinter)

    let run options tests =
        if Seq.isEmpty (Test.toTestCodeList tests) then
            0
        else
            runTestsWithCLIArgs (options @ [ No_Spinner; Printer printer; JoinWith "."; Colours 0 ]) [||] tests

    let wanted = testList "" all |> Test.filter "." (isWanted arguments.names)
    let others, inLanes, lanes = Lane.split wanted
    // All lanes at once, however few processors there are.
    let exitCode = run [] others + run [ Parallel_Workers lanes ] inLanes
    summaries |> Seq.collect _.results |> List.ofSeq |> tellSlowest
    let passed = summaries |> Seq.sumBy _.passed.Length

    let failed =
        summaries
        |> Seq.sumBy (fun summary -> summary.failed.Length + summary.errored.Length)

    report arguments.countsFile passed (if exitCode <> 0 && failed = 0 then 1 else failed)
    exitCode

[<EntryPoint>]
let main argv =
    // ./test gives this process a larger youngest generation, which the simulation is a third faster with; it is not for the brokers that tests start.
    Environment.SetEnvironmentVariable("DOTNET_GCgen0size", null)
    let arguments = parse { countsFile = None; names = [] } (List.ofArray argv)

    match arguments.names with
    | name :: rest when commands.ContainsKey name ->
        let exitCode = commands[name] rest
        report arguments.countsFile (if exitCode = 0 then 1 else 0) (if exitCode = 0 then 0 else 1)
        exitCode
    | _ ->
        try
            runTests arguments
        finally
            Stores.PostgresServer.stopAll ()
