/// Which nodes a broker takes for live, by its own clock.
module Tansu.PropertyTests.Replica.NodeRegistries

open System
open Expecto
open Tansu.Adapters.Nodes
open Tansu.Domain
open Tansu.PropertyTests.Host

let private lease = TimeSpan.FromSeconds 30.0

let private seconds (count: float) = TimeSpan.FromSeconds count

/// The registry of the broker at "self", which is node 1.
let private registry (time: ManualTime) =
    NodeRegistry("self", 9092, lease, false, 1, time)

let private node id leaseUntilMs = {
    Id = id
    Host = (if id = 1 then "self" else $"host-{id}")
    Port = 9092
    LeaseUntilMs = leaseUntilMs
}

let private learn (registry: NodeRegistry) (nodes: (int * int64) list) =
    registry.Learn(Map [ for id, leaseUntilMs in nodes -> id, node id leaseUntilMs ])

let private listed (registry: NodeRegistry) = [ for node in registry.Live().All -> node.Id ]

let private candidates (registry: NodeRegistry) =
    List.ofArray (registry.Live().Candidates)

let private nowMs (time: ManualTime) =
    time.GetUtcNow().ToUnixTimeMilliseconds()

/// A time at which, and a registry in which, node 2 has just registered and so cut the lease of node 1.
let private withAnother () =
    let time = ManualTime()
    let registry = registry time
    learn registry [ 1, Lease.WithoutEnd ]
    learn registry [ 1, 1000L; 2, 1000L ]
    time, registry

let private liveness =
    testList "a node" [
        testCase "is live for one lease after it was heard of, whatever time its writer's clock says"
        <| fun () ->
            let time, registry = withAnother ()
            time.Advance(seconds 29.9)
            Expect.equal (listed registry) [ 1; 2 ] "within its lease"
            Expect.equal (candidates registry) [ 1; 2 ] "and named as leader"
            time.Advance(seconds 0.1)
            Expect.equal (listed registry) [ 1 ] "after it"
            Expect.isFalse registry.HasLiveOthers "alone"

        testCase "stays live as long as it renews, and comes back when it does"
        <| fun () ->
            let time, registry = withAnother ()

            for renewal in 1L .. 10L do
                time.Advance(seconds 20.0)
                learn registry [ 1, 1000L; 2, 1000L + renewal ]
                Expect.equal (listed registry) [ 1; 2 ] "renewed"

            time.Advance(seconds 300.0)
            Expect.equal (listed registry) [ 1 ] "silent"
            learn registry [ 1, 1000L; 2, 2000L ]
            Expect.equal (listed registry) [ 1; 2 ] "back"

        testCase "is not renewed by a look that brings nothing new"
        <| fun () ->
            let time, registry = withAnother ()
            time.Advance(seconds 20.0)
            learn registry [ 1, 1000L; 2, 1000L ]
            time.Advance(seconds 10.0)
            Expect.equal (listed registry) [ 1 ] "one lease after the last sign of life"

        testCase "that leaves is gone at once"
        <| fun () ->
            let _, registry = withAnother ()
            learn registry [ 1, 1000L; 2, Lease.Ended ]
            Expect.equal (listed registry) [ 1 ] "gone"

        testCase "whose lease another one cut is not renewed by that"
        <| fun () ->
            let time = ManualTime()
            let registry = registry time
            learn registry [ 2, Lease.WithoutEnd ]
            time.Advance(seconds 59.0)
            learn registry [ 1, nowMs time + 30_000L; 2, nowMs time + 30_000L ]
            Expect.equal (listed registry) [ 1; 2 ] "still waited for"
            time.Advance(seconds 1.0)
            Expect.equal (listed registry) [ 1 ] "no longer"

        testCase "of this broker's is always live"
        <| fun () ->
            let time = ManualTime()
            let registry = registry time
            learn registry [ 1, Lease.Ended ]
            time.Advance(TimeSpan.FromDays 1.0)
            Expect.equal (listed registry) [ 1 ] "even if a sibling has just left"
            Expect.equal (candidates registry) [ 1 ] "and named as leader"

        testCase "at another address is nobody in a store that admits one broker"
        <| fun () ->
            let registry = NodeRegistry("self", 9092, lease, true, 1, ManualTime())
            learn registry [ 1, Lease.WithoutEnd; 2, Lease.WithoutEnd ]
            Expect.equal (listed registry) [ 1 ] "what it used to be called"
    ]

let private starting =
    testList "at start, a node" [
        testCase "with a lease is given one lease to show up"
        <| fun () ->
            let time = ManualTime()
            let registry = registry time
            learn registry [ 1, 0L; 2, nowMs time - 29_000L ]
            Expect.equal (candidates registry) [ 1; 2 ] "at first"
            time.Advance lease
            Expect.equal (listed registry) [ 1 ] "then"

        testCase "whose lease ran out long ago is dead at once, and found again if it renews"
        <| fun () ->
            let time = ManualTime()
            let registry = registry time
            learn registry [ 1, 0L; 2, nowMs time - 31_000L ]
            Expect.equal (listed registry) [ 1 ] "at first"
            learn registry [ 1, 0L; 2, nowMs time - 30_000L ]
            Expect.equal (listed registry) [ 1; 2 ] "its clock is slow, but it lives"

        testCase "without an end to its lease is listed for two leases, but leads nothing until it has renewed"
        <| fun () ->
            let time = ManualTime()
            let registry = registry time
            learn registry [ 2, Lease.WithoutEnd; 3, Lease.WithoutEnd ]
            learn registry [ 1, 5L; 2, 5L; 3, 5L ]
            Expect.equal (listed registry) [ 1; 2; 3 ] "listed"
            Expect.equal (candidates registry) [ 1 ] "not leading"
            time.Advance(seconds 40.0)
            learn registry [ 1, 5L; 2, 6L; 3, 5L ]
            Expect.equal (listed registry) [ 1; 2; 3 ] "one has renewed"
            Expect.equal (candidates registry) [ 1; 2 ] "and leads"
            time.Advance(seconds 20.0)
            Expect.equal (listed registry) [ 1; 2 ] "the other was dead"
    ]

let private registering =
    testList "registering" [
        testCase "a broker alone takes a lease without end, and then has nothing to write, ever"
        <| fun () ->
            let time = ManualTime()
            let registry = registry time
            learn registry []
            Expect.equal registry.LeaseMs Lease.WithoutEnd "the lease"
            learn registry [ 1, Lease.WithoutEnd ]

            for _ in 1..1000 do
                Expect.isFalse registry.IsRegistrationDue "nothing to write"
                Expect.equal registry.LookInterval lease "one look per lease"
                time.Advance registry.LookInterval

        testCase "with others it renews at every look, a third of a lease apart"
        <| fun () ->
            let time, registry = withAnother ()
            Expect.equal registry.LeaseMs 30_000L "a lease that ends"
            Expect.equal registry.LookInterval (lease / 3.0) "how often"
            Expect.isTrue registry.IsRegistrationDue "its lease was cut"
            learn registry [ 1, 2000L; 2, 1000L ]
            Expect.isFalse registry.IsRegistrationDue "just renewed"
            time.Advance registry.LookInterval
            Expect.isTrue registry.IsRegistrationDue "at the next look"

        testCase "a renewal by a sibling at the same address saves one's own"
        <| fun () ->
            let time, registry = withAnother ()
            time.Advance(seconds 10.0)
            learn registry [ 1, 2000L; 2, 1000L ]
            time.Advance(seconds 4.0)
            Expect.isFalse registry.IsRegistrationDue "4 s ago"
            time.Advance(seconds 1.0)
            Expect.isTrue registry.IsRegistrationDue "5 s ago: a sixth of the lease"

        testCase "a sibling that left is put right at once"
        <| fun () ->
            let _, registry = withAnother ()
            learn registry [ 1, 2000L; 2, 1000L ]
            learn registry [ 1, Lease.Ended; 2, 1000L ]
            Expect.isTrue registry.IsRegistrationDue "others are told that this node is there"

        testCase "once alone again it says so once"
        <| fun () ->
            let time, registry = withAnother ()
            learn registry [ 1, 2000L; 2, 1000L ]
            time.Advance lease
            Expect.isTrue registry.IsRegistrationDue "the last write"
            Expect.equal registry.LeaseMs Lease.WithoutEnd "the lease"
            learn registry [ 1, Lease.WithoutEnd; 2, 1000L ]
            Expect.isFalse registry.IsRegistrationDue "silence"
    ]

let tests = testList "node registries" [ liveness; starting; registering ]
