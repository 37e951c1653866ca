/// What clients of a group do at random, and what they remember of the answers.
module Tansu.PropertyTests.Domain.GroupClients

open System
open Expecto
open Tansu.Domain
open Tansu.PropertyTests.Domain.Given
open Tansu.PropertyTests.Domain.GroupGiven
open Tansu.PropertyTests.Domain.GroupModel

let private asked (history: History) command =
    submitTo history (AskGroup(groupId, command))

/// The client joins, under the id it has, and remembers the answer.
let join (history: History) (client: Client) =
    let request = {
        newcomer (history.NewMemberId()) with
            MemberId = client.MemberId
            InstanceId = client.InstanceId
            RequiresKnownMemberId = not (history.Chance 4)
            CanSkipAssignment = history.Chance 2
            Protocols = [|
                if history.Chance 3 then
                    protocol "sticky"
                protocol "range"
            |]
    }

    client.Parked <- None

    let holds memberId =
        if not (isNull client.InstanceId) then
            history.Holders[client.InstanceId] <- memberId

    let reply = (asked history (Join request)).Reply

    match reply with
    | JoinAwaits(memberId, generation) ->
        holds memberId
        client.MemberId <- memberId
        client.Parked <- Some({ request with MemberId = memberId }, generation)
        settle history
    | JoinedAtOnce joined ->
        holds joined.MemberId
        client.MemberId <- joined.MemberId
        client.Generation <- joined.Generation
        client.Led <- joined.Members |> Array.map _.MemberId
    | JoinRefused(MemberIdRequired, memberId) -> client.MemberId <- memberId
    | JoinRefused _ -> client.MemberId <- ""
    | _ -> failtest "not an answer to a join"

    reply

/// A join that waits may be sent again, to any broker.
let joinAgain (history: History) (client: Client) =
    match client.Parked with
    | None -> ()
    | Some(request, generation) ->
        let after = asked history (Join request)
        expectOnly (JoinAwaits(request.MemberId, generation)) after

/// The client syncs. A leader deals the partitions differently every time it is asked.
let sync (history: History) (client: Client) (generation: int) =
    let turn = history.Random.Next 10

    let request: GroupSync = {
        MemberId = client.MemberId
        InstanceId = client.InstanceId
        Generation = generation
        ProtocolType = null
        ProtocolName = null
        Assignments = [|
            for index, memberId in Array.indexed client.Led ->
                struct (memberId, bytes $"p{(index + turn) % client.Led.Length}")
        |]
    }

    asked history (Sync request) |> ignore
    let progress = Group.syncProgress request history.Group

    match progress with
    | IsAssigned(_, _, assignment) ->
        Expect.equal generation history.Group.Generation "of the generation that there is"

        let owner =
            if isNull client.InstanceId then
                client.MemberId
            else
                client.InstanceId

        if assignment.Length > 0 then
            let what =
                struct (history.Deletions, generation, Text.Encoding.ASCII.GetString assignment)

            match history.Owners.TryGetValue what with
            | true, other -> Expect.equal owner other "a partition has one owner in a generation"
            | _ -> history.Owners[what] <- owner
    | StillSyncing
    | BringsAssignment
    | SyncFailed _ -> ()

    progress

let private finishCommit (history: History) (commit: GroupCommit) (after: World) =
    match after.Reply with
    | OffsetsJudged refusals ->
        for offset, refusal in Array.zip commit.Offsets refusals do
            if refusal.IsNone then
                history.Offsets[offset.Partition] <- struct (offset.Offset, after.NowMs)
    | _ -> ()

/// The client commits; the model says whether it may.
let commit (history: History) (memberId: string) (instanceId: string) (generation: int) =
    let request = {
        MemberId = memberId
        InstanceId = instanceId
        Generation = generation
        Broker = 1L
        KnownCommitEntry = 0L
        Offsets = [|
            for index in 0 .. history.Random.Next 2 ->
                offset (history.Random.Next(1, 4)) index (history.Random.NextInt64 100L)
        |]
    }

    let group = history.Group

    let isFenced =
        not (isNull instanceId)
        && (match history.Holders.TryGetValue instanceId with
            | true, holder -> holder <> memberId
            | _ -> true)

    let mayCommit =
        if generation < 0 then
            group.Members.IsEmpty
        else
            group.Members.ContainsKey memberId
            && not isFenced
            && generation = group.Generation
            && group.Phase <> CompletingRebalance

    let after = asked history (CommitOffsets request)
    Expect.equal after.Reply.IsOffsetsJudged mayCommit "only current members commit, or anybody to an empty group"
    finishCommit history request after

let private randomMark (history: History) (mark: int64) =
    if history.Chance 3 then mark - 1L else mark

let private clock (history: History) =
    let group = history.Group
    let mark = randomMark history group.PhaseEntry

    let command =
        match history.Random.Next 3 with
        | 0 -> EndJoin(mark, group.LastJoinEntry)
        | 1 -> EndJoin(mark, -1L)
        | _ -> EndSync mark

    let after = asked history command

    if mark <> group.PhaseEntry then
        expectOnly GroupDone after

let private expire (history: History) =
    let group = history.Group

    if not group.Members.IsEmpty then
        let one = Seq.item (history.Random.Next group.Members.Count) group.Members.Values
        let mark = randomMark history one.SeenAtEntry
        let after = asked history (ExpireMembers [| struct (one.MemberId, mark) |])

        if mark <> one.SeenAtEntry then
            expectOnly GroupDone after

let private deleteOffset (history: History) =
    let partition = key (history.Random.Next(1, 4)) (history.Random.Next 3)
    let after = asked history (DeleteOffsets [| struct (partition, "not read") |])

    match after.Reply with
    | OffsetsDeletion [| OffsetGone |] -> history.Offsets.Remove partition |> ignore
    | _ -> ()

/// After some days everybody goes away, and some days later somebody looks what has expired.
let private holiday (history: History) =
    let days () =
        later (history.Random.NextInt64 history.World.Settings.OffsetsRetentionMs) history.World

    history.World <- days ()

    asked
        history
        (ExpireMembers [|
            for one in history.Group.Members.Values -> struct (one.MemberId, one.SeenAtEntry)
        |])
    |> ignore

    history.World <- days ()
    submitTo history ForgetExpired |> ignore

/// One thing that may happen.
let step (history: History) =
    let client = history.Clients[history.Random.Next history.Clients.Length]
    history.World <- later (history.Random.NextInt64 2_000L) history.World

    match history.Random.Next 24 with
    | 0
    | 1
    | 2
    | 3
    | 4
    | 5 -> join history client |> ignore
    | 6 -> joinAgain history client
    | 7
    | 8
    | 9
    | 10 -> sync history client client.Generation |> ignore
    | 11 -> sync history client (client.Generation - 1) |> ignore
    | 12
    | 13 -> commit history client.MemberId client.InstanceId client.Generation
    | 14 -> commit history client.MemberId null (client.Generation - history.Random.Next 2)
    | 15 -> commit history "" null -1
    | 16
    | 17
    | 18 -> clock history
    | 19 when history.Chance 2 ->
        asked history (Leave [| { MemberId = client.MemberId; InstanceId = client.InstanceId } |])
        |> ignore
    | 20 when history.Chance 2 -> expire history
    | 21 ->
        // It forgets who it was.
        client.MemberId <- ""
        client.Parked <- None
    | 22 ->
        submitTo history (MarkMembersSeen [| struct (groupId, [| client.MemberId |]) |])
        |> ignore
    | 23 when history.Chance 3 ->
        match history.Random.Next 4 with
        | 0 -> asked history DeleteGroup |> ignore
        | 1 when history.Chance 4 -> submitTo history (RemoveTopic(topicId 3)) |> ignore
        | 2 -> holiday history
        | _ -> submitTo history ForgetExpired |> ignore
    | _ -> deleteOffset history

    offsetsAgree history
