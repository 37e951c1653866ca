/// Rules about the sources that no compiler checks.
module Tansu.PropertyTests.Lint

open System
open System.IO
open System.Text.RegularExpressions
open Expecto

let private sources (folders: string list) (pattern: string) =
    folders
    |> Seq.collect (fun folder ->
        Directory.EnumerateFiles(Path.Combine(Machine.repository, folder), pattern, SearchOption.AllDirectories))
    |> Seq.filter (fun path -> not (Regex.IsMatch(path, @"[\\/](bin|obj)[\\/]")))

let private linesMatching (pattern: Regex) paths = [
    for path in paths do
        for number, line in Seq.indexed (File.ReadLines path) do
            if pattern.IsMatch line then
                $"{Path.GetRelativePath(Machine.repository, path)}:{number + 1}: {line.Trim()}"
]

let tests =
    testList "lint" [
        // These compile, and fail at run time in a native binary.
        testCase "production F# formats no value by reflection (use $\"{x}\", not sprintf \"%d\" or \"%A\")"
        <| fun () ->
            let reflective =
                Regex(@"%[Aa]\b|(sprintf|printf|printfn|eprintf|eprintfn|failwithf|kprintf|bprintf)\s+""[^""]*%[^sO%]")

            Expect.isEmpty
                (sources [ "Tansu.Domain"; "Tansu.Host/CommandLine" ] "*.fs"
                 |> linesMatching reflective)
                "reflective formatting"

        // F# 10's optimiser evaluates `pick()` twice in `task { pick().Kill() }` when it inlines `Kill`: tests are not optimised, production is.
        testCase "production F# has no task { }, which the optimiser breaks (write it in C#)"
        <| fun () ->
            Expect.isEmpty
                (sources [ "Tansu.Domain"; "Tansu.Host/CommandLine" ] "*.fs"
                 |> linesMatching (Regex @"\b(task|backgroundTask)\s*\{|^\s*(task|backgroundTask)$"))
                "tasks"
    ]
