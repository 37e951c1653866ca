namespace Tansu.PropertyTests.Simulation

open System.Collections.Generic
open Tansu.Domain

/// A transaction as a client means it.
[<AllowNullLiteral>]
type ClientTransaction(id: int, transactionalId: string, groupId: string, key: TopicPartition, from: int64) =
    member _.Id = id
    member _.TransactionalId = transactionalId
    /// The group whose offset of `Key` it moves from `From` to `Until`, if that is above.
    member _.GroupId = groupId
    member _.Key = key
    member _.From = from
    member val Until = from with get, set
    member val Batches = List<SentBatch>() with get
    /// From the moment on when a commit is asked for: until then it must not commit.
    member val MayCommit = false with get, set
    /// Whether its client was told that it committed, or that it aborted.
    member val Told: bool voption = ValueNone with get, set

/// A transaction as the logs have it.
type private LoggedTransaction(transactionalId: string, epoch: int16) =
    member _.TransactionalId = transactionalId
    member _.Epoch = epoch
    member val Partitions = HashSet<TopicPartition>() with get
    member val Groups = HashSet<string>() with get
    /// Where it has ended: markers, and groups.
    member val MarkedPartitions = HashSet<TopicPartition>() with get
    member val EndedGroups = HashSet<string>() with get
    member val Decision: bool voption = ValueNone with get, set
    member val IsComplete = false with get, set

/// What has happened to transactions in the logs of all shards, in the order in which their entries were created.
[<Sealed>]
type TransactionChecks(violation: string -> unit) =
    let logged = Dictionary<struct (int64 * int64), LoggedTransaction>()
    let newest = Dictionary<string, LoggedTransaction>()
    let epochs = Dictionary<int64, int16>()
    let mutable committed = 0
    let mutable aborted = 0
    let name (key: TopicPartition) = $"partition {key.Partition}"

    let find what producerId number (act: LoggedTransaction -> unit) =
        match logged.TryGetValue(struct (producerId, number)) with
        | true, transaction -> act transaction
        | _ -> violation $"{what} of transaction {number} of producer {producerId}, which nobody has begun"

    let raiseEpoch what producerId (epoch: int16) isNew =
        match epochs.TryGetValue producerId with
        | true, before when before > epoch || (isNew && before = epoch) ->
            violation $"{what}: the epoch of producer {producerId} goes from {before} to {epoch}"
        | _ -> epochs[producerId] <- epoch

    let changed number transactionalId (before: Transaction) (event: TransactionEvent) =
        let current () =
            logged[struct (before.ProducerId, before.Number)]

        match event with
        | ProducerInitialized producer ->
            raiseEpoch $"entry {number}" producer.ProducerId producer.ProducerEpoch true

            match newest.TryGetValue transactionalId with
            | true, open' when not open'.IsComplete ->
                violation $"entry {number} has a new producer for {transactionalId}, whose transaction has not ended"
            | _ -> ()
        | TransactionGrew added ->
            if added.Number = before.Number + 1L then
                match newest.TryGetValue transactionalId with
                | true, other when not other.IsComplete ->
                    violation $"entry {number} begins a transaction of {transactionalId} before the last one has ended"
                | _ -> ()

                let begun = LoggedTransaction(transactionalId, before.ProducerEpoch)
                newest[transactionalId] <- begun

                if not (logged.TryAdd(struct (before.ProducerId, added.Number), begun)) then
                    violation $"entry {number} begins transaction {added.Number} of {transactionalId} again"
            elif added.Number <> before.Number || not (Transaction.isOngoing before) then
                violation $"entry {number} adds to transaction {added.Number} of {transactionalId}, which is not open"

            find $"entry {number}: growth" before.ProducerId added.Number (fun transaction ->
                for struct (partition, _) in added.Partitions do
                    transaction.Partitions.Add partition |> ignore

                for struct (groupId, _) in added.Groups do
                    transaction.Groups.Add groupId |> ignore)
        | TransactionPrepared prepared ->
            raiseEpoch $"entry {number}" before.ProducerId prepared.ProducerEpoch false

            // Clients of transactions v2 may abort where nothing was begun, for the new epoch.
            if Transaction.isOngoing before then
                let transaction = current ()

                if transaction.Decision.IsSome then
                    violation $"entry {number} decides about a transaction of {transactionalId} again"

                transaction.Decision <- ValueSome prepared.IsCommit

                if prepared.IsCommit then
                    committed <- committed + 1
                else
                    aborted <- aborted + 1
            elif prepared.IsCommit || Transaction.isPrepared before then
                violation $"entry {number} decides about a transaction of {transactionalId} that is not open"
        | TransactionCompleted ->
            match logged.TryGetValue(struct (before.ProducerId, before.Number)) with
            | true, transaction ->
                transaction.IsComplete <- true

                if
                    not (transaction.Partitions.SetEquals transaction.MarkedPartitions)
                    || not (transaction.Groups.SetEquals transaction.EndedGroups)
                then
                    violation
                        $"entry {number} completes a transaction of {transactionalId} that has not ended everywhere"
            | _ -> ()
        | TransactionalIdExpired -> violation $"entry {number} forgets {transactionalId}"

    let belongs
        number
        what
        producerId
        (epoch: int16)
        (transactionNumber: int64)
        isRepetition
        isIn
        (hasEnded: LoggedTransaction -> bool)
        =
        find $"entry {number}: {what}" producerId transactionNumber (fun transaction ->
            if transaction.Epoch <> epoch then
                violation
                    $"entry {number}: {what} of epoch {epoch}, and the transaction of {transaction.TransactionalId} has epoch {transaction.Epoch}"

            if not (isIn transaction) then
                violation $"entry {number}: {what} is not in the transaction of {transaction.TransactionalId}"

            if hasEnded transaction then
                violation
                    $"entry {number}: {what} comes after the end of its transaction of {transaction.TransactionalId}"

            if transaction.Decision = ValueSome true && not isRepetition then
                violation $"torn transaction: entry {number}: {what} comes after the decision to commit")

    let ends number what producerId transactionNumber isCommit (note: LoggedTransaction -> bool) =
        find $"entry {number}: the end in {what}" producerId transactionNumber (fun transaction ->
            if transaction.Decision <> ValueSome isCommit then
                violation
                    $"torn transaction: entry {number} ends the transaction of {transaction.TransactionalId} in {what} as if it was decided, and it is not"

            if not (note transaction) then
                violation
                    $"entry {number} ends the transaction of {transaction.TransactionalId} in {what} again, or where it is not")

    /// How many were decided to commit, and to abort.
    member _.Decided = struct (committed, aborted)

    /// Before an event is applied.
    member _.OnEvent(number: int64, before: ShardState, event: ShardEvent) =
        match event with
        | TransactionChanged(transactionalId, change) ->
            let known =
                Shard.transaction transactionalId before
                |> ValueOption.defaultValue Transaction.initial

            changed number transactionalId known change
        | BatchAppended batch when batch.Transaction <> 0L ->
            belongs
                number
                $"a batch in {name batch.Partition}"
                batch.ProducerId
                batch.ProducerEpoch
                batch.Transaction
                false
                (fun transaction -> transaction.Partitions.Contains batch.Partition)
                (fun transaction -> transaction.MarkedPartitions.Contains batch.Partition)
        | MarkerAppended marker ->
            ends number (name marker.Partition) marker.ProducerId marker.Number marker.IsCommit (fun transaction ->
                transaction.Partitions.Contains marker.Partition
                && transaction.MarkedPartitions.Add marker.Partition)
        | GroupChanged(groupId, PendingOffsetsCommitted(producerId, epoch, transactionNumber, offsets)) ->
            let pending =
                Shard.group groupId before
                |> ValueOption.defaultValue Group.initial
                |> Group.transactionOf producerId

            // Said again, it changes nothing.
            let isRepetition =
                offsets
                |> Array.forall (fun offset ->
                    match pending.Offsets.TryGetValue offset.Partition with
                    | true, known -> known.Offset = offset.Offset
                    | _ -> false)

            belongs
                number
                $"an offset of {groupId}"
                producerId
                epoch
                transactionNumber
                isRepetition
                (fun transaction -> transaction.Groups.Contains groupId)
                (fun transaction -> transaction.EndedGroups.Contains groupId)
        | GroupChanged(groupId, PendingOffsetsEnded(producerId, _, transactionNumber, isCommit)) ->
            ends number groupId producerId transactionNumber isCommit (fun transaction ->
                transaction.Groups.Contains groupId && transaction.EndedGroups.Add groupId)
        | _ -> ()

    /// Partitions and groups in a shard that have something undecided.
    member _.KeptWaiting(state: ShardState) : string list = [
        for KeyValue(key, partition) in state.Partitions do
            if not partition.OpenTransactions.IsEmpty then
                name key

        for KeyValue(groupId, group) in state.Groups do
            if Group.hasPendingOffsets group then
                groupId
    ]

    /// What is left open in a shard.
    member this.LeftOpen(state: ShardState) : string list = [
        for KeyValue(transactionalId, transaction) in state.Transactions do
            if Transaction.isOngoing transaction || Transaction.isPrepared transaction then
                transactionalId

        yield! this.KeptWaiting state
    ]
