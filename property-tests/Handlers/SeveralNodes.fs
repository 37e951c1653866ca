/// Two brokers with addresses of their own, and with one, on one store.
module Tansu.PropertyTests.Handlers.SeveralNodes

open System
open System.Threading
open System.Threading.Tasks
open Expecto
open Tansu.Adapters
open Tansu.Adapters.Ports
open Tansu.Codec
open Tansu.Codec.Messages
open Tansu.Domain
open Tansu.PropertyTests.Handlers.Desk
open Tansu.PropertyTests.Host

let private lease = TimeSpan.FromSeconds 30.0

let private shards = 8

/// A broker on a shared store, at a port of its own.
let private join (space: MemorySpace) (time: ManualTime) port =
    let options =
        ClusterOptions(
            AdvertisedHost = "localhost",
            AdvertisedPort = port,
            ShardCount = shards,
            NodeLease = lease,
            TimeProvider = time
        )

    Desk.Open(time = time, store = new MemoryStore(space, StoreOptions.Default), options = options)

/// Waits for a step of one broker. Another may have written since it last looked, or write at the same moment, and a conflict waits on
/// the clock for some milliseconds.
let private drive (time: ManualTime) (step: Task) =
    task {
        let started = time.GetUtcNow()

        while not step.IsCompleted do
            if time.GetUtcNow() - started > TimeSpan.FromSeconds 4.0 then
                failtest "the step takes longer than any conflict"

            let! first = Task.WhenAny(step, Task.Delay 20)

            if not (Object.ReferenceEquals(first, step)) then
                time.Advance(TimeSpan.FromMilliseconds 5.0)

        do! step
    }

let private look (time: ManualTime) (desk: Desk) =
    drive time (desk.Broker.Cluster.LookAtNodesAsync())

/// Lets time pass, with every broker looking at the others as often as it does by itself.
let private pass (time: ManualTime) (span: TimeSpan) (desks: Desk list) =
    task {
        let until = time.GetUtcNow() + span

        while time.GetUtcNow() < until do
            time.Advance(lease / 6.0)

            for desk in desks do
                do! look time desk
    }

/// Ends a broker as a kill would: the others are told nothing.
let private kill (desk: Desk) =
    (desk.Broker.Cluster :> IAsyncDisposable).DisposeAsync().AsTask()

let private stop (time: ManualTime) (desk: Desk) =
    drive time ((desk :> IAsyncDisposable).DisposeAsync().AsTask())

let private catalogEntries (space: MemorySpace) =
    task {
        let store = new MemoryStore(space, StoreOptions.Default) :> IStore
        let! log = store.OpenLogAsync("catalog", CancellationToken.None)
        let! heads = log.ReadHeadsAsync(0L, 100_000, CancellationToken.None)
        return heads.Count
    }

let private metadata (desk: Desk) =
    desk.Ask<_, MetadataResponse>(MetadataRequest(Topics = null), 12)

let private ports (desk: Desk) =
    task {
        let! response = metadata desk
        return [ for broker in response.Brokers -> broker.Port ]
    }

/// Shard by shard (the topic "t" has as many partitions).
let private leaders (desk: Desk) =
    task {
        let! response = metadata desk

        let topic = response.Topics |> Array.find (fun topic -> topic.Name = "t")
        return [ for partition in topic.Partitions -> partition.LeaderId ]
    }

/// Two brokers that know each other, and a topic with a partition on every shard.
let private two () =
    task {
        let space, time = MemorySpace(), ManualTime()
        let! one = join space time 9001
        let! _ = one.Create("t", shards, [])
        let! other = join space time 9002
        do! pass time (lease * 2.0) [ one; other ]
        return space, time, one, other
    }

let private twoTest name body =
    testCaseTask name (fun () ->
        task {
            let! space, time, one, other = two ()
            do! body space time one other
        })

let private alone =
    testCaseTask "a broker alone writes nothing for hours, and is there when another comes" (fun () ->
        task {
            let space, time = MemorySpace(), ManualTime()
            let! one = join space time 9001
            let! before = catalogEntries space
            do! pass time (TimeSpan.FromHours 5.0) [ one ]
            let! after = catalogEntries space
            Expect.equal after before "entries"
            let! other = join space time 9002
            let! seen = ports other
            Expect.equal seen [ 9001; 9002 ] "the other one lists it from its first moment"
            // It looks once per lease, and has two.
            time.Advance(lease - TimeSpan.FromSeconds 1.0)
            do! look time other
            let! seen = ports other
            Expect.equal seen [ 9001; 9002 ] "while it knows nothing yet"
            do! look time one
            do! pass time (lease * 3.0) [ one; other ]
            let! seen = ports other
            Expect.equal seen [ 9001; 9002 ] "once it renews"
            let! seen = ports one
            Expect.equal seen [ 9001; 9002 ] "and it lists the other"
        })

let private together =
    testList "two brokers" [
        twoTest
            "tell each of the size of the partitions it leads, so that tools that add up count each once"
            (fun _ time one other ->
                task {
                    // Of today: retention must leave it alone.
                    let today =
                        batchAt Records.CompressionCodec.None (time.GetUtcNow().ToUnixTimeMilliseconds()) 1 10

                    let! produced =
                        one.Produce("t", [ for partition in 0 .. shards - 1 -> partition, today ])

                    Expect.equal
                        [ for one in produced -> one.ErrorCode ]
                        (List.replicate shards ErrorCode.None)
                        "produced"

                    let! leaders = leaders one

                    for desk in [ one; other ] do
                        let! described =
                            desk.Ask<_, DescribeLogDirsResponse>(DescribeLogDirsRequest(Topics = null), 4)

                        let self = desk.Broker.Cluster.Self.Id

                        Expect.equal
                            [
                                for one in described.Results[0].Topics[0].Partitions ->
                                    one.PartitionIndex, one.PartitionSize
                            ]
                            [
                                for index, leader in List.indexed leaders do
                                    if leader = self then
                                        index, int64 today.Length
                            ]
                            $"broker {self}"
                })

        twoTest "name the same leaders, coordinators and controller, spread over both" (fun _ _ one other ->
            task {
                let! leadersOfOne = leaders one
                let! leadersOfOther = leaders other
                let topic = one.Broker.Cluster.Catalog.TopicsByName["t"]

                let placed = Placement.leaders shards [| 1; 2 |]

                let expected = [
                    for partition in 0 .. shards - 1 -> placed[one.Broker.Cluster.ShardOf(topic, partition).Index]
                ]

                Expect.equal leadersOfOne expected "as placement says"
                Expect.equal leadersOfOther expected "and the other says the same"
                Expect.equal (List.distinct expected |> List.sort) [ 1; 2 ] "both lead something"
                let! response = metadata one
                Expect.equal response.ControllerId (Placement.controller [| 1; 2 |]) "controller"

                let! described =
                    other.Ask<_, DescribeClusterResponse>(DescribeClusterRequest(EndpointType = 1y), 1)

                Expect.equal [ for broker in described.Brokers -> broker.Port ] [ 9001; 9002 ] "DescribeCluster"
                Expect.equal described.ControllerId response.ControllerId "its controller"

                let! partitions =
                    other.Ask<_, DescribeTopicPartitionsResponse>(
                        DescribeTopicPartitionsRequest(ResponsePartitionLimit = 100),
                        0
                    )

                Expect.equal
                    [ for one in partitions.Topics[0].Partitions -> one.LeaderId ]
                    expected
                    "DescribeTopicPartitions"

                let keys = [| for number in 1..20 -> $"group-{number}" |]

                for desk in [ one; other ] do
                    let! found =
                        desk.Ask<_, FindCoordinatorResponse>(FindCoordinatorRequest(CoordinatorKeys = keys), 4)

                    Expect.equal
                        [ for one in found.Coordinators -> one.NodeId ]
                        [ for key in keys -> placed[Placement.shardOfKey shards key] ]
                        "coordinators"
            })

        twoTest "take every request, whoever is named as leader" (fun _ time one other ->
            task {
                for desk in [ one; other ] do
                    for partition in 0 .. shards - 1 do
                        let produced = desk.Produce("t", [ partition, batch 1 ])
                        do! drive time produced
                        let! answers = produced
                        Expect.equal answers.Head.ErrorCode ErrorCode.None "accepted"
            })

        twoTest "take assignments that name either of them, one each" (fun _ _ one _ ->
            task {
                for brokers, expected in
                    [
                        [| 2 |], ErrorCode.None
                        [| 3 |], ErrorCode.InvalidReplicaAssignment
                        [| 1; 2 |], ErrorCode.InvalidReplicationFactor
                        [| 2; 2 |], ErrorCode.InvalidReplicaAssignment
                    ] do
                    let assignment =
                        CreateTopicsRequest.CreatableReplicaAssignment(PartitionIndex = 0, BrokerIds = brokers)

                    let topic =
                        CreateTopicsRequest.CreatableTopic(
                            Name = "assigned",
                            NumPartitions = -1,
                            ReplicationFactor = -1s,
                            Assignments = [| assignment |]
                        )

                    let! response =
                        one.Ask<_, CreateTopicsResponse>(
                            CreateTopicsRequest(Topics = [| topic |], ValidateOnly = true),
                            7
                        )

                    Expect.equal response.Topics[0].ErrorCode expected $"%A{brokers}"
            })

        twoTest
            "say that a topic exists that the other has created, whatever else is wrong with the wish"
            (fun _ time one other ->
                task {
                    do! drive time (one.Create("new", 1, []))

                    for validateOnly in [ true; false ] do
                        let topic =
                            CreateTopicsRequest.CreatableTopic(Name = "new", NumPartitions = 1, ReplicationFactor = 3s)

                        let! response =
                            other.Ask<_, CreateTopicsResponse>(
                                CreateTopicsRequest(Topics = [| topic |], ValidateOnly = validateOnly),
                                7
                            )

                        Expect.equal response.Topics[0].ErrorCode ErrorCode.TopicAlreadyExists "error"
                })

        twoTest "count the assignments of new partitions by what the other has added" (fun _ time one other ->
            task {
                let add (desk: Desk) count brokers =
                    task {
                        let topic =
                            CreatePartitionsRequest.CreatePartitionsTopic(
                                Name = "t",
                                Count = count,
                                Assignments = [|
                                    for broker in brokers ->
                                        CreatePartitionsRequest.CreatePartitionsAssignment(BrokerIds = [| broker |])
                                |]
                            )

                        let asked =
                            desk.Ask<_, CreatePartitionsResponse>(
                                CreatePartitionsRequest(Topics = [| topic |], TimeoutMs = 1000),
                                3
                            )

                        do! drive time asked
                        let! response = asked
                        return response.Results[0].ErrorCode
                    }

                let! first = add one (shards + 1) [ 1 ]
                let! second = add other (shards + 2) [ 2 ]
                Expect.equal (first, second) (ErrorCode.None, ErrorCode.None) "one each"
            })

        twoTest
            "find a topic that the other has deleted and created anew with a producer's second try"
            (fun _ time one other ->
                task {
                    do!
                        drive
                            time
                            (one.Ask<_, DeleteTopicsResponse>(
                                DeleteTopicsRequest(TopicNames = [| "t" |], TimeoutMs = 1000),
                                5
                            ))

                    do! drive time (one.Create("t", shards, []))

                    for expected in [ ErrorCode.UnknownTopicOrPartition; ErrorCode.None ] do
                        let produced =
                            other.Produce("t", [ for partition in 0 .. shards - 1 -> partition, batch 1 ])

                        do! drive time produced
                        let! answers = produced
                        Expect.allEqual [ for answer in answers -> answer.ErrorCode ] expected "every partition"
                })

        twoTest "keep renewing: neither loses the other" (fun _ time one other ->
            task {
                for _ in 1..20 do
                    do! pass time (lease / 2.0) [ one; other ]
                    let! ofOne = ports one
                    let! ofOther = ports other
                    Expect.equal (ofOne, ofOther) ([ 9001; 9002 ], [ 9001; 9002 ]) "both"
            })
    ]

let private leaving =
    testList "a broker that ends" [
        twoTest "by a kill disappears after its lease, and the one left falls silent" (fun space time one other ->
            task {
                do! kill other
                time.Advance(lease / 2.0)
                do! look time one
                let! seen = ports one
                Expect.equal seen [ 9001; 9002 ] "within its lease"
                do! pass time lease [ one ]
                let! seen = ports one
                Expect.equal seen [ 9001 ] "after it"
                let! named = leaders one
                Expect.equal (List.distinct named) [ 1 ] "and leads nothing"
                let! before = catalogEntries space
                do! pass time (TimeSpan.FromHours 1.0) [ one ]
                let! after = catalogEntries space
                Expect.equal after before "entries"
                let! again = join space time 9002
                do! pass time lease [ one; again ]
                let! seen = ports one
                Expect.equal seen [ 9001; 9002 ] "back"
                Expect.equal again.Broker.Cluster.Self.Id 2 "with the id of its address"
            })

        twoTest "in order disappears at once" (fun _ time one other ->
            task {
                do! stop time other
                do! look time one
                let! seen = ports one
                Expect.equal seen [ 9001 ] "gone"
            })

        twoTest "in order does not take its sibling at the same address along" (fun space time one other ->
            task {
                let! sibling = join space time 9002
                Expect.equal sibling.Broker.Cluster.Self.Id 2 "one node"
                do! stop time other
                let! seen = ports sibling
                Expect.equal seen [ 9001; 9002 ] "it lists itself in any case"
                do! look time sibling
                do! look time one
                let! seen = ports one
                Expect.equal seen [ 9001; 9002 ] "it has registered again"
            })

        testCaseTask "and comes back to a cluster of the dead names nobody but itself" (fun () ->
            task {
                let! space, time, one, other = two ()
                do! kill other
                do! kill one
                time.Advance(TimeSpan.FromHours 1.0)
                let! again = join space time 9001
                let! seen = ports again
                Expect.equal seen [ 9001 ] "the other's lease is long over"
                Expect.equal again.Broker.Cluster.Self.Id 1 "its id"
            })

        testCaseTask "while it was alone is listed for two leases, but leads nothing" (fun () ->
            task {
                let space, time = MemorySpace(), ManualTime()
                let! one = join space time 9001
                let! _ = one.Create("t", shards, [])
                do! kill one
                let! other = join space time 9002
                let! named = leaders other
                Expect.equal (List.distinct named) [ 2 ] "it cannot be reached, perhaps"
                do! pass time (lease * 2.0) [ other ]
                let! seen = ports other
                Expect.equal seen [ 9002 ] "nobody has heard of it"
            })
    ]

let tests = testList "several nodes" [ alone; together; leaving ]
