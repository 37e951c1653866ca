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
}

/// Clocks that know one group with one member, and what the next plan says.
let private known phase isShared =
    let time = ManualTime()

    let clocks =
        GroupClocks(GroupCoordinatorOptions(TimeProvider = time, IsShared = isShared))

    let groups: IReadOnlyDictionary<string, Group> =
        dict [ "group", group phase ] |> Dictionary :> _

    clocks.LearnAll groups
    time, clocks, (fun () -> clocks.Plan(groups, false))

let private seconds (value: float) = TimeSpan.FromSeconds value

let tests =
    testList "waking for groups" [
        testCase "the first who joins at this broker waits for the initial delay only"
        <| fun () ->
            let _, clocks, plan = known (PreparingRebalance true) true
            Expect.equal (plan().NextIn) (seconds 5.2) "nobody here belongs to it yet"
            let mutable isSooner = false
            use _ = clocks.Hold("group", "one", &isSooner)
            Expect.isTrue isSooner "the loop is woken"
            Expect.equal (plan().NextIn) (seconds 0.2) "the initial delay"

        testCase "the only broker there can be waits for nobody else"
        <| fun () ->
            let _, _, plan = known (PreparingRebalance true) false
            Expect.equal (plan().NextIn) (seconds 0.2) "the initial delay"

        testCase "a heartbeat is passed on within a third of the session, and wakes the loop once for that"
        <| fun () ->
            let time, clocks, plan = known Stable true
            Expect.equal (plan().NextIn) (seconds 11.0) "the session, and as long as others have to act first"
            Expect.isTrue (clocks.Hear("group", "one")) "now it is this broker's group"
            Expect.equal (plan().NextIn) (seconds 6.0) "the session"
            time.Advance(seconds 0.5)
            Expect.isTrue (clocks.Hear("group", "one")) "something to pass on"
            Expect.equal (plan().NextIn) (seconds 1.5) "a third of the session since the last"
            time.Advance(seconds 0.5)
            Expect.isFalse (clocks.Hear("group", "one")) "that is planned already"
            time.Advance(seconds 1.0)
            Expect.hasLength (plan().Marks) 1 "it is passed on"
    ]
