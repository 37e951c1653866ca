namespace Tansu.Domain

open System.Collections.Generic
open System.Collections.Immutable

/// The rules' settings: the same on every broker of a cluster.
type ShardSettings = {
    /// How long the state of an idle producer is kept (`producer.id.expiration.ms`), in milliseconds.
    ProducerIdExpirationMs: int64
    /// Of consumer groups.
    Groups: GroupSettings
    /// Of transactions.
    Transactions: TransactionSettings
}

/// Who compacts a shard. It saves other brokers the same work; two at once would do no harm.
[<Struct>]
type CompactorClaim = {
    /// A number that no other broker has.
    Broker: int64
    /// Time of the entry that says so, in milliseconds since 1970.
    AtMs: int64
}

/// The state of one shard: the partitions that were placed on it.
type ShardState = {
    /// Partitions that were ever written to.
    Partitions: PartitionTable
    /// Deleted topics and when they were removed here, so that a late append cannot bring one back.
    RemovedTopics: ImmutableDictionary<TopicId, int64>
    /// By group id: groups that have members or committed offsets, or had some lately.
    Groups: ImmutableDictionary<string, Group>
    /// Data objects named before this time (milliseconds since 1970) have been collected unless something referred to them then.
    ObjectsCollectedBeforeMs: int64
    /// By name: how many chunks and pages are in an object (chunks listed by pages among them). Every object that is needed is here.
    Objects: ImmutableDictionary<string, int>
    /// By name: when (milliseconds since 1970) the last chunk or page left an object that has not been deleted yet.
    Garbage: ImmutableDictionary<string, int64>
    /// Pages that belong to no partition any more, while the chunks they list are still counted in `Objects`.
    DeadPages: ImmutableList<IndexPage>
    /// The broker that compacts the shard, and when it last said so.
    Compactor: CompactorClaim voption
    /// By transactional id: those that this shard coordinates.
    Transactions: ImmutableDictionary<string, Transaction>
}

/// DeleteRecords for one partition.
[<Struct; NoComparison>]
type RecordsToDelete = {
    /// The partition.
    Partition: TopicPartition
    /// The new log start offset; -1 for the high watermark.
    BeforeOffset: int64
}

/// A dead page and what it lists.
[<NoComparison>]
type PageToFree = {
    /// The page.
    Page: IndexPage
    /// How many of its chunks are in which object.
    References: struct (string * int)[]
}

/// Proposes other chunks for some of a partition's: those that the compactor read must still be there.
[<NoComparison>]
type ChunksToReplace = {
    /// What the partition gets.
    New: ChunksReplaced
    /// The pages it had in that range when they were read.
    OldPages: IndexPage[]
    /// The chunks it had in that range when they were read.
    OldChunks: Chunk[]
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
    /// Says which broker compacts the shard; refused as long as another one does, which is so for `leaseMs` after it last said so.
    | ClaimCompaction of broker: int64 * leaseMs: int64
    /// Put new chunks, in objects named at `namedAtMs` (milliseconds since 1970) or later, in the place of others. Each is judged by itself.
    | ReplaceChunks of requests: ChunksToReplace[] * namedAtMs: int64
    /// Stop counting what dead pages list, which the sender has read.
    | FreePages of pages: PageToFree[]
    /// These objects, which nothing refers to, have been deleted.
    | ForgetGarbage of objectNames: string[]
    /// Asks a group.
    | AskGroup of groupId: string * command: GroupCommand
    /// These members of these groups have given signs of life lately.
    | MarkMembersSeen of members: struct (string * string[])[]
    /// Asks a transactional id that this shard coordinates.
    | AskTransaction of transactionalId: string * command: TransactionCommand
    /// Adds to a transaction that this shard coordinates, and appends batches of it to partitions of this shard (KIP-890).
    | AppendInTransaction of transactionalId: string * addition: TransactionAddition * batches: BatchToAppend[]
    /// Adds a group of this shard to a transaction that this shard coordinates, and commits offsets of it (KIP-890).
    | CommitInGroupAndTransaction of
        transactionalId: string *
        addition: TransactionAddition *
        groupId: string *
        commit: TransactionalCommit
    /// Ends a transaction that another shard coordinates in the partitions and groups of this one.
    | WriteMarkers of markers: MarkersToWrite

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
    /// A compactor has written records anew.
    | ChunksReplaced of replaced: ChunksReplaced
    /// What a dead page lists is no longer counted.
    | PageFreed of freed: PageToFree
    /// Objects that nothing referred to have been deleted.
    | GarbageForgotten of objectNames: string[]
    /// A broker compacts the shard from now on, or still does.
    | CompactionClaimed of broker: int64
    /// Something has happened in a group.
    | GroupChanged of groupId: string * event: GroupEvent
    /// A transaction has ended in a partition.
    | MarkerAppended of marker: TransactionMarker
    /// Something has happened to a transactional id.
    | TransactionChanged of transactionalId: string * event: TransactionEvent

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
    /// To ClaimCompaction: whether it is the sender who compacts.
    | ClaimJudged of isGranted: bool
    /// To ReplaceChunks: whether the chunks were still there.
    | ReplacementsJudged of areMade: bool[]
    /// To AskTransaction; to AppendInTransaction and CommitInGroupAndTransaction if nothing was added to the transaction.
    | TransactionAnswered of reply: TransactionReply
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
        Partitions = PartitionTable.Empty
        RemovedTopics = ImmutableDictionary<TopicId, int64>.Empty
        Groups = ImmutableDictionary<string, Group>.Empty
        ObjectsCollectedBeforeMs = 0L
        Objects = ImmutableDictionary<string, int>.Empty
        Garbage = ImmutableDictionary<string, int64>.Empty
        DeadPages = ImmutableList<IndexPage>.Empty
        Compactor = ValueNone
        Transactions = ImmutableDictionary<string, Transaction>.Empty
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

    /// A transactional id, if anything is known of it.
    let transaction (transactionalId: string) (state: ShardState) =
        match state.Transactions.TryGetValue transactionalId with
        | true, transaction -> ValueSome transaction
        | _ -> ValueNone

    let private updateTransaction transactionalId event context (state: ShardState) =
        let transaction =
            transaction transactionalId state
            |> ValueOption.defaultValue Transaction.initial

        {
            state with
                Transactions =
                    match event with
                    | TransactionalIdExpired -> state.Transactions.Remove transactionalId
                    | _ -> state.Transactions.SetItem(transactionalId, Transaction.evolve transaction event context)
        }

    let private updateGroup groupId event context (state: ShardState) =
        let before = group groupId state |> ValueOption.defaultValue Group.initial
        let after = Group.evolve before event context

        {
            state with
                Groups =
                    match event with
                    | GroupDeleted when after.Transactions.IsEmpty -> state.Groups.Remove groupId
                    | _ -> state.Groups.SetItem(groupId, after)
        }

    /// Takes a deleted topic out of everything that knows of it; `forget` gives the same again where nothing does.
    let private forgetIn (forget: 'Value -> 'Value) (all: ImmutableDictionary<string, 'Value>) =
        let changed =
            all
            |> Seq.choose (fun (KeyValue(key, value)) ->
                let rest = forget value

                if obj.ReferenceEquals(rest, value) then
                    None
                else
                    Some(KeyValuePair(key, rest)))

        all.SetItems changed

    let private update key change (state: ShardState) = {
        state with
            Partitions = state.Partitions.SetItem(key, change (partition key state))
    }

    /// Counts chunks or pages more or less in an object.
    let private countReference (timeMs: int64) (state: ShardState) (name: string) (change: int) =
        let before =
            match state.Objects.TryGetValue name with
            | true, count -> count
            | _ -> 0

        match before + change with
        | 0 when before = 0 -> state
        | 0 -> { state with Objects = state.Objects.Remove name; Garbage = state.Garbage.SetItem(name, timeMs) }
        | count -> {
            state with
                Objects = state.Objects.SetItem(name, count)
                Garbage =
                    if before = 0 then
                        state.Garbage.Remove name
                    else
                        state.Garbage
          }

    let private countChunks timeMs change (chunks: seq<Chunk>) state =
        let mutable state = state

        for chunk in chunks do
            match chunk.Source with
            | InlineEntry _ -> ()
            | DataObject name
            | Segment name -> state <- countReference timeMs state name change

        state

    let private countAll timeMs (references: struct (string * int)[]) state =
        (state, references)
        ||> Array.fold (fun state (struct (name, change)) -> countReference timeMs state name change)

    /// The name as it is in the state already, if it is: chunks that are in one object share its string.
    let private shared (name: string) (state: ShardState) =
        match state.Objects.TryGetKey name with
        | true, known -> known
        | _ -> name

    /// The same of the object that may hold what a partition gets.
    let private sharedOrNone (dataObject: string | null) (state: ShardState) : string | null =
        match dataObject with
        | null -> null
        | name -> shared name state

    /// A partition has got more, in an object or an entry. This and what calls it is done for every batch: no closures.
    let private grown
        (context: EntryContext)
        (key: TopicPartition)
        (dataObject: string | null)
        (before: Partition)
        (after: Partition)
        (state: ShardState)
        =
        let state = { state with Partitions = state.Partitions.SetItem(key, after) }

        match dataObject, after.Chunks.Count - before.Chunks.Count with
        | null, _
        | _, 0 -> state
        | name, more -> countReference context.TimeMs state name more

    let private append context (batch: BatchAppended) state =
        let batch = { batch with DataObject = sharedOrNone batch.DataObject state }
        let before = partition batch.Partition state
        grown context batch.Partition batch.DataObject before (Partition.append context batch before) state

    let private mark context (marker: TransactionMarker) state =
        let marker = { marker with DataObject = sharedOrNone marker.DataObject state }
        let before = partition marker.Partition state
        grown context marker.Partition marker.DataObject before (Partition.mark context marker before) state

    /// Stops counting what a partition no longer has.
    let private drop (context: EntryContext) (pages: seq<IndexPage>) (chunks: seq<Chunk>) (state: ShardState) =
        { state with DeadPages = state.DeadPages.AddRange pages }
        |> countChunks context.TimeMs -1 chunks

    let private advanceLogStart context key logStartOffset (state: ShardState) =
        let before = partition key state
        let after = Partition.advanceLogStart logStartOffset before

        drop
            context
            (before.Pages.GetRange(0, before.Pages.Count - after.Pages.Count))
            (before.Chunks.GetRange(0, before.Chunks.Count - after.Chunks.Count))
            { state with Partitions = state.Partitions.SetItem(key, after) }

    let private removeTopic (context: EntryContext) (topicId: TopicId) (state: ShardState) =
        let removed =
            state.Partitions
            |> Seq.filter (fun (KeyValue(key, _)) -> key.TopicId.Value = topicId.Value)
            |> Seq.toArray

        let without = {
            state with
                Partitions = state.Partitions.RemoveRange(removed |> Array.map (fun (KeyValue(key, _)) -> key))
                RemovedTopics = state.RemovedTopics.SetItem(topicId, context.TimeMs)
                // Committed offsets go with the topic.
                Groups = forgetIn (Group.forgetTopic topicId) state.Groups
                Transactions = forgetIn (Transaction.forgetTopic topicId) state.Transactions
        }

        (without, removed)
        ||> Array.fold (fun state (KeyValue(_, partition)) -> drop context partition.Pages partition.Chunks state)

    let private replaceChunks (context: EntryContext) (replaced: ChunksReplaced) (state: ShardState) =
        let before = partition replaced.Partition state

        let struct (pages, chunks) =
            Partition.inRange replaced.FirstOffset replaced.LastOffset before

        let replaced = {
            replaced with
                Chunks =
                    replaced.Chunks
                    |> Array.map (fun chunk ->
                        match chunk.Source with
                        | Segment name -> { chunk with Source = Segment(shared name state) }
                        | InlineEntry _
                        | DataObject _ -> chunk)
        }

        // What comes is counted before what goes, so that nothing becomes garbage in between.
        let counted =
            state
            |> countChunks context.TimeMs 1 replaced.Chunks
            |> countAll
                context.TimeMs
                (replaced.Pages
                 |> Array.map (fun (page: IndexPage) -> struct (page.ObjectName, 1)))
            |> countAll
                context.TimeMs
                (replaced.PagedReferences
                 |> Array.sortByDescending (fun struct (_, change) -> change))
            |> countAll context.TimeMs [| for page in pages -> struct (page.ObjectName, -1) |]
            |> countChunks context.TimeMs -1 chunks

        {
            counted with
                Partitions = counted.Partitions.SetItem(replaced.Partition, Partition.replace replaced before)
        }

    let private freePage (context: EntryContext) (freed: PageToFree) (state: ShardState) =
        { state with DeadPages = state.DeadPages.Remove freed.Page }
        |> countAll
            context.TimeMs
            (freed.References
             |> Array.map (fun struct (name, count) -> struct (name, -count)))
        |> countAll context.TimeMs [| struct (freed.Page.ObjectName, -1) |]

    /// Applies one event.
    let evolve (state: ShardState) (event: ShardEvent) (context: EntryContext) =
        match event with
        | BatchAppended batch -> append context batch state
        | LogStartOffsetAdvanced(key, logStartOffset) -> advanceLogStart context key logStartOffset state
        | TopicRemoved topicId -> removeTopic context topicId state
        | ChunksReplaced replaced -> replaceChunks context replaced state
        | PageFreed freed -> freePage context freed state
        | GarbageForgotten objectNames -> { state with Garbage = state.Garbage.RemoveRange objectNames }
        | CompactionClaimed broker -> { state with Compactor = ValueSome { Broker = broker; AtMs = context.TimeMs } }
        | ProducersExpired(key, producerIds) -> update key (Partition.forgetProducers producerIds) state
        | RemovedTopicForgotten topicId -> { state with RemovedTopics = state.RemovedTopics.Remove topicId }
        | ObjectsCollected beforeMs -> {
            state with
                ObjectsCollectedBeforeMs = max beforeMs state.ObjectsCollectedBeforeMs
          }
        | GroupChanged(groupId, event) -> updateGroup groupId event context state
        | MarkerAppended marker -> mark context marker state
        | TransactionChanged(transactionalId, event) -> updateTransaction transactionalId event context state

    let private appended (context: DecideContext) position baseOffset (batch: BatchToAppend) : BatchAppended = {
        Partition = batch.Partition
        BaseOffset = baseOffset
        LastOffsetDelta = batch.LastOffsetDelta
        DataObject = context.DataObject
        Position = position
        Length = batch.Length
        MaxTimestampMs = batch.MaxTimestampMs
        ProducerId = batch.ProducerId
        ProducerEpoch = batch.ProducerEpoch
        BaseSequence = batch.BaseSequence
        Transaction = batch.Transaction
    }

    /// Whether two of the batches go to one partition, which hardly any client asks for.
    let private isRepeating (batches: BatchToAppend[]) =
        if batches.Length < 2 then
            false
        else
            let seen = HashSet<TopicPartition> batches.Length
            batches |> Array.exists (fun batch -> not (seen.Add batch.Partition))

    let private appendBatches settings (state: ShardState) (context: DecideContext) (batches: BatchToAppend[]) =
        // Two batches of one partition: each is judged on what the one before left. The entry number does not matter to the judgement.
        let here = { EntryNumber = 0L; TimeMs = context.NowMs }
        let isRepeating = isRepeating batches
        let changed = Dictionary<TopicPartition, Partition>()

        let replies = Array.zeroCreate batches.Length
        let events = ResizeArray<ShardEvent> batches.Length

        for index in 0 .. batches.Length - 1 do
            let batch = batches[index]

            if state.RemovedTopics.ContainsKey batch.Partition.TopicId then
                replies[index] <- Refused UnknownTopicId
            else
                let current =
                    match changed.TryGetValue batch.Partition with
                    | true, current -> current
                    | _ -> partition batch.Partition state

                let struct (reply, isNew) =
                    Partition.judge context.NowMs settings.ProducerIdExpirationMs batch current

                replies[index] <- reply

                match reply with
                | Appended(baseOffset, _) when isNew ->
                    let accepted =
                        appended context (context.PayloadPositions.Span[index]) baseOffset batch

                    events.Add(BatchAppended accepted)

                    if isRepeating then
                        changed[batch.Partition] <- Partition.append here accepted current
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
        // Both in an order that does not depend on this process, as a dictionary's order of names does.
        let groups =
            Array.sortBy fst [|
                for KeyValue(groupId, group) in state.Groups do
                    match GroupOffsets.expired settings.Groups settings.ProducerIdExpirationMs context.NowMs group with
                    | [||] -> ()
                    | events -> groupId, events
            |]

        let transactionalIds =
            Array.sort [|
                for KeyValue(transactionalId, transaction) in state.Transactions do
                    if TransactionRules.isExpired settings.Transactions context.NowMs transaction then
                        transactionalId
            |]

        let events = [|
            for KeyValue(key, partition) in state.Partitions do
                match Partition.expiredProducers context.NowMs settings.ProducerIdExpirationMs partition with
                | [||] -> ()
                | producerIds -> ProducersExpired(key, producerIds)

            for KeyValue(topicId, removedAtMs) in state.RemovedTopics do
                if context.NowMs - removedAtMs >= RemovedTopicMarkMs then
                    RemovedTopicForgotten topicId

            for groupId, events in groups do
                for event in events do
                    GroupChanged(groupId, event)

            for transactionalId in transactionalIds do
                TransactionChanged(transactionalId, TransactionalIdExpired)
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

    let private claim (state: ShardState) (context: DecideContext) broker leaseMs =
        match state.Compactor with
        | ValueSome other when other.Broker <> broker && context.NowMs - other.AtMs < leaseMs -> {
            Events = [||]
            Reply = ClaimJudged false
          }
        | _ -> { Events = [| CompactionClaimed broker |]; Reply = ClaimJudged true }

    /// Whether what a compactor has read is still what the partition has.
    let private isUnchanged (state: ShardState) (request: ChunksToReplace) =
        match state.Partitions.TryGetValue request.New.Partition with
        | true, partition ->
            let struct (pages, chunks) =
                Partition.inRange request.New.FirstOffset request.New.LastOffset partition

            System.Linq.Enumerable.SequenceEqual(pages, request.OldPages)
            && System.Linq.Enumerable.SequenceEqual(chunks, request.OldChunks)
        | _ -> false

    let private judgeReplacements (state: ShardState) (requests: ChunksToReplace[]) namedAtMs =
        let here = { EntryNumber = 0L; TimeMs = 0L }

        // Folded: one partition may be named several times. An object that may have been collected meanwhile helps nobody.
        let judge (state: ShardState, events: ShardEvent list) request =
            if namedAtMs >= state.ObjectsCollectedBeforeMs && isUnchanged state request then
                let event = ChunksReplaced request.New
                true, (evolve state event here, event :: events)
            else
                false, (state, events)

        let replies, (_, events) = Array.mapFold judge (state, []) requests

        { Events = events |> List.rev |> List.toArray; Reply = ReplacementsJudged replies }

    let private freePages (state: ShardState) (pages: PageToFree[]) = {
        Events =
            pages
            |> Array.filter (fun freed -> state.DeadPages.Contains freed.Page)
            |> Array.distinctBy _.Page
            |> Array.map PageFreed
        Reply = Done
    }

    let private forgetGarbage (state: ShardState) objectNames =
        match objectNames |> Array.filter state.Garbage.ContainsKey with
        | [||] -> { Events = [||]; Reply = Done }
        | objectNames -> { Events = [| GarbageForgotten objectNames |]; Reply = Done }

    /// The end of a transaction in this shard, as far as it is not known yet.
    let private writeMarkers (state: ShardState) (context: DecideContext) (markers: MarkersToWrite) = [|
        for key in markers.Partitions do
            let current = partition key state

            if
                not (state.RemovedTopics.ContainsKey key.TopicId)
                && not (Partition.hasEnded markers.ProducerId markers.Number current)
            then
                MarkerAppended {
                    Partition = key
                    Offset = current.HighWatermark
                    DataObject = context.DataObject
                    Position = context.PayloadPositions.Span[0]
                    Length = markers.Marker.Length
                    TimestampMs = markers.Marker.TimestampMs
                    ProducerId = markers.ProducerId
                    ProducerEpoch = markers.Marker.ProducerEpoch
                    Number = markers.Number
                    IsCommit = markers.IsCommit
                }

        for groupId in markers.Groups do
            let known = group groupId state |> ValueOption.defaultValue Group.initial

            let transaction = Group.transactionOf markers.ProducerId known

            if
                transaction.Ended < markers.Number
                && (transaction.Offsets.IsEmpty || transaction.Number <= markers.Number)
            then
                GroupChanged(
                    groupId,
                    PendingOffsetsEnded(
                        markers.ProducerId,
                        markers.Marker.ProducerEpoch,
                        markers.Number,
                        markers.IsCommit
                    )
                )
    |]

    /// What the coordinator's own entry holds besides the decision: the markers of its shard and, if there are no other shards, that
    /// the transaction is complete.
    let private atOnce (state: ShardState) (context: DecideContext) transactionalId shard marker event =
        let here = { EntryNumber = 0L; TimeMs = context.NowMs }

        let prepared =
            Transaction.evolve
                (transaction transactionalId state
                 |> ValueOption.defaultValue Transaction.initial)
                event
                here

        [|
            yield! writeMarkers state context (Transaction.markers shard marker prepared)

            if (Transaction.otherShards shard prepared).Length = 0 then
                TransactionChanged(transactionalId, TransactionCompleted)
        |]

    let private decideTransaction (settings: ShardSettings) (state: ShardState) id command =
        TransactionRules.decide settings.Transactions state.RemovedTopics.ContainsKey (transaction id state) command

    let private askTransaction settings (state: ShardState) (context: DecideContext) transactionalId command =
        let decision = decideTransaction settings state transactionalId command

        let events = [|
            for event in decision.Events do
                TransactionChanged(transactionalId, event)

                match event, command with
                | TransactionPrepared _, EndTransaction ending ->
                    yield! atOnce state context transactionalId ending.Shard ending.Marker event
                | TransactionPrepared _, FenceTransaction fencing ->
                    yield! atOnce state context transactionalId fencing.Shard fencing.Marker event
                | _ -> ()
        |]

        { Events = events; Reply = TransactionAnswered decision.Reply }

    /// Adds to a transaction and, in the same entry, does what needed it.
    let private inTransaction
        (settings: ShardSettings)
        (state: ShardState)
        (context: DecideContext)
        (transactionalId: string)
        (addition: TransactionAddition)
        (act: ShardState -> int64 -> Decision<ShardEvent, ShardReply>)
        : Decision<ShardEvent, ShardReply> =
        let here = { EntryNumber = 0L; TimeMs = context.NowMs }

        let added =
            decideTransaction settings state transactionalId (AddToTransaction addition)

        match added.Reply with
        | InTransaction number ->
            let events =
                added.Events
                |> Array.map (fun event -> TransactionChanged(transactionalId, event))

            let state = Array.fold (fun state event -> evolve state event here) state events

            let decision = act state number

            { Events = Array.append events decision.Events; Reply = decision.Reply }
        | ProducerReady _
        | NeedsProducerId
        | TransactionIsOpen
        | TransactionIsEnding
        | TransactionDecided _
        | AnotherTransaction
        | TransactionRefused _
        | TransactionDone -> { Events = [||]; Reply = TransactionAnswered added.Reply }

    let private appendInTransaction settings state context transactionalId addition (batches: BatchToAppend[]) =
        inTransaction settings state context transactionalId addition (fun state number ->
            batches
            |> Array.map (fun batch ->
                if batch.Transaction = Transaction.ThisOne then
                    { batch with Transaction = number }
                else
                    batch)
            |> appendBatches settings state context)

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
        | ClaimCompaction(broker, leaseMs) -> claim state context broker leaseMs
        | ReplaceChunks(requests, namedAtMs) -> judgeReplacements state requests namedAtMs
        | FreePages pages -> freePages state pages
        | ForgetGarbage objectNames -> forgetGarbage state objectNames
        | AskGroup(groupId, command) -> askGroup settings state context groupId command
        | MarkMembersSeen members -> markMembersSeen state members
        | AskTransaction(transactionalId, command) -> askTransaction settings state context transactionalId command
        | AppendInTransaction(transactionalId, addition, batches) ->
            appendInTransaction settings state context transactionalId addition batches
        | CommitInGroupAndTransaction(transactionalId, addition, groupId, commit) ->
            inTransaction settings state context transactionalId addition (fun state number ->
                askGroup settings state context groupId (CommitInTransaction { commit with Number = number }))
        | WriteMarkers markers -> { Events = writeMarkers state context markers; Reply = Done }

    /// The oldest entry whose inline payload a partition refers to; `Int64.MaxValue` if there is none. Chunks are in the order
    /// of their entries, so the first inline one of each partition tells.
    let oldestEntry (state: ShardState) =
        let rec firstInline (chunks: ChunkList) index =
            if index = chunks.Count then
                System.Int64.MaxValue
            else
                match chunks[index].Source with
                | InlineEntry entryNumber -> entryNumber
                | DataObject _
                | Segment _ -> firstInline chunks (index + 1)

        let mutable oldest = System.Int64.MaxValue

        for KeyValue(_, partition) in state.Partitions do
            oldest <- min oldest (firstInline partition.Chunks 0)

        oldest

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
