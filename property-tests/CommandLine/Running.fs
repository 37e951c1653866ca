/// Runs command lines of `tansu` inside of this process.
module Tansu.PropertyTests.CommandLine.Running

open System
open System.IO
open System.Text.Json
open Expecto
open Tansu.Host.CommandLine
open Tansu.Host.Commands

/// What a command line means, with some environment variables and no `.env`.
let parseIn (environment: (string * string) list) (arguments: string list) =
    let variables = Map.ofList environment
    let variable name = variables.TryFind name |> Option.toObj
    CommandLine.Parse(Array.ofList arguments, "1.2.3", Func<_, _> variable, null)

/// What a command line means.
let parse arguments = parseIn [] arguments

/// What a run left behind.
type Ran = { ExitCode: int; Output: string; Error: string }

/// Runs a command against a cluster.
let run (bootstrap: string) (arguments: string list) =
    task {
        match parseIn [ "BOOTSTRAP_SERVER", bootstrap ] arguments with
        | UseCluster(settings, asked) ->
            use output = new StringWriter()
            use error = new StringWriter()
            let! exitCode = ClusterCommand.RunAsync(settings, asked, "1.2.3", output, error)
            return { ExitCode = exitCode; Output = string output; Error = string error }
        | Print text -> return { ExitCode = 0; Output = text; Error = "" }
        | Refuse(text, exitCode) -> return { ExitCode = exitCode; Output = ""; Error = text }
        | RunBroker _
        | DumpStore _
        | VerifyStore _ -> return failtest "not for a cluster"
    }

/// Runs a command that has to succeed and say nothing to standard error, and gives what it printed.
let succeed bootstrap arguments =
    task {
        let! ran = run bootstrap arguments
        let line = String.concat " " arguments
        Expect.equal (ran.ExitCode, ran.Error) (0, "") line
        return ran.Output
    }

/// Runs a command that has to fail with 1, and gives what it said to standard error.
let fail bootstrap arguments =
    task {
        let! ran = run bootstrap arguments
        Expect.equal ran.ExitCode 1 (String.concat " " arguments)
        Expect.isNotEmpty ran.Error "it says why"

        for line in ran.Error.Split('\n', StringSplitOptions.RemoveEmptyEntries) do
            Expect.stringStarts line "tansu: " "each line"

        return ran.Error
    }

/// A document that was printed.
let json (text: string) = (JsonDocument.Parse text).RootElement

/// Runs a command with `--json` that has to succeed, and gives its document.
let succeedJson bootstrap arguments =
    task {
        let! output = succeed bootstrap (arguments @ [ "--json" ])
        return json output
    }

/// A property of an object, or an element of an array, and so on.
let rec at (path: string) (element: JsonElement) =
    (element, path.Split '.')
    ||> Array.fold (fun element part ->
        match Int32.TryParse part with
        | true, index -> element[index]
        | false, _ -> element.GetProperty part)

let text path element = (at path element).GetString()
let number path element = (at path element).GetInt64()

/// The cells of a table's lines, which two blanks at least set apart.
let cells (output: string) =
    output.Split('\n', StringSplitOptions.RemoveEmptyEntries)
    |> Array.map (fun line -> Text.RegularExpressions.Regex.Split(line.Trim(), " {2,}") |> List.ofArray)
    |> List.ofArray
