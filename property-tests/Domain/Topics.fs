/// The catalog: topics, partitions, configurations, producer ids.
module Tansu.PropertyTests.Domain.Topics

open Expecto
open Tansu.Domain
open Tansu.PropertyTests.Domain.Given

let private newTopic name : NewTopic = {
    Name = name
    Id = topicId (hash name)
    PartitionCount = 2
    Configs = Map.empty
}

let private decide state command =
    Catalog.decide catalogSettings state command (at 5L)

let private judged (decision: Decision<CatalogEvent, CatalogReply>) =
    match decision.Reply with
    | TopicsJudged replies -> List.ofArray replies
    | OwnerConfigsJudged _
    | ProducerIdBlock _
    | NodeIs _
    | CatalogDone -> failtest "not a reply about topics"

let private refusal state command =
    match judged (decide state command) with
    | [ TopicRefused refusal ] -> refusal
    | _ -> failtest "expected one refusal"

let private after state command =
    let decision = decide state command
    Array.fold (Catalog.evolve catalogSettings) state decision.Events

let private create names =
    CreateTopics([| for name in names -> newTopic name |], false)

let private withTopics names = after Catalog.initial (create names)

let private creation =
    testList "creating topics" [
        testCase "gives each its id, and spreads first partitions over the shards"
        <| fun () ->
            let state = withTopics [ "a"; "b"; "c" ]

            Expect.equal
                [ for name in [ "a"; "b"; "c" ] -> state.TopicsByName[name].FirstShard ]
                [ 0; 2; 1 ]
                "first shards"

            Expect.equal (Catalog.shardOf catalogSettings state.TopicsByName["b"] 1) 0 "it wraps around"

        testCase "refuses a name that is there, before and within the request"
        <| fun () ->
            Expect.equal (refusal (withTopics [ "a" ]) (create [ "a" ])) (TopicAlreadyExists "a") "before"

            match judged (decide Catalog.initial (create [ "a"; "a" ])) with
            | [ TopicChanged _; TopicRefused refusal ] -> Expect.equal refusal (TopicAlreadyExists "a") "within"
            | _ -> failtest "the first is created, the second refused"

        testCase "refuses names that Kafka refuses"
        <| fun () ->
            for name in [ ""; "."; ".."; "a b"; "ä"; String.replicate 250 "x"; "a/b" ] do
                match refusal Catalog.initial (create [ name ]) with
                | InvalidTopicName _ -> ()
                | _ -> failtest name

            Expect.equal
                (judged (decide Catalog.initial (create [ String.replicate 249 "x" ]))).Length
                1
                "249 are allowed"

        testCase "refuses names that differ only by '.' and '_'"
        <| fun () ->
            match refusal (withTopics [ "a.b" ]) (create [ "a_b" ]) with
            | InvalidTopicName _ -> ()
            | _ -> failtest "they would share metrics"

        testCase "refuses partition counts below 1 and above the limit"
        <| fun () ->
            for count in [ 0; -1; 101 ] do
                match
                    refusal Catalog.initial (CreateTopics([| { newTopic "a" with PartitionCount = count } |], false))
                with
                | InvalidPartitions _ -> ()
                | _ -> failtest $"{count}"

        testCase "refuses unknown configurations and values that Kafka refuses"
        <| fun () ->
            for name, value in
                [
                    "no.such.thing", "1"
                    "retention.ms", "-2"
                    "retention.ms", "soon"
                    "cleanup.policy", "burn"
                    "cleanup.policy", ""
                    "min.cleanable.dirty.ratio", "1.5"
                    "compression.type", "rar"
                    "message.timestamp.type", "createtime"
                    "retention.ms", "5 0"
                    "max.message.bytes", "3000000000"
                    "preallocate", "yes"
                ] do
                let topic = { newTopic "a" with Configs = Map [ name, value ] }

                match refusal Catalog.initial (CreateTopics([| topic |], false)) with
                | InvalidConfig _ -> ()
                | _ -> failtest $"{name}={value}"

        testCase "changes nothing when it only validates"
        <| fun () ->
            let decision = decide Catalog.initial (CreateTopics([| newTopic "a" |], true))
            Expect.isEmpty decision.Events "events"
            Expect.equal (judged decision).Length 1 "but it answers"
    ]

let private deletion =
    testList "deleting topics" [
        testCase "works by name and by id, and leaves a removal to be confirmed"
        <| fun () ->
            let state = withTopics [ "a"; "b" ]
            let byId = state.TopicsByName["b"].Id
            let state = after state (DeleteTopics [| ByName "a"; ById byId |])
            Expect.isTrue (state.TopicsByName.IsEmpty && state.TopicsById.IsEmpty) "gone for clients"
            Expect.equal state.TopicsBeingRemoved.Count 2 "shards have yet to drop them"
            let state = after state (ConfirmTopicRemoved byId)
            Expect.equal state.TopicsBeingRemoved.Count 1 "confirmed"

        testCase "refuses what is not there"
        <| fun () ->
            Expect.equal (refusal Catalog.initial (DeleteTopics [| ByName "a" |])) UnknownTopic "by name"
            Expect.equal (refusal Catalog.initial (DeleteTopics [| ById(topicId 9) |])) UnknownTopicId "by id"

        testCase "frees the name"
        <| fun () ->
            let state = after (withTopics [ "a.b" ]) (DeleteTopics [| ByName "a.b" |])
            Expect.equal (after state (create [ "a_b" ])).TopicsByName.Count 1 "also for names that collided"
    ]

let private partitions =
    testList "adding partitions" [
        testCase "raises the count"
        <| fun () ->
            let state =
                after (withTopics [ "a" ]) (CreatePartitions([| { Topic = "a"; Count = 5 } |], false))

            Expect.equal state.TopicsByName["a"].PartitionCount 5 "by name"
            Expect.equal state.TopicsById[state.TopicsByName["a"].Id].PartitionCount 5 "by id"

        testCase "never lowers it, and refuses the same count"
        <| fun () ->
            for count in [ 1; 2; 101 ] do
                match refusal (withTopics [ "a" ]) (CreatePartitions([| { Topic = "a"; Count = count } |], false)) with
                | InvalidPartitions _ -> ()
                | _ -> failtest $"{count}"
    ]

let private change state replacesAll changes =
    AlterTopicConfigs([| { Topic = "a"; ReplacesAll = replacesAll; Changes = Array.ofList changes } |], false)
    |> after state

let private configs =
    testList "configurations" [
        testCase "are set, deleted, appended to and subtracted from one by one"
        <| fun () ->
            let state = withTopics [ "a" ]

            let state =
                change state false [ SetConfig("retention.ms", "5"); AppendConfig("cleanup.policy", "compact") ]

            Expect.equal
                state.TopicsByName["a"].Configs
                (Map [ "retention.ms", "5"; "cleanup.policy", "delete,compact" ])
                "set and appended"

            let state =
                change state false [ DeleteConfig "retention.ms"; SubtractConfig("cleanup.policy", "delete") ]

            Expect.equal state.TopicsByName["a"].Configs (Map [ "cleanup.policy", "compact" ]) "deleted and subtracted"

        testCase "are replaced as a whole by AlterConfigs"
        <| fun () ->
            let state = change (withTopics [ "a" ]) false [ SetConfig("retention.ms", "5") ]
            let state = change state true [ SetConfig("segment.ms", "7") ]
            Expect.equal state.TopicsByName["a"].Configs (Map [ "segment.ms", "7" ]) "only what was named"

        testCase "change all together or not at all"
        <| fun () ->
            let state = withTopics [ "a" ]

            let same =
                change state false [ SetConfig("retention.ms", "5"); SetConfig("cleanup.policy", "burn") ]

            Expect.equal same.TopicsByName["a"].Configs Map.empty "nothing changed"

        testCase "that contradict each other are refused"
        <| fun () ->
            let state =
                change (withTopics [ "a" ]) false [ SetConfig("max.compaction.lag.ms", "5") ]

            let same = change state false [ SetConfig("min.compaction.lag.ms", "6") ]
            Expect.equal same.TopicsByName["a"].Configs state.TopicsByName["a"].Configs "nothing changed"

        testCase "that do not change write nothing"
        <| fun () ->
            let state = change (withTopics [ "a" ]) false [ SetConfig("retention.ms", "5") ]

            let command =
                AlterTopicConfigs(
                    [|
                        { Topic = "a"; ReplacesAll = false; Changes = [| SetConfig("retention.ms", "5") |] }
                    |],
                    false
                )

            Expect.isEmpty (decide state command).Events "events"

        testCase "are read as Kafka reads them, and kept in one form"
        <| fun () ->
            for name, given, kept in
                [
                    "preallocate", " TRUE ", "true"
                    "retention.ms", " 5\n", "5"
                    "min.cleanable.dirty.ratio", "0.1 ", "0.1"
                    "compression.type", " zstd", "zstd"
                    "cleanup.policy", " compact , delete ", "compact,delete"
                ] do
                let topic = { newTopic "a" with Configs = Map [ name, given ] }
                let created = after Catalog.initial (CreateTopics([| topic |], false))
                Expect.equal created.TopicsByName["a"].Configs (Map [ name, kept ]) "created"
                let changed = change (withTopics [ "a" ]) false [ SetConfig(name, given) ]
                Expect.equal changed.TopicsByName["a"].Configs (Map [ name, kept ]) "changed"

        testCase "have defaults that are valid themselves"
        <| fun () ->
            for definition in TopicConfig.definitions do
                Expect.isOk (TopicConfig.validate definition.Name definition.Default) definition.Name
    ]

let private others =
    testList "cluster" [
        testCase "blocks of producer ids never overlap"
        <| fun () ->
            let first = decide Catalog.initial (AllocateProducerIds 1000)
            Expect.equal first.Reply (ProducerIdBlock(0L, 1000)) "the first block"
            let state = after Catalog.initial (AllocateProducerIds 1000)
            Expect.equal (decide state (AllocateProducerIds 10)).Reply (ProducerIdBlock(1000L, 10)) "the next"
    ]

let private alterOwner owner changes =
    AlterOwnerConfigs({ Owner = owner; ReplacesAll = false; Changes = Array.ofList changes }, false)

let private ownerRefusal state command =
    match (decide state command).Reply with
    | OwnerConfigsJudged(ValueSome refusal) -> refusal
    | _ -> failtest "expected a refusal"

let private clusterWide =
    testList "configurations of the whole cluster" [
        testCase "are defaults of topics, by the broker's names; a topic's own win"
        <| fun () ->
            let state =
                alterOwner AllBrokers [ SetConfig("log.retention.ms", "5"); SetConfig("message.max.bytes", "9") ]
                |> after (withTopics [ "a" ])

            let topic = { state.TopicsByName["a"] with Configs = Map [ "max.message.bytes", "7" ] }

            Expect.equal
                (Catalog.configsOf state topic)
                (Map [ "retention.ms", "5"; "max.message.bytes", "7" ])
                "what is set"

            let back = after state (alterOwner AllBrokers [ DeleteConfig "log.retention.ms" ])
            Expect.equal (Map.toList back.DefaultConfigs) [ "max.message.bytes", "9" ] "one is back at its default"

        testCase "what is added to a topic's list is added to the default"
        <| fun () ->
            let state =
                alterOwner AllBrokers [ SetConfig("log.cleanup.policy", "compact") ]
                |> after (withTopics [ "a" ])

            let changes = { Topic = "a"; ReplacesAll = false; Changes = [| AppendConfig("cleanup.policy", "delete") |] }

            let changed = after state (AlterTopicConfigs([| changes |], false))
            Expect.equal changed.TopicsByName["a"].Configs["cleanup.policy"] "compact,delete" "both"

        for name, changes in
            [
                "a config that is set at start", [ SetConfig("num.partitions", "3") ]
                "a topic's name of it", [ SetConfig("retention.ms", "3") ]
                "a value that no topic could have", [ SetConfig("log.retention.ms", "soon") ]
            ] do
            testCase $"refuse {name}, and change nothing"
            <| fun () ->
                let command =
                    alterOwner AllBrokers (SetConfig("log.retention.bytes", "1") :: changes)

                Expect.isTrue (ownerRefusal Catalog.initial command).IsInvalidRequest "refused"
                Expect.isEmpty (decide Catalog.initial command).Events "nothing"

        testCase "of a group are its own"
        <| fun () ->
            let set value =
                alterOwner (OneGroup "g") [ SetConfig("consumer.session.timeout.ms", value) ]

            let state = after Catalog.initial (set "50000")
            Expect.equal (Catalog.ownerConfigs state (OneGroup "g")).Count 1 "set"
            let same = decide state (set " 50000 ")
            Expect.equal same.Reply (OwnerConfigsJudged ValueNone) "taken as Kafka reads it"
            Expect.isEmpty same.Events "which changes nothing"
            Expect.isEmpty (Catalog.ownerConfigs state (OneGroup "h")) "not on another"
            Expect.isTrue (ownerRefusal state (set "1")).IsInvalidConfig "too short"

            let back =
                after state (alterOwner (OneGroup "g") [ DeleteConfig "consumer.session.timeout.ms" ])

            Expect.isEmpty back.GroupConfigs "nothing is kept of a group without any"
    ]

let tests =
    testList "topics" [ creation; deletion; partitions; configs; clusterWide; others ]
