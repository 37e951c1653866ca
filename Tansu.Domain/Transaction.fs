namespace Tansu.Domain

open System.Collections.Immutable

/// A transaction that is open in a partition.
[<NoComparison>]
type OpenTransaction = {
    /// The offset of its first record there.
    FirstOffset: int64
    /// Which of its producer's transactions; see `Transaction.Number`.
    Number: int64
}

/// A transaction that was aborted in a partition: its records are not for readers of committed ones.
[<NoComparison>]
type AbortedTransaction = {
    /// Whose.
    ProducerId: int64
    /// The offset of its first record.
    FirstOffset: int64
    /// The offset of its marker.
    LastOffset: int64
    /// The last stable offset that the marker left: transactions that are aborted later begin at or after it.
    LastStableOffset: int64
}

/// A control batch that ends a transaction in one partition.
[<Struct; NoComparison>]
type TransactionMarker = {
    /// Where it went.
    Partition: TopicPartition
    /// Its offset.
    Offset: int64
    /// The data object that holds it; null when it is inline in this entry.
    DataObject: string | null
    /// Where it begins in the entry's payload or in the data object, in bytes. The markers of one transaction share one place.
    Position: int
    /// Its length, in bytes.
    Length: int
    /// Its timestamp, in milliseconds since 1970.
    TimestampMs: int64
    /// Whose transaction ends.
    ProducerId: int64
    /// From now on batches of older epochs are refused.
    ProducerEpoch: int16
    /// Which of the producer's transactions ends.
    Number: int64
    /// Committed, or aborted.
    IsCommit: bool
}

/// Where a transactional id stands (the states of Kafka's coordinator).
[<Struct; RequireQualifiedAccess>]
type TransactionState =
    /// A producer has its id and has not begun a transaction.
    | Empty
    /// A transaction is open.
    | Ongoing
    /// It is decided that it commits; markers are on their way.
    | PrepareCommit
    /// It is decided that it aborts; markers are on their way.
    | PrepareAbort
    /// It has committed.
    | CompleteCommit
    /// It has aborted.
    | CompleteAbort

/// What the coordinator knows of a transactional id.
type Transaction = {
    /// The producer id that its holder uses.
    ProducerId: int64
    /// The newest epoch: who has an older one is fenced.
    ProducerEpoch: int16
    /// The producer id before this one, for a retry that does not know of the change; -1 for none.
    LastProducerId: int64
    /// The epoch before this one, for a retry that does not know of the change (KIP-360); -1 if its holder is fenced.
    LastProducerEpoch: int16
    /// The producer id that takes over once the transaction has ended, since the epochs of this one are used up; -1 for none.
    NextProducerId: int64
    /// How long a transaction may be open, in milliseconds.
    TimeoutMs: int
    /// Where it stands.
    State: TransactionState
    /// Whether its client speaks transactions v2 (KIP-890), where every end raises the epoch.
    BumpsEpoch: bool
    /// The partitions of the open transaction, and the shard of each.
    Partitions: ImmutableDictionary<TopicPartition, int>
    /// The groups whose offsets are part of it, and the shard of each.
    Groups: ImmutableDictionary<string, int>
    /// When it was begun, in milliseconds since 1970; -1 for none. To be shown, not to be counted from: it is another broker's clock.
    StartTimeMs: int64
    /// When it last changed, in milliseconds since 1970.
    LastUpdateMs: int64
    /// Counts the transactions begun. What belongs to a transaction carries its number, so that nothing late can pass for a part of another one.
    Number: int64
}

/// The rules' settings: the same on every broker of a cluster.
type TransactionSettings = {
    /// How long a transactional id without a transaction is kept (`transactional.id.expiration.ms`), in milliseconds.
    IdExpirationMs: int64
    /// `transaction.max.timeout.ms`.
    MaxTimeoutMs: int
} with

    /// Kafka's defaults.
    static member Default = { IdExpirationMs = 7L * 24L * 3_600_000L; MaxTimeoutMs = 900_000 }

/// InitProducerId of a transactional id.
type ProducerToInitialize = {
    /// An id that nobody has, in case one is needed; -1 if there is none at hand.
    NewProducerId: int64
    /// How long its transactions may be open, in milliseconds.
    TimeoutMs: int
    /// The id that the producer goes on with (KIP-360); -1 for a new producer.
    KnownProducerId: int64
    /// The epoch that it has; -1 for a new producer.
    KnownProducerEpoch: int16
}

/// AddPartitionsToTxn, AddOffsetsToTxn, or what a produce request of transactions v2 adds by itself.
type TransactionAddition = {
    /// Who asks.
    ProducerId: int64
    /// Its epoch.
    ProducerEpoch: int16
    /// The partitions, and the shard of each.
    Partitions: struct (TopicPartition * int)[]
    /// The groups, and the shard of each.
    Groups: struct (string * int)[]
    /// Whether the client speaks transactions v2.
    BumpsEpoch: bool
}

/// The control batch that a command brings as its payload.
[<Struct>]
type MarkerToAppend = {
    /// The epoch that it bears.
    ProducerEpoch: int16
    /// Its length, in bytes.
    Length: int
    /// Its timestamp, in milliseconds since 1970.
    TimestampMs: int64
}

/// EndTxn.
type TransactionToEnd = {
    /// The coordinator's own shard.
    Shard: int
    /// Who asks.
    ProducerId: int64
    /// Its epoch.
    ProducerEpoch: int16
    /// The transaction that is meant, as known when the request came; -1 for whichever is open. The epoch alone does not tell
    /// one from the next in transactions v1.
    Number: int64
    /// Commit, or abort.
    IsCommit: bool
    /// Whether the client speaks transactions v2.
    BumpsEpoch: bool
    /// An id that nobody has, in case the epochs are used up; -1 if there is none at hand.
    NextProducerId: int64
    /// Of the epoch that the end leaves.
    Marker: MarkerToAppend
}

/// Abort a transaction over its producer's head, who is fenced by that.
type TransactionToFence = {
    /// The coordinator's own shard.
    Shard: int
    /// Whose transaction.
    ProducerId: int64
    /// Which one.
    Number: int64
    /// Of the epoch after the producer's.
    Marker: MarkerToAppend
}

/// What a shard has to do for a transaction that ends.
type MarkersToWrite = {
    /// Whose transaction.
    ProducerId: int64
    /// Which one.
    Number: int64
    /// Commit, or abort.
    IsCommit: bool
    /// Its partitions in the shard.
    Partitions: TopicPartition[]
    /// Its groups in the shard.
    Groups: string[]
    /// The control batch.
    Marker: MarkerToAppend
}

/// What a transactional id can be asked.
type TransactionCommand =
    /// InitProducerId.
    | InitializeProducer of producer: ProducerToInitialize
    /// Begin a transaction if none is open, and add to it.
    | AddToTransaction of addition: TransactionAddition
    /// EndTxn.
    | EndTransaction of ending: TransactionToEnd
    /// The transaction has been open for too long, or somebody takes over the transactional id.
    | FenceTransaction of fencing: TransactionToFence
    /// All markers of that transaction have been written.
    | CompleteTransaction of number: int64

/// A producer as InitProducerId leaves it.
type InitializedProducer = {
    /// See `Transaction`.
    ProducerId: int64
    /// See `Transaction`.
    ProducerEpoch: int16
    /// See `Transaction`.
    LastProducerId: int64
    /// See `Transaction`.
    LastProducerEpoch: int16
    /// See `Transaction`.
    TimeoutMs: int
}

/// What was added to a transaction.
type AddedToTransaction = {
    /// Which one: above the last one if it begins with this.
    Number: int64
    /// See `Transaction`.
    BumpsEpoch: bool
    /// The partitions, and the shard of each.
    Partitions: struct (TopicPartition * int)[]
    /// The groups, and the shard of each.
    Groups: struct (string * int)[]
}

/// The decision about a transaction.
type PreparedTransaction = {
    /// Commit, or abort.
    IsCommit: bool
    /// See `Transaction`.
    BumpsEpoch: bool
    /// The epoch of the markers, and of what follows.
    ProducerEpoch: int16
    /// See `Transaction`.
    LastProducerEpoch: int16
    /// See `Transaction`.
    NextProducerId: int64
}

/// What has happened to a transactional id.
type TransactionEvent =
    /// A producer has it.
    | ProducerInitialized of producer: InitializedProducer
    /// A transaction has grown, or begun.
    | TransactionGrew of added: AddedToTransaction
    /// It is decided how the transaction ends.
    | TransactionPrepared of prepared: PreparedTransaction
    /// All its markers are there.
    | TransactionCompleted
    /// It was not used for too long, and is forgotten.
    | TransactionalIdExpired

/// A coordinator's answer.
type TransactionReply =
    /// To InitializeProducer: go on with these.
    | ProducerReady of producerId: int64 * producerEpoch: int16
    /// Ask again with a new producer id.
    | NeedsProducerId
    /// To InitializeProducer: the open transaction has to be aborted first (`FenceTransaction`).
    | TransactionIsOpen
    /// The transaction before is not complete: finish it, and ask again.
    | TransactionIsEnding
    /// To AddToTransaction: all of it is in this transaction.
    | InTransaction of number: int64
    /// To EndTransaction: it is decided, and this is what the producer goes on with.
    | TransactionDecided of producerId: int64 * producerEpoch: int16
    /// To EndTransaction: another transaction is open than the one that was meant.
    | AnotherTransaction
    /// Nothing was done.
    | TransactionRefused of refusal: Refusal
    /// To commands that have nothing to report.
    | TransactionDone

/// A transactional id's state: what has happened to it, and what can be read off it.
[<RequireQualifiedAccess; CompilationRepresentation(CompilationRepresentationFlags.ModuleSuffix)>]
module Transaction =
    /// Epochs end here: the last one is for fencing, and no producer ever gets it.
    [<Literal>]
    let LastEpoch = System.Int16.MaxValue

    /// In a batch that comes with `AppendInTransaction`: it belongs to the transaction that the command adds to.
    [<Literal>]
    let ThisOne = -1L

    /// Before anything has happened.
    let initial = {
        ProducerId = Absent.ProducerId
        ProducerEpoch = Absent.ProducerEpoch
        LastProducerId = Absent.ProducerId
        LastProducerEpoch = Absent.ProducerEpoch
        NextProducerId = Absent.ProducerId
        TimeoutMs = 0
        State = TransactionState.Empty
        BumpsEpoch = false
        Partitions = ImmutableDictionary<TopicPartition, int>.Empty
        Groups = ImmutableDictionary<string, int>.Empty
        StartTimeMs = Absent.TimestampMs
        LastUpdateMs = 0L
        Number = 0L
    }

    /// Whether it is decided how the transaction ends, and not everybody knows yet.
    let isPrepared (transaction: Transaction) =
        match transaction.State with
        | TransactionState.PrepareCommit
        | TransactionState.PrepareAbort -> true
        | TransactionState.Empty
        | TransactionState.Ongoing
        | TransactionState.CompleteCommit
        | TransactionState.CompleteAbort -> false

    /// Whether a transaction is open.
    let isOngoing (transaction: Transaction) =
        transaction.State = TransactionState.Ongoing

    /// Whether the producer has an epoch that nothing but fencing comes after.
    let isExhausted (producerEpoch: int16) = producerEpoch >= LastEpoch - 1s

    /// What a shard has to do for the transaction, which is prepared.
    let markers (shard: int) (marker: MarkerToAppend) (transaction: Transaction) : MarkersToWrite = {
        ProducerId = transaction.ProducerId
        Number = transaction.Number
        IsCommit = transaction.State = TransactionState.PrepareCommit
        Partitions = [|
            for KeyValue(partition, placed) in transaction.Partitions do
                if placed = shard then
                    partition
        |]
        // In an order that does not depend on this process.
        Groups =
            Array.sort [|
                for KeyValue(group, placed) in transaction.Groups do
                    if placed = shard then
                        group
            |]
        Marker = marker
    }

    /// The shards that the transaction touches besides its coordinator's.
    let otherShards (shard: int) (transaction: Transaction) =
        Seq.append transaction.Partitions.Values transaction.Groups.Values
        |> Seq.filter (fun placed -> placed <> shard)
        |> Seq.distinct
        |> Seq.sort
        |> Seq.toArray

    let private grow (context: EntryContext) (added: AddedToTransaction) (transaction: Transaction) : Transaction =
        let partitions =
            added.Partitions
            |> Seq.map (fun (struct (partition, shard)) -> System.Collections.Generic.KeyValuePair(partition, shard))

        let groups =
            added.Groups
            |> Seq.map (fun (struct (group, shard)) -> System.Collections.Generic.KeyValuePair(group, shard))

        {
            transaction with
                State = TransactionState.Ongoing
                BumpsEpoch = added.BumpsEpoch
                Number = added.Number
                Partitions = transaction.Partitions.SetItems partitions
                Groups = transaction.Groups.SetItems groups
                StartTimeMs =
                    if added.Number > transaction.Number then
                        context.TimeMs
                    else
                        transaction.StartTimeMs
                LastUpdateMs = context.TimeMs
        }

    let private complete (context: EntryContext) (transaction: Transaction) : Transaction =
        let ended = {
            transaction with
                State =
                    if transaction.State = TransactionState.PrepareCommit then
                        TransactionState.CompleteCommit
                    else
                        TransactionState.CompleteAbort
                Partitions = initial.Partitions
                Groups = initial.Groups
                StartTimeMs = Absent.TimestampMs
                LastUpdateMs = context.TimeMs
        }

        if transaction.NextProducerId = Absent.ProducerId then
            ended
        else
            {
                ended with
                    ProducerId = transaction.NextProducerId
                    ProducerEpoch = 0s
                    LastProducerId = transaction.ProducerId
                    NextProducerId = Absent.ProducerId
            }

    /// Applies one event; `TransactionalIdExpired` is the shard's to apply.
    let evolve (transaction: Transaction) (event: TransactionEvent) (context: EntryContext) : Transaction =
        match event with
        | ProducerInitialized producer -> {
            transaction with
                ProducerId = producer.ProducerId
                ProducerEpoch = producer.ProducerEpoch
                LastProducerId = producer.LastProducerId
                LastProducerEpoch = producer.LastProducerEpoch
                TimeoutMs = producer.TimeoutMs
                State = TransactionState.Empty
                LastUpdateMs = context.TimeMs
          }
        | TransactionGrew added -> grow context added transaction
        | TransactionPrepared prepared -> {
            transaction with
                State =
                    if prepared.IsCommit then
                        TransactionState.PrepareCommit
                    else
                        TransactionState.PrepareAbort
                BumpsEpoch = prepared.BumpsEpoch
                ProducerEpoch = prepared.ProducerEpoch
                LastProducerEpoch = prepared.LastProducerEpoch
                NextProducerId = prepared.NextProducerId
                LastUpdateMs = context.TimeMs
          }
        | TransactionCompleted -> complete context transaction
        | TransactionalIdExpired -> initial

    /// Forgets the partitions of a deleted topic: there is nothing left to mark.
    let forgetTopic (topicId: TopicId) (transaction: Transaction) : Transaction =
        let gone = [|
            for partition in transaction.Partitions.Keys do
                if partition.TopicId.Value = topicId.Value then
                    partition
        |]

        if gone.Length = 0 then
            transaction
        else
            { transaction with Partitions = transaction.Partitions.RemoveRange gone }
