/// Configurations of all brokers and of groups, as an administrator's tools meet them.
module Tansu.PropertyTests.Handlers.ClusterConfigs

open System
open System.Threading
open System.Threading.Tasks
open Expecto
open Tansu.Adapters
open Tansu.Adapters.Ports
open Tansu.Codec
open Tansu.Codec.Messages
open Tansu.Codec.Records
open Tansu.Domain
open Tansu.PropertyTests.Handlers.Administering
open Tansu.PropertyTests.Handlers.Desk

let private allBrokers = ""
let private groupResource = 32y
let private dynamicDefault = 3y
let private ofGroup = 8y

let private valueOf (desk: Desk) resourceType name key =
    task {
        let! result = describe desk resourceType name [| key |]
        let one = Array.exactlyOne result.Configs
        return one.Value, one.ConfigSource
    }

let private produceOne (desk: Desk) =
    task {
        let! answers = desk.Produce("a", [ 0, batch 1 ])
        return (List.exactlyOne answers).ErrorCode
    }

let private defaults =
    testList "of all brokers" [
        deskTest "are shown with every topic and broker, as a source of their own" (fun desk ->
            task {
                let! _ = desk.Create("a", 1, [])
                let! error = change desk brokerResource allBrokers [ "log.retention.ms", 0y, "5" ]
                Expect.equal error ErrorCode.None "changed"
                let! topic = describe desk topicResource "a" [| "retention.ms" |]
                let shown = Array.exactlyOne topic.Configs
                Expect.equal (shown.Value, shown.ConfigSource) ("5", dynamicDefault) "with a topic"

                Expect.equal
                    [ for one in shown.Synonyms -> one.Name, one.Value, one.Source ]
                    [ "log.retention.ms", "5", dynamicDefault; "log.retention.ms", "604800000", 5y ]
                    "where it can come from"

                let! broker = valueOf desk brokerResource "1" "log.retention.ms"
                Expect.equal broker ("5", dynamicDefault) "with a broker"
                let! all = describe desk brokerResource allBrokers null

                Expect.equal
                    [ for one in all.Configs -> one.Name ]
                    [ "log.retention.ms" ]
                    "with all brokers: only what is set"
            })

        deskTest "hold for topics that are there and for new ones, and no longer than they are set" (fun desk ->
            task {
                let! _ = desk.Create("a", 1, [])
                let! before = produceOne desk
                Expect.equal before ErrorCode.None "before"
                let! _ = change desk brokerResource allBrokers [ "message.max.bytes", 0y, "10" ]
                let! during = produceOne desk
                Expect.equal during ErrorCode.MessageTooLarge "while it is set"
                let! _ = change desk brokerResource allBrokers [ "message.max.bytes", 1y, null ]
                let! after = produceOne desk
                Expect.equal after ErrorCode.None "after"
            })

        deskTest "are validated, also without being changed" (fun desk ->
            task {
                for operations, error in
                    [
                        [ "log.retention.ms", 0y, "5" ], ErrorCode.None
                        [ "log.cleanup.policy", 2y, "compact" ], ErrorCode.None
                        [ "log.retention.ms", 0y, "soon" ], ErrorCode.InvalidRequest
                        [ "retention.ms", 0y, "5" ], ErrorCode.InvalidRequest
                        [ "num.partitions", 0y, "5" ], ErrorCode.InvalidRequest
                        [ "log.retention.ms", 9y, "5" ], ErrorCode.InvalidRequest
                    ] do
                    let! actual = validate desk brokerResource allBrokers operations
                    Expect.equal actual error $"{operations}"

                let! all = describe desk brokerResource allBrokers null
                Expect.isEmpty all.Configs "nothing has changed"
                let! one = change desk brokerResource "1" [ "log.retention.ms", 0y, "5" ]
                Expect.equal one ErrorCode.InvalidRequest "a single broker has none of its own"
                let! logger = change desk 8y "1" [ "root", 0y, "DEBUG" ]
                Expect.equal logger ErrorCode.InvalidRequest "nor loggers that could be changed"
            })

        deskTest "are what retention goes by" (fun desk ->
            task {
                let! _ = change desk brokerResource allBrokers [ "log.retention.ms", 0y, "-1" ]
                let! id = desk.Create("a", 1, [])
                // Much older than Kafka's default allows.
                let! _ = desk.Produce("a", [ 0, batchAt CompressionCodec.None 1L 3 10 ])

                let start () =
                    task {
                        let shard = desk.Broker.Cluster.Shards[0]
                        let! _ = shard.Compactor.PassAsync(CancellationToken.None).WaitAsync patience
                        return shard.Partition({ TopicId = TopicId id; Partition = 0 }).LogStartOffset
                    }

                let! kept = start ()
                Expect.equal kept 0L "kept for ever"
                let! _ = change desk brokerResource allBrokers [ "log.retention.ms", 1y, null ]
                let! dropped = start ()
                Expect.equal dropped 3L "dropped once Kafka's default is back"
            })

        testCaseTask "are those of every broker, and of the next start" (fun () ->
            task {
                let space = MemorySpace()

                let opened () =
                    Desk.Open(store = new MemoryStore(space, StoreOptions.Default))

                let! first = opened ()
                let! second = opened ()
                let! _ = change first brokerResource allBrokers [ "log.retention.ms", 0y, "5" ]

                let! _ =
                    change first groupResource "g" [ "consumer.session.timeout.ms", 0y, "50000" ]

                for desk in [ second; first ] do
                    let! value = valueOf desk brokerResource "1" "log.retention.ms"
                    Expect.equal value ("5", dynamicDefault) "all brokers"

                do! (first :> IAsyncDisposable).DisposeAsync()
                do! (second :> IAsyncDisposable).DisposeAsync()
                let! third = opened ()
                let! value = valueOf third groupResource "g" "consumer.session.timeout.ms"
                Expect.equal value ("50000", ofGroup) "a group, after a restart"
                do! (third :> IAsyncDisposable).DisposeAsync()
            })
    ]

let private groups =
    testList "of groups" [
        deskTest "are described, changed, validated and listed, whether there is such a group or not" (fun desk ->
            task {
                let session = "consumer.session.timeout.ms"
                let! unset = valueOf desk groupResource "g" session
                Expect.equal unset ("45000", 5y) "a default"

                for operations, error in
                    [
                        [ session, 0y, "1" ], ErrorCode.InvalidConfig
                        [ "no.such", 0y, "1" ], ErrorCode.InvalidConfig
                        [ session, 0y, "50000" ], ErrorCode.None
                    ] do
                    let! actual = change desk groupResource "g" operations
                    Expect.equal actual error $"{operations}"

                let! described = describe desk groupResource "g" [| session |]
                let set = Array.exactlyOne described.Configs
                Expect.equal (set.Value, set.ConfigSource) ("50000", ofGroup) "set"
                Expect.isNotNull set.Documentation "documentation"

                Expect.equal
                    [ for one in set.Synonyms -> one.Name ]
                    [ session; "group.consumer.session.timeout.ms" ]
                    "synonyms"

                let! listed =
                    desk.Ask<_, ListConfigResourcesResponse>(
                        ListConfigResourcesRequest(ResourceTypes = [| groupResource |]),
                        1
                    )

                Expect.equal [ for one in listed.ConfigResources -> one.ResourceName ] [ "g" ] "listed"
                let! unnamed = describe desk groupResource "" null
                Expect.equal unnamed.ErrorCode ErrorCode.InvalidRequest "without a name"
            })

        deskTest "and levels of loggers are described" (fun desk ->
            task {
                let! root = valueOf desk 8y "1" "root"
                Expect.equal root ("INFO", 6y) "the root logger"
            })
    ]

let tests = testList "configurations beyond topics" [ defaults; groups ]
