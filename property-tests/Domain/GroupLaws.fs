/// What holds for every history of a group, whoever its members are and whenever its clocks strike.
module Tansu.PropertyTests.Domain.GroupLaws

open System
open Expecto
open Tansu.Domain
open Tansu.PropertyTests
open Tansu.PropertyTests.Domain.GroupGiven
open Tansu.PropertyTests.Domain.GroupModel
open Tansu.PropertyTests.Domain.GroupClients

let private maxSizes = [| 3; 100 |]

/// A history of so many steps, each of which was checked.
let private lived (seed: int) (steps: int) =
    let history = History(seed, maxSizes[(seed &&& 1)])

    for _ in 1..steps do
        step history

    history

let private asked (history: History) command =
    submitTo history (AskGroup(groupId, command)) |> ignore

/// What a sound client does next, given what a Heartbeat would tell it. Whether it is where it wants to be.
let private behave (history: History) (client: Client) =
    if client.Parked.IsSome then
        false
    else
        let isIn =
            Group.heartbeat client.MemberId client.InstanceId client.Generation history.Group
            |> ValueOption.isNone

        if isIn then
            (sync history client client.Generation).IsIsAssigned
        else
            if not (history.Group.Members.ContainsKey client.MemberId) then
                client.MemberId <- ""

            match join history client with
            | JoinRefused(MemberIdRequired, _) ->
                join history client |> ignore
                false
            | JoinRefused(GroupMaxSizeReached, _) -> true
            | _ -> false

let private comesToRest (seed: int) =
    let history = lived seed 60

    // Of two clients with one instance id only one lives on, or they would fence each other for ever.
    let living = history.Clients |> Array.filter (fun client -> client.Index <> 1)
    let alive = living |> Array.map _.MemberId |> Set.ofArray

    asked
        history
        (ExpireMembers [|
            for one in history.Group.Members.Values do
                if not (alive.Contains one.MemberId) then
                    struct (one.MemberId, one.SeenAtEntry)
        |])

    let round () =
        let resting = living |> Array.map (behave history)

        if Group.isPreparing history.Group then
            asked history (EndJoin(history.Group.PhaseEntry, -1L))

        Array.forall id resting

    let rounds = Seq.init 10 (fun _ -> round ()) |> Seq.tryFindIndex id
    Expect.isSome rounds "within ten rounds everybody has an assignment, or was turned away"
    expectPhase Stable history.World
    offsetsAgree history

let private clocksEndEverything (seed: int) =
    let history = lived seed 40

    if Group.isPreparing history.Group then
        asked history (EndJoin(history.Group.PhaseEntry, -1L))

    for client in history.Clients do
        Expect.isNone client.Parked "the rebalance timeout answers every join"

    if history.Group.Phase.IsCompletingRebalance then
        asked history (EndSync history.Group.PhaseEntry)
        Expect.isFalse history.Group.Phase.IsCompletingRebalance "and the same time ends the wait for a leader"

    asked
        history
        (ExpireMembers [|
            for one in history.Group.Members.Values -> struct (one.MemberId, one.SeenAtEntry)
        |])

    expectPhase Empty history.World
    offsetsAgree history

/// Events of one history on the states of another: nobody decided them, and yet they apply.
let private evolveIsTotal (seed: int) =
    let events = (lived seed 30).Events.ToArray()
    Random(seed).Shuffle events
    let mutable group = (lived (seed + 1) 30).Group

    for index, event in Array.indexed events do
        group <- Group.evolve group event { EntryNumber = int64 index; TimeMs = int64 index }

let private reachesEverything () =
    let events =
        Seq.collect (fun seed -> (lived seed 60).Events) [ 1..40 ] |> Seq.toArray

    let kinds = [
        events |> Array.exists _.IsMemberJoined
        events |> Array.exists _.IsRebalanceStarted
        events |> Array.exists _.IsGenerationStarted
        events |> Array.exists _.IsMembersAssigned
        events |> Array.exists _.IsMembersRemoved
        events |> Array.exists _.IsMembersSeen
        events |> Array.exists _.IsOffsetsCommitted
        events |> Array.exists _.IsOffsetsDeleted
        events |> Array.exists _.IsGroupDeleted
        events
        |> Array.exists (fun event ->
            match event with
            | GenerationStarted(generation, leader, _, removed) ->
                generation > 2 && not (isNull leader) && removed.Length > 0
            | _ -> false)
    ]

    Expect.all kinds id "every event, and generations that leave members out"

let tests =
    testList "group laws" [
        testCase "the histories reach everything" reachesEverything

        Check.property
            "members own by generation, only current ones commit, offsets stay, and every step is sound"
            (fun (seed: int) -> lived seed 120 |> ignore)

        Check.property "a group whose members behave comes to rest" comesToRest
        Check.property "clocks end every wait and every silent member" clocksEndEverything
        Check.property "evolve is total" evolveIsTotal
    ]
