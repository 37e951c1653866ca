/// `tansu dump`, and `tansu verify-store --json`.
module Tansu.PropertyTests.CommandLine.Dumping

open System
open System.IO
open System.Security.Cryptography
open System.Threading
open Expecto
open Tansu.Adapters.Replica
open Tansu.Codec
open Tansu.Host
open Tansu.Host.CommandLine
open Tansu.Host.Commands
open Tansu.PropertyTests.EndToEnd.RealBroker
open Tansu.PropertyTests.Stores
open Tansu.PropertyTests.CommandLine.Running

let private dump engine arguments =
    task {
        match parse ("dump" :: "--storage-engine" :: engine :: arguments) with
        | DumpStore(engine, asked, _) ->
            use output = new StringWriter()
            use error = new StringWriter()

            let! exitCode =
                DumpCommand.RunAsync(engine, asked, output, error, CancellationToken.None)

            return { ExitCode = exitCode; Output = string output; Error = string error }
        | other -> return failtest $"{other}"
    }

let private succeed engine arguments =
    task {
        let! ran = dump engine arguments
        Expect.equal (ran.ExitCode, ran.Error) (0, "") (String.concat " " arguments)
        return ran.Output.Split('\n', StringSplitOptions.RemoveEmptyEntries) |> List.ofArray
    }

/// A topic with a record that says something secret, a group, and so many entries: enough for snapshots.
let private fill entries (broker: RealBroker) =
    task {
        let kcat arguments =
            shell "kcat" ([ "-b"; broker.Bootstrap; "-q" ] @ arguments)

        let! _ = kcat [ "-P"; "-t"; "t"; "-z"; "none" ] "secret\n"
        let! _ = kcat [ "-G"; "g"; "-X"; "auto.offset.reset=earliest"; "-e"; "t" ] ""
        // Each alone is an entry.
        let numbers = [ for number in 1..entries -> $"{number}\n" ] |> String.concat ""

        let! _ =
            kcat [ "-P"; "-t"; "t"; "-X"; "batch.num.messages=1"; "-X"; "max.in.flight=1" ] numbers

        return ()
    }

let private events (lines: string list) = [
    for line in lines do
        for stored in (at "events" (json line)).EnumerateArray() do
            text "event" stored
]

let private check engine =
    task {
        let! catalog = succeed engine [ "--json" ]
        Expect.containsAll (events catalog) [ "NodeRegistered"; "TopicCreated" ] "catalog"

        let! shard =
            succeed engine [ "--log"; "shard-0"; "--json"; "--from"; "1"; "--count"; "20" ]

        Expect.containsAll (events shard) [ "BatchAppended"; "GroupMemberJoined"; "OffsetsCommitted" ] "shard"
        Expect.equal [ for line in shard -> number "entry" (json line) ] [ 1L .. 20L ] "numbers"
        let! readable = succeed engine [ "--log"; "shard-0"; "--count"; "1" ]
        Expect.stringContains readable[0] "entry 1, 20" "a time"
        Expect.stringContains readable[1] "BatchAppended {" "an event"
        let! snapshots = succeed engine [ "--log"; "shard-0"; "--snapshots"; "--json" ]
        let newest = json snapshots[0]
        Expect.equal (number "partitions" newest, number "groups" newest) (1L, 1L) "what is in it"
        let! snapshots = succeed engine [ "--log"; "shard-0"; "--snapshots" ]
        Expect.stringContains snapshots[0] "partitions 1" "for people"

        Expect.isFalse
            (List.exists (fun (line: string) -> line.Contains "secret") (catalog @ shard @ readable))
            "no records"

        let! ran = dump engine [ "--log"; "shard-9" ]
        Expect.equal ran.ExitCode 1 "no such log"
        Expect.stringContains ran.Error "no log shard-9" "why"
    }

/// Every file with a hash of what is in it.
let private files directory =
    Directory.GetFiles(directory, "*", SearchOption.AllDirectories)
    |> Array.sort
    |> Array.map (fun path -> path, Convert.ToHexString(SHA256.HashData(File.ReadAllBytes path)))

let private ofFiles =
    testCaseTask "a file store is shown, but not while a broker runs, and stays as it is" (fun () ->
        task {
            use scratch = new Scratch()
            use broker = start scratch
            do! fill 4_300 broker
            let! ran = dump scratch.Store []
            Expect.equal ran.ExitCode 1 "a broker runs"
            Expect.stringContains ran.Error "only while no broker runs" "why"
            broker.Terminate() |> ignore
            let before = files (Path.Combine(scratch.Path, "store"))
            do! check scratch.Store
            Expect.equal (files (Path.Combine(scratch.Path, "store"))) before "nothing is written"
            let! ran = dump $"file://{scratch.Path}/other" []
            Expect.equal ran.ExitCode 1 "nothing there"
            Expect.isFalse (Directory.Exists(Path.Combine(scratch.Path, "other"))) "nor is it made"
        })

let private ofPostgres =
    testCaseTask "a PostgreSQL store is shown while a broker runs" (fun () ->
        task {
            let server = PostgresServer.shared.Value
            let! database = server.NewDatabase()
            let engine = server.Url database
            let! ran = dump engine []
            Expect.equal ran.ExitCode 1 "nothing there"
            Expect.stringContains ran.Error "holds no cluster" "nor is it made"
            use scratch = new Scratch()

            use broker =
                RealBroker.Start(scratch.Path, [ "--listener-url"; "tcp://127.0.0.1:0"; "--storage-engine"; engine ])

            do! fill 600 broker
            do! check engine
        })

/// Says whether a type is known, by an event that ends after its type.
let private knows (read: byte array -> unit) (eventType: sbyte) =
    try
        read [| byte eventType |]
        false
    with :? KafkaFormatException as malformed ->
        not (malformed.Message.Contains "is not known")

let private readCatalog (bytes: byte array) =
    let mutable reader = KafkaReader(ReadOnlyMemory bytes)
    StoredEvents.ReadCatalog &reader |> ignore

let private readShard (bytes: byte array) =
    let mutable reader = KafkaReader(ReadOnlyMemory bytes)
    StoredEvents.ReadShard &reader |> ignore

let private everyType =
    testCase "every type of event that can be stored can be shown"
    <| fun () ->
        let types (codec: string) =
            let enum =
                typeof<StoredLog>.Assembly.GetType($"Tansu.Adapters.Replica.{codec}+EventType", true)

            [ for value in Enum.GetValues enum -> Convert.ToSByte value ]

        for eventType in types "CatalogCodec" do
            Expect.isTrue (knows readCatalog eventType) $"catalog {eventType}"

        for codec in [ "ShardCodec"; "GroupCodec"; "TransactionCodec" ] do
            for eventType in types codec do
                Expect.isTrue (knows readShard eventType) $"{codec} {eventType}"

        Expect.isFalse (knows readCatalog 100y) "an unknown one of the catalog"
        Expect.isFalse (knows readShard 100y) "an unknown one of a shard"

let private verifying =
    testCaseTask "verify-store answers in JSON" (fun () ->
        task {
            match parse [ "verify-store"; "--storage-engine"; "memory://"; "--rounds"; "2"; "--json" ] with
            | VerifyStore(engine, rounds, true, _) ->
                use output = new StringWriter()
                use error = new StringWriter()
                let! exitCode = VerifyStoreCommand.RunAsync(engine, rounds, true, output, error)
                Expect.equal (exitCode, string error) (0, "") "kept"
                let document = json (string output)
                Expect.equal (number "races" document) 2L "races"
                Expect.isTrue ((at "keepsItsPromises" document).GetBoolean()) "promises"
                use output = new StringWriter()
                let! exitCode = VerifyStoreCommand.RunAsync("nothing://", 1, true, output, error)
                Expect.equal exitCode 1 "no such store"
                Expect.isFalse ((at "keepsItsPromises" (json (string output))).GetBoolean()) "nothing is known"
            | other -> failtest $"{other}"
        })

let tests = testList "dump" [ ofFiles; ofPostgres; everyType; verifying ]
