/// Groups as they are written down: every event and every state is read back as it was.
module Tansu.PropertyTests.Replica.StoredGroups

open System
open System.Collections.Immutable
open Expecto
open Tansu.Adapters.Replica
open Tansu.Codec
open Tansu.Codec.Storage
open Tansu.Domain
open Tansu.PropertyTests
open Tansu.PropertyTests.Domain
open Tansu.PropertyTests.Domain.GroupGiven

let private codec = ShardCodec()

let private written (write: KafkaWriter -> unit) =
    use writer = new KafkaWriter()
    write writer
    writer.ToArray()

let private writtenEvent (event: ShardEvent) =
    written (fun writer -> codec.WriteEvent(writer, event))

let private readEvent (bytes: byte[]) =
    let mutable reader = KafkaReader(ReadOnlyMemory bytes)
    let event = codec.ReadEvent &reader
    Expect.equal reader.Remaining 0 "it is read to its end"
    event

let private writtenState (state: ShardState) =
    written (fun writer -> codec.WriteState(writer, state))

let private readState (bytes: byte[]) =
    let mutable reader = KafkaReader(ReadOnlyMemory bytes)
    codec.ReadState &reader

// What a generated event may hold: nulls, empty and odd text, the ends of ranges.

let private text (random: Random) =
    match random.Next 5 with
    | 0 -> ""
    | 1 -> "zażółć 🦎"
    | 2 -> String('x', random.Next 300)
    | _ -> $"m{random.Next 10}"

let private orNull (random: Random) =
    if random.Next 3 = 0 then null else text random

let private number (random: Random) =
    match random.Next 5 with
    | 0 -> Int32.MinValue
    | 1 -> Int32.MaxValue
    | 2 -> -1
    | _ -> random.Next 1000

let private large (random: Random) =
    match random.Next 4 with
    | 0 -> Int64.MinValue
    | 1 -> Int64.MaxValue
    | _ -> random.NextInt64 1_000_000L

let private bytes (random: Random) =
    let bytes = Array.zeroCreate (random.Next 20)
    random.NextBytes bytes
    bytes

let private several (random: Random) (one: Random -> 'T) = [| for _ in 1 .. random.Next 4 -> one random |]

let private groupProtocol random : GroupProtocol = { Name = text random; Metadata = bytes random }

/// As an event holds it: what belongs to the state only is not written.
let private groupMember random : GroupMember = {
    MemberId = text random
    InstanceId = orNull random
    ClientId = text random
    ClientHost = text random
    SessionTimeoutMs = number random
    RebalanceTimeoutMs = number random
    Protocols = several random groupProtocol
    Assignment = [||]
    HasJoined = false
    SeenAtEntry = 0L
    CommitEntry = 0L
    CommitBroker = 0L
}

let private partition (random: Random) =
    let id = Array.zeroCreate 16
    random.NextBytes id
    { TopicId = TopicId(Guid id); Partition = random.Next 100 }

let private offsetToCommit random : OffsetToCommit = {
    Partition = partition random
    Offset = large random
    LeaderEpoch = number random
    Metadata = text random
}

let private kinds: (Random -> GroupEvent) list = [
    fun random -> MemberJoined(text random, orNull random, groupMember random)
    fun random -> RebalanceStarted(random.Next 2 = 0)
    fun random -> GenerationStarted(number random, orNull random, orNull random, several random text)
    fun random -> MembersAssigned(several random (fun random -> struct (text random, bytes random)))
    fun random -> MembersRemoved(several random text)
    fun random -> MembersSeen(several random text)
    fun random -> OffsetsCommitted(text random, large random, several random offsetToCommit)
    fun random -> OffsetsDeleted(several random partition)
    fun _ -> GroupDeleted
    fun random ->
        PendingOffsetsCommitted(large random, int16 (random.Next 100), large random, several random offsetToCommit)
    fun random -> PendingOffsetsEnded(large random, int16 (random.Next 100), large random, random.Next 2 = 0)
    fun random -> GroupProducersForgotten(several random large)
]

let private events =
    testList "an event" [
        Check.property "is read as it was written, whatever it holds" (fun (seed: int) ->
            let random = Random seed

            for kind in kinds do
                let event = GroupChanged(text random, kind random)
                Expect.equal (readEvent (writtenEvent event)) event "the same")

        testCase "of every kind has been tried"
        <| fun () ->
            let cases = FSharp.Reflection.FSharpType.GetUnionCases typeof<GroupEvent>
            Expect.equal kinds.Length cases.Length "one for each"
    ]

let private phases = [|
    Empty
    PreparingRebalance true
    PreparingRebalance false
    CompletingRebalance
    Stable
|]

let private randomOffsets (random: Random) =
    (ImmutableDictionary<TopicPartition, CommittedOffset>.Empty, several random partition)
    ||> Array.fold (fun offsets partition ->
        offsets.SetItem(
            partition,
            {
                Offset = large random
                LeaderEpoch = number random
                Metadata = text random
                CommitTimeMs = large random
            }
        ))

let private groupTransaction (random: Random) : GroupTransaction = {
    Epoch = int16 (random.Next 100)
    Ended = large random
    Number = large random
    Offsets = randomOffsets random
    LastTimeMs = large random
}

let private randomGroup (random: Random) : Group = {
    ProtocolType = orNull random
    Phase = phases[random.Next phases.Length]
    PhaseEntry = large random
    LastJoinEntry = large random
    Generation = number random
    ProtocolName = orNull random
    Leader = orNull random
    Members =
        several random (fun random -> {
            groupMember random with
                Assignment = bytes random
                HasJoined = random.Next 2 = 0
                SeenAtEntry = large random
        })
        |> Array.map (fun one -> one.MemberId, one)
        |> Map.ofArray
    Offsets = randomOffsets random
    EmptySinceMs = large random
    Transactions =
        (ImmutableDictionary<int64, GroupTransaction>.Empty, several random large)
        ||> Array.fold (fun transactions producerId -> transactions.SetItem(producerId, groupTransaction random))
}

/// Equality of what the dictionaries hold; they themselves are equal by reference only.
let private plainOffsets (offsets: ImmutableDictionary<TopicPartition, CommittedOffset>) =
    offsets
    |> Seq.map (fun (KeyValue(partition, offset)) -> (partition.TopicId.Value, partition.Partition), offset)
    |> Map.ofSeq

let private plain (group: Group) =
    { group with Offsets = null; Transactions = null },
    plainOffsets group.Offsets,
    Map.ofList [
        for KeyValue(producerId, transaction) in group.Transactions ->
            producerId, ({ transaction with Offsets = null }, plainOffsets transaction.Offsets)
    ]

let private expectSame (actual: ShardState) (expected: ShardState) =
    let groups (state: ShardState) =
        [ for KeyValue(groupId, group) in state.Groups -> groupId, plain group ]
        |> List.sortBy fst

    Expect.equal (groups actual) (groups expected) "the same groups"

let private withGroups (groups: (string * Group)[]) = {
    Shard.initial with
        Groups = groups.ToImmutableDictionary(fst, snd)
}

let private snapshots =
    testList "a snapshot" [
        Check.property "of groups is read as it was written, and written again alike" (fun (seed: int) ->
            let random = Random seed

            let state =
                withGroups [| for index in 0 .. random.Next 5 -> $"g{index}", randomGroup random |]

            let bytes = writtenState state
            let again = readState bytes
            expectSame again state
            Expect.equal (writtenState again) bytes "the same bytes")

        Check.property "depends on the groups only, not on the order in which they came about" (fun (seed: int) ->
            let random = Random seed
            let groups = [| for index in 0..6 -> $"g{index}", randomGroup random |]
            let bytes = writtenState (withGroups groups)

            let shuffled =
                groups
                |> Array.map (fun (groupId, group) ->
                    let offsets = Seq.toArray group.Offsets
                    random.Shuffle offsets
                    groupId, { group with Offsets = ImmutableDictionary.CreateRange offsets })

            random.Shuffle shuffled
            Expect.equal (writtenState (withGroups shuffled)) bytes "the same bytes")

        Check.propertyTimes 30 "and the tail after it come to what all events come to" (fun (seed: int) ->
            let history = GroupModel.History(seed, 100)

            for _ in 1..40 do
                GroupClients.step history

            let apply state (index, event: GroupEvent) =
                let entry = { EntryNumber = int64 index + 1L; TimeMs = int64 index * 10L }
                Shard.evolve state (readEvent (writtenEvent (GroupChanged(groupId, event)))) entry

            let head, tail =
                history.Events
                |> Seq.indexed
                |> List.ofSeq
                |> List.splitAt (history.Events.Count / 2)

            let all = List.fold apply Shard.initial (head @ tail)
            let snapshot = writtenState (List.fold apply Shard.initial head)
            let resumed = List.fold apply (readState snapshot) tail
            expectSame resumed all
            Expect.equal (writtenState resumed) (writtenState all) "the same bytes")

        testCase "of versions without groups still reads"
        <| fun () ->
            let topic = Guid(7, 0s, 0s, Array.zeroCreate 8)

            for version in [ 0s; 1s ] do
                let stored =
                    ShardSnapshot(RemovedTopics = [| ShardSnapshot.RemovedTopic(TopicId = topic, RemovedAtMs = 5L) |])

                if version = 1s then
                    stored.ObjectsCollectedBeforeMs <- 9L

                let state =
                    written (fun writer ->
                        writer.WriteInt8(sbyte version)
                        stored.Write(writer, version))
                    |> readState

                Expect.isEmpty state.Groups "no groups"
                Expect.equal state.RemovedTopics[TopicId topic] 5L "what it does hold"
                Expect.equal state.ObjectsCollectedBeforeMs (if version = 1s then 9L else 0L) "if it had that"

        testCase "of an unknown phase is refused"
        <| fun () ->
            let stored =
                ShardSnapshot(Groups = [| ShardSnapshot.Group(GroupId = "g", Phase = 5y) |])

            let bytes =
                written (fun writer ->
                    writer.WriteInt8 2y
                    stored.Write(writer, 2s))

            Expect.throwsT<KafkaFormatException> (fun () -> readState bytes |> ignore) "a newer build's"
    ]

let tests = testList "stored groups" [ events; snapshots ]
