/// What the commands for a cluster are taken to mean.
module Tansu.PropertyTests.CommandLine.Parsing

open System
open System.Text.RegularExpressions
open Expecto
open Tansu.Host.CommandLine
open Tansu.PropertyTests
open Tansu.PropertyTests.CommandLine.Running

let private endpoint host port : Endpoint = { Host = host; Port = port }

let private taskOf (arguments: string list) =
    match parse arguments with
    | UseCluster(_, asked) -> asked
    | other -> failtest $"{other}"

let private settingsOf environment (arguments: string list) =
    match parseIn environment arguments with
    | UseCluster(settings, _) -> settings
    | other -> failtest $"{other}"

let private refusal (arguments: string list) =
    match parse arguments with
    | Refuse(line, exitCode) ->
        Expect.equal exitCode 2 line
        Expect.equal (line.Split('\n').Length) 1 "one line"
        Expect.stringStarts line "tansu: " "who speaks"
        line
    | other -> failtest $"{other}"

let private words (line: string) =
    line.Split(' ', StringSplitOptions.RemoveEmptyEntries) |> List.ofArray

let private newTopic = {
    Partitions = -1
    ReplicationFactor = -1
    Configs = [||]
    Assignments = [||]
    IfNotExists = false
}

let private change name value : ConfigChange = { Name = name; Value = value }

let private reset target =
    ResetOffsets([| "g" |], [| { Topic = "t"; Partitions = [||] } |], target, false)

let private meanings: (string * ClientTask) list = [
    "topic create a", OnTopics(CreateTopics([| "a" |], newTopic))
    "topic create a b --partitions 3 --replication-factor=2 --config k=v --config=l=w=x --if-not-exists",
    OnTopics(
        CreateTopics(
            [| "a"; "b" |],
            {
                Partitions = 3
                ReplicationFactor = 2
                Configs = [| change "k" "v"; change "l" "w=x" |]
                Assignments = [||]
                IfNotExists = true
            }
        )
    )
    "topic create --assignment 1:2,2:1 a",
    OnTopics(CreateTopics([| "a" |], { newTopic with Assignments = [| [| 1; 2 |]; [| 2; 1 |] |] }))
    "topic create --replica-assignment 0 a",
    OnTopics(CreateTopics([| "a" |], { newTopic with Assignments = [| [| 0 |] |] }))
    "topic list", OnTopics ListTopics
    "topic describe", OnTopics(DescribeTopics [||])
    "topic describe a b a", OnTopics(DescribeTopics [| "a"; "b" |])
    "topic alter a --partitions 5 --config k=v --delete-config l",
    OnTopics(AlterTopics([| "a" |], 5, [| change "k" "v"; change "l" null |]))
    "topic alter a --config k=", OnTopics(AlterTopics([| "a" |], -1, [| change "k" "" |]))
    "topic delete a b --if-exists", OnTopics(DeleteTopics([| "a"; "b" |], true))
    "topic delete a", OnTopics(DeleteTopics([| "a" |], false))
    "group list", OnGroups(ListGroups([||], [||]))
    "group list --state Stable,Empty --state Dead --type consumer",
    OnGroups(ListGroups([| "Stable"; "Empty"; "Dead" |], [| "consumer" |]))
    "group describe g h", OnGroups(DescribeGroups [| "g"; "h" |])
    "group reset-offsets g --topic t --to-earliest", OnGroups(reset ToEarliest)
    "group reset-offsets g --topic t --to-latest --dry-run", OnGroups(reset ToLatest)
    "group reset-offsets g --topic t --to-current", OnGroups(reset ToCurrent)
    "group reset-offsets g --topic t --to-offset 7", OnGroups(reset (ToOffset 7L))
    "group reset-offsets g --topic t --shift-by -5", OnGroups(reset (ShiftBy -5L))
    "group reset-offsets g --topic t --shift-by=5", OnGroups(reset (ShiftBy 5L))
    "group reset-offsets g --topic t --by-duration PT1H30M", OnGroups(reset (ByDuration 5400000L))
    "group reset-offsets g --topic t --by-duration p2dt0.5s", OnGroups(reset (ByDuration 172800500L))
    "group reset-offsets g --topic t --to-datetime 1970-01-02", OnGroups(reset (ToTime 86400000L))
    "group reset-offsets g --topic t --to-datetime 1970-01-01T01:00:00.250+01:00", OnGroups(reset (ToTime 250L))
    "group reset-offsets g --topic t --to-datetime 1970-01-01T00:00:01", OnGroups(reset (ToTime 1000L))
    "group reset-offsets g h --topic t:0,2 --topic u --to-latest --execute",
    OnGroups(
        ResetOffsets(
            [| "g"; "h" |],
            [|
                { Topic = "t"; Partitions = [| 0; 2 |] }
                { Topic = "u"; Partitions = [||] }
            |],
            ToLatest,
            true
        )
    )
    "group reset-offsets g --all-topics --to-latest", OnGroups(ResetOffsets([| "g" |], [||], ToLatest, false))
    "group delete g h", OnGroups(DeleteGroups [| "g"; "h" |])
    "group delete-offsets g --topic t:1", OnGroups(DeleteOffsets("g", [| { Topic = "t"; Partitions = [| 1 |] } |]))
    "config get --topic t", OnConfigs(GetConfigs(OfTopic "t", [||], false, false))
    "config get --broker 3 a b --all --describe", OnConfigs(GetConfigs(OfBroker 3, [| "a"; "b" |], true, true))
    "config get --broker default", OnConfigs(GetConfigs(OfAllBrokers, [||], false, false))
    "config get --group g", OnConfigs(GetConfigs(OfGroup "g", [||], false, false))
    "config set --topic t a=b c= --delete d e=f=g",
    OnConfigs(SetConfigs(OfTopic "t", [| change "a" "b"; change "c" null; change "e" "f=g"; change "d" null |]))
]

/// Command lines that are refused, with what the refusal has to name.
let private refusals = [
    "topics list", "topics"
    "topic", "create, list"
    "topic make", "topic make"
    "topic create", "no topic"
    "topic create a --nope", "--nope"
    "topic create a --partitions", "--partitions"
    "topic create a --partitions 0", "'0'"
    "topic create a --partitions 1 --partitions 2", "more than once"
    "topic create a --replication-factor 99999", "'99999'"
    "topic create a --config k", "'k'"
    "topic create a --config =v", "'=v'"
    "topic create a --assignment 1:x", "'x'"
    "topic create a --assignment 1 --partitions 1", "--assignment"
    "topic create a --if-not-exists=true", "--if-not-exists takes no value"
    "topic create a --timeout-ms 0", "--timeout-ms"
    "topic list a", "'a'"
    "topic create a --execute", "'--execute'"
    "topic alter a", "nothing to alter"
    "topic delete", "no topic"
    "topic list --bootstrap-server x:0", "'x:0'"
    "topic list --bootstrap-server a,,b", "''"
    "topic list --bootstrap-server http://x:1", "'http://x:1'"
    "group describe --state x", "--state"
    "group reset-offsets --topic t --to-latest", "no group"
    "group reset-offsets g --to-latest", "--all-topics"
    "group reset-offsets g --all-topics --topic t --to-latest", "--all-topics"
    "group reset-offsets g --topic t", "--to-earliest"
    "group reset-offsets g --topic t --to-latest --to-earliest", "exactly one"
    "group reset-offsets g --topic t --to-latest --execute --dry-run", "--dry-run"
    "group reset-offsets g --topic t:x --to-latest", "'x'"
    "group reset-offsets g --topic :1 --to-latest", "':1'"
    "group reset-offsets g --topic t --to-offset -1", "'-1'"
    "group reset-offsets g --topic t --by-duration 1h", "PT1H30M"
    "group reset-offsets g --topic t --by-duration P", "'P'"
    "group reset-offsets g --topic t --by-duration PT", "'PT'"
    "group reset-offsets g --topic t --to-datetime yesterday", "'yesterday'"
    "group reset-offsets g --topic t --to-datetime 12:00", "'12:00'"
    "group delete-offsets g", "--topic"
    "group delete-offsets g h --topic t", "more than one"
    "config get", "--broker"
    "config get --topic t --group g", "exactly one"
    "config get --broker x", "'default'"
    "config set --topic t", "nothing to set"
    "config set --topic t a", "'a'"
    "config nope", "config nope"
]

let private servers =
    testCase "brokers: by flag, variable or default, several, with or without tcp://, port and brackets"
    <| fun () ->
        let list environment arguments =
            (settingsOf environment ([ "topic"; "list" ] @ arguments)).BootstrapServers
            |> List.ofArray

        let local = [ endpoint "localhost" 9092 ]
        Expect.equal (list [] []) local "default"
        Expect.equal (list [ "BOOTSTRAP_SERVER", "" ] []) local "an empty variable is not set"
        Expect.equal (list [ "BOOTSTRAP_SERVER", "a:1,b" ] []) [ endpoint "a" 1; endpoint "b" 9092 ] "variable"
        Expect.equal (list [ "BOOTSTRAP_SERVER", "${X}:1"; "X", "y" ] []) [ endpoint "y" 1 ] "expanded"

        let flag text =
            list [ "BOOTSTRAP_SERVER", "no:1" ] [ "--bootstrap-server"; text ]

        Expect.equal (flag "tcp://a.b-c:65535, 10.0.0.1:2") [ endpoint "a.b-c" 65535; endpoint "10.0.0.1" 2 ] "flag"
        Expect.equal (flag "::1") [ endpoint "::1" 9092 ] "an IPv6 address alone"
        Expect.equal (flag "[::1]:1,[fe80::1%2]") [ endpoint "::1" 1; endpoint "fe80::1%2" 9092 ] "with brackets"

let private dotEnv =
    testCase "BOOTSTRAP_SERVER may stand in .env, and a line there that says nothing is named"
    <| fun () ->
        let parse text =
            CommandLine.Parse([| "topic"; "list" |], "1.2.3", Func<_, _>(fun _ -> null), text)

        match parse "BOOTSTRAP_SERVER=a:1" with
        | UseCluster(settings, _) -> Expect.equal settings.BootstrapServers [| endpoint "a" 1 |] "the file's"
        | other -> failtest $"{other}"

        match parse "?" with
        | Refuse(line, 1) -> Expect.stringContains line ".env line 1" "line"
        | other -> failtest $"{other}"

let private common =
    testCase "every command for a cluster takes --json, --timeout-ms and --bootstrap-server"
    <| fun () ->
        for line, asked in meanings do
            let settings =
                settingsOf [] (words line @ words "--json --timeout-ms 5 --bootstrap-server h:1")

            Expect.equal settings { BootstrapServers = [| endpoint "h" 1 |]; TimeoutMs = 5; Json = true } line

            Expect.equal (settingsOf [] (words line)).TimeoutMs 30000 line
            Expect.isFalse (settingsOf [] (words line)).Json line
            Expect.equal (taskOf (words "--json" |> List.append (words line))) asked line

/// The commands, as `tansu --help` lists them.
let commands () =
    match parse [ "--help" ] with
    | Print text ->
        Regex.Matches(text, @"^ {4}([a-z][a-z-]*(?: [a-z-]+)?) {2,}\S", RegexOptions.Multiline)
        |> Seq.map _.Groups[1].Value
        |> List.ofSeq
    | other -> failtest $"{other}"

/// The flags of a command, as its help lists them.
let flagsOf (command: string) =
    match parse (words command @ [ "--help" ]) with
    | Print text ->
        Regex.Matches(text, @"^ {4}(--[a-z-]+)(?:, (--[a-z-]+))?", RegexOptions.Multiline)
        |> Seq.collect (fun found -> [ found.Groups[1].Value; found.Groups[2].Value ])
        |> Seq.filter (fun flag -> flag <> "" && flag <> "--help")
        |> List.ofSeq
    | other -> failtest $"{other}"

let private help =
    testCase "every command is in the help, and explains itself, its flags and the exit codes"
    <| fun () ->
        let commands = commands ()
        Expect.hasLength commands 20 "commands"

        for command in commands do
            Expect.isNonEmpty (flagsOf command) command

            for asking in
                (if command.Contains ' ' then
                     [ "--help"; "-h" ]
                 else
                     [ "--help" ]) do
                match parse (words command @ [ asking ]) with
                | Print text ->
                    Expect.stringContains text $"USAGE: tansu {command}" "usage"

                    if command.Contains ' ' then
                        Expect.stringContains text "EXIT CODES" "exit codes"
                | other -> failtest $"{other}"

        for group in [ "topic"; "group"; "config" ] do
            match parse [ group; "--help" ] with
            | Print text ->
                for command in commands do
                    Expect.equal (text.Contains $"    {command} ") (command.StartsWith(group + " ")) command
            | other -> failtest $"{other}"

let tests =
    testList "parsing" [
        testList "means" [
            for line, asked in meanings do
                testCase line <| fun () -> Expect.equal (taskOf (words line)) asked line
        ]
        testList "is refused with one line that says why" [
            for line, named in refusals do
                testCase line
                <| fun () ->
                    let refused = refusal (words line)
                    Expect.stringContains refused named "what is wrong"
                    Expect.stringContains refused "--help" "where to look"
        ]
        servers
        dotEnv
        common
        help
        Check.property
            "any words after a command are understood or refused, never a crash"
            (fun (index: FsCheck.NonNegativeInt) (rest: string list) ->
                let commands = commands ()
                let command = commands[index.Get % commands.Length]
                parse (words command @ (rest |> List.filter (isNull >> not))) |> ignore)
    ]
