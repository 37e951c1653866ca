/// Nodes: registration, leases, and whom placement picks.
module Tansu.PropertyTests.Domain.Nodes

open System
open Expecto
open Tansu.Domain
open Tansu.PropertyTests
open Tansu.PropertyTests.Domain.Given

let private leaseMs = 30_000L

let private node id host leaseUntilMs = { Id = id; Host = host; Port = 9092; LeaseUntilMs = leaseUntilMs }

let private decide nowMs state command =
    Catalog.decide catalogSettings state command (at nowMs)

let private expect nowMs (given: CatalogEvent list) command (events: CatalogEvent list) =
    let decision = decide nowMs (catalog given) command
    Expect.equal (List.ofArray decision.Events) events "events"

let private alone host =
    RegisterNode(host, 9092, Lease.WithoutEnd)

let private among host = RegisterNode(host, 9092, leaseMs)

let private endless id host =
    NodeRegistered(node id host Lease.WithoutEnd)

let private registering =
    testList "registering" [
        testCase "a node alone is given a lease without end, once"
        <| fun () ->
            expect 5L [] (alone "a") [ endless 1 "a" ]
            expect 5L [ endless 1 "a" ] (alone "a") []

        testCase "whoever comes has to renew, and those that did not have to from now on do"
        <| fun () ->
            expect 5L [ endless 1 "a" ] (among "b") [
                NodeRegistered(node 2 "b" (5L + leaseMs))
                NodeLeaseCut(1, 5L + leaseMs)
            ]

        testCase "a node that is alone again says so, and leaves the leases of others as they are"
        <| fun () ->
            let given = [ NodeRegistered(node 1 "a" 50L); NodeRegistered(node 2 "b" 60L) ]
            expect 100L given (alone "a") [ endless 1 "a" ]

        testCase "a renewal is later than the lease before, even by a clock that stands still"
        <| fun () ->
            expect 5L [ NodeRegistered(node 1 "a" (5L + leaseMs)) ] (among "a") [
                NodeRegistered(node 1 "a" (6L + leaseMs))
            ]

        testCase "a node that leaves keeps its id, and comes back with it"
        <| fun () ->
            let given = [ endless 1 "a"; endless 2 "b" ]
            expect 5L given (DeregisterNode 2) [ NodeLeaseCut(2, Lease.Ended) ]
            let gone = given @ [ NodeLeaseCut(2, Lease.Ended) ]
            expect 5L gone (DeregisterNode 2) []
            expect 5L gone (DeregisterNode 3) []
            expect 5L gone (alone "c") [ endless 3 "c" ]
            expect 5L gone (alone "b") [ endless 2 "b" ]

        testCase "a port is part of the address"
        <| fun () ->
            let decision =
                decide 5L (catalog [ endless 1 "a" ]) (RegisterNode("a", 9093, Lease.WithoutEnd))

            Expect.equal
                decision.Reply
                (NodeIs { Id = 2; Host = "a"; Port = 9093; LeaseUntilMs = Lease.WithoutEnd })
                "another node"

        Check.property "an address keeps its id for ever, and no other gets it" (fun (seed: int) ->
            let random = Random seed
            let mutable state = Catalog.initial
            let mutable given = Map.empty

            for nowMs in 1L .. 40L do
                let host = $"host-{random.Next 5}"

                let command =
                    match random.Next 3 with
                    | 0 -> alone host
                    | 1 -> among host
                    | _ -> DeregisterNode(random.Next 6)

                let decision = decide nowMs state command
                state <- Array.fold (Catalog.evolve catalogSettings) state decision.Events

                match decision.Reply with
                | NodeIs node ->
                    Expect.equal state.Nodes[node.Id] node "the reply is what is stored"
                    let known = given |> Map.tryFind host |> Option.defaultValue node.Id
                    Expect.equal node.Id known "the same id"
                    given <- given.Add(host, node.Id)
                | _ -> ()

            Expect.equal (given.Values |> Seq.distinct |> Seq.length) given.Count "an id each"
            Expect.equal state.Nodes.Count given.Count "nobody is forgotten")
    ]

let private placement =
    testList "placement" [
        testCase "is the same in every version"
        <| fun () ->
            Expect.equal (Placement.leaders 8 [| 1; 2; 3 |]) [| 1; 1; 1; 2; 2; 3; 3; 2 |] "leaders"

            Expect.equal (Placement.controller [| 1; 2; 3 |]) 1 "controller"

            Expect.equal
                [ for key in [ ""; "a"; "b"; "group"; "grüße" ] -> Placement.shardOfKey 16 key ]
                [ 11; 8; 5; 15; 14 ]
                "shards of groups"

        Check.property
            "the order of the nodes does not matter, and all have the same share, or one less"
            (fun (shards: byte) (nodes: Set<byte>) ->
                let shards = int shards
                let nodes = [| 300; yield! nodes |> Seq.map int |]
                let leaders = Placement.leaders shards nodes
                Expect.equal (Placement.leaders shards (Array.rev nodes)) leaders "order"
                let share = (shards + nodes.Length - 1) / nodes.Length

                for nodeId, count in Array.countBy id leaders do
                    Expect.isLessThanOrEqual count share $"node {nodeId} leads {count} of {shards}")

        testCase "a node that comes or goes moves little more than what it gets or had"
        <| fun () ->
            let three, four =
                Placement.leaders 300 [| 1; 2; 3 |], Placement.leaders 300 [| 1; 2; 3; 4 |]

            let moved =
                Array.zip three four |> Array.filter (fun (before, after) -> before <> after)

            Expect.equal (Array.countBy id four |> Array.sort) [| for node in 1..4 -> node, 75 |] "shares"
            Expect.isLessThan moved.Length 110 "moved of 300, 75 of them to the new one"

        testCase "groups spread over the shards"
        <| fun () ->
            let counts =
                [ for number in 1..4000 -> Placement.shardOfKey 4 $"group-{number}" ]
                |> List.countBy id

            Expect.equal counts.Length 4 "all"

            for shard, count in counts do
                Expect.isTrue (count > 850 && count < 1150) $"shard {shard} has {count} of 4000"
    ]

let tests = testList "nodes" [ registering; placement ]
