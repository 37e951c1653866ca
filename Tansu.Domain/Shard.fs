namespace Tansu.Domain

open System.Collections.Immutable

/// The rules' settings: the same on every broker of a cluster.
type ShardSettings = {
    /// How long the state of an idle producer is kept (`producer.id.expiration.ms`), in milliseconds.
    ProducerIdExpirationMs: int64
    /// Of consumer groups.
    Groups: GroupSettings
}

/// The state of one shard: the partitions that were placed on it.
type ShardState = {
    /// Partitions that were ever written to.
    Partitions: ImmutableDictionary<TopicPartition, Partition>
    /// Deleted topics and when they were removed here, so that a late append cannot bring one back.
    RemovedTopics: ImmutableDictionary<TopicId, int64>
    /// By group id: groups that have members or committed offsets, or had some lately.
    Groups: ImmutableDictionary<string, Group>
    /// Data objects named before this time (milliseconds since 1970) have been collected unless something referred to them then.
    ObjectsCollectedBeforeMs: int64
}

/// DeleteRecords for one partition.
[<Struct; NoComparison>]
type RecordsToDelete = {
    /// The partition.
    Partition: TopicPartition
    /// The new log start offset; -1 for the high watermark.
    BeforeOffset: int64
}

/// What a shard can be asked.
type ShardCommand =
    /// Append record batches; each is judged by itself (Produce).
    | AppendBatches of batches: BatchToAppend[]
    /// Advance log start offsets (DeleteRecords).
    | DeleteRecords of requests: RecordsToDelete[]
    /// Drop everything of a deleted topic.
    | RemoveTopic of topicId: TopicId
    /// Forget producers that have been idle for too long, and removed topics nobody can still write to.
    | ForgetExpired
    /// From now on no entry may newly refer to a data object named before this time (milliseconds since 1970), so that those
    /// which nothing refers to can be deleted.
    | CollectObjects of beforeMs: int64
    /// Asks a group.
    | AskGroup of groupId: string * command: GroupCommand
    /// These members of these groups have given signs of life lately.
    | MarkMembersSeen of members: struct (string * string[])[]

/// What has happened in a shard.
type ShardEvent =
    /// A batch was accepted.
    | BatchAppended of batch: BatchAppended
    /// Records before the offset are gone.
    | LogStartOffsetAdvanced of partition: TopicPartition * logStartOffset: int64
    /// All partitions of a topic are gone.
    | TopicRemoved of topicId: TopicId
    /// Idle producers were forgotten.
    | ProducersExpired of partition: TopicPartition * producerIds: int64[]
    /// The mark of a removed topic was forgotten.
    | RemovedTopicForgotten of topicId: TopicId
    /// Data objects named before this time are deleted if nothing refers to them.
    | ObjectsCollected of beforeMs: int64
    /// Something has happened in a group.
    | GroupChanged of groupId: string * event: GroupEvent

/// What became of one DeleteRecords request.
[<Struct; NoComparison>]
type DeleteRecordsReply =
    /// The log now starts here.
    | LogStartsAt of logStartOffset: int64
    /// Nothing changed.
    | DeleteRefused of refusal: Refusal

/// A shard's answer, in the order of what was asked.
type ShardReply =
    /// To AppendBatches.
    | BatchesJudged of replies: AppendReply[]
    /// To DeleteRecords.
    | RecordsDeleted of replies: DeleteRecordsReply[]
    /// To AskGroup.
    | GroupAnswered of reply: GroupReply
    /// To commands that have nothing to report.
    | Done

/// A shard's rules.
[<RequireQualifiedAccess>]
module Shard =
    /// How long a removed topic's mark is kept: far longer than any request can be under way, in milliseconds.
    [<Literal>]
    let RemovedTopicMarkMs = 3_600_000L

    /// Before the first entry.
    let initial = {
        Partitions = ImmutableDictionary<TopicPartition, Partition>.Empty
        RemovedTopics = ImmutableDictionary<TopicId, int64>.Empty
        Groups = ImmutableDictionary<string, Group>.Empty
        ObjectsCollectedBeforeMs = 0L
    }

    /// The partition's state; empty when nothing was ever written.
    let partition (key: TopicPartition) (state: ShardState) =
        match state.Partitions.TryGetValue key with
        | true, partition -> partition
        | _ -> Partition.empty

    /// A group, if anything is known of it.
    let group (groupId: string) (state: ShardState) =
        match state.Groups.TryGetValue groupId with
        | true, group -> ValueSome group
        | _ -> ValueNone

    let private updateGroup groupId event context (state: ShardState) =
        let group = group groupId state |> ValueOption.defaultValue Group.initial

        {
            state with
                Groups =
                    match event with
                    | GroupDeleted -> state.Groups.Remove groupId
                    | _ -> state.Groups.SetItem(groupId, Group.evolve group event context)
        }

    /// Deleted topics take their committed offsets with them.
    let private forgetOffsets topicId (groups: ImmutableDictionary<string, Group>) =
        let changed =
            groups
            |> Seq.choose (fun (KeyValue(groupId, group)) ->
                let rest = Group.forgetTopic topicId group

                if obj.ReferenceEquals(rest, group) then
                    None
                else
                    Some(System.Collections.Generic.KeyValuePair(groupId, rest)))

        groups.SetItems changed

    let private update key change (state: ShardState) = {
        state with
            Partitions = state.Partitions.SetItem(key, change (partition key state))
    }

    /// Applies one event.
    let evolve (state: ShardState) (event: ShardEvent) (context: EntryContext) =
        match event with
        | BatchAppended batch -> update batch.Partition (Partition.append context batch) state
        | LogStartOffsetAdvanced(key, logStartOffset) -> update key (Partition.advanceLogStart logStartOffset) state
        | TopicRemoved topicId -> {
            state with
                Partitions =
                    state.Partitions.RemoveRange(
                        state.Partitions.Keys
                        |> Seq.filter (fun key -> key.TopicId.Value = topicId.Value)
                        |> Seq.toArray
                    )
                RemovedTopics = state.RemovedTopics.SetItem(topicId, context.TimeMs)
                Groups = forgetOffsets topicId state.Groups
          }
        | ProducersExpired(key, producerIds) -> update key (Partition.forgetProducers producerIds) state
        | RemovedTopicForgotten topicId -> { state with RemovedTopics = state.RemovedTopics.Remove topicId }
        | ObjectsCollected beforeMs -> {
            state with
                ObjectsCollectedBeforeMs = max beforeMs state.ObjectsCollectedBeforeMs
          }
        | GroupChanged(groupId, event) -> updateGroup groupId event context state

    let private appended (context: DecideContext) baseOffset (batch: BatchToAppend) : BatchAppended = {
        Partition = batch.Partition
        BaseOffset = baseOffset
        LastOffsetDelta = batch.LastOffsetDelta
        DataObject = context.DataObject
        Position = context.PayloadPosition + batch.Position
        Length = batch.Length
        MaxTimestampMs = batch.MaxTimestampMs
        ProducerId = batch.ProducerId
        ProducerEpoch = batch.ProducerEpoch
        BaseSequence = batch.BaseSequence
    }

    let private appendBatches settings (state: ShardState) (context: DecideContext) (batches: BatchToAppend[]) =
        // Two batches of one request may go to one partition: each is judged on the state the one before left.
        // The entry number does not matter to the judgement.
        let here = { EntryNumber = 0L; TimeMs = context.NowMs }

        let replies = Array.zeroCreate batches.Length
        let events = ResizeArray<ShardEvent> batches.Length
        let mutable state = state

        for index in 0 .. batches.Length - 1 do
            let batch = batches[index]

            if state.RemovedTopics.ContainsKey batch.Partition.TopicId then
                replies[index] <- Refused UnknownTopicId
            else
                let struct (reply, isNew) =
                    partition batch.Partition state
                    |> Partition.judge context.NowMs settings.ProducerIdExpirationMs batch

                replies[index] <- reply

                match reply with
                | Appended(baseOffset, _) when isNew ->
                    let event = BatchAppended(appended context baseOffset batch)
                    events.Add event

                    if index < batches.Length - 1 then
                        state <- evolve state event here
                | Appended _
                | Refused _ -> ()

        { Events = events.ToArray(); Reply = BatchesJudged replies }

    let private deleteRecords (state: ShardState) (requests: RecordsToDelete[]) =
        let here = { EntryNumber = 0L; TimeMs = 0L }

        // Folded, since one request may name a partition twice and the log start offset must never go back.
        let judge (state: ShardState, events: ShardEvent list) (request: RecordsToDelete) =
            let current = partition request.Partition state

            let target =
                if request.BeforeOffset = Absent.Offset then
                    current.HighWatermark
                else
                    request.BeforeOffset

            if target < 0L || target > current.HighWatermark then
                DeleteRefused OffsetOutOfRange, (state, events)
            elif target <= current.LogStartOffset then
                LogStartsAt current.LogStartOffset, (state, events)
            else
                let event = LogStartOffsetAdvanced(request.Partition, target)
                LogStartsAt target, (evolve state event here, event :: events)

        let replies, (_, events) = Array.mapFold judge (state, []) requests

        { Events = events |> List.rev |> List.toArray; Reply = RecordsDeleted replies }

    let private forgetExpired (settings: ShardSettings) (state: ShardState) (context: DecideContext) =
        let events = [|
            for KeyValue(key, partition) in state.Partitions do
                match Partition.expiredProducers context.NowMs settings.ProducerIdExpirationMs partition with
                | [||] -> ()
                | producerIds -> ProducersExpired(key, producerIds)

            for KeyValue(topicId, removedAtMs) in state.RemovedTopics do
                if context.NowMs - removedAtMs >= RemovedTopicMarkMs then
                    RemovedTopicForgotten topicId

            for KeyValue(groupId, group) in state.Groups do
                for event in GroupOffsets.expired settings.Groups context.NowMs group do
                    GroupChanged(groupId, event)
        |]

        { Events = events; Reply = Done }

    let private askGroup (settings: ShardSettings) (state: ShardState) (context: DecideContext) groupId command =
        let decision =
            GroupRules.decide
                settings.Groups
                context.NowMs
                state.RemovedTopics.ContainsKey
                (group groupId state)
                command

        {
            Events = decision.Events |> Array.map (fun event -> GroupChanged(groupId, event))
            Reply = GroupAnswered decision.Reply
        }

    let private markMembersSeen (state: ShardState) (members: struct (string * string[])[]) =
        let events = [|
            for struct (groupId, memberIds) in members do
                match group groupId state with
                | ValueSome group ->
                    match memberIds |> Array.filter group.Members.ContainsKey with
                    | [||] -> ()
                    | memberIds -> GroupChanged(groupId, MembersSeen memberIds)
                | ValueNone -> ()
        |]

        { Events = events; Reply = Done }

    /// Judges one command.
    let decide (settings: ShardSettings) (state: ShardState) (command: ShardCommand) (context: DecideContext) =
        match command with
        | AppendBatches batches -> appendBatches settings state context batches
        | DeleteRecords requests -> deleteRecords state requests
        | RemoveTopic topicId when state.RemovedTopics.ContainsKey topicId -> { Events = [||]; Reply = Done }
        | RemoveTopic topicId -> { Events = [| TopicRemoved topicId |]; Reply = Done }
        | ForgetExpired -> forgetExpired settings state context
        | CollectObjects beforeMs when beforeMs <= state.ObjectsCollectedBeforeMs -> { Events = [||]; Reply = Done }
        | CollectObjects beforeMs -> { Events = [| ObjectsCollected beforeMs |]; Reply = Done }
        | AskGroup(groupId, command) -> askGroup settings state context groupId command
        | MarkMembersSeen members -> markMembersSeen state members

    /// The oldest entry whose inline payload a partition refers to; `Int64.MaxValue` if there is none. Chunks are in the order
    /// of their entries, so the first inline one of each partition tells.
    let oldestEntry (state: ShardState) =
        let rec firstInline (chunks: ImmutableList<Chunk>) index =
            if index = chunks.Count then
                System.Int64.MaxValue
            else
                match chunks[index].Source with
                | InlineEntry entryNumber -> entryNumber
                | DataObject _ -> firstInline chunks (index + 1)

        let mutable oldest = System.Int64.MaxValue

        for KeyValue(_, partition) in state.Partitions do
            oldest <- min oldest (firstInline partition.Chunks 0)

        oldest

    /// The names of all data objects that the state refers to.
    let dataObjects (state: ShardState) =
        let names = System.Collections.Generic.HashSet<string>()

        for KeyValue(_, partition) in state.Partitions do
            for chunk in partition.Chunks do
                match chunk.Source with
                | DataObject name -> names.Add name |> ignore
                | InlineEntry _ -> ()

        names

/// The shard's rules as the replica calls them.
[<Sealed>]
type ShardDecider(settings: ShardSettings) =
    interface IDecider<ShardState, ShardCommand, ShardEvent, ShardReply> with
        member _.Initial = Shard.initial

        member _.Decide(state, command, context) =
            Shard.decide settings state command context

        member _.Evolve(state, event, context) = Shard.evolve state event context
        member _.OldestEntry state = Shard.oldestEntry state
        member _.ObjectsSinceMs state = state.ObjectsCollectedBeforeMs
