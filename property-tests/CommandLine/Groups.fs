/// `tansu group` against a broker, with a group that has a member and later none.
module Tansu.PropertyTests.CommandLine.Groups

open System
open Confluent.Kafka
open Expecto
open Tansu.PropertyTests.EndToEnd
open Tansu.PropertyTests.EndToEnd.RealBroker
open Tansu.PropertyTests.CommandLine.Running

/// Writes three records to partition 0 of a topic, two to partition 1.
let private write (broker: RealBroker) =
    task {
        let! _ = succeed broker.Bootstrap [ "topic"; "create"; "t"; "--partitions"; "2" ]

        let produce partition =
            shell "kcat" [ "-b"; broker.Bootstrap; "-t"; "t"; "-p"; partition; "-P" ]

        let! _ = produce "0" "1\n2\n3\n"
        let! _ = produce "1" "4\n5\n"
        return ()
    }

/// A member that has read all records, and has committed offset 1 of partition 0 alone.
let private join (broker: RealBroker) =
    let config =
        Clients.configure
            (ConsumerConfig(
                GroupId = "g",
                ClientId = "reader",
                EnableAutoCommit = false,
                AutoOffsetReset = AutoOffsetReset.Earliest
            ))
            broker.Bootstrap

    let consumer =
        ConsumerBuilder<byte array, byte array>(config)
            .SetLogHandler(fun _ _ -> ())
            .SetErrorHandler(fun _ _ -> ())
            .Build()

    consumer.Subscribe "t"

    for _ in 1..5 do
        Expect.isNotNull (consumer.Consume patience) "a record"

    consumer.Commit [ TopicPartitionOffset("t", Partition 0, Offset 1L) ]
    consumer

let private withMember broker =
    task {
        use consumer = join broker
        let succeedJson = succeedJson broker.Bootstrap
        let fail = fail broker.Bootstrap
        let! output = succeed broker.Bootstrap [ "group"; "list" ]

        Expect.equal
            (cells output)
            [
                [ "GROUP"; "TYPE"; "STATE"; "PROTOCOL" ]
                [ "g"; "classic"; "Stable"; "consumer" ]
            ]
            "list"

        let! output = succeed broker.Bootstrap [ "group"; "list"; "--state"; "Empty" ]
        Expect.equal output "" "none is empty"

        let! document =
            succeedJson [ "group"; "list"; "--state"; "Stable,Empty"; "--type"; "classic" ]

        Expect.equal (text "groups.0.group" document, text "groups.0.state" document) ("g", "Stable") "filtered"

        let! document = succeedJson [ "group"; "describe"; "g" ]
        let group = at "groups.0" document
        Expect.equal (text "state" group, text "assignor" group) ("Stable", "range") "group"
        Expect.stringContains (text "coordinator" group) ":" "coordinator"
        Expect.equal (text "members.0.clientId" group) "reader" "member"
        Expect.equal (text "members.0.assignment.0.topic" group) "t" "its topic"

        Expect.equal
            [
                for partition in (at "members.0.assignment.0.partitions" group).EnumerateArray() -> partition.GetInt32()
            ]
            [ 0; 1 ]
            "its partitions"

        Expect.equal (number "offsets.0.committed" group) 1L "committed"
        Expect.equal (number "offsets.0.latest" group, number "offsets.0.lag" group) (3L, 2L) "lag"
        Expect.equal (text "offsets.0.memberId" group) (text "members.0.memberId" group) "who reads it"
        Expect.equal (at "offsets.1.committed" group).ValueKind Text.Json.JsonValueKind.Null "nothing committed"
        Expect.equal (number "offsets.1.latest" group) 2L "but there are records"
        let! output = succeed broker.Bootstrap [ "group"; "describe" ]
        Expect.contains (cells output |> List.map (List.truncate 5)) [ "t"; "0"; "1"; "3"; "2" ] "offsets"
        Expect.contains (cells output |> List.map List.last) "t:0,1" "partitions of the member"

        let! said =
            fail [ "group"; "reset-offsets"; "g"; "--topic"; "t"; "--to-latest"; "--execute" ]

        Expect.stringContains said "1 members" "it has a member"
        let! said = fail [ "group"; "delete"; "g" ]
        Expect.stringContains said "NON_EMPTY_GROUP" "it has a member"
        let! said = fail [ "group"; "delete-offsets"; "g"; "--topic"; "t" ]
        Expect.stringContains said "GROUP_SUBSCRIBED_TO_TOPIC" "it reads the topic"
        consumer.Close()
    }

let private resets: (string list * int64 list) list = [
    // The records of partition 0 are 0, 1 and 2, those of partition 1 are 0 and 1; 1 and 0 are committed before each.
    [ "--to-earliest" ], [ 0L; 0L ]
    [ "--to-latest" ], [ 3L; 2L ]
    [ "--to-current" ], [ 1L; 0L ]
    [ "--to-offset"; "2" ], [ 2L; 2L ]
    [ "--to-offset"; "99" ], [ 3L; 2L ]
    [ "--shift-by"; "1" ], [ 2L; 1L ]
    [ "--shift-by"; "-5" ], [ 0L; 0L ]
    [ "--shift-by"; "9223372036854775807" ], [ 3L; 2L ]
    [ "--by-duration"; "P1D" ], [ 0L; 0L ]
    [ "--by-duration"; "PT0S" ], [ 3L; 2L ]
    [ "--to-datetime"; "2020-01-01T00:00:00Z" ], [ 0L; 0L ]
    [ "--to-datetime"; "2999-01-01" ], [ 3L; 2L ]
]

let private withoutMembers (broker: RealBroker) =
    task {
        let succeed = succeed broker.Bootstrap
        let succeedJson = succeedJson broker.Bootstrap
        let fail = fail broker.Bootstrap
        let reset = [ "group"; "reset-offsets"; "g" ]

        let committed () =
            task {
                let! document = succeedJson [ "group"; "describe"; "g" ]

                return [
                    for offset in (at "groups.0.offsets" document).EnumerateArray() ->
                        number "partition" offset, number "committed" offset
                ]
            }

        let! said = fail (reset @ [ "--topic"; "t"; "--shift-by"; "1" ])
        Expect.stringContains said "nothing is committed for topic t, partition 1" "from where"
        let! _ = succeed (reset @ [ "--topic"; "t:1"; "--to-earliest"; "--execute" ])
        let! before = committed ()
        Expect.equal before [ 0L, 1L; 1L, 0L ] "partition 1 alone"

        for target, expected in resets do
            let line = String.concat " " target
            let! document = succeedJson (reset @ [ "--topic"; "t" ] @ target)
            Expect.isFalse ((at "executed" document).GetBoolean()) line

            Expect.equal
                [
                    for row in (at "groups.0.partitions" document).EnumerateArray() -> number "new" row
                ]
                expected
                line

            Expect.equal
                [
                    for row in (at "groups.0.partitions" document).EnumerateArray() -> number "committed" row
                ]
                [ 1L; 0L ]
                line

        let! after = committed ()
        Expect.equal after before "nothing was changed"
        let! output = succeed (reset @ [ "--all-topics"; "--to-latest" ])
        Expect.stringContains output "--execute" "how to do it"
        let! output = succeed (reset @ [ "--all-topics"; "--to-latest"; "--execute" ])
        Expect.contains (cells output) [ "g"; "t"; "0"; "1"; "3" ] "before and after"
        let! after = committed ()
        Expect.equal after [ 0L, 3L; 1L, 2L ] "it was done"

        let! said = fail (reset @ [ "--topic"; "nope"; "--to-latest" ])
        Expect.stringContains said "topic nope" "which"
        let! said = fail (reset @ [ "--topic"; "t:7"; "--to-latest" ])
        Expect.stringContains said "topic t has no partition 7" "which"
        let! said = fail [ "group"; "reset-offsets"; "h"; "--all-topics"; "--to-latest" ]
        Expect.stringContains said "nothing is committed" "a group that is not there"

        let! _ =
            succeed [ "group"; "reset-offsets"; "h"; "--topic"; "t"; "--to-latest"; "--execute" ]

        let! output = succeed [ "group"; "delete-offsets"; "g"; "--topic"; "t:1" ]
        Expect.equal (output.Trim()) "t 1: deleted" "offset"
        let! after = committed ()
        Expect.equal after [ 0L, 3L ] "the other is still there"

        let! said =
            fail [ "group"; "delete-offsets"; "g"; "--topic"; "t:1"; "--topic"; "nope" ]

        Expect.stringContains said "nothing is committed for topic nope" "which"

        let! ran = run broker.Bootstrap [ "group"; "delete"; "g"; "nope"; "h"; "--json" ]
        Expect.equal ran.ExitCode 1 "one of them failed"
        let document = json ran.Output

        Expect.equal
            [ for index in 0..2 -> text $"groups.{index}.result" document ]
            [ "deleted"; "failed"; "deleted" ]
            "each"

        Expect.equal (text "groups.1.error.code" document) "GROUP_ID_NOT_FOUND" "why"
        let! said = fail [ "group"; "describe"; "g" ]
        Expect.stringContains said "group g: " "which"
        let! output = succeed [ "group"; "list" ]
        Expect.equal output "" "none is left"
    }

let private walk =
    testCaseTask "list, describe, reset-offsets, delete-offsets, delete, with a member and without" (fun () ->
        task {
            use scratch = new Scratch()
            use broker = start scratch
            do! write broker
            do! withMember broker
            do! withoutMembers broker
        })

let tests = testList "group" [ walk ]
