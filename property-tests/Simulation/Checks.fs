namespace Tansu.PropertyTests.Simulation

open System
open System.Collections.Generic
open Tansu.Adapters.Ports
open Tansu.Adapters.Replica
open Tansu.Codec
open Tansu.Domain

type ShardReplica = Replica<ShardState, ShardCommand, ShardEvent, ShardReply>

/// What all judges share.
[<Sealed>]
type Findings(now: unit -> TimeSpan, isTold: bool) =
    let violations = List<string>()
    let mutable hash = 14695981039346656037UL

    member _.Violations = violations

    member _.Violation(text: string) =
        if violations.Count < 20 then
            violations.Add $"{now().TotalSeconds:F3}s {text}"

    /// For whoever reads along.
    member _.Note(text: string) =
        if isTold then
            Console.Out.WriteLine $"{now().TotalSeconds:F3}s {text}"

    /// The same history has the same hash.
    member _.Hash = hash

    member _.Remember(value: int64) =
        hash <- (hash ^^^ uint64 value) * 1099511628211UL

    member this.RememberTime() = this.Remember (now ()).Ticks

/// Folds the entries of one log as they are created, which gives the truth that brokers are measured by.
[<Sealed>]
type LogJudge
    (
        logName: string,
        findings: Findings,
        transactions: TransactionChecks,
        tryGetObject: string -> byte[],
        cleanupOf: TopicId -> Cleanup voption
    ) =
    let codec = EntryCodec<ShardState, ShardEvent>(ShardCodec(), logName)
    let states = List<ShardState>([ Shard.initial ])

    let events =
        List<IReadOnlyList<ShardEvent>>([ Array.empty :> IReadOnlyList<ShardEvent> ])

    let mutable ghosts = 0
    let note text = findings.Note text
    let remember value = findings.Remember value
    let violation text = findings.Violation text
    let name (key: TopicPartition) = $"partition {key.Partition}"
    let storage = StorageChecks(cleanupOf, tryGetObject, violation)
    let recordsOf key = storage.RecordsOf key
    let partitions = HashSet<TopicPartition>()
    let mutable newestSnapshot = 0L

    let bytesOf (state: ShardState) =
        use writer = new KafkaWriter()
        (ShardCodec() :> ILogCodec<ShardState, ShardEvent>).WriteState(writer, state)
        writer.ToArray()

    /// Bytes that an event refers to: the records in them.
    let readBytes number (payload: ReadOnlyMemory<byte>) (dataObject: string | null) position length =
        let source =
            match dataObject with
            | null -> payload
            | blob ->
                match tryGetObject blob with
                | null ->
                    violation $"visible before durable: entry {number} refers to {blob}, which is not stored"
                    ReadOnlyMemory.Empty
                | content -> ReadOnlyMemory content

        if position + length <= source.Length then
            fst (Batches.readAll (source.Slice(position, length).ToArray()))
        else
            violation $"entry {number} refers to bytes that are not there"
            []

    let expectEnd number key (baseOffset: int64) =
        partitions.Add key |> ignore

        if baseOffset <> int64 (recordsOf key).Count then
            violation
                $"offsets not contiguous: entry {number} appends to {name key} at {baseOffset}, which ends at {(recordsOf key).Count}"

    let append (number: int64) timeMs (payload: ReadOnlyMemory<byte>) (batch: BatchAppended) =
        expectEnd number batch.Partition batch.BaseOffset

        for struct (_, record) in readBytes number payload batch.DataObject batch.Position batch.Length do
            if record.IsTransactional <> (batch.Transaction <> 0L) || record.IsControl then
                violation $"entry {number} has a batch in {name batch.Partition} that is not what its event says"

            storage.OnAppended(batch.Partition, record, timeMs)
            remember record.Id

    let mark (number: int64) timeMs payload (marker: TransactionMarker) =
        expectEnd number marker.Partition marker.Offset

        match readBytes number payload marker.DataObject marker.Position marker.Length with
        | [ struct (_, record) ] when
            record.IsControl
            && record.ProducerId = marker.ProducerId
            && record.Id = (if marker.IsCommit then 1L else 0L)
            ->
            storage.OnAppended(marker.Partition, record, timeMs)
            storage.OnMarker(marker.Partition, marker.ProducerId, marker.IsCommit)
            remember marker.Number
        | _ -> violation $"entry {number} has a marker in {name marker.Partition} that is not what its event says"

    /// The last stable offset never goes back.
    let expectStable number (before: ShardState) (after: ShardState) =
        for KeyValue(key, partition) in after.Partitions do
            let earlier = Shard.partition key before

            if
                not (obj.ReferenceEquals(earlier, partition))
                && Partition.lastStableOffset partition < Partition.lastStableOffset earlier
            then
                violation
                    $"the last stable offset of {name key} goes back from {Partition.lastStableOffset earlier} to {Partition.lastStableOffset partition} with entry {number}"

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

    member _.LogName = logName

    /// The number of the newest entry.
    member _.Tail = int64 states.Count - 1L

    member _.State = states[states.Count - 1]

    /// Numbers of trimmed entries that were created again; harmless as long as nobody believes in them.
    member _.Ghosts = ghosts

    /// Those that were written to.
    member _.Partitions: IReadOnlyCollection<TopicPartition> = partitions

    /// What is stored, and what may have been removed.
    member _.Storage = storage

    /// The store is about to create an entry.
    member this.OnEntryCreated(number: int64, content: byte[]) =
        remember number
        findings.RememberTime()

        if number = this.Tail + 1L then
            let entry =
                codec.DecodeEntry(EntryHead(number, ObjectLayout.head content, (ObjectLayout.payload content).Length))

            let mutable state = this.State
            let context = { EntryNumber = number; TimeMs = entry.TimeMs }

            for event in entry.Events do
                storage.OnEvent(number, entry.TimeMs, state, event)
                transactions.OnEvent(number, state, event)

                match event with
                | BatchAppended batch -> append number entry.TimeMs (ObjectLayout.payload content) batch
                | MarkerAppended marker -> mark number entry.TimeMs (ObjectLayout.payload content) marker
                | GroupChanged(groupId, OffsetsCommitted(memberId, _, offsets)) ->
                    commit number state groupId memberId offsets
                | _ -> ()

                state <- Shard.evolve state event context

            storage.CheckCounts(number, state)
            expectStable number this.State state
            note $"entry {number} of {logName} is created with {entry.Events.Count} events"
            states.Add state
            events.Add entry.Events
        elif number <= this.Tail then
            note $"entry {number} of {logName} is created again"
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
        note $"{broker} takes entry {number} of {logName}"

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
                    || Partition.lastStableOffset seen <> Partition.lastStableOffset partition
                then
                    violation
                        $"states differ: {broker} at entry {published.EntryNumber} has {name key} from {seen.LogStartOffset} to {seen.HighWatermark}, and the log {partition.LogStartOffset} to {partition.HighWatermark}"

            for KeyValue(transactionalId, transaction) in truth.Transactions do
                match Shard.transaction transactionalId published.State with
                | ValueSome seen when
                    seen.State = transaction.State
                    && seen.Number = transaction.Number
                    && seen.ProducerEpoch = transaction.ProducerEpoch
                    ->
                    ()
                | _ ->
                    violation
                        $"states differ: {broker} at entry {published.EntryNumber} has another state of {transactionalId} than the log"

            if
                isThorough
                && not ((bytesOf published.State).AsSpan().SequenceEqual(bytesOf truth))
            then
                violation $"states differ: {broker} at entry {published.EntryNumber}"

/// Knows everything that happens, and says what must not.
[<Sealed>]
type Judge
    (
        logNames: string[],
        now: unit -> TimeSpan,
        tryGetObject: string -> byte[],
        cleanupOf: TopicId -> Cleanup voption,
        isTold: bool
    ) =
    let findings = Findings(now, isTold)
    let remember value = findings.Remember value
    let violation text = findings.Violation text
    let note text = findings.Note text
    let name (key: TopicPartition) = $"partition {key.Partition}"
    let transactions = TransactionChecks violation

    let logs =
        logNames
        |> Array.map (fun logName -> LogJudge(logName, findings, transactions, tryGetObject, cleanupOf))

    let logOf (key: TopicPartition) = logs[key.Partition % logs.Length]

    let logOfName (key: string) =
        logs[Placement.shardOfKey logs.Length key]

    let storageOf key = (logOf key).Storage
    let recordsOf key = (storageOf key).RecordsOf key
    let partitions () = logs |> Seq.collect _.Partitions
    let sent = Dictionary<int64, SentBatch>()
    let batches = List<SentBatch>()
    let clientTransactions = List<ClientTransaction>()
    let logStarts = Dictionary<TopicPartition, int64>()
    /// Who was given a partition in a generation of a group.
    let owners = Dictionary<struct (string * int * int), string>()

    /// The largest offsets that clients were told are committed.
    let commits = Dictionary<struct (string * int), int64>()

    /// Whether what is stored at the offset is this batch.
    let isAt (batch: SentBatch) (offset: int64) =
        let known = recordsOf batch.Partition

        offset >= 0L
        && offset + int64 batch.Records <= int64 known.Count
        && Seq.forall
            (fun index -> known[int offset + index].Id = batch.Id + int64 index)
            (seq { 0 .. batch.Records - 1 })

    member _.Violations = findings.Violations
    member _.Violation text = violation text

    /// For whoever reads along.
    member _.Note text = findings.Note text

    /// The same history has the same hash.
    member _.Hash = findings.Hash

    /// By shard.
    member _.Logs = logs

    /// The log of a partition.
    member _.LogOf key = logOf key

    /// The log of a group or a transactional id.
    member _.LogOfName key = logOfName key

    member _.Transactions = transactions
    member _.ClientTransactions = clientTransactions

    /// What a transaction has left open anywhere.
    member _.LeftOpen: string list = [
        for log in logs do
            yield! transactions.LeftOpen log.State
    ]

    /// Where a transaction that is open keeps somebody waiting.
    member _.KeptWaiting: string list = [
        for log in logs do
            yield! transactions.KeptWaiting log.State
    ]

    member _.Batches = batches

    member _.RecordsOf key = recordsOf key

    member _.NewBatch(producer, partition: TopicPartition, count, isIdempotent, isTransactional, timestampMs) =
        let isKeyed =
            match cleanupOf partition.TopicId with
            | ValueSome cleanup -> cleanup.Compacts
            | ValueNone -> false

        let id = int64 (batches.Count + 1) * Batches.idStep

        let batch =
            SentBatch(id, producer, partition, count, isIdempotent, isKeyed, isTransactional, timestampMs)

        sent[batch.Id] <- batch
        batches.Add batch
        batch

    /// A client begins to write in a transaction.
    member _.NewTransaction(transactionalId, groupId, key, from) =
        let transaction =
            ClientTransaction(clientTransactions.Count + 1, transactionalId, groupId, key, from)

        clientTransactions.Add transaction
        transaction

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
        let truth = (Shard.partition key (logOf key).State).LogStartOffset

        if logStart > truth then
            violation
                $"acknowledged before durable: DeleteRecords of {name key} to {logStart}, the log starts at {truth}"

        match logStarts.TryGetValue key with
        | true, before when before > logStart -> ()
        | _ -> logStarts[key] <- logStart

    /// A reader of committed records was given one.
    member this.OnReadCommitted(reader: string, key: TopicPartition, offset: int64, record: SimulatedRecord) =
        this.OnRead(reader, key, offset, record)

        if offset < int64 (recordsOf key).Count then
            match (storageOf key).FateOf(key, offset) with
            | Fate.Plain
            | Fate.Committed -> ()
            | fate -> violation $"dirty read: {reader} is given offset {offset} of {name key}, which is {fate}"

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
    member _.OnPassedOver(reader: string, key: TopicPartition, isCommitted: bool, first: int64, next: int64) =
        for offset in first .. next - 1L do
            let fate = (storageOf key).FateOf(key, offset)

            if
                not ((storageOf key).IsGone(key, offset))
                && fate <> Fate.Marker
                && not (isCommitted && fate = Fate.Aborted)
            then
                violation $"poll skip: {reader} is not given offset {offset} of {name key}"

    /// A reader has read a partition from its start to its end, and was given these records of it, the last one first.
    member _.OnReadAll(reader: string, key: TopicPartition, given: struct (int64 * SimulatedRecord) list) =
        let known = recordsOf key
        let storage = storageOf key

        let isValue offset =
            match storage.FateOf(key, offset) with
            | Fate.Plain
            | Fate.Committed -> true
            | _ -> false

        let newest = Dictionary<int, int64>()

        for struct (offset, record) in given do
            if isValue offset then
                newest.TryAdd(record.Key, (if record.IsTombstone then -1L else record.Id))
                |> ignore

        for KeyValue(recordKey, id) in storage.NewestOf key do
            let offset =
                seq { known.Count - 1 .. -1 .. 0 }
                |> Seq.find (fun offset -> known[offset].Key = recordKey && isValue (int64 offset))

            match newest.TryGetValue recordKey with
            | true, found when found = id -> ()
            | false, _ when id < 0L -> ()
            // Deleted since, or a tombstone that a slow reader may miss.
            | _ when storage.IsGone(key, int64 offset) -> ()
            | _, found ->
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
        offset < (Shard.partition key (logOf key).State).LogStartOffset

    /// What only the whole history shows.
    member this.Finish() =
        for KeyValue(struct (groupId, partition), offset) in commits do
            let stored =
                match Shard.group groupId (logOfName groupId).State with
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

        for key in partitions () do
            for { Id = id } in recordsOf key |> Seq.filter (fun record -> not record.IsControl) do
                count[id] <-
                    (match count.TryGetValue id with
                     | true, before -> before + 1
                     | _ -> 1)

                match sent.TryGetValue(id / Batches.idStep * Batches.idStep) with
                | true, batch when batch.Partition.Equals key -> ()
                | _ -> violation $"a record nobody sent: {id} in {name key}"

        for KeyValue(key, logStart) in logStarts do
            let truth = (Shard.partition key (logOf key).State).LogStartOffset

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
            | ValueNone when batch.Tries > 0 && not batch.IsTransactional ->
                violation $"batch {batch.Id} was never acknowledged"
            | ValueNone -> ()

            if stored > 1 && (batch.IsIdempotent || batch.Tries <= 1) then
                let places = [
                    for key in partitions () do
                        for offset, record in Seq.indexed (recordsOf key) do
                            if record.Id = batch.Id && not record.IsControl then
                                $"{name key}@{offset}"
                ]

                violation
                    $"duplicate: batch {batch.Id} of producer {batch.Producer} is stored at {places} after {batch.Tries} tries"

        this.FinishTransactions()

    /// All or none of each transaction, with its offsets.
    member private _.FinishTransactions() =
        let fates = Dictionary<int64, Fate>()

        for key in partitions () do
            recordsOf key
            |> Seq.iteri (fun offset record ->
                if record.IsTransactional && not record.IsControl then
                    fates[record.Id] <- (storageOf key).FateOf(key, int64 offset))

        // By group: what the offsets of committed transactions cover.
        let covered = Dictionary<string, List<struct (int64 * int64)>>()

        for transaction in clientTransactions do
            let known = [
                for batch in transaction.Batches do
                    for index in 0 .. batch.Records - 1 do
                        match fates.TryGetValue(batch.Id + int64 index) with
                        | true, fate -> fate
                        | _ -> Fate.Aborted
            ]

            let what = $"transaction {transaction.Id} of {transaction.TransactionalId}"
            let isCommitted = List.contains Fate.Committed known

            if List.contains Fate.Undecided known then
                violation $"{what} never ends"

            if isCommitted && List.exists (fun fate -> fate <> Fate.Committed) known then
                violation $"torn transaction: only a part of {what} has committed"

            if isCommitted && not transaction.MayCommit then
                violation $"{what} has committed, and nobody had asked for that"

            match transaction.Told with
            | ValueSome told when told <> isCommitted && not known.IsEmpty ->
                violation $"lost transaction: {what} has committed is {isCommitted}, and its client was told {told}"
            | _ -> ()

            if isCommitted && transaction.Until > transaction.From then
                match covered.TryGetValue transaction.GroupId with
                | true, spans -> spans.Add(struct (transaction.From, transaction.Until))
                | _ -> covered[transaction.GroupId] <- List [ struct (transaction.From, transaction.Until) ]

        // What was read is what committed transactions have copied, exactly once.
        for group in
            clientTransactions
            |> Seq.groupBy (fun transaction -> struct (transaction.GroupId, transaction.Key)) do
            let struct (groupId, key), _ = group

            let spans =
                match covered.TryGetValue groupId with
                | true, spans -> spans |> Seq.sort |> Seq.toList
                | _ -> []

            let reached =
                (0L, spans)
                ||> List.fold (fun reached (struct (first, next)) ->
                    if first <> reached then
                        violation
                            $"not exactly once: offsets of {groupId} up to {reached} were copied, and then those from {first} to {next}"

                    next)

            let stored =
                match Shard.group groupId (logOfName groupId).State with
                | ValueSome group ->
                    match group.Offsets.TryGetValue key with
                    | true, committed -> committed.Offset
                    | _ -> 0L
                | ValueNone -> 0L

            if stored <> reached then
                violation
                    $"torn transaction: offset {stored} of {groupId} is committed, and what committed transactions wrote reaches {reached}"
