/// The README's commands about consumer groups, as they stand there.
module Tansu.PropertyTests.EndToEnd.GroupHelloWorld

open System
open System.IO
open System.Text.RegularExpressions
open Expecto
open Tansu.PropertyTests
open Tansu.PropertyTests.EndToEnd.RealBroker

/// The blocks of commands in a section of the README.
let private commands (section: string) =
    let readme = File.ReadAllText(Path.Combine(Machine.repository, "README.md"))

    let text =
        Regex
            .Match(readme, $@"^## {section}\n(.*?)^## ", RegexOptions.Multiline ||| RegexOptions.Singleline)
            .Groups[1].Value

    [
        for block in Regex.Matches(text, "```sh\n(.*?)```", RegexOptions.Singleline) -> block.Groups[1].Value
    ]

/// A line that the reader prints, taken apart: key, headers and value; timestamp, partition and offset are checked.
let private parse (line: string) =
    let found =
        Regex.Match(line, @"^(\d+) partition (\d) offset (\d+) key (\w+) headers (\S+): (\w+)$")

    if not found.Success then
        failtest $"not as the format says: {line}"

    let age =
        DateTimeOffset.UtcNow.ToUnixTimeMilliseconds()
        - Int64.Parse found.Groups[1].Value

    Expect.isTrue (age >= 0L && age < 600_000L) $"the timestamp is now: {line}"

    let partition, offset =
        Int32.Parse found.Groups[2].Value, Int64.Parse found.Groups[3].Value

    Expect.isLessThan partition 3 "three partitions"
    (partition, offset), (found.Groups[4].Value, found.Groups[5].Value, found.Groups[6].Value)

let private records (output: string) =
    output.Split('\n', StringSplitOptions.RemoveEmptyEntries)
    |> Array.map parse
    |> List.ofArray

let private helloWorld =
    testCaseTask "README's commands read in a group, and go on after a restart of the broker" (fun () ->
        task {
            use scratch = new Scratch()
            let port = Machine.freePort ()

            let start () =
                RealBroker.Start(
                    scratch.Path,
                    [
                        "--listener-url"
                        $"tcp://127.0.0.1:{port}"
                        "--storage-engine"
                        scratch.Store
                        "--default-partitions"
                        "3"
                    ]
                )

            let sh (commands: string) =
                shell
                    "bash"
                    [
                        "-euo"
                        "pipefail"
                        "-c"
                        commands.Replace("localhost:9092", $"localhost:{port}")
                    ]
                    ""

            match commands "Consumer groups" with
            | [ write; read; more ] ->
                let mutable broker = start ()

                try
                    let! _ = sh write
                    let! output = sh read
                    let first = records output

                    Expect.equal
                        (first |> List.map snd |> List.sort)
                        [
                            "anna", "source=web", "cart"
                            "anna", "source=web", "home"
                            "bert", "source=web", "home"
                            "bert", "source=web", "left"
                            "cora", "source=web", "home"
                        ]
                        "everything from the beginning"

                    let ofAnna =
                        first
                        |> List.choose (fun (place, (key, _, value)) ->
                            if key = "anna" then Some(fst place, value) else None)

                    Expect.equal (List.map snd ofAnna) [ "home"; "cart" ] "a key's records are in order"
                    Expect.hasLength (ofAnna |> List.map fst |> List.distinct) 1 "and in one partition"
                    broker.Kill()
                    (broker :> IDisposable).Dispose()
                    broker <- start ()
                    let! output = sh read
                    Expect.isEmpty (records output) "nothing twice"
                    let! output = sh more
                    let second = records output

                    Expect.equal
                        (second |> List.map snd |> List.sort)
                        [ "anna", "source=till", "paid"; "cora", "source=till", "cart" ]
                        "only what is new"

                    let places = List.map fst (first @ second)

                    for partition, offsets in List.groupBy fst places do
                        Expect.equal
                            (List.map snd offsets)
                            [ for offset in 0 .. offsets.Length - 1 -> int64 offset ]
                            $"partition {partition} is read in order without a gap"
                finally
                    (broker :> IDisposable).Dispose()
            | blocks -> failtest $"the section has {blocks.Length} blocks of commands"
        })

let tests = testList "groups, hello world" [ helloWorld ]
