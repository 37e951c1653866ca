/// Several clients of one group, sound and unsound ones, against a small model of what they may rely on.
module Tansu.PropertyTests.Domain.GroupModel

open System
open System.Collections.Generic
open Expecto
open Tansu.Domain
open Tansu.PropertyTests.Domain.Given
open Tansu.PropertyTests.Domain.GroupGiven

/// What a client remembers.
type Client = {
    Index: int
    /// Two clients may claim the same one.
    InstanceId: string
    mutable MemberId: string
    mutable Generation: int
    /// Everybody it is to assign to.
    mutable Led: string[]
    /// Its JoinGroup that waits, and for the generation after which one.
    mutable Parked: (GroupJoin * int) option
}

/// One history: the group as it is, and as the model expects it to be.
type History(seed: int, maxSize: int) =
    let random = Random seed

    member val World = limited { GroupSettings.Default with MaxSize = maxSize } with get, set
    member val Events = ResizeArray<GroupEvent>()
    /// How often the group was deleted: generations count from there.
    member val Deletions = 0 with get, set
    /// Offsets that must be there, with the times of their commits.
    member val Offsets = Dictionary<TopicPartition, struct (int64 * int64)>()
    member val HasEverBeenJoined = false with get, set
    member val EmptySinceMs = 0L with get, set
    /// Who was last given an instance id.
    member val Holders = Dictionary<string, string>()
    /// Who was given an assignment of a generation.
    member val Owners = Dictionary<struct (int * int * string), string>()

    member val Clients =
        [|
            for index, instanceId in Array.indexed [| "i0"; "i0"; "i1"; null; null; null |] ->
                {
                    Index = index
                    InstanceId = instanceId
                    MemberId = ""
                    Generation = -1
                    Led = [||]
                    Parked = None
                }
        |]

    member _.Random = random
    member _.Chance(oneIn: int) = random.Next oneIn = 0
    member this.Group = groupOf this.World

    /// As a broker hands it out, but the same in every run of the seed.
    member this.NewMemberId() =
        let bytes = Array.zeroCreate 16
        random.NextBytes bytes

        for index in 0..5 do
            bytes[index] <- byte (this.World.NowMs >>> (8 * (5 - index)))

        bytes[6] <- bytes[6] &&& 0x0Fuy ||| 0x70uy
        bytes[8] <- bytes[8] &&& 0x3Fuy ||| 0x80uy
        $"client-{Guid(ReadOnlySpan bytes, true)}"

let private isSound (group: Group) (maxSize: int) =
    Expect.equal group.Members.IsEmpty group.Phase.IsEmpty "a group is empty when it has no members"

    let instances = [
        for one in group.Members.Values do
            if not (isNull one.InstanceId) then
                one.InstanceId
    ]

    Expect.equal (List.distinct instances) instances "an instance is one member"

    match group.Phase with
    | CompletingRebalance
    | Stable ->
        Expect.isTrue (group.Members.ContainsKey group.Leader) "the leader is a member"

        for one in group.Members.Values do
            Expect.exists one.Protocols (fun offered -> offered.Name = group.ProtocolName) "all offer the protocol"
            Expect.isFalse one.HasJoined "nobody waits"

        Expect.isLessThanOrEqual (group.Members.Count - instances.Length) maxSize "dynamic members within the limit"
    | Empty -> Expect.isNull group.Leader "nobody leads nobody"
    | PreparingRebalance _ -> ()

/// What time should have taken.
let private forgetByModel (history: History) =
    if history.Group.Members.IsEmpty then
        for KeyValue(partition, struct (_, committedMs)) in Seq.toArray history.Offsets do
            let sinceMs =
                if history.HasEverBeenJoined then
                    max committedMs history.EmptySinceMs
                else
                    committedMs

            if history.World.NowMs - sinceMs >= history.World.Settings.OffsetsRetentionMs then
                history.Offsets.Remove partition |> ignore

/// The JoinGroups that wait: each is answered, or will be when the phase ends.
let settle (history: History) =
    let group = history.Group

    for client in history.Clients do
        match client.Parked with
        | None -> ()
        | Some(join, generation) ->
            match Group.joinProgress join.MemberId join.InstanceId generation group with
            | StillJoining ->
                Expect.isTrue (Group.isPreparing group) "whoever waits, waits for the end of this phase"
                Expect.isTrue group.Members[join.MemberId].HasJoined "and counts as joined"
                Expect.equal group.Generation generation "the next generation is theirs"
            | HasJoinedGroup joined ->
                Expect.isGreaterThan joined.Generation generation "a newer one"
                client.Generation <- joined.Generation
                client.Led <- joined.Members |> Array.map _.MemberId
                client.Parked <- None
            | JoinFailed _ ->
                client.MemberId <- ""
                client.Parked <- None

/// Submits a command, and checks what holds after every one.
let submitTo (history: History) (command: ShardCommand) =
    let before = history.World
    let after = submit command before
    let again = submit command before
    Expect.equal again.Events after.Events "deciding is deterministic: the events"
    Expect.equal again.Reply after.Reply "deciding is deterministic: the reply"

    history.World <- after
    history.Events.AddRange after.Events
    let isDeleted = List.contains GroupDeleted after.Events

    if not isDeleted then
        Expect.isGreaterThanOrEqual (groupOf after).Generation (groupOf before).Generation "it never goes back"

    if not (groupOf before).Members.IsEmpty && (groupOf after).Members.IsEmpty then
        history.EmptySinceMs <- after.NowMs

    if after.Events |> List.exists _.IsMemberJoined then
        history.HasEverBeenJoined <- true

    match command with
    | RemoveTopic topicId ->
        for partition in Seq.toArray history.Offsets.Keys do
            if partition.TopicId.Value = topicId.Value then
                history.Offsets.Remove partition |> ignore
    | ForgetExpired -> forgetByModel history
    | AskGroup(_, DeleteGroup) when after.Reply = GroupDone ->
        Expect.isTrue (groupOf before).Members.IsEmpty "only an empty group is deleted"
        history.Offsets.Clear()
    | _ -> ()

    if isDeleted then
        Expect.equal history.Offsets.Count 0 "nothing was lost with it"
        history.HasEverBeenJoined <- false
        history.Deletions <- history.Deletions + 1

    isSound (groupOf after) history.World.Settings.MaxSize
    settle history
    after

/// The group's offsets are the model's.
let offsetsAgree (history: History) =
    let actual = [
        for KeyValue(partition, offset) in history.Group.Offsets ->
            partition.TopicId.Value, partition.Partition, offset.Offset, offset.CommitTimeMs
    ]

    let expected = [
        for KeyValue(partition, struct (offset, timeMs)) in history.Offsets ->
            partition.TopicId.Value, partition.Partition, offset, timeMs
    ]

    Expect.equal (List.sort actual) (List.sort expected) "no offset is lost or made up"
