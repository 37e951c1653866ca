namespace Tansu.Domain

open System.Collections.Immutable

/// The rules of committed offsets: who may commit, what may be deleted, what expires.
[<RequireQualifiedAccess>]
module GroupOffsets =
    /// Why this client may not commit, if so.
    let private commitProblem (commit: GroupCommit) (group: Group) =
        let claimsMembership =
            commit.Generation >= 0
            || commit.MemberId <> ""
            || not (isNull commit.InstanceId)

        if commit.Generation < 0 && group.Phase.IsEmpty then
            ValueNone
        elif not claimsMembership then
            ValueSome UnknownMemberId
        else
            match Group.problem commit.MemberId commit.InstanceId group with
            | ValueSome refusal -> ValueSome refusal
            | ValueNone when commit.Generation <> group.Generation -> ValueSome IllegalGeneration
            | ValueNone when group.Phase.IsCompletingRebalance -> ValueSome RebalanceInProgress
            | ValueNone when
                group.Members[commit.MemberId].CommitEntry <> commit.KnownCommitEntry
                && group.Members[commit.MemberId].CommitBroker <> commit.Broker
                ->
                ValueSome CommitOvertaken
            | ValueNone -> ValueNone

    /// Judges what is to be remembered, partition by partition; `eventOf` makes an event of what is.
    let private accept
        (settings: GroupSettings)
        (isDeleted: TopicId -> bool)
        (offsets: OffsetToCommit[])
        (eventOf: OffsetToCommit[] -> GroupEvent)
        (group: Group)
        =
        let refusals =
            offsets
            |> Array.map (fun offset ->
                if offset.Metadata.Length > settings.MaxMetadataLength then
                    ValueSome OffsetMetadataTooLarge
                elif isDeleted offset.Partition.TopicId then
                    ValueSome UnknownTopicId
                else
                    ValueNone)

        let accepted =
            Array.zip offsets refusals
            |> Array.choose (fun (offset, refusal) -> if refusal.IsNone then Some offset else None)

        if accepted.Length = 0 then
            GroupChange.refused (OffsetsJudged refusals)
        else
            GroupChange.unchanged group
            |> GroupChange.add (eventOf accepted)
            |> GroupChange.decided (OffsetsJudged refusals)

    /// Judges an OffsetCommit; `isDeleted` says which topics are gone.
    let commit (settings: GroupSettings) (isDeleted: TopicId -> bool) (commit: GroupCommit) (group: Group) =
        match commitProblem commit group with
        | ValueSome refusal -> GroupChange.refused (GroupRefused refusal)
        | ValueNone ->
            let committed accepted =
                OffsetsCommitted(commit.MemberId, commit.Broker, accepted)

            accept settings isDeleted commit.Offsets committed group

    /// Whether a newer commit of the same transaction may be there. One that says the same again does no harm.
    let private isOvertaken (pending: GroupTransaction) (commit: TransactionalCommit) =
        let offsetIn (offsets: ImmutableDictionary<TopicPartition, CommittedOffset>) partition =
            match offsets.TryGetValue partition with
            | true, known -> known.Offset
            | _ -> Absent.Offset

        commit.Offsets
        |> Array.exists (fun offset ->
            let current = offsetIn pending.Offsets offset.Partition
            current <> offsetIn commit.Known offset.Partition && current <> offset.Offset)

    /// Why this client may not commit in a transaction, if so. Unlike other commits it need not name a member, and may come while the
    /// leader assigns.
    let private transactionalProblem (commit: TransactionalCommit) (group: Group) =
        let claimsMembership =
            commit.Generation >= 0
            || commit.MemberId <> ""
            || not (isNull commit.InstanceId)

        let known = Group.transactionOf commit.ProducerId group

        let memberProblem =
            if not claimsMembership || (commit.Generation < 0 && group.Phase.IsEmpty) then
                ValueNone
            else
                match Group.problem commit.MemberId commit.InstanceId group with
                | ValueSome refusal -> ValueSome refusal
                | ValueNone when commit.Generation <> group.Generation -> ValueSome IllegalGeneration
                | ValueNone -> ValueNone

        if commit.ProducerEpoch < known.Epoch then
            ValueSome InvalidProducerEpoch
        elif
            commit.Number <= known.Ended
            || (not known.Offsets.IsEmpty && commit.Number <> known.Number)
        then
            ValueSome TransactionEnded
        elif memberProblem.IsNone && isOvertaken known commit then
            ValueSome CommitOvertaken
        else
            memberProblem

    /// Judges a TxnOffsetCommit; `isDeleted` says which topics are gone.
    let commitInTransaction settings isDeleted (commit: TransactionalCommit) (group: Group) =
        match transactionalProblem commit group with
        | ValueSome refusal -> GroupChange.refused (GroupRefused refusal)
        | ValueNone ->
            let pending accepted =
                PendingOffsetsCommitted(commit.ProducerId, commit.ProducerEpoch, commit.Number, accepted)

            accept settings isDeleted commit.Offsets pending group

    /// The topics that members read; none if that cannot be told.
    let private subscribedTopics (group: Group) =
        let union (topics: Set<string> voption) (groupMember: GroupMember) =
            match
                topics,
                groupMember.Protocols
                |> Array.tryFind (fun protocol -> group.ProtocolName = protocol.Name)
            with
            | ValueSome topics, Some protocol ->
                match ConsumerProtocol.subscribedTopics protocol.Metadata with
                | ValueSome more -> ValueSome(Array.fold (fun topics topic -> Set.add topic topics) topics more)
                | ValueNone -> ValueNone
            | _ -> ValueNone

        Seq.fold union (ValueSome Set.empty) group.Members.Values

    /// Judges an OffsetDelete.
    let delete (partitions: struct (TopicPartition * string)[]) (group: Group) =
        if not group.Members.IsEmpty && not (group.ProtocolType = ConsumerProtocol.Type) then
            GroupChange.refused (GroupRefused NonEmptyGroup)
        else
            let isSubscribed =
                match subscribedTopics group with
                | ValueSome topics -> fun topic -> Set.contains topic topics
                | ValueNone -> fun _ -> true

            let outcomes =
                partitions
                |> Array.map (fun (struct (_, topic)) -> if isSubscribed topic then OffsetInUse else OffsetGone)

            let gone =
                Array.zip partitions outcomes
                |> Array.choose (fun (struct (partition, _), outcome) ->
                    if outcome = OffsetGone && group.Offsets.ContainsKey partition then
                        Some partition
                    else
                        None)
                |> Array.distinct

            if gone.Length = 0 then
                GroupChange.refused (OffsetsDeletion outcomes)
            else
                GroupChange.unchanged group
                |> GroupChange.add (OffsetsDeleted gone)
                |> GroupChange.decided (OffsetsDeletion outcomes)

    /// Which offsets have expired (`offsets.retention.minutes`): counted from when the group emptied, or from the commit in a group that nobody ever
    /// joined. A group that has nothing left is deleted; one that a transaction is about to change stays.
    let private expiredOffsets (settings: GroupSettings) (nowMs: int64) hasProducers (group: Group) : GroupEvent[] =
        if not group.Members.IsEmpty || Group.hasPendingOffsets group then
            [||]
        else
            let isExpired (offset: CommittedOffset) =
                let since =
                    if isNull group.ProtocolType then
                        offset.CommitTimeMs
                    else
                        max group.EmptySinceMs offset.CommitTimeMs

                nowMs - since >= settings.OffsetsRetentionMs

            let gone = [|
                for KeyValue(partition, offset) in group.Offsets do
                    if isExpired offset then
                        partition
            |]

            if gone.Length = group.Offsets.Count && not hasProducers then
                [| GroupDeleted |]
            elif gone.Length > 0 then
                [| OffsetsDeleted gone |]
            else
                [||]

    /// What has expired: transactional producers that have been idle for as long as partitions remember one, and offsets.
    let expired (settings: GroupSettings) (producerExpirationMs: int64) (nowMs: int64) (group: Group) : GroupEvent[] =
        let forgotten = [|
            for KeyValue(producerId, transaction) in group.Transactions do
                if
                    transaction.Offsets.IsEmpty
                    && nowMs - transaction.LastTimeMs >= producerExpirationMs
                then
                    producerId
        |]

        let hasProducers = forgotten.Length < group.Transactions.Count

        [|
            if forgotten.Length > 0 then
                GroupProducersForgotten forgotten

            yield! expiredOffsets settings nowMs hasProducers group
        |]
