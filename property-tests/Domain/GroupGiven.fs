/// One group as the rules' tests build it: one command an entry, by its public commands only.
module Tansu.PropertyTests.Domain.GroupGiven

open System
open System.Text
open Expecto
open Tansu.Domain
open Tansu.PropertyTests.Domain.Given

/// Where a history has come to, and what the last command came to.
type World = {
    Shard: ShardState
    Settings: GroupSettings
    Entry: int64
    NowMs: int64
    Events: GroupEvent list
    Reply: GroupReply
}

let groupId = "g"

/// A time at which member ids can be a while old.
let startMs = 1_000_000_000L

let nothing = {
    Shard = Shard.initial
    Settings = GroupSettings.Default
    Entry = 0L
    NowMs = startMs
    Events = []
    Reply = GroupDone
}

let limited settings = { nothing with Settings = settings }

let shardSettingsOf (world: World) = { shardSettings with Groups = world.Settings }

/// The group; before anything has happened, the state that nothing has happened to.
let groupOf (world: World) =
    Shard.group groupId world.Shard |> ValueOption.defaultValue Group.initial

/// Decides a shard's command and applies what was decided, in an entry of its own.
let submit (command: ShardCommand) (world: World) =
    let decision =
        Shard.decide (shardSettingsOf world) world.Shard command (at world.NowMs)

    let context = { EntryNumber = world.Entry + 1L; TimeMs = world.NowMs }

    {
        world with
            Shard = Array.fold (fun state event -> Shard.evolve state event context) world.Shard decision.Events
            Entry = world.Entry + 1L
            Events = [
                for event in decision.Events do
                    match event with
                    | GroupChanged(_, event) -> event
                    | BatchAppended _
                    | LogStartOffsetAdvanced _
                    | TopicRemoved _
                    | ProducersExpired _
                    | RemovedTopicForgotten _
                    | ObjectsCollected _
                    | MarkerAppended _
                    | TransactionChanged _ -> ()
            ]
            Reply =
                match decision.Reply with
                | GroupAnswered reply -> reply
                | BatchesJudged _
                | RecordsDeleted _
                | TransactionAnswered _
                | Done -> GroupDone
    }

let ask (command: GroupCommand) (world: World) =
    submit (AskGroup(groupId, command)) world

let later (milliseconds: int64) (world: World) = { world with NowMs = world.NowMs + milliseconds }

/// What a consumer says of itself: the topics it reads.
let subscription (topics: string list) = [|
    let int16Bytes (value: int) = [| byte (value >>> 8); byte value |]
    yield! int16Bytes 0
    yield! [| 0uy; 0uy |]
    yield! int16Bytes topics.Length

    for topic in topics do
        yield! int16Bytes topic.Length
        yield! Encoding.UTF8.GetBytes topic

    yield! [| 0xFFuy; 0xFFuy; 0xFFuy; 0xFFuy |]
|]

let protocol name = { Name = name; Metadata = subscription [ "t" ] }

/// A newcomer that will be called this.
let newcomer memberId : GroupJoin = {
    MemberId = ""
    NewMemberId = memberId
    InstanceId = null
    ClientId = "client"
    ClientHost = "/127.0.0.1"
    SessionTimeoutMs = 10_000
    RebalanceTimeoutMs = 60_000
    ProtocolType = "consumer"
    Protocols = [| protocol "range" |]
    RequiresKnownMemberId = false
    CanSkipAssignment = false
}

/// A member that joins again.
let known memberId = { newcomer memberId with MemberId = memberId; NewMemberId = "unused" }

let instance instanceId memberId = { newcomer memberId with InstanceId = instanceId }

let offering (protocols: string list) (join: GroupJoin) = {
    join with
        Protocols = [| for name in protocols -> protocol name |]
}

let joins (join: GroupJoin) = ask (Join join)

/// The initial delay has passed since the last join.
let endDelay (world: World) =
    let group = groupOf world
    ask (EndJoin(group.PhaseEntry, group.LastJoinEntry)) world

/// The rebalance timeout has passed.
let endRebalance (world: World) =
    ask (EndJoin((groupOf world).PhaseEntry, -1L)) world

let bytes (text: string) = Encoding.ASCII.GetBytes text

let syncOf memberId (world: World) : GroupSync = {
    MemberId = memberId
    InstanceId = null
    Generation = (groupOf world).Generation
    ProtocolType = "consumer"
    ProtocolName = (groupOf world).ProtocolName
    Assignments = [||]
}

/// The leader gives everybody its own name.
let assigns (world: World) =
    let group = groupOf world

    ask
        (Sync {
            syncOf group.Leader world with
                InstanceId = group.Members[group.Leader].InstanceId
                Assignments = [| for memberId in group.Members.Keys -> struct (memberId, bytes memberId) |]
        })
        world

/// These have joined, and wait for the leader's assignment.
let completingWith (members: GroupJoin list) =
    (nothing, members)
    ||> List.fold (fun world join -> joins join world)
    |> endDelay

/// These have their assignments; the leader is the first by name.
let stableWith (members: GroupJoin list) = completingWith members |> assigns

let stable (memberIds: string list) =
    stableWith (List.map newcomer memberIds)

let completing (memberIds: string list) =
    completingWith (List.map newcomer memberIds)

let memberIds (world: World) = [ for memberId in (groupOf world).Members.Keys -> memberId ]

/// Nothing was stored, and this was answered.
let expectOnly (reply: GroupReply) (world: World) =
    Expect.equal world.Reply reply "the reply"
    Expect.isEmpty world.Events "nothing is stored"

let expectPhase (phase: GroupPhase) (world: World) =
    Expect.equal (groupOf world).Phase phase "the phase"

/// Who is in, in which generation.
let expectMembers (generation: int) (expected: string list) (world: World) =
    Expect.equal (groupOf world).Generation generation "the generation"
    Expect.equal (memberIds world) expected "the members"

let leader (world: World) = (groupOf world).Leader

/// A join was answered at once with what the group is doing.
let joinedAtOnce (world: World) =
    match world.Reply with
    | JoinedAtOnce joined -> joined
    | _ -> failtest "not answered at once"

/// What this member's parked JoinGroup is answered.
let progress memberId generation (world: World) =
    let group = groupOf world

    let instanceId =
        match group.Members.TryFind memberId with
        | Some groupMember -> groupMember.InstanceId
        | None -> null

    Group.joinProgress memberId instanceId generation group

let key topic index = { TopicId = topicId topic; Partition = index }

let offset topic index offset : OffsetToCommit = {
    Partition = key topic index
    Offset = offset
    LeaderEpoch = -1
    Metadata = ""
}

/// A commit of somebody who is not a member.
let simpleCommit (offsets: OffsetToCommit list) : GroupCommit = {
    MemberId = ""
    InstanceId = null
    Generation = -1
    Broker = 1L
    KnownCommitEntry = 0L
    Offsets = Array.ofList offsets
}

let commitOf memberId generation offsets = { simpleCommit offsets with MemberId = memberId; Generation = generation }

let commits (commit: GroupCommit) = ask (CommitOffsets commit)

let committed (world: World) =
    [
        for KeyValue(partition, offset) in (groupOf world).Offsets ->
            partition.TopicId.Value, partition.Partition, offset.Offset
    ]
    |> List.sort

/// A member id as a broker hands it out at that time.
let handedOut (timeMs: int64) =
    $"client-{Guid.CreateVersion7(DateTimeOffset.FromUnixTimeMilliseconds timeMs)}"
