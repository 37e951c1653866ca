namespace Tansu.Domain

open System

/// A classic group's rules: Kafka's, without its timers. What depends on time comes as a command that says which phase, or which sign of
/// life, the broker that sends it has waited for; if anything has happened since, nothing comes of it.
[<RequireQualifiedAccess>]
module GroupRules =
    /// A member id that was handed out (KIP-394) may be used for this long, in milliseconds.
    [<Literal>]
    let MemberIdMs = 300_000L

    /// The most characters of a client's name in a member id: ids are named in many entries.
    [<Literal>]
    let MaxNameInMemberId = 255

    /// A member id to be handed out to a client of this name.
    let memberId (name: string) (id: Guid) =
        let length =
            if name.Length <= MaxNameInMemberId then
                name.Length
            elif Char.IsHighSurrogate name[MaxNameInMemberId - 1] then
                MaxNameInMemberId - 1
            else
                MaxNameInMemberId

        $"{name.Substring(0, length)}-{id:D}"

    /// Whether a member id may have been handed out a short while ago. Nobody keeps a list of them: an id ends with a UUID of version 7,
    /// whose first 48 bits are the time, so that any broker takes an id that another has handed out.
    let isHandedOut (nowMs: int64) (memberId: string) =
        let start = memberId.Length - 36

        start > 0
        && start <= MaxNameInMemberId + 1
        && memberId[start - 1] = '-'
        && match Guid.TryParseExact(memberId.Substring start, "D") with
           | true, id when id.Version = 7 ->
               let bytes = id.ToByteArray(bigEndian = true)
               let mutable timeMs = 0L

               for index in 0..5 do
                   timeMs <- timeMs * 256L + int64 bytes[index]

               abs (nowMs - timeMs) <= MemberIdMs
           | _ -> false

    let private offers name (groupMember: GroupMember) =
        groupMember.Protocols |> Array.exists (fun protocol -> protocol.Name = name)

    let private offeredByAll (group: Group) name =
        group.Members |> Map.forall (fun _ groupMember -> offers name groupMember)

    let private supports (protocolType: string) (protocols: GroupProtocol[]) (group: Group) =
        if group.Members.IsEmpty then
            protocolType <> "" && protocols.Length > 0
        else
            group.ProtocolType = protocolType
            && protocols |> Array.exists (fun protocol -> offeredByAll group protocol.Name)

    /// The protocol that most members prefer among those that all offer; of equals the first by name.
    let private selectProtocol (group: Group) : string =
        let vote (groupMember: GroupMember) =
            groupMember.Protocols
            |> Array.tryFind (fun protocol -> offeredByAll group protocol.Name)

        let votes =
            group.Members.Values
            |> Seq.choose vote
            |> Seq.countBy _.Name
            |> Seq.sortWith (fun (left, leftVotes) (right, rightVotes) ->
                match compare rightVotes leftVotes with
                | 0 -> String.CompareOrdinal(left, right)
                | order -> order)
            |> Seq.toArray

        // Members without a protocol in common are never let in.
        if votes.Length = 0 then "" else fst votes[0]

    /// Ends the phase: whoever has not joined is out, except static members, whose sessions decide. As long as none has joined, the
    /// static ones are waited for.
    let private endJoin (change: GroupChange) =
        let group = change.Group

        let removed = [|
            for groupMember in group.Members.Values do
                if not groupMember.HasJoined && isNull groupMember.InstanceId then
                    groupMember.MemberId
        |]

        let rest =
            Array.fold (fun members id -> Map.remove id members) group.Members removed

        let candidates = rest |> Map.filter (fun _ groupMember -> groupMember.HasJoined)

        if rest.IsEmpty then
            GroupChange.add (GenerationStarted(group.Generation + 1, null, null, removed)) change
        elif candidates.IsEmpty then
            if removed.Length = 0 then
                change
            else
                GroupChange.add (MembersRemoved removed) change
        else
            let leader =
                match group.Leader with
                | null -> candidates.Values |> Seq.head |> _.MemberId
                | leader when candidates.ContainsKey leader -> leader
                | _ -> candidates.Values |> Seq.head |> _.MemberId

            let protocolName = selectProtocol { group with Members = rest }
            GroupChange.add (GenerationStarted(group.Generation + 1, leader, protocolName, removed)) change

    /// Nobody waits for a timeout that nobody needs.
    let private endJoinIfComplete (change: GroupChange) =
        match change.Group.Phase with
        | PreparingRebalance false when change.Group.Members |> Map.forall (fun _ groupMember -> groupMember.HasJoined) ->
            endJoin change
        // The last one went away during the initial delay.
        | PreparingRebalance true when change.Group.Members.IsEmpty -> endJoin change
        | PreparingRebalance _
        | Empty
        | CompletingRebalance
        | Stable -> change

    let private startRebalance (change: GroupChange) =
        match change.Group.Phase with
        | PreparingRebalance _ -> change
        | Empty -> GroupChange.add (RebalanceStarted true) change
        | CompletingRebalance
        | Stable -> GroupChange.add (RebalanceStarted false) change

    /// Removes members, and has the others join again.
    let private remove (memberIds: string[]) (group: Group) =
        if memberIds.Length = 0 then
            GroupChange.unchanged group
        else
            GroupChange.unchanged group
            |> GroupChange.add (MembersRemoved memberIds)
            |> startRebalance
            |> endJoinIfComplete

    let private newcomer (join: GroupJoin) memberId : GroupMember = {
        MemberId = memberId
        InstanceId = join.InstanceId
        ClientId = join.ClientId
        ClientHost = join.ClientHost
        SessionTimeoutMs = join.SessionTimeoutMs
        RebalanceTimeoutMs = join.RebalanceTimeoutMs
        Protocols = join.Protocols
        Assignment = [||]
        HasJoined = false
        SeenAtEntry = 0L
        CommitEntry = 0L
        CommitBroker = 0L
    }

    /// Takes a member in and has everybody join again.
    let private rebalanceWith (join: GroupJoin) memberId (replaces: string | null) (group: Group) =
        GroupChange.unchanged group
        |> startRebalance
        |> GroupChange.add (MemberJoined(join.ProtocolType, replaces, newcomer join memberId))
        |> endJoinIfComplete
        |> GroupChange.decided (JoinAwaits(memberId, group.Generation))

    /// A static member comes back without the id it had (KIP-345): it takes its own place, and if that changes nothing for the
    /// others they are left alone.
    let private replaceStatic (join: GroupJoin) (old: GroupMember) (group: Group) =
        let memberId = join.NewMemberId

        let replaced =
            GroupChange.add
                (MemberJoined(join.ProtocolType, old.MemberId, newcomer join memberId))
                (GroupChange.unchanged group)

        match group.Phase with
        | Stable when group.ProtocolName = selectProtocol replaced.Group ->
            let answer = Group.describe join.CanSkipAssignment memberId replaced.Group

            // A client that cannot skip would assign with what it does not know, so it is not told that it leads.
            let answer =
                if join.CanSkipAssignment || answer.Leader <> memberId then
                    answer
                else
                    { answer with Leader = old.MemberId; Members = [||] }

            GroupChange.decided (JoinedAtOnce answer) replaced
        | Stable
        | CompletingRebalance
        | PreparingRebalance _
        | Empty -> rebalanceWith join memberId old.MemberId group

    let private joinExisting (join: GroupJoin) (groupMember: GroupMember) (group: Group) =
        let memberId = groupMember.MemberId

        let isSame =
            groupMember.Protocols = join.Protocols
            && groupMember.SessionTimeoutMs = join.SessionTimeoutMs
            && groupMember.RebalanceTimeoutMs = join.RebalanceTimeoutMs

        match group.Phase with
        // Asked again, perhaps of another broker: the first answer was lost.
        | PreparingRebalance _ when groupMember.HasJoined && isSame ->
            GroupChange.refused (JoinAwaits(memberId, group.Generation))
        | CompletingRebalance when groupMember.Protocols = join.Protocols ->
            GroupChange.refused (JoinedAtOnce(Group.describe false memberId group))
        // A leader that joins again knows of something that the others do not, such as new partitions.
        | Stable when groupMember.Protocols = join.Protocols && group.Leader <> memberId ->
            GroupChange.refused (JoinedAtOnce(Group.describe false memberId group))
        | PreparingRebalance _
        | CompletingRebalance
        | Stable
        // A static member need not name its instance again.
        | Empty -> rebalanceWith { join with InstanceId = groupMember.InstanceId } memberId null group

    /// Whether there is room. During a rebalance only those who have joined count, so that newcomers need not wait for the sessions of
    /// those who are gone; whoever rejoins too late has lost its place.
    let private hasRoom (settings: GroupSettings) (joining: GroupMember option) (group: Group) =
        match group.Phase with
        | Empty -> true
        | PreparingRebalance _ ->
            let hasJoined =
                match joining with
                | Some groupMember -> groupMember.HasJoined
                | None -> false

            let joined =
                group.Members.Values
                |> Seq.filter (fun groupMember -> groupMember.HasJoined)
                |> Seq.length

            hasJoined || joined < settings.MaxSize
        | CompletingRebalance
        | Stable -> joining.IsSome || group.Members.Count < settings.MaxSize

    let private join (settings: GroupSettings) (nowMs: int64) (join: GroupJoin) (group: Group) =
        let refuse refusal =
            GroupChange.refused (JoinRefused(refusal, join.MemberId))

        let holder =
            match join.InstanceId with
            | null -> None
            | instanceId -> Group.instance instanceId group

        let isMember = group.Members.ContainsKey join.MemberId

        let isNew =
            join.MemberId = ""
            || (not isMember && isNull join.InstanceId && isHandedOut nowMs join.MemberId)

        if
            join.SessionTimeoutMs < settings.MinSessionTimeoutMs
            || join.SessionTimeoutMs > settings.MaxSessionTimeoutMs
        then
            refuse InvalidSessionTimeout
        elif not isNew && not isMember && holder.IsNone then
            refuse UnknownMemberId
        elif not (supports join.ProtocolType join.Protocols group) then
            refuse InconsistentGroupProtocol
        elif not isNew then
            match Group.problem join.MemberId join.InstanceId group with
            | ValueSome refusal -> refuse refusal
            | ValueNone ->
                let groupMember = group.Members[join.MemberId]

                if hasRoom settings (Some groupMember) group then
                    joinExisting join groupMember group
                else
                    remove [| groupMember.MemberId |] group
                    |> GroupChange.decided (JoinRefused(GroupMaxSizeReached, ""))
        else
            match holder with
            | Some old -> replaceStatic join old group
            | None when not (hasRoom settings None group) -> GroupChange.refused (JoinRefused(GroupMaxSizeReached, ""))
            | None when join.MemberId = "" && isNull join.InstanceId && join.RequiresKnownMemberId ->
                GroupChange.refused (JoinRefused(MemberIdRequired, join.NewMemberId))
            | None ->
                let memberId =
                    if join.MemberId = "" then
                        join.NewMemberId
                    else
                        join.MemberId

                rebalanceWith join memberId null group

    let private endJoinPhase phaseEntry lastJoinEntry (group: Group) =
        let isMeant =
            group.PhaseEntry = phaseEntry
            && (lastJoinEntry < 0L || group.LastJoinEntry = lastJoinEntry)

        if isMeant && Group.isPreparing group then
            GroupChange.unchanged group |> endJoin |> GroupChange.decided GroupDone
        else
            GroupChange.refused GroupDone

    let private sync (sync: GroupSync) (group: Group) =
        match Group.syncProgress sync group with
        | BringsAssignment ->
            let known =
                sync.Assignments
                |> Array.filter (fun (struct (memberId, _)) -> group.Members.ContainsKey memberId)

            GroupChange.unchanged group
            |> GroupChange.add (MembersAssigned known)
            |> GroupChange.decided SyncTaken
        | StillSyncing
        | IsAssigned _
        | SyncFailed _ -> GroupChange.refused SyncTaken

    let private endSync phaseEntry (group: Group) =
        match group.Phase, group.Leader with
        | CompletingRebalance, NonNull leader when group.PhaseEntry = phaseEntry ->
            remove [| leader |] group |> GroupChange.decided GroupDone
        | _ -> GroupChange.refused GroupDone

    let private leave (members: LeavingMember[]) (group: Group) =
        let gone = ResizeArray<string>()

        let judge (leaving: LeavingMember) =
            let found =
                match leaving.InstanceId with
                | null -> Ok leaving.MemberId
                | instanceId when leaving.MemberId = "" ->
                    match Group.instance instanceId group with
                    | Some holder -> Ok holder.MemberId
                    | None -> Error UnknownMemberId
                | _ -> Ok leaving.MemberId

            match found with
            | Error refusal -> ValueSome refusal
            | Ok memberId ->
                let instanceId = if leaving.MemberId = "" then null else leaving.InstanceId

                match Group.problem memberId instanceId group with
                | ValueNone when gone.Contains memberId -> ValueSome UnknownMemberId
                | ValueNone ->
                    gone.Add memberId
                    ValueNone
                | refusal -> refusal

        let refusals = Array.map judge members
        remove (gone.ToArray()) group |> GroupChange.decided (MembersLeft refusals)

    let private expireMembers (members: struct (string * int64)[]) (group: Group) =
        let silent = [|
            for struct (memberId, seenAtEntry) in members do
                match Map.tryFind memberId group.Members with
                | Some groupMember when groupMember.SeenAtEntry = seenAtEntry -> memberId
                | Some _
                | None -> ()
        |]

        remove silent group |> GroupChange.decided GroupDone

    /// Judges one command; `group` is none when nothing is known under that name, `isDeleted` says which topics are gone.
    let decide
        (settings: GroupSettings)
        (nowMs: int64)
        (isDeleted: TopicId -> bool)
        (group: Group voption)
        (command: GroupCommand)
        =
        let known = ValueOption.defaultValue Group.initial group
        let isThere = group.IsSome && not (Group.isForgotten known)

        match command with
        | Join request -> join settings nowMs request known
        | EndJoin(phaseEntry, lastJoinEntry) -> endJoinPhase phaseEntry lastJoinEntry known
        | Sync request -> sync request known
        | EndSync phaseEntry -> endSync phaseEntry known
        | Leave members -> leave members known
        | ExpireMembers members -> expireMembers members known
        | CommitOffsets commit when not isThere && commit.Generation >= 0 ->
            GroupChange.refused (GroupRefused GroupIdNotFound)
        | CommitInTransaction commit when not isThere && commit.Generation >= 0 ->
            GroupChange.refused (GroupRefused IllegalGeneration)
        | CommitInTransaction commit -> GroupOffsets.commitInTransaction settings isDeleted commit known
        | CommitOffsets commit -> GroupOffsets.commit settings isDeleted commit known
        | DeleteOffsets _
        | DeleteGroup when not isThere -> GroupChange.refused (GroupRefused GroupIdNotFound)
        | DeleteOffsets partitions -> GroupOffsets.delete partitions known
        | DeleteGroup when not known.Members.IsEmpty -> GroupChange.refused (GroupRefused NonEmptyGroup)
        | DeleteGroup ->
            GroupChange.unchanged known
            |> GroupChange.add GroupDeleted
            |> GroupChange.decided GroupDone
