/// What a broker does for a client with a transactional id: the handlers of Produce, InitProducerId, AddPartitionsToTxn, AddOffsetsToTxn,
/// TxnOffsetCommit, EndTxn and OffsetFetch, without their bytes.
module Tansu.PropertyTests.Simulation.TransactionRequests

open System
open System.Threading.Tasks
open Tansu.Adapters.Replica
open Tansu.Domain

/// What a client makes of an answer.
[<NoComparison; NoEquality>]
type Answer<'Reply> =
    | Said of 'Reply
    /// Ask again.
    | Again
    /// Abort, and begin anew.
    | Abortable
    /// Somebody else has the transactional id.
    | Fenced
    /// No error that a client can expect.
    | Unexpected of refusal: Refusal

/// A producer as it asks.
[<Struct>]
type Holder = {
    TransactionalId: string
    ProducerId: int64
    Epoch: int16
    /// Whether it speaks transactions v2.
    BumpsEpoch: bool
}

let private ofRefusal (refusal: Refusal) : Answer<'Reply> =
    match refusal with
    | ProducerFenced
    | InvalidProducerEpoch
    | InvalidProducerIdMapping -> Fenced
    | ConcurrentTransactions -> Again
    | InvalidTransactionState
    | TransactionEnded -> Abortable
    | other -> Unexpected other

let private known (found: Transaction) =
    if isNull (box found) then ValueNone else ValueSome found

let private ongoing (broker: Broker) (holder: Holder) =
    known (broker.Transactions.FindOngoing(holder.TransactionalId, holder.ProducerId, holder.Epoch))

/// The open transaction of this producer as it is known at the broker, or why there is none.
let private openNow (broker: Broker) (holder: Holder) : Answer<Transaction> =
    match known (broker.Transactions.Find holder.TransactionalId) with
    | ValueNone -> Fenced
    | ValueSome transaction when transaction.ProducerId <> holder.ProducerId -> Fenced
    | ValueSome transaction when transaction.ProducerEpoch <> holder.Epoch -> Fenced
    | ValueSome transaction when Transaction.isPrepared transaction -> Again
    | ValueSome transaction when Transaction.isOngoing transaction -> Said transaction
    | ValueSome _ -> Abortable

/// InitProducerId: the producer id and epoch to go on with.
let initialize (cluster: Cluster) transactionalId (knownId: int64) (knownEpoch: int16) (broker: Broker) =
    task {
        let timeoutMs = int cluster.Settings.TransactionTimeout.TotalMilliseconds

        match!
            broker.Transactions.InitializeAsync(
                transactionalId,
                timeoutMs,
                knownId,
                knownEpoch,
                cluster.Settings.BrokerPatience
            )
        with
        | ProducerReady(producerId, epoch) -> return Said struct (producerId, epoch)
        | TransactionRefused refusal -> return ofRefusal refusal
        | other -> return failwith $"not the answer to InitProducerId: {other.GetType().Name}"
    }

let private add (cluster: Cluster) (holder: Holder) partitions groups (broker: Broker) : Task<Answer<int64>> =
    task {
        let addition = {
            ProducerId = holder.ProducerId
            ProducerEpoch = holder.Epoch
            Partitions = [|
                for key: TopicPartition in partitions -> struct (key, key.Partition % cluster.Settings.Shards)
            |]
            Groups = [|
                for groupId in groups -> struct (groupId, broker.Transactions.ShardOf groupId)
            |]
            BumpsEpoch = holder.BumpsEpoch
        }

        match! broker.Transactions.AddAsync(holder.TransactionalId, addition, cluster.Settings.BrokerPatience) with
        | InTransaction number -> return Said number
        | TransactionRefused refusal -> return ofRefusal refusal
        | other -> return failwith $"not the answer to an addition: {other.GetType().Name}"
    }

/// AddPartitionsToTxn.
let addPartitions cluster holder partitions broker = add cluster holder partitions [] broker

/// AddOffsetsToTxn.
let addGroup cluster holder groupId broker =
    add cluster holder [] [ groupId ] broker

/// The batches of one shard, on their way.
let private submit
    (cluster: Cluster)
    (connection: Connection)
    (holder: Holder)
    number
    addition
    batches
    (broker: Broker)
    =
    let random = cluster.Scheduler.Random
    let payload = ResizeArray<ReadOnlyMemory<byte>>()
    let groups = [| for batch: SentBatch in batches -> batch.Partition.GetHashCode() |]

    let toAppend = [|
        for batch: SentBatch in batches do
            let bytes =
                Batches.build batch holder.ProducerId holder.Epoch (if random.Next 3 = 0 then 120 else 8)

            payload.Add(ReadOnlyMemory bytes)

            {
                Partition = batch.Partition
                Length = bytes.Length
                LastOffsetDelta = batch.Records - 1
                MaxTimestampMs = batch.TimestampMs
                ProducerId = holder.ProducerId
                ProducerEpoch = holder.Epoch
                BaseSequence = batch.Sequence
                Transaction = number
            }
    |]

    let command =
        match addition with
        | ValueSome addition -> AppendInTransaction(holder.TransactionalId, addition, toAppend)
        | ValueNone -> AppendBatches toAppend

    let shard = broker.ShardOf (List.head batches).Partition

    shard.Replica.SubmitAsync(
        command,
        Payload(payload.ToArray(), groups),
        cluster.Settings.BrokerPatience,
        connection.Chain
    )

/// The transaction of a batch has ended: perhaps this broker did not know that the next one had begun.
let private explainEnded (cluster: Cluster) (holder: Holder) number (partition: TopicPartition) (broker: Broker) =
    task {
        do! broker.Transactions.CatchUpAsync(holder.TransactionalId, cluster.Settings.BrokerPatience)

        match ongoing broker holder with
        | ValueSome transaction when transaction.Number > number && transaction.Partitions.ContainsKey partition ->
            return Again
        | _ -> return Abortable
    }

let private judgeReplies cluster holder number (batches: SentBatch list) (replies: AppendReply[]) (broker: Broker) =
    task {
        let answers = ResizeArray()

        for batch, reply in Seq.zip batches replies do
            match reply with
            | Appended(offset, _) ->
                (cluster: Cluster).Judge.OnAnswered(broker.Name, batch, offset)
                answers.Add(Said offset)
            | Refused TransactionEnded ->
                let! answer = explainEnded cluster holder number batch.Partition broker
                answers.Add answer
            | Refused refusal -> answers.Add(ofRefusal refusal)

        return List.ofSeq answers
    }

/// Which transaction batches belong to: its number, or what the command has to add to it; or why there is none.
let private enter (cluster: Cluster) (holder: Holder) (partitions: TopicPartition list) (broker: Broker) =
    task {
        let isAt shard (key: TopicPartition) =
            key.Partition % cluster.Settings.Shards = shard

        match ongoing broker holder with
        | ValueSome opened when List.forall opened.Partitions.ContainsKey partitions ->
            return Said struct (opened.Number, ValueNone)
        | _ when
            holder.BumpsEpoch
            && List.forall (isAt (broker.Transactions.ShardOf holder.TransactionalId)) partitions
            ->
            let addition = {
                ProducerId = holder.ProducerId
                ProducerEpoch = holder.Epoch
                Partitions = [|
                    for key in partitions -> struct (key, key.Partition % cluster.Settings.Shards)
                |]
                Groups = [||]
                BumpsEpoch = true
            }

            return Said struct (Transaction.ThisOne, ValueSome addition)
        | _ when holder.BumpsEpoch ->
            match! add cluster holder partitions [] broker with
            | Said number -> return Said struct (number, ValueNone)
            | Again -> return Again
            | Abortable -> return Abortable
            | Fenced -> return Fenced
            | Unexpected refusal -> return Unexpected refusal
        | _ ->
            do! broker.Transactions.CatchUpAsync(holder.TransactionalId, cluster.Settings.BrokerPatience)

            match openNow broker holder with
            | Said transaction when List.forall transaction.Partitions.ContainsKey partitions ->
                return Said struct (transaction.Number, ValueNone)
            | Said _
            | Abortable -> return Abortable
            | Again -> return Again
            | Fenced -> return Fenced
            | Unexpected refusal -> return Unexpected refusal
    }

/// Produce: an answer for each batch.
let produce (cluster: Cluster) (connection: Connection) (holder: Holder) (batches: SentBatch list) (broker: Broker) =
    task {
        let partitions = batches |> List.map _.Partition |> List.distinct

        let all answer =
            batches |> List.map (fun batch -> batch, answer)

        match! enter cluster holder partitions broker with
        | Said _ when connection.IsClientGone -> return all Again
        | Said(struct (number, addition)) ->
            // All are submitted before the first is awaited.
            let parts =
                batches
                |> List.groupBy (fun batch -> batch.Partition.Partition % cluster.Settings.Shards)
                |> List.map (fun (_, part) -> part, submit cluster connection holder number addition part broker)

            let judged = ResizeArray()

            for part, submitted in parts do
                try
                    match! submitted with
                    | BatchesJudged replies ->
                        let! answers = judgeReplies cluster holder number part replies broker
                        judged.AddRange(List.zip part answers)
                    | TransactionAnswered(TransactionRefused refusal) ->
                        judged.AddRange(part |> List.map (fun batch -> batch, ofRefusal refusal))
                    | _ ->
                        do! broker.Transactions.FinishAsync(holder.TransactionalId, cluster.Settings.BrokerPatience)
                        judged.AddRange(part |> List.map (fun batch -> batch, Again))
                with :? TimeoutException ->
                    judged.AddRange(part |> List.map (fun batch -> batch, Again))

            return List.ofSeq judged
        | Again -> return all Again
        | Abortable -> return all Abortable
        | Fenced -> return all Fenced
        | Unexpected refusal -> return all (Unexpected refusal)
    }

let private toCommit (key: TopicPartition) offset (holder: Holder) known number : TransactionalCommit = {
    MemberId = ""
    InstanceId = null
    Generation = -1
    ProducerId = holder.ProducerId
    ProducerEpoch = holder.Epoch
    Number = number
    Known = known
    Offsets = [| { Partition = key; Offset = offset; LeaderEpoch = -1; Metadata = "" } |]
}

/// Which transaction offsets belong to, and the command that adds them.
let private enterGroup (cluster: Cluster) (holder: Holder) groupId key offset (broker: Broker) =
    task {
        let known =
            Shard.group groupId (broker.ShardOfName groupId).Replica.Current.State
            |> ValueOption.defaultValue Group.initial
            |> Group.transactionOf holder.ProducerId
            |> _.Offsets

        let toCommit = toCommit key offset holder known

        let ask number =
            AskGroup(groupId, CommitInTransaction(toCommit number))

        let shard = broker.Transactions.ShardOf groupId

        if holder.BumpsEpoch && shard = broker.Transactions.ShardOf holder.TransactionalId then
            let addition = {
                ProducerId = holder.ProducerId
                ProducerEpoch = holder.Epoch
                Partitions = [||]
                Groups = [| struct (groupId, shard) |]
                BumpsEpoch = true
            }

            return Said(CommitInGroupAndTransaction(holder.TransactionalId, addition, groupId, toCommit 0L))
        elif holder.BumpsEpoch then
            match! add cluster holder [] [ groupId ] broker with
            | Said number -> return Said(ask number)
            | Again -> return Again
            | Abortable -> return Abortable
            | Fenced -> return Fenced
            | Unexpected refusal -> return Unexpected refusal
        else
            match ongoing broker holder with
            | ValueSome opened when opened.Groups.ContainsKey groupId -> ()
            | _ -> do! broker.Transactions.CatchUpAsync(holder.TransactionalId, cluster.Settings.BrokerPatience)

            match openNow broker holder with
            | Said transaction when transaction.Groups.ContainsKey groupId -> return Said(ask transaction.Number)
            | Said _
            | Abortable -> return Abortable
            | Again -> return Again
            | Fenced -> return Fenced
            | Unexpected refusal -> return Unexpected refusal
    }

let private tryCommit (cluster: Cluster) (connection: Connection) (holder: Holder) groupId key offset (broker: Broker) =
    task {
        match! enterGroup cluster holder groupId key offset broker with
        | Said _ when connection.IsClientGone -> return Again
        | Said command ->
            match!
                (broker.ShardOfName groupId).Replica.SubmitAsync(command, Payload.None, cluster.Settings.BrokerPatience)
            with
            | GroupAnswered(OffsetsJudged _) -> return Said true
            | GroupAnswered(GroupRefused CommitOvertaken) -> return Said false
            | GroupAnswered(GroupRefused TransactionEnded) ->
                do! broker.Transactions.CatchUpAsync(holder.TransactionalId, cluster.Settings.BrokerPatience)

                match ongoing broker holder with
                | ValueSome transaction when transaction.Groups.ContainsKey groupId -> return Again
                | _ -> return Abortable
            | GroupAnswered(GroupRefused refusal) -> return ofRefusal refusal
            | TransactionAnswered(TransactionRefused refusal) -> return ofRefusal refusal
            | TransactionAnswered _ ->
                do! broker.Transactions.FinishAsync(holder.TransactionalId, cluster.Settings.BrokerPatience)
                return Again
            | other -> return failwith $"not the answer to TxnOffsetCommit: {other.GetType().Name}"
        | Again -> return Again
        | Abortable -> return Abortable
        | Fenced -> return Fenced
        | Unexpected refusal -> return Unexpected refusal
    }

/// TxnOffsetCommit.
let commitOffset cluster (connection: Connection) holder (groupId: string) key offset (broker: Broker) =
    task {
        let mutable answer = ValueNone
        let mutable attempts = 0

        while answer.IsNone do
            attempts <- attempts + 1

            match! tryCommit cluster connection holder groupId key offset broker with
            | Said true -> answer <- ValueSome(Said())
            | Said false when attempts = 3 -> answer <- ValueSome Again
            | Said false -> do! (broker.ShardOfName groupId).Groups.CatchUpAsync cluster.Settings.BrokerPatience
            | Again -> answer <- ValueSome Again
            | Abortable -> answer <- ValueSome Abortable
            | Fenced -> answer <- ValueSome Fenced
            | Unexpected refusal -> answer <- ValueSome(Unexpected refusal)

        return answer.Value
    }

/// A control: the markers of other shards before the decision.
let private markFirst (cluster: Cluster) (holder: Holder) (broker: Broker) =
    task {
        match ongoing broker holder with
        | ValueSome transaction ->
            let own = broker.Transactions.ShardOf holder.TransactionalId
            let prepared = { transaction with State = TransactionState.PrepareCommit }

            let bytes =
                Tansu.Codec.Records
                    .EndTransactionMarker(Tansu.Codec.Records.ControlRecordType.Commit, 0)
                    .ToBatch(holder.ProducerId, holder.Epoch, 0L)

            let marker = { ProducerEpoch = holder.Epoch; Length = bytes.Length; TimestampMs = 0L }

            for shard in Transaction.otherShards own transaction do
                let! _ =
                    broker.Shards[shard]
                        .Replica.SubmitAsync(
                            WriteMarkers(Transaction.markers shard marker prepared),
                            Payload [| ReadOnlyMemory bytes; ReadOnlyMemory [| 0uy |] |],
                            cluster.Settings.BrokerPatience
                        )

                ()
        | ValueNone -> ()
    }

/// How often another transaction may have begun before the client is asked to come again.
let private maxAttempts = 3

/// EndTxn: the producer id and epoch to go on with.
let endTransaction (cluster: Cluster) (connection: Connection) (holder: Holder) isCommit (broker: Broker) =
    task {
        let coordinator = broker.Transactions

        if (ongoing broker holder).IsNone then
            do! coordinator.CatchUpAsync(holder.TransactionalId, cluster.Settings.BrokerPatience)

        if cluster.Settings.Control = MarkersFirst && isCommit then
            do! markFirst cluster holder broker

        let mutable answer = ValueNone
        let mutable attempts = 0

        while answer.IsNone do
            if connection.IsClientGone || attempts = maxAttempts then
                answer <- ValueSome Again
            else
                attempts <- attempts + 1

                let number =
                    match known (coordinator.Find holder.TransactionalId) with
                    | _ when cluster.Settings.Control = AnyTransactionEnds -> -1L
                    | ValueNone -> 0L
                    | ValueSome transaction -> transaction.Number

                match!
                    coordinator.EndAsync(
                        holder.TransactionalId,
                        holder.ProducerId,
                        holder.Epoch,
                        number,
                        isCommit,
                        holder.BumpsEpoch,
                        cluster.Settings.BrokerPatience
                    )
                with
                | TransactionDecided(producerId, epoch) -> answer <- ValueSome(Said struct (producerId, epoch))
                | TransactionRefused refusal -> answer <- ValueSome(ofRefusal refusal)
                | _ -> ()

        return answer.Value
    }

/// OffsetFetch of what is stable: the committed offset, or 0.
let fetchOffset (cluster: Cluster) (groupId: string) key (broker: Broker) =
    task {
        do! (broker.ShardOfName groupId).Groups.CatchUpAsync cluster.Settings.BrokerPatience

        let group =
            Shard.group groupId (broker.ShardOfName groupId).Replica.Current.State
            |> ValueOption.defaultValue Group.initial

        if Group.isUnstable key group then
            return Again
        else
            match group.Offsets.TryGetValue key with
            | true, committed -> return Said committed.Offset
            | _ -> return Said 0L
    }
