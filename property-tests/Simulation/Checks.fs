namespace Tansu.PropertyTests.Simulation

open System
open System.Collections.Generic
open Tansu.Adapters.Ports
open Tansu.Adapters.Replica
open Tansu.Codec
open Tansu.Domain

type ShardReplica = Replica<ShardState, ShardCommand, ShardEvent, ShardReply>

/// Knows everything that happens, and says what must not. It folds the entries as they are created, which gives the truth that
/// brokers and clients are measured by.
[<Sealed>]
type Judge
    (
        logName: string,
        now: unit -> TimeSpan,
        tryGetObject: string -> byte[],
        cleanupOf: TopicId -> Cleanup voption,
        isTold: bool
    ) =
    let codec = EntryCodec<ShardState, ShardEvent>(ShardCodec(), logName)
    let states = List<ShardState>([ Shard.initial ])

    let events =
        List<IReadOnlyList<ShardEvent>>([ Array.empty :> IReadOnlyList<ShardEvent> ])

    let sent = Dictionary<int64, SentBatch>()
    let batches = List<SentBatch>()
    let logStarts = Dictionary<TopicPartition, int64>()
    /// Who was given a partition in a generation of a group.
    let owners = Dictionary<struct (string * int * int), string>()

    /// The largest offsets that clients were told are committed.
    let commits = Dictionary<struct (string * int), int64>()

    let violations = List<string>()
    let mutable hash = 14695981039346656037UL
    let mutable ghosts = 0

    let note (text: string) =
        if isTold then
            Console.Out.WriteLine $"{now().TotalSeconds:F3}s {text}"

    let remember (value: int64) =
        hash <- (hash ^^^ uint64 value) * 1099511628211UL

    let violation (text: string) =
        if violations.Count < 20 then
            violations.Add $"{now().TotalSeconds:F3}s {text}"

    let name (key: TopicPartition) = $"partition {key.Partition}"

    let storage = StorageChecks(cleanupOf, tryGetObject, violation)
    let recordsOf key = storage.RecordsOf key
    let partitions = HashSet<TopicPartition>()
    let mutable newestSnapshot = 0L

    let bytesOf (state: ShardState) =
        use writer = new KafkaWriter()
        (ShardCodec() :> ILogCodec<ShardState, ShardEvent>).WriteState(writer, state)
        writer.ToArray()

    let append (number: int64) timeMs (payload: ReadOnlyMemory<byte>) (batch: BatchAppended) =
        partitions.Add batch.Partition |> ignore
        let known = recordsOf batch.Partition

        if batch.BaseOffset <> int64 known.Count then
            violation
                $"offsets not contiguous: entry {number} appends to {name batch.Partition} at {batch.BaseOffset}, which ends at {known.Count}"

        let source =
            match batch.DataObject with
            | null -> payload
            | blob ->
                match tryGetObject blob with
                | null ->
                    violation $"visible before durable: entry {number} refers to {blob}, which is not stored"
                    ReadOnlyMemory.Empty
                | content -> ReadOnlyMemory content

        if batch.Position + batch.Length <= source.Length then
            let appended, _ =
                Batches.readAll (source.Slice(batch.Position, batch.Length).ToArray())

            for struct (_, record) in appended do
                storage.OnAppended(batch.Partition, record, timeMs)
                remember record.Id
        else
            violation $"entry {number} refers to bytes that are not there"

    /// Offsets may only be committed by whoever owns the partition in the group's generation, and never go back.
    let commit (number: int64) (state: ShardState) groupId memberId (offsets: OffsetToCommit[]) =
        match Shard.group groupId state with
        | ValueNone -> violation $"entry {number} commits offsets of a group that is not there"
        | ValueSome group ->
            for offset in offsets do
                remember offset.Offset

                match Map.tryFind memberId group.Members with
                | Some owner when Array.contains (byte offset.Partition.Partition) owner.Assignment -> ()
                | _ ->
                    violation
                        $"entry {number} has {memberId} commit for {name offset.Partition}, which it does not own in generation {group.Generation}"

                match group.Offsets.TryGetValue offset.Partition with
                | true, before when before.Offset > offset.Offset ->
                    violation
                        $"the committed offset of {name offset.Partition} goes back from {before.Offset} to {offset.Offset} with entry {number}"
                | _ -> ()

    /// Whether what is stored at the offset is this batch.
    let isAt (batch: SentBatch) (offset: int64) =
        let known = recordsOf batch.Partition

        offset >= 0L
        && offset + int64 batch.Records <= int64 known.Count
        && Seq.forall
            (fun index -> known[int offset + index].Id = batch.Id + int64 index)
            (seq { 0 .. batch.Records - 1 })

    member _.Violations = violations
    member _.Violation text = violation text

    /// For whoever reads along.
    member _.Note text = note text

    /// The same history has the same hash.
    member _.Hash = hash

    /// The number of the newest entry.
    member _.Tail = int64 states.Count - 1L

    member _.State = states[states.Count - 1]

    /// Numbers of trimmed entries that were created again; harmless as long as nobody believes in them.
    member _.Ghosts = ghosts

    member _.Batches = batches

    member _.RecordsOf key = recordsOf key

    /// What is stored, and what may have been removed.
    member _.Storage = storage

    member _.NewBatch(producer, partition: TopicPartition, count, isIdempotent, timestampMs) =
        let isKeyed =
            match cleanupOf partition.TopicId with
            | ValueSome cleanup -> cleanup.Compacts
            | ValueNone -> false

        let id = int64 (batches.Count + 1) * Batches.idStep

        let batch =
            SentBatch(id, producer, partition, count, isIdempotent, isKeyed, timestampMs)

        sent[batch.Id] <- batch
        batches.Add batch
        batch

    /// The store is about to create an entry.
    member this.OnEntryCreated(number: int64, content: byte[]) =
        remember number
        remember (now().Ticks)

        if number = this.Tail + 1L then
            let entry =
                codec.DecodeEntry(EntryHead(number, ObjectLayout.head content, (ObjectLayout.payload content).Length))

            let mutable state = this.State
            let context = { EntryNumber = number; TimeMs = entry.TimeMs }

            for event in entry.Events do
                storage.OnEvent(number, entry.TimeMs, state, event)

                match event with
                | BatchAppended batch -> append number entry.TimeMs (ObjectLayout.payload content) batch
                | GroupChanged(groupId, OffsetsCommitted(memberId, _, offsets)) ->
                    commit number state groupId memberId offsets
                | _ -> ()

                state <- Shard.evolve state event context

            storage.CheckCounts(number, state)
            note $"entry {number} is created with {entry.Events.Count} events"
            states.Add state
            events.Add entry.Events
        elif number <= this.Tail then
            note $"entry {number} is created again"
            ghosts <- ghosts + 1
        else
            violation $"entry {number} is created while the log ends at {this.Tail}"

    /// A snapshot is being stored: the fold of all up to its number, byte for byte.
    member this.OnSnapshot(number: int64, content: byte[]) =
        if number > this.Tail then
            violation $"snapshot {number} is stored while the log ends at {this.Tail}"
        else
            let published = codec.DecodeSnapshot(ReadOnlyMemory content)

            if not ((bytesOf published.State).AsSpan().SequenceEqual(bytesOf states[int number])) then
                violation $"snapshot {number} is not the fold of the log up to it"

            newestSnapshot <- max newestSnapshot number

    /// The store is about to delete an object that holds records or pages.
    member this.OnObjectDeleted(objectName: string) =
        if this.State.Objects.ContainsKey objectName then
            violation $"{objectName} is deleted, and still needed"

    /// The store is about to delete an entry.
    member this.OnEntryDeleted(number: int64) =
        if number >= Shard.oldestEntry this.State then
            violation $"entry {number} is deleted, and still needed"

        if number > newestSnapshot then
            violation $"entry {number} is deleted, and no snapshot has its events"

    /// A broker takes an entry into its state.
    member this.OnCommitted(broker: string, number: int64, taken: IReadOnlyList<ShardEvent>) =
        note $"{broker} takes entry {number}"

        if number > this.Tail then
            violation $"visible before durable: {broker} publishes entry {number} while the log ends at {this.Tail}"
        elif
            not (Seq.forall2 (fun (left: ShardEvent) right -> left.Equals right) taken events[int number])
            || taken.Count <> events[int number].Count
        then
            violation $"states differ: {broker} has taken another entry {number} than the log's"

    /// A broker publishes a state.
    member this.OnPublished
        (broker: string, before: Published<ShardState>, published: Published<ShardState>, isThorough)
        =
        if not (isNull before) && published.EntryNumber < before.EntryNumber then
            violation $"{broker} goes back from entry {before.EntryNumber} to {published.EntryNumber}"

        if published.EntryNumber > this.Tail then
            violation
                $"visible before durable: {broker} is at entry {published.EntryNumber}, the log ends at {this.Tail}"
        else
            let truth = states[int published.EntryNumber]

            for KeyValue(key, partition) in truth.Partitions do
                let seen = Shard.partition key published.State

                if
                    seen.HighWatermark <> partition.HighWatermark
                    || seen.LogStartOffset <> partition.LogStartOffset
                    || seen.Chunks.Count <> partition.Chunks.Count
                then
                    violation
                        $"states differ: {broker} at entry {published.EntryNumber} has {name key} from {seen.LogStartOffset} to {seen.HighWatermark}, and the log {partition.LogStartOffset} to {partition.HighWatermark}"

            if
                isThorough
                && not ((bytesOf published.State).AsSpan().SequenceEqual(bytesOf truth))
            then
                violation $"states differ: {broker} at entry {published.EntryNumber}"

    /// A broker lets an answer to a batch go.
    member this.OnAnswered(broker: string, batch: SentBatch, offset: int64) =
        remember batch.Id
        remember offset

        if offset + int64 batch.Records > int64 (recordsOf batch.Partition).Count then
            violation
                $"acknowledged before durable: {broker} gives batch {batch.Id} offset {offset} of {name batch.Partition}, which ends at {(recordsOf batch.Partition).Count}"
        elif not (isAt batch offset) then
            violation
                $"lost write: {broker} gives batch {batch.Id} offset {offset} of {name batch.Partition}, where there is {(recordsOf batch.Partition)[int offset]}"

    /// A producer has its answer.
    member _.OnAcked(batch: SentBatch, offset: int64) = batch.AckedOffset <- ValueSome offset

    /// A DeleteRecords request was answered.
    member this.OnDeleted(key: TopicPartition, logStart: int64) =
        remember logStart
        let truth = (Shard.partition key this.State).LogStartOffset

        if logStart > truth then
            violation
                $"acknowledged before durable: DeleteRecords of {name key} to {logStart}, the log starts at {truth}"

        match logStarts.TryGetValue key with
        | true, before when before > logStart -> ()
        | _ -> logStarts[key] <- logStart

    /// A reader was given a record.
    member _.OnRead(reader: string, key: TopicPartition, offset: int64, record: SimulatedRecord) =
        let id = record.Id
        remember offset
        remember id
        let known = recordsOf key

        if offset >= int64 known.Count then
            violation
                $"visible before durable: {reader} reads offset {offset} of {name key}, which ends at {known.Count}"
        elif known[int offset] <> record then
            violation
                $"inconsistent offset: {reader} reads {id} at offset {offset} of {name key}, where {known[int offset]} is stored"

    /// A reader was given nothing of some offsets.
    member _.OnPassedOver(reader: string, key: TopicPartition, first: int64, next: int64) =
        for offset in first .. next - 1L do
            if not (storage.IsGone(key, offset)) then
                violation $"poll skip: {reader} is not given offset {offset} of {name key}"

    /// A reader has read a partition from its start to its end, and knows the newest values of some keys; -1 for a tombstone.
    member _.OnReadAll(reader: string, key: TopicPartition, seen: Map<int, int64>) =
        let known = recordsOf key

        for KeyValue(recordKey, id) in storage.NewestOf key do
            let offset = known.FindLastIndex(fun record -> record.Key = recordKey)

            match Map.tryFind recordKey seen with
            | Some found when found = id -> ()
            | None when id < 0L -> ()
            // Deleted since, or a tombstone that a slow reader may miss.
            | _ when storage.IsGone(key, int64 offset) -> ()
            | found ->
                violation
                    $"wrong value: {reader} ends with {found} for key {recordKey} of {name key}, and the newest is {id}"


    /// A member was given partitions.
    member _.OnOwned(owner: string, groupId: string, generation: int, partitions: int list) =
        note $"{owner} owns {partitions} in generation {generation}"

        for partition in partitions do
            let key = struct (groupId, generation, partition)

            match owners.TryGetValue key with
            | true, other when other <> owner ->
                violation
                    $"double ownership: {other} and {owner} both own partition {partition} in generation {generation}"
            | _ -> owners[key] <- owner

    /// What clients were told is committed, so far.
    member _.CommitsAcknowledged(groupId: string) : Map<int, int64> =
        Map.ofSeq (
            seq {
                for KeyValue(struct (id, partition), offset) in commits do
                    if id = groupId then
                        partition, offset
            }
        )

    /// A client was told that an offset is committed.
    member _.OnCommitAcknowledged(groupId: string, key: TopicPartition, offset: int64) =
        let known = struct (groupId, key.Partition)

        match commits.TryGetValue known with
        | true, before when before >= offset -> ()
        | _ -> commits[known] <- offset

    /// A client was given committed offsets, after these had been acknowledged.
    member _.OnOffsetsFetched
        (client: string, groupId: string, acknowledged: Map<int, int64>, fetched: Map<int, int64>)
        =
        for KeyValue(partition, offset) in acknowledged do
            let found = Map.tryFind partition fetched |> Option.defaultValue -1L

            if found < offset then
                violation
                    $"lost commit: {client} is given offset {found} of partition {partition} in {groupId}, after {offset} was acknowledged"

    /// Whether the bytes at an offset may be gone.
    member this.IsDeleted(key: TopicPartition, offset: int64) =
        offset < (Shard.partition key this.State).LogStartOffset

    /// What only the whole history shows.
    member this.Finish() =
        for KeyValue(struct (groupId, partition), offset) in commits do
            let stored =
                match Shard.group groupId this.State with
                | ValueSome group ->
                    Seq.tryPick
                        (fun (KeyValue(key: TopicPartition, committed: CommittedOffset)) ->
                            if key.Partition = partition then
                                Some committed.Offset
                            else
                                None)
                        group.Offsets
                    |> Option.defaultValue -1L
                | ValueNone -> -1L

            if stored < offset then
                violation
                    $"lost commit: offset {offset} of partition {partition} was acknowledged, and {stored} is stored"

        let count = Dictionary<int64, int>()

        for key in partitions do
            for { Id = id } in recordsOf key do
                count[id] <-
                    (match count.TryGetValue id with
                     | true, before -> before + 1
                     | _ -> 1)

                match sent.TryGetValue(id / Batches.idStep * Batches.idStep) with
                | true, batch when batch.Partition.Equals key -> ()
                | _ -> violation $"a record nobody sent: {id} in {name key}"

        for KeyValue(key, logStart) in logStarts do
            let truth = (Shard.partition key this.State).LogStartOffset

            if truth < logStart then
                violation $"the log start offset of {name key} is {truth}, and a client was told {logStart}"

        let last = Dictionary<struct (int * TopicPartition), struct (int64 * int64)>()

        for batch in batches do
            let stored =
                match count.TryGetValue batch.Id with
                | true, times -> times
                | _ -> 0

            match batch.AckedOffset with
            | ValueSome offset ->
                if not (isAt batch offset) then
                    violation
                        $"lost write: batch {batch.Id} was acknowledged at offset {offset} of {name batch.Partition}"

                let key = struct (batch.Producer, batch.Partition)

                match last.TryGetValue key with
                | true, struct (earlier, before) when before >= offset ->
                    violation
                        $"non-monotonic send: producer {batch.Producer} sent {earlier} before {batch.Id}, which got offset {offset} after {before}"
                | _ -> ()

                last[key] <- struct (batch.Id, offset)
            | ValueNone when batch.Tries > 0 -> violation $"batch {batch.Id} was never acknowledged"
            | ValueNone -> ()

            if stored > 1 && (batch.IsIdempotent || batch.Tries <= 1) then
                violation $"duplicate: batch {batch.Id} is stored {stored} times after {batch.Tries} tries"
