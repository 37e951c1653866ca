namespace Tansu.Domain

open System.Collections.Generic
open System.Collections.Immutable

/// A classic group's state: what has happened to it, and what can be read off it.
[<RequireQualifiedAccess; CompilationRepresentation(CompilationRepresentationFlags.ModuleSuffix)>]
module Group =
    /// Before anything has happened.
    let initial = {
        ProtocolType = null
        Phase = Empty
        PhaseEntry = 0L
        LastJoinEntry = 0L
        Generation = 0
        ProtocolName = null
        Leader = null
        Members = Map.empty
        Offsets = ImmutableDictionary<TopicPartition, CommittedOffset>.Empty
        EmptySinceMs = 0L
        Transactions = ImmutableDictionary<int64, GroupTransaction>.Empty
    }

    /// Whether members are to join.
    let isPreparing (group: Group) =
        match group.Phase with
        | PreparingRebalance _ -> true
        | Empty
        | CompletingRebalance
        | Stable -> false

    /// The longest that any member may take to rejoin, in milliseconds.
    let rebalanceTimeoutMs (group: Group) =
        group.Members
        |> Map.fold (fun longest _ groupMember -> max longest groupMember.RebalanceTimeoutMs) 0

    /// What is known of a transactional producer.
    let transactionOf (producerId: int64) (group: Group) : GroupTransaction =
        match group.Transactions.TryGetValue producerId with
        | true, transaction -> transaction
        | _ -> {
            Epoch = Absent.ProducerEpoch
            Ended = 0L
            Number = 0L
            Offsets = ImmutableDictionary<TopicPartition, CommittedOffset>.Empty
            LastTimeMs = 0L
          }

    /// Whether a transaction that is not decided yet has an offset for the partition (KIP-447).
    let isUnstable (partition: TopicPartition) (group: Group) =
        group.Transactions.Values
        |> Seq.exists (fun transaction -> transaction.Offsets.ContainsKey partition)

    /// Whether a transaction that is not decided yet has any offset of the group.
    let hasPendingOffsets (group: Group) =
        group.Transactions.Values
        |> Seq.exists (fun transaction -> not transaction.Offsets.IsEmpty)

    /// Whether it is no group any more for anybody: all that is remembered is which transactions have ended in it, so that their offsets cannot come
    /// after their end.
    let isForgotten (group: Group) =
        group.Members.IsEmpty
        && isNull group.ProtocolType
        && group.Offsets.IsEmpty
        && not (hasPendingOffsets group)

    // Applying events.

    let private seen (context: EntryContext) (memberIds: string[]) (group: Group) : Group =
        let mark members memberId =
            match Map.tryFind memberId members with
            | Some groupMember -> Map.add memberId { groupMember with SeenAtEntry = context.EntryNumber } members
            | None -> members

        { group with Members = Array.fold mark group.Members memberIds }

    let private joined
        (context: EntryContext)
        (protocolType: string)
        (replaces: string | null)
        (newcomer: GroupMember)
        (group: Group)
        : Group =
        let replaced =
            match replaces with
            | null -> Map.tryFind newcomer.MemberId group.Members
            | old -> Map.tryFind old group.Members

        let same = Map.tryFind newcomer.MemberId group.Members

        let others =
            match replaces with
            | null -> group.Members
            | old -> Map.remove old group.Members

        {
            group with
                ProtocolType = protocolType
                LastJoinEntry = context.EntryNumber
                Leader =
                    if not (isNull replaces) && group.Leader = replaces then
                        newcomer.MemberId
                    else
                        group.Leader
                Members =
                    others
                    |> Map.add newcomer.MemberId {
                        newcomer with
                            Assignment =
                                match replaced with
                                | Some old -> old.Assignment
                                | None -> [||]
                            HasJoined = isPreparing group
                            SeenAtEntry = context.EntryNumber
                            CommitEntry =
                                match same with
                                | Some before -> before.CommitEntry
                                | None -> 0L
                            CommitBroker =
                                match same with
                                | Some before -> before.CommitBroker
                                | None -> 0L
                    }
        }

    let private startGeneration
        (context: EntryContext)
        (generation: int)
        (leader: string | null)
        (protocolName: string | null)
        (removed: string[])
        (group: Group)
        : Group =
        let members =
            Array.fold (fun members id -> Map.remove id members) group.Members removed

        {
            group with
                Generation = generation
                Leader = leader
                ProtocolName = protocolName
                Phase = if isNull leader then Empty else CompletingRebalance
                PhaseEntry = context.EntryNumber
                EmptySinceMs = if isNull leader then context.TimeMs else group.EmptySinceMs
                // Whoever waited for it has just been answered, which is a sign of life.
                Members =
                    members
                    |> Map.map (fun _ groupMember -> {
                        groupMember with
                            Assignment = [||]
                            HasJoined = false
                            SeenAtEntry =
                                if groupMember.HasJoined then
                                    context.EntryNumber
                                else
                                    groupMember.SeenAtEntry
                    })
        }

    let private assign (context: EntryContext) (assignments: struct (string * byte[])[]) (group: Group) : Group =
        let give members (struct (memberId, assignment)) =
            match Map.tryFind memberId members with
            | Some groupMember -> Map.add memberId { groupMember with Assignment = assignment } members
            | None -> members

        {
            group with
                Members = Array.fold give group.Members assignments
                Phase = Stable
                PhaseEntry = context.EntryNumber
        }

    /// Offsets with those of a commit in place of what they were.
    let private withCommitted
        (context: EntryContext)
        (committed: OffsetToCommit[])
        (offsets: ImmutableDictionary<TopicPartition, CommittedOffset>)
        =
        let builder = offsets.ToBuilder()

        for offset in committed do
            builder[offset.Partition] <- {
                Offset = offset.Offset
                LeaderEpoch = offset.LeaderEpoch
                Metadata = offset.Metadata
                CommitTimeMs = context.TimeMs
            }

        builder.ToImmutable()

    let private pend
        (context: EntryContext)
        (producerId: int64)
        (producerEpoch: int16)
        (number: int64)
        (offsets: OffsetToCommit[])
        (group: Group)
        : Group =
        let known = transactionOf producerId group

        {
            group with
                Transactions =
                    group.Transactions.SetItem(
                        producerId,
                        {
                            known with
                                Epoch = producerEpoch
                                Number = number
                                Offsets = withCommitted context offsets known.Offsets
                                LastTimeMs = context.TimeMs
                        }
                    )
        }

    /// Of two commits of a partition the later one counts, whichever of their transactions ends first.
    let private settle
        (context: EntryContext)
        (producerId: int64)
        (producerEpoch: int16)
        (number: int64)
        (isCommit: bool)
        (group: Group)
        : Group =
        let known = transactionOf producerId group

        let isNewer partition (pending: CommittedOffset) =
            match group.Offsets.TryGetValue partition with
            | true, committed -> committed.CommitTimeMs <= pending.CommitTimeMs
            | _ -> true

        let counting =
            if isCommit then
                known.Offsets
                |> Seq.filter (fun (KeyValue(partition, pending)) -> isNewer partition pending)
            else
                Seq.empty

        {
            group with
                Offsets = group.Offsets.SetItems counting
                Transactions =
                    group.Transactions.SetItem(
                        producerId,
                        {
                            known with
                                Epoch = max producerEpoch known.Epoch
                                Ended = number
                                Offsets = known.Offsets.Clear()
                                LastTimeMs = context.TimeMs
                        }
                    )
        }

    /// Applies one event. After `GroupDeleted` the shard forgets a group of which no transactions are left.
    let evolve (group: Group) (event: GroupEvent) (context: EntryContext) : Group =
        match event with
        | MemberJoined(protocolType, replaces, newcomer) -> joined context protocolType replaces newcomer group
        | RebalanceStarted isInitial -> {
            group with
                Phase = PreparingRebalance isInitial
                PhaseEntry = context.EntryNumber
                Members =
                    group.Members
                    |> Map.map (fun _ groupMember -> { groupMember with HasJoined = false })
          }
        | GenerationStarted(generation, leader, protocolName, removed) ->
            startGeneration context generation leader protocolName removed group
        | MembersAssigned assignments -> assign context assignments group
        | MembersRemoved memberIds -> {
            group with
                Members = Array.fold (fun members id -> Map.remove id members) group.Members memberIds
          }
        | MembersSeen memberIds -> seen context memberIds group
        | OffsetsCommitted(memberId, broker, offsets) -> {
            group with
                Offsets = withCommitted context offsets group.Offsets
                Members =
                    match Map.tryFind memberId group.Members with
                    | Some committer ->
                        Map.add
                            memberId
                            {
                                committer with
                                    SeenAtEntry = context.EntryNumber
                                    CommitEntry = context.EntryNumber
                                    CommitBroker = broker
                            }
                            group.Members
                    | None -> group.Members
          }
        | OffsetsDeleted partitions -> { group with Offsets = group.Offsets.RemoveRange partitions }
        | GroupDeleted -> {
            initial with
                Transactions =
                    group.Transactions.SetItems(
                        seq {
                            for KeyValue(producerId, transaction) in group.Transactions do
                                KeyValuePair(producerId, { transaction with Offsets = transaction.Offsets.Clear() })
                        }
                    )
          }
        | PendingOffsetsCommitted(producerId, producerEpoch, number, offsets) ->
            pend context producerId producerEpoch number offsets group
        | PendingOffsetsEnded(producerId, producerEpoch, number, isCommit) ->
            settle context producerId producerEpoch number isCommit group
        | GroupProducersForgotten producerIds -> {
            group with
                Transactions = group.Transactions.RemoveRange producerIds
          }

    /// Forgets the offsets of a deleted topic.
    let forgetTopic (topicId: TopicId) (group: Group) : Group =
        let ofTopic (offsets: ImmutableDictionary<TopicPartition, CommittedOffset>) = [|
            for KeyValue(partition, _) in offsets do
                if partition.TopicId.Value = topicId.Value then
                    partition
        |]

        let changed = [|
            for KeyValue(producerId, transaction) in group.Transactions do
                match ofTopic transaction.Offsets with
                | [||] -> ()
                | gone -> KeyValuePair(producerId, { transaction with Offsets = transaction.Offsets.RemoveRange gone })
        |]

        match ofTopic group.Offsets with
        | [||] when changed.Length = 0 -> group
        | gone -> {
            group with
                Offsets = group.Offsets.RemoveRange gone
                Transactions = group.Transactions.SetItems changed
          }

    // Looking.

    /// The member that holds an instance id.
    let instance (instanceId: string) (group: Group) =
        group.Members
        |> Map.tryPick (fun _ groupMember ->
            if groupMember.InstanceId = instanceId then
                Some groupMember
            else
                None)

    /// Why somebody is not a member, if so.
    let problem (memberId: string) (instanceId: string | null) (group: Group) =
        match instanceId with
        | null when group.Members.ContainsKey memberId -> ValueNone
        | null -> ValueSome UnknownMemberId
        | instanceId ->
            match instance instanceId group with
            | None -> ValueSome UnknownMemberId
            | Some holder when holder.MemberId <> memberId -> ValueSome FencedInstanceId
            | Some _ -> ValueNone

    /// What a member learns of the generation.
    let describe canSkip (memberId: string) (group: Group) : JoinedGroup = {
        MemberId = memberId
        Generation = group.Generation
        ProtocolType = group.ProtocolType |> Option.ofObj |> Option.defaultValue ""
        ProtocolName = group.ProtocolName |> Option.ofObj |> Option.defaultValue ""
        Leader = group.Leader |> Option.ofObj |> Option.defaultValue ""
        SkipAssignment = canSkip && group.Leader = memberId
        Members =
            if group.Leader = memberId then
                group.Members.Values |> Seq.toArray
            else
                [||]
    }

    /// Where a SyncGroup stands.
    let syncProgress (sync: GroupSync) (group: Group) : SyncProgress =
        let differs (wanted: string | null) (actual: string | null) = not (isNull wanted) && wanted <> actual

        match problem sync.MemberId sync.InstanceId group with
        | ValueSome refusal -> SyncFailed refusal
        | ValueNone when sync.Generation <> group.Generation -> SyncFailed IllegalGeneration
        | ValueNone when
            differs sync.ProtocolType group.ProtocolType
            || differs sync.ProtocolName group.ProtocolName
            ->
            SyncFailed InconsistentGroupProtocol
        | ValueNone ->
            match group.Phase with
            | Empty -> SyncFailed UnknownMemberId
            | PreparingRebalance _ -> SyncFailed RebalanceInProgress
            | CompletingRebalance when group.Leader = sync.MemberId -> BringsAssignment
            | CompletingRebalance -> StillSyncing
            | Stable ->
                IsAssigned(
                    group.ProtocolType |> Option.ofObj |> Option.defaultValue "",
                    group.ProtocolName |> Option.ofObj |> Option.defaultValue "",
                    group.Members[sync.MemberId].Assignment
                )

    /// Where a JoinGroup that waits for the generation after `generation` stands.
    let joinProgress (memberId: string) (instanceId: string | null) (generation: int) (group: Group) : JoinProgress =
        match problem memberId instanceId group with
        | ValueSome refusal -> JoinFailed refusal
        | ValueNone when group.Generation > generation -> HasJoinedGroup(describe false memberId group)
        | ValueNone -> StillJoining

    /// What a Heartbeat is answered.
    let heartbeat (memberId: string) (instanceId: string | null) (generation: int) (group: Group) : Refusal voption =
        match problem memberId instanceId group with
        | ValueSome refusal -> ValueSome refusal
        | ValueNone when generation <> group.Generation -> ValueSome IllegalGeneration
        | ValueNone when isPreparing group -> ValueSome RebalanceInProgress
        | ValueNone -> ValueNone
