namespace Tansu.Domain

open System.Collections.Immutable

/// A partition's older chunks, of which there may be too many to be kept in the state: a list of them in an object of its own, loaded when
/// somebody reads there.
[<NoComparison>]
type IndexPage = {
    /// Offset of the first record in the first chunk.
    BaseOffset: int64
    /// Offset of the last record in the last chunk.
    LastOffset: int64
    /// The object that holds the list; other pages may be in it as well.
    ObjectName: string
    /// Where the list begins in the object.
    Position: int
    /// How many bytes the list has.
    Length: int
    /// How many chunks it lists.
    ChunkCount: int
    /// The sum of the chunks' lengths, in bytes.
    RecordBytes: int64
    /// The largest record timestamp in the chunks, in milliseconds since 1970.
    MaxTimestampMs: int64
}

/// One of the last batches of an idempotent producer, kept to recognise a retry.
[<Struct>]
type ProducerBatch = {
    /// Sequence of the batch's first record.
    BaseSequence: int
    /// Sequence of the batch's last record.
    LastSequence: int
    /// The offset the batch's first record was given.
    BaseOffset: int64
}

/// What a partition remembers of one producer id. Two are hardly ever alike, and maps would compare them with every batch.
[<ReferenceEquality>]
type Producer = {
    /// The newest epoch seen.
    Epoch: int16
    /// At most five batches of that epoch, oldest first. Never changed.
    Batches: ProducerBatch[]
    /// Time of the entry that last wrote for it, in milliseconds since 1970.
    LastTimeMs: int64
    /// The number of its last transaction that has ended here; 0 for none. See `Transaction.Number`.
    EndedTransaction: int64
}

/// One partition's log. A partition nothing was ever written to has no entry in the shard's state.
type Partition = {
    /// The first offset a reader may ask for.
    LogStartOffset: int64
    /// The offset the next record gets: every committed record is below it, so it is also the high watermark.
    HighWatermark: int64
    /// Chunks too old to be in `Chunks`, ordered by offset, without overlap. All are before the chunks.
    Pages: ImmutableList<IndexPage>
    /// Ordered by offset, without overlap. Between two of them offsets are missing where compaction has removed records.
    Chunks: ChunkList
    /// Where the part begins that has not been compacted by key yet; 0 if none has.
    CleanedToOffset: int64
    /// By producer id.
    Producers: ImmutableDictionary<int64, Producer>
    /// By producer id: whose records nobody may yet read who wants only committed ones.
    OpenTransactions: ImmutableDictionary<int64, OpenTransaction>
    /// In the order of their markers.
    AbortedTransactions: ImmutableList<AbortedTransaction>
}

/// A record batch that a producer sends. A command brings a slice of payload for each, in this order.
[<Struct; NoComparison>]
type BatchToAppend = {
    /// Where it goes.
    Partition: TopicPartition
    /// Its length, in bytes.
    Length: int
    /// The number of its records minus one.
    LastOffsetDelta: int
    /// Its largest timestamp, in milliseconds since 1970.
    MaxTimestampMs: int64
    /// -1 when it is not idempotent.
    ProducerId: int64
    /// -1 when it is not idempotent.
    ProducerEpoch: int16
    /// Sequence of its first record; -1 when it is not idempotent.
    BaseSequence: int
    /// Which of its producer's transactions it belongs to; 0 for none, `Transaction.ThisOne` for the one that the command adds to.
    Transaction: int64
}

/// A batch that was accepted.
[<Struct; NoComparison>]
type BatchAppended = {
    /// Where it went.
    Partition: TopicPartition
    /// The offset of its first record.
    BaseOffset: int64
    /// The number of its records minus one.
    LastOffsetDelta: int
    /// The data object that holds it; null when it is inline in this entry.
    DataObject: string | null
    /// Where it begins in the entry's payload or in the data object.
    Position: int
    /// Its length, in bytes.
    Length: int
    /// Its largest timestamp, in milliseconds since 1970.
    MaxTimestampMs: int64
    /// -1 when it is not idempotent.
    ProducerId: int64
    /// -1 when it is not idempotent.
    ProducerEpoch: int16
    /// Sequence of its first record; -1 when it is not idempotent.
    BaseSequence: int
    /// Which of its producer's transactions it belongs to; 0 for none.
    Transaction: int64
}

/// A compactor has written records anew: what lay in an offset range lies elsewhere now, and some of it may be gone.
[<NoComparison>]
type ChunksReplaced = {
    /// Whose.
    Partition: TopicPartition
    /// Pages and chunks from here …
    FirstOffset: int64
    /// … to here are replaced. None reaches over either end.
    LastOffset: int64
    /// The new pages, in order.
    Pages: IndexPage[]
    /// The new chunks, in order.
    Chunks: Chunk[]
    /// By how much the numbers of chunks change that pages list, by the object that the chunks are in: the state does not know what
    /// is in a page.
    PagedReferences: struct (string * int)[]
    /// Up to where (exclusive) the partition is now compacted by key; 0 if that does not change.
    CleanedToOffset: int64
    /// Transaction markers of the range below this offset are gone, with the records that they aborted; 0 for none.
    MarkersRemovedBelow: int64
}

/// What became of a batch.
[<Struct; NoComparison>]
type AppendReply =
    /// It is in the log, now or from an earlier try.
    | Appended of baseOffset: int64 * logStartOffset: int64
    /// Nothing of it is in the log.
    | Refused of refusal: Refusal

/// Sequence numbers wrap from Int32.MaxValue to 0 (KIP-98).
[<RequireQualifiedAccess>]
module Sequence =
    /// The sequence `increment` records after `sequence`.
    let add (sequence: int) (increment: int) =
        if sequence > System.Int32.MaxValue - increment then
            increment - (System.Int32.MaxValue - sequence) - 1
        else
            sequence + increment

    /// Whether `next` may follow `last`.
    let follows (last: int) (next: int) = add last 1 = next

/// The rules of one partition.
[<RequireQualifiedAccess>]
module Partition =
    /// How many batches per producer are remembered: Kafka's limit, and the largest `max.in.flight` of an idempotent client.
    [<Literal>]
    let RememberedBatches = 5

    /// A partition before its first record.
    let empty = {
        LogStartOffset = 0L
        HighWatermark = 0L
        Pages = ImmutableList<IndexPage>.Empty
        Chunks = ChunkList.Empty
        CleanedToOffset = 0L
        Producers = ImmutableDictionary<int64, Producer>.Empty
        OpenTransactions = ImmutableDictionary<int64, OpenTransaction>.Empty
        AbortedTransactions = ImmutableList<AbortedTransaction>.Empty
    }

    /// Nobody is forgotten in the middle of a transaction.
    let private isExpired (nowMs: int64) (expirationMs: int64) (partition: Partition) producerId (producer: Producer) =
        nowMs - producer.LastTimeMs >= expirationMs
        && not (partition.OpenTransactions.ContainsKey producerId)

    let private findProducer nowMs expirationMs producerId partition =
        match partition.Producers.TryGetValue producerId with
        | true, producer when not (isExpired nowMs expirationMs partition producerId producer) -> ValueSome producer
        | _ -> ValueNone

    /// Why a batch does not belong to the transaction that its producer has open here, if so: nothing that comes late may hang a
    /// transaction that has ended, or pass for a part of the next one.
    let private transactionProblem (batch: BatchToAppend) (partition: Partition) =
        let ended =
            match partition.Producers.TryGetValue batch.ProducerId with
            | true, producer -> producer.EndedTransaction
            | _ -> 0L

        match partition.OpenTransactions.TryGetValue batch.ProducerId with
        | true, openTransaction when batch.Transaction = openTransaction.Number -> ValueNone
        | true, openTransaction when batch.Transaction > 0L && batch.Transaction < openTransaction.Number ->
            ValueSome TransactionEnded
        | true, _ -> ValueSome InvalidTransactionState
        | _ when batch.Transaction > 0L && batch.Transaction <= ended -> ValueSome TransactionEnded
        | _ -> ValueNone

    /// A repeated batch has the exact sequence range of a remembered one. Linear in at most five.
    let private findDuplicate baseSequence lastSequence (batches: ProducerBatch[]) =
        let rec find index =
            if index = batches.Length then
                ValueNone
            elif
                batches[index].BaseSequence = baseSequence
                && batches[index].LastSequence = lastSequence
            then
                ValueSome batches[index].BaseOffset
            else
                find (index + 1)

        find 0

    let private lastSequence (batches: ProducerBatch[]) =
        if batches.Length = 0 then
            Absent.Sequence
        else
            batches[batches.Length - 1].LastSequence

    /// Judges one batch: the reply, and the offset it gets when it is new. The rules are those of Kafka's
    /// ProducerAppendInfo: unknown producers may start at any sequence, since their state may have expired.
    let judge
        (nowMs: int64)
        (expirationMs: int64)
        (batch: BatchToAppend)
        (partition: Partition)
        : struct (AppendReply * bool) =
        let accept () =
            struct (Appended(partition.HighWatermark, partition.LogStartOffset), true)

        let refuse refusal = struct (Refused refusal, false)

        if batch.ProducerId = Absent.ProducerId then
            accept ()
        else
            let transactionProblem = transactionProblem batch partition

            match findProducer nowMs expirationMs batch.ProducerId partition with
            | ValueNone when transactionProblem.IsSome -> refuse transactionProblem.Value
            | ValueNone -> accept ()
            | ValueSome producer when batch.ProducerEpoch < producer.Epoch -> refuse InvalidProducerEpoch
            | ValueSome producer when batch.ProducerEpoch > producer.Epoch ->
                if transactionProblem.IsSome then
                    refuse transactionProblem.Value
                elif batch.BaseSequence = 0 then
                    accept ()
                else
                    refuse OutOfOrderSequence
            | ValueSome producer ->
                let last = Sequence.add batch.BaseSequence batch.LastOffsetDelta

                match findDuplicate batch.BaseSequence last producer.Batches with
                | ValueSome baseOffset -> struct (Appended(baseOffset, partition.LogStartOffset), false)
                | ValueNone when transactionProblem.IsSome -> refuse transactionProblem.Value
                | ValueNone when Sequence.follows (lastSequence producer.Batches) batch.BaseSequence -> accept ()
                | ValueNone -> refuse OutOfOrderSequence

    let private addChunk (entryNumber: int64) (appended: BatchAppended) (chunks: ChunkList) =
        let source =
            match appended.DataObject with
            | null -> InlineEntry entryNumber
            | name -> DataObject name

        let lastOffset = appended.BaseOffset + int64 appended.LastOffsetDelta

        let alone = {
            BaseOffset = appended.BaseOffset
            LastOffset = lastOffset
            Source = source
            Position = appended.Position
            Length = appended.Length
            MaxTimestampMs = appended.MaxTimestampMs
        }

        if chunks.IsEmpty then
            chunks.Add alone
        else
            let previous = chunks.Last

            if
                previous.Source = source
                && previous.Position + previous.Length = appended.Position
                && previous.LastOffset + 1L = appended.BaseOffset
            then
                chunks.SetLast {
                    previous with
                        LastOffset = lastOffset
                        Length = previous.Length + appended.Length
                        MaxTimestampMs = max previous.MaxTimestampMs appended.MaxTimestampMs
                }
            else
                chunks.Add alone

    let private remember (timeMs: int64) (appended: BatchAppended) (producers: ImmutableDictionary<int64, Producer>) =
        if appended.ProducerId = Absent.ProducerId then
            producers
        else
            let batch: ProducerBatch = {
                BaseSequence = appended.BaseSequence
                LastSequence = Sequence.add appended.BaseSequence appended.LastOffsetDelta
                BaseOffset = appended.BaseOffset
            }

            let struct (earlier, endedTransaction) =
                match producers.TryGetValue appended.ProducerId with
                | true, producer when
                    producer.Epoch = appended.ProducerEpoch
                    && Sequence.follows (lastSequence producer.Batches) appended.BaseSequence
                    ->
                    struct (producer.Batches, producer.EndedTransaction)
                // A batch that does not follow was accepted because the producer's state had expired: start afresh.
                | true, producer -> struct ([||], producer.EndedTransaction)
                | _ -> struct ([||], 0L)

            let kept = min earlier.Length (RememberedBatches - 1)
            let batches = Array.zeroCreate (kept + 1)
            System.Array.Copy(earlier, earlier.Length - kept, batches, 0, kept)
            batches[kept] <- batch

            producers.SetItem(
                appended.ProducerId,
                {
                    Epoch = appended.ProducerEpoch
                    Batches = batches
                    LastTimeMs = timeMs
                    EndedTransaction = endedTransaction
                }
            )

    let private openTransaction (appended: BatchAppended) (partition: Partition) =
        if
            appended.Transaction = 0L
            || partition.OpenTransactions.ContainsKey appended.ProducerId
        then
            partition.OpenTransactions
        else
            partition.OpenTransactions.Add(
                appended.ProducerId,
                { FirstOffset = appended.BaseOffset; Number = appended.Transaction }
            )

    /// Applies an accepted batch.
    let append (context: EntryContext) (appended: BatchAppended) (partition: Partition) = {
        partition with
            HighWatermark = appended.BaseOffset + int64 appended.LastOffsetDelta + 1L
            Chunks = addChunk context.EntryNumber appended partition.Chunks
            Producers = remember context.TimeMs appended partition.Producers
            OpenTransactions = openTransaction appended partition
    }

    /// Every record below it is decided: the end for readers who want only committed ones.
    let lastStableOffset (partition: Partition) =
        if partition.OpenTransactions.IsEmpty then
            partition.HighWatermark
        else
            let mutable offset = partition.HighWatermark

            for KeyValue(_, openTransaction) in partition.OpenTransactions do
                offset <- min offset openTransaction.FirstOffset

            max offset partition.LogStartOffset

    /// Whether the end of a transaction is known here already, or would come in the middle of a later one.
    let hasEnded (producerId: int64) (number: int64) (partition: Partition) =
        let isKnown =
            match partition.Producers.TryGetValue producerId with
            | true, producer -> producer.EndedTransaction >= number
            | _ -> false

        let isPast =
            match partition.OpenTransactions.TryGetValue producerId with
            | true, later -> later.Number > number
            | _ -> false

        isKnown || isPast

    let private markProducer
        (timeMs: int64)
        (marker: TransactionMarker)
        (producers: ImmutableDictionary<int64, Producer>)
        =
        let marked =
            match producers.TryGetValue marker.ProducerId with
            | true, producer when producer.Epoch >= marker.ProducerEpoch -> producer
            | _ -> { Epoch = marker.ProducerEpoch; Batches = [||]; LastTimeMs = timeMs; EndedTransaction = 0L }

        producers.SetItem(marker.ProducerId, { marked with LastTimeMs = timeMs; EndedTransaction = marker.Number })

    /// Applies the end of a transaction. The marker is a chunk by itself, as its bytes are shared with other partitions.
    let mark (context: EntryContext) (marker: TransactionMarker) (partition: Partition) =
        let marked = {
            partition with
                HighWatermark = marker.Offset + 1L
                Chunks =
                    partition.Chunks.Add {
                        BaseOffset = marker.Offset
                        LastOffset = marker.Offset
                        Source =
                            match marker.DataObject with
                            | null -> InlineEntry context.EntryNumber
                            | name -> DataObject name
                        Position = marker.Position
                        Length = marker.Length
                        MaxTimestampMs = marker.TimestampMs
                    }
                Producers = markProducer context.TimeMs marker partition.Producers
                OpenTransactions = partition.OpenTransactions.Remove marker.ProducerId
        }

        match partition.OpenTransactions.TryGetValue marker.ProducerId with
        | true, ended when not marker.IsCommit -> {
            marked with
                AbortedTransactions =
                    partition.AbortedTransactions.Add {
                        ProducerId = marker.ProducerId
                        FirstOffset = ended.FirstOffset
                        LastOffset = marker.Offset
                        LastStableOffset = lastStableOffset marked
                    }
          }
        | _ -> marked

    /// The aborted transactions that have records from `fromOffset` on and below `endOffset`.
    let abortedBetween (fromOffset: int64) (endOffset: int64) (partition: Partition) : AbortedTransaction[] =
        let all = partition.AbortedTransactions

        // By the markers' offsets, which rise.
        let rec firstFrom low high =
            if low >= high then
                low
            else
                let middle = low + (high - low) / 2

                if all[middle].LastOffset < fromOffset then
                    firstFrom (middle + 1) high
                else
                    firstFrom low middle

        let found = ResizeArray<AbortedTransaction>()

        let rec gather index =
            if index < all.Count then
                let aborted = all[index]

                if aborted.FirstOffset < endOffset then
                    found.Add aborted

                if aborted.LastStableOffset < endOffset then
                    gather (index + 1)

        gather (firstFrom 0 all.Count)
        found.ToArray()

    /// How many pages lie wholly before the offset.
    let pagesBefore (offset: int64) (partition: Partition) =
        let rec firstKept index =
            if index < partition.Pages.Count && partition.Pages[index].LastOffset < offset then
                firstKept (index + 1)
            else
                index

        firstKept 0

    /// Moves the log start offset forward; pages and chunks wholly before it go.
    let advanceLogStart (logStartOffset: int64) (partition: Partition) = {
        partition with
            LogStartOffset = logStartOffset
            Pages = partition.Pages.RemoveRange(0, pagesBefore logStartOffset partition)
            Chunks = partition.Chunks.RemoveRange(0, partition.Chunks.IndexOf logStartOffset)
            AbortedTransactions =
                partition.AbortedTransactions.RemoveAll(fun aborted -> aborted.LastOffset < logStartOffset)
    }

    /// The bytes of all its records, as stored.
    let sizeBytes (partition: Partition) =
        let mutable bytes = 0L

        for page in partition.Pages do
            bytes <- bytes + page.RecordBytes

        for chunk in partition.Chunks do
            bytes <- bytes + int64 chunk.Length

        bytes

    /// Which pages lie wholly in an offset range, and which chunks: the first of each, and how many.
    let private placesIn (firstOffset: int64) (lastOffset: int64) (partition: Partition) =
        let page = pagesBefore firstOffset partition
        let chunk = partition.Chunks.IndexOf firstOffset

        struct (page,
                pagesBefore (lastOffset + 1L) partition - page,
                chunk,
                partition.Chunks.IndexOf(lastOffset + 1L) - chunk)

    /// The pages and chunks that lie wholly in an offset range.
    let inRange (firstOffset: int64) (lastOffset: int64) (partition: Partition) =
        let struct (page, pages, chunk, chunks) = placesIn firstOffset lastOffset partition
        struct (partition.Pages.GetRange(page, pages), partition.Chunks.GetRange(chunk, chunks))

    /// Puts other pages and chunks in the place of those that lie in an offset range.
    let replace (replaced: ChunksReplaced) (partition: Partition) =
        let struct (page, pages, chunk, chunks) =
            placesIn replaced.FirstOffset replaced.LastOffset partition

        {
            partition with
                Pages = partition.Pages.RemoveRange(page, pages).InsertRange(page, replaced.Pages)
                Chunks = partition.Chunks.ReplaceRange(chunk, chunks, replaced.Chunks)
                CleanedToOffset = max replaced.CleanedToOffset partition.CleanedToOffset
                AbortedTransactions =
                    // Readers take whatever follows for aborted until they come to the marker: both go at once.
                    if replaced.MarkersRemovedBelow = 0L then
                        partition.AbortedTransactions
                    else
                        partition.AbortedTransactions.RemoveAll(fun aborted ->
                            aborted.LastOffset >= replaced.FirstOffset
                            && aborted.LastOffset <= replaced.LastOffset
                            && aborted.LastOffset < replaced.MarkersRemovedBelow)
        }

    /// The ids of producers that have been idle for `expirationMs`.
    let expiredProducers (nowMs: int64) (expirationMs: int64) (partition: Partition) = [|
        for KeyValue(producerId, producer) in partition.Producers do
            if isExpired nowMs expirationMs partition producerId producer then
                producerId
    |]

    /// Forgets producers.
    let forgetProducers (producerIds: int64[]) (partition: Partition) = {
        partition with
            Producers = partition.Producers.RemoveRange producerIds
    }
