/// When the loop that watches over groups is woken: what members say must not wait for something that is due later.
module Tansu.PropertyTests.Replica.GroupWaking

open System
open System.Collections.Generic
open System.Collections.Immutable
open Expecto
open Tansu.Adapters.Groups
open Tansu.Domain
open Tansu.PropertyTests.Host

let private groupMember: GroupMember = {
    MemberId = "one"
    InstanceId = null
    ClientId = "client"
    ClientHost = "/127.0.0.1"
    SessionTimeoutMs = 6000
    RebalanceTimeoutMs = 60_000
    Protocols = [||]
    Assignment = [||]
    HasJoined = true
    SeenAtEntry = 5L
    CommitEntry = 0L
    CommitBroker = 0L
}

let private group phase : Group = {
    ProtocolType = "consumer"
    Phase = phase
    PhaseEntry = 5L
    LastJoinEntry = 5L
    Generation = 1
    ProtocolName = "range"
    Leader = "one"
    Members = Map.ofList [ "one", groupMember ]
    Offsets = ImmutableDictionary<TopicPartition, CommittedOffset>.Empty
    EmptySinceMs = 0L
    Transactions = ImmutableDictionary<int64, GroupTransaction>.Empty
}

let private only (group: Group) : IReadOnlyDictionary<string, Group> =
    dict [ "group", group ] |> Dictionary :> _

/// Clocks that know one group with one member, and what the next plan says.
let private known phase isShared =
    let time = ManualTime()

    let clocks =
        GroupClocks(GroupCoordinatorOptions(TimeProvider = time, IsShared = isShared))

    let groups = only (group phase)
    clocks.LearnAll(fun () -> groups)
    time, clocks, (fun () -> clocks.Plan(groups, false))

let private seconds (value: float) = TimeSpan.FromSeconds value

let tests =
    testList "waking for groups" [
        testCase "the first who joins at this broker waits for the initial delay only"
        <| fun () ->
            let _, clocks, plan = known (PreparingRebalance true) true
            Expect.isEmpty (plan().PhaseEnds) "nobody here belongs to it yet"
            let mutable isNews = false
            use _ = clocks.Hold("group", "one", true, &isNews)
            Expect.isTrue isNews "the loop is woken"
            Expect.equal (plan().NextIn) (seconds 0.2) "the initial delay"

        testCase "the only broker there can be waits for nobody else"
        <| fun () ->
            let _, _, plan = known (PreparingRebalance true) false
            Expect.equal (plan().NextIn) (seconds 0.2) "the initial delay"

        testCase "whoever comes from another broker is told of at once, and wakes the loop once for that"
        <| fun () ->
            let time, clocks, plan = known Stable true
            Expect.isEmpty (plan().Marks) "nobody has spoken"
            Expect.isTrue (clocks.Hear("group", "one")) "now it is this broker's group"
            Expect.hasLength (plan().Marks) 1 "it is passed on"
            Expect.isFalse (clocks.Hear("group", "one")) "once"
            Expect.isEmpty (plan().Marks) "and no more"
            time.Advance(seconds 1.0)
            Expect.isFalse (clocks.Hear("group", "one")) "it goes on"
            time.Advance(seconds 1.0)
            Expect.hasLength (plan().Marks) 1 "a third of the session later"

        testCase "a rebalance that is not known yet does not end by the time of the phase before it"
        <| fun () ->
            let time, clocks, _ = known Stable true
            time.Advance(TimeSpan.FromMinutes 10.0)

            let begun: Group = { group (PreparingRebalance false) with PhaseEntry = 9L; LastJoinEntry = 9L }

            let groups = only begun
            Expect.isEmpty (clocks.Plan(groups, false).PhaseEnds) "it is seen, and not learned"
            Expect.isTrue (clocks.Learn("group", begun)) "the loop is woken"
            Expect.isEmpty (clocks.Plan(groups, false).PhaseEnds) "its time begins"
            time.Advance(TimeSpan.FromSeconds 70.0)
            Expect.hasLength (clocks.Plan(groups, false).PhaseEnds) 1 "and ends"

        testCase "a slow store gives everybody the whole session again, once until a sign of life"
        <| fun () ->
            let time, clocks, plan = known Stable true
            // Its six, and five because it is not heard here.
            time.Advance(seconds 10.0)
            clocks.Restart(isOnce = true)
            time.Advance(seconds 10.0)
            Expect.isEmpty (plan().Expiries) "ten of eleven are over"
            clocks.Restart(isOnce = true)
            time.Advance(seconds 1.0)
            Expect.hasLength (plan().Expiries) 1 "not again"
            time.Advance(seconds 5.0)
            let told = { groupMember with SeenAtEntry = 8L }

            clocks.Learn("group", { group Stable with Members = Map.ofList [ "one", told ] })
            |> ignore

            time.Advance(seconds 10.0)
            clocks.Restart(isOnce = true)
            time.Advance(seconds 10.0)
            Expect.isEmpty (plan().Expiries) "again after a sign of life"
    ]
