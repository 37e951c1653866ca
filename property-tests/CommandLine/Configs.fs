/// `tansu config` against a broker.
module Tansu.PropertyTests.CommandLine.Configs

open System.Text.Json
open Expecto
open Tansu.PropertyTests.EndToEnd.RealBroker
open Tansu.PropertyTests.CommandLine.Running

let private names (document: JsonElement) = [
    for config in (at "configs" document).EnumerateArray() -> text "name" config
]

let private topics =
    testCaseTask "of a topic: set, get, explain, delete" (fun () ->
        task {
            use scratch = new Scratch()
            use broker = start scratch
            let succeed = succeed broker.Bootstrap
            let succeedJson = succeedJson broker.Bootstrap
            let fail = fail broker.Bootstrap
            let! _ = succeed [ "topic"; "create"; "t" ]
            let get = [ "config"; "get"; "--topic"; "t" ]
            let set = [ "config"; "set"; "--topic"; "t" ]
            let! output = succeed get
            Expect.equal output "" "nobody has set anything"

            let! document =
                succeedJson (set @ [ "retention.ms=1000"; "cleanup.policy=compact,delete" ])

            Expect.equal (text "resource" document, text "name" document) ("topic", "t") "whose"
            Expect.equal (text "changes.0.value" document) "1000" "what"
            let! output = succeed get

            Expect.equal
                (cells output)
                [
                    [ "CONFIG"; "VALUE"; "SOURCE" ]
                    [ "cleanup.policy"; "compact,delete"; "DYNAMIC_TOPIC_CONFIG" ]
                    [ "retention.ms"; "1000"; "DYNAMIC_TOPIC_CONFIG" ]
                ]
                "what was set"

            let! document = succeedJson (get @ [ "--all" ])
            Expect.contains (names document) "max.message.bytes" "also a default"
            let! document = succeedJson (get @ [ "max.message.bytes" ])
            Expect.equal (names document) [ "max.message.bytes" ] "what was asked for"
            Expect.equal (text "configs.0.source" document) "DEFAULT_CONFIG" "nobody set it"

            let! document = succeedJson (get @ [ "retention.ms"; "--describe" ])
            Expect.equal (text "configs.0.type" document) "LONG" "type"
            Expect.isNotEmpty (text "configs.0.documentation" document) "what it is for"
            Expect.equal (text "configs.0.synonyms.0.source" document) "DYNAMIC_TOPIC_CONFIG" "where it comes from"
            let! output = succeed (get @ [ "retention.ms"; "--describe" ])
            Expect.stringContains output "retention.ms = 1000" "for people"

            let! output = succeed (set @ [ "retention.ms="; "--delete"; "cleanup.policy" ])
            Expect.stringContains output "retention.ms deleted" "deleted"
            let! document = succeedJson get
            Expect.isEmpty (names document) "nothing is set any more"

            let! said = fail (set @ [ "retention.ms=x" ])
            Expect.stringContains said "tansu: topic t: " "whose"
            let! said = fail (set @ [ "nonsense=1" ])
            Expect.stringContains said "nonsense" "which"
            let! ran = run broker.Bootstrap (get @ [ "nonsense"; "retention.ms" ])
            Expect.equal ran.ExitCode 1 "one is not there"
            Expect.stringContains ran.Error "nonsense" "which"
            Expect.stringContains ran.Output "retention.ms" "the other is shown"
            let! said = fail [ "config"; "get"; "--topic"; "nope" ]
            Expect.stringContains said "topic nope: " "whose"
        })

let private brokers =
    testCaseTask "of a broker: by its id" (fun () ->
        task {
            use scratch = new Scratch()
            use broker = start scratch

            let! document =
                succeedJson broker.Bootstrap [ "config"; "get"; "--broker"; "1"; "--all" ]

            Expect.isNonEmpty (names document) "configurations"
            Expect.equal (text "resource" document, text "name" document) ("broker", "1") "whose"
            let! said = fail broker.Bootstrap [ "config"; "get"; "--broker"; "99" ]
            Expect.stringContains said "there is no broker 99" "which"
        })

let tests = testList "config" [ topics; brokers ]
