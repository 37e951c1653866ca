namespace Tansu.Domain

/// What is decided about transactional ids: the rules of Kafka's transaction coordinator (KIP-98, KIP-360, KIP-890).
[<RequireQualifiedAccess>]
module TransactionRules =
    let private refuse refusal : Decision<TransactionEvent, TransactionReply> = {
        Events = [||]
        Reply = TransactionRefused refusal
    }

    let private answer reply : Decision<TransactionEvent, TransactionReply> = { Events = [||]; Reply = reply }

    let private ready (producer: InitializedProducer) = {
        Events = [| ProducerInitialized producer |]
        Reply = ProducerReady(producer.ProducerId, producer.ProducerEpoch)
    }

    /// Takes a new producer id, because there is none or its epochs are used up.
    let private rotate (init: ProducerToInitialize) isRecovery (transaction: Transaction) =
        if init.NewProducerId = Absent.ProducerId then
            answer NeedsProducerId
        else
            ready {
                ProducerId = init.NewProducerId
                ProducerEpoch = 0s
                LastProducerId = transaction.ProducerId
                LastProducerEpoch =
                    if isRecovery then
                        transaction.ProducerEpoch
                    else
                        Absent.ProducerEpoch
                TimeoutMs = init.TimeoutMs
            }

    let private bump (init: ProducerToInitialize) lastEpoch (transaction: Transaction) =
        ready {
            ProducerId = transaction.ProducerId
            ProducerEpoch = transaction.ProducerEpoch + 1s
            LastProducerId = transaction.LastProducerId
            LastProducerEpoch = lastEpoch
            TimeoutMs = init.TimeoutMs
        }

    let private initialize (settings: TransactionSettings) (init: ProducerToInitialize) (transaction: Transaction) =
        let isRecovery = init.KnownProducerId <> Absent.ProducerId
        let isNew = transaction.ProducerEpoch = Absent.ProducerEpoch
        let isExhausted = not isNew && Transaction.isExhausted transaction.ProducerEpoch

        // The id before this one, in a retry that does not know that its epochs were used up.
        let isOfLastId =
            init.KnownProducerId = transaction.LastProducerId
            && Transaction.isExhausted init.KnownProducerEpoch

        if init.TimeoutMs <= 0 || init.TimeoutMs > settings.MaxTimeoutMs then
            refuse InvalidTransactionTimeout
        elif
            isRecovery
            && not isNew
            && init.KnownProducerId <> transaction.ProducerId
            && not isOfLastId
        then
            refuse ProducerFenced
        elif isNew then
            rotate init false transaction
        else
            match transaction.State with
            | TransactionState.PrepareCommit
            | TransactionState.PrepareAbort -> answer TransactionIsEnding
            // A holder that has been fenced must not abort its successor's transaction.
            | TransactionState.Ongoing when isRecovery && init.KnownProducerEpoch <> transaction.ProducerEpoch ->
                refuse ProducerFenced
            | TransactionState.Ongoing -> answer TransactionIsOpen
            | TransactionState.Empty
            | TransactionState.CompleteCommit
            | TransactionState.CompleteAbort ->
                if isRecovery && init.KnownProducerEpoch = transaction.LastProducerEpoch then
                    // The answer to the first try was lost. Nobody else has come since: that would have cleared the last epoch.
                    answer (ProducerReady(transaction.ProducerId, transaction.ProducerEpoch))
                elif isRecovery && init.KnownProducerEpoch <> transaction.ProducerEpoch then
                    refuse ProducerFenced
                elif isExhausted then
                    rotate init isRecovery transaction
                elif isRecovery then
                    bump init transaction.ProducerEpoch transaction
                else
                    bump init Absent.ProducerEpoch transaction

    /// Whether this producer holds the transactional id.
    let private holderProblem producerId producerEpoch (transaction: Transaction) =
        if producerId <> transaction.ProducerId then
            ValueSome InvalidProducerIdMapping
        elif
            producerEpoch <> transaction.ProducerEpoch
            || producerEpoch = Transaction.LastEpoch
        then
            ValueSome ProducerFenced
        else
            ValueNone

    let private add (isDeleted: TopicId -> bool) (addition: TransactionAddition) (transaction: Transaction) =
        match holderProblem addition.ProducerId addition.ProducerEpoch transaction with
        | ValueSome refusal -> refuse refusal
        | ValueNone when Transaction.isPrepared transaction -> answer TransactionIsEnding
        | ValueNone ->
            let partitions =
                addition.Partitions
                |> Array.filter (fun (struct (partition, _)) ->
                    not (transaction.Partitions.ContainsKey partition)
                    && not (isDeleted partition.TopicId))

            let groups =
                addition.Groups
                |> Array.filter (fun (struct (group, _)) -> not (transaction.Groups.ContainsKey group))

            let isOngoing = Transaction.isOngoing transaction

            if isOngoing && partitions.Length = 0 && groups.Length = 0 then
                answer (InTransaction transaction.Number)
            else
                let number =
                    if isOngoing then
                        transaction.Number
                    else
                        transaction.Number + 1L

                {
                    Events = [|
                        TransactionGrew {
                            Number = number
                            BumpsEpoch = addition.BumpsEpoch
                            Partitions = partitions
                            Groups = groups
                        }
                    |]
                    Reply = InTransaction number
                }

    /// What a producer of transactions v2 goes on with after an end.
    let private successor (nextProducerId: int64) (transaction: Transaction) =
        if nextProducerId <> Absent.ProducerId then
            struct (nextProducerId, 0s)
        else
            struct (transaction.ProducerId, transaction.ProducerEpoch + 1s)

    let private prepare (ending: TransactionToEnd) (transaction: Transaction) =
        let isExhausted =
            ending.BumpsEpoch && Transaction.isExhausted transaction.ProducerEpoch

        let epoch =
            if ending.BumpsEpoch then
                transaction.ProducerEpoch + 1s
            else
                transaction.ProducerEpoch

        if isExhausted && ending.NextProducerId = Absent.ProducerId then
            answer NeedsProducerId
        elif ending.Marker.ProducerEpoch <> epoch then
            refuse ConcurrentTransactions
        else
            let nextProducerId =
                if isExhausted then
                    ending.NextProducerId
                else
                    Absent.ProducerId

            let struct (producerId, producerEpoch) =
                if ending.BumpsEpoch then
                    successor nextProducerId transaction
                else
                    struct (transaction.ProducerId, transaction.ProducerEpoch)

            {
                Events = [|
                    TransactionPrepared {
                        IsCommit = ending.IsCommit
                        BumpsEpoch = ending.BumpsEpoch
                        ProducerEpoch = epoch
                        LastProducerEpoch =
                            if ending.BumpsEpoch then
                                transaction.ProducerEpoch
                            else
                                transaction.LastProducerEpoch
                        NextProducerId = nextProducerId
                    }
                |]
                Reply = TransactionDecided(producerId, producerEpoch)
            }

    let private endTransaction (ending: TransactionToEnd) (transaction: Transaction) =
        let current =
            answer (TransactionDecided(transaction.ProducerId, transaction.ProducerEpoch))

        // In transactions v2 the epoch has been raised by the end that this repeats.
        let isRetryOfBump =
            transaction.BumpsEpoch
            && ending.ProducerId = transaction.ProducerId
            && ending.ProducerEpoch < Transaction.LastEpoch
            && transaction.ProducerEpoch = ending.ProducerEpoch + 1s

        let isRetryOfRotation =
            transaction.BumpsEpoch
            && ending.ProducerId = transaction.LastProducerId
            && ending.ProducerEpoch = Transaction.LastEpoch - 1s
            && transaction.ProducerEpoch = 0s

        let isHolder =
            ending.ProducerEpoch = transaction.ProducerEpoch
            && ending.ProducerEpoch <> Transaction.LastEpoch

        let isRetry = isRetryOfBump || isRetryOfRotation

        // There is nothing to commit or abort, but a client of transactions v2 that aborts gets its new epoch all the same.
        let endNothing () =
            if not ending.IsCommit && ending.BumpsEpoch && isHolder then
                prepare ending transaction
            else
                refuse InvalidTransactionState

        let endAgain isSame =
            if transaction.BumpsEpoch then
                if isRetry && isSame then current
                elif isRetry then refuse InvalidTransactionState
                else endNothing ()
            elif isSame then
                current
            else
                refuse InvalidTransactionState

        let isValidEpoch =
            match transaction.State with
            | TransactionState.Empty
            | TransactionState.Ongoing -> isHolder
            | TransactionState.PrepareCommit
            | TransactionState.PrepareAbort -> if transaction.BumpsEpoch then isRetryOfBump else isHolder
            | TransactionState.CompleteCommit
            | TransactionState.CompleteAbort -> isHolder || isRetry

        if ending.ProducerId <> transaction.ProducerId && not isRetryOfRotation then
            refuse InvalidProducerIdMapping
        elif not isValidEpoch then
            refuse ProducerFenced
        else
            match transaction.State with
            | TransactionState.Ongoing when ending.Number >= 0L && ending.Number <> transaction.Number ->
                answer AnotherTransaction
            | TransactionState.Ongoing -> prepare ending transaction
            | TransactionState.PrepareCommit when ending.IsCommit -> answer TransactionIsEnding
            | TransactionState.PrepareAbort when not ending.IsCommit -> answer TransactionIsEnding
            | TransactionState.PrepareCommit
            | TransactionState.PrepareAbort -> refuse InvalidTransactionState
            | TransactionState.CompleteCommit -> endAgain ending.IsCommit
            | TransactionState.CompleteAbort -> endAgain (not ending.IsCommit)
            | TransactionState.Empty -> endNothing ()

    let private fence (fencing: TransactionToFence) (transaction: Transaction) =
        let isMeant =
            Transaction.isOngoing transaction
            && transaction.ProducerId = fencing.ProducerId
            && transaction.Number = fencing.Number
            && transaction.ProducerEpoch < Transaction.LastEpoch
            && fencing.Marker.ProducerEpoch = transaction.ProducerEpoch + 1s

        if not isMeant then
            answer TransactionDone
        else
            {
                Events = [|
                    TransactionPrepared {
                        IsCommit = false
                        // Its producer must not take this end for a retry of its own.
                        BumpsEpoch = false
                        ProducerEpoch = transaction.ProducerEpoch + 1s
                        LastProducerEpoch = Absent.ProducerEpoch
                        NextProducerId = Absent.ProducerId
                    }
                |]
                Reply = TransactionDone
            }

    /// Judges one command; `transaction` is none when nothing is known under that id, `isDeleted` says which topics are gone.
    let decide
        (settings: TransactionSettings)
        (isDeleted: TopicId -> bool)
        (transaction: Transaction voption)
        (command: TransactionCommand)
        =
        let known = ValueOption.defaultValue Transaction.initial transaction

        match command with
        | InitializeProducer init -> initialize settings init known
        | AddToTransaction _
        | EndTransaction _ when transaction.IsNone -> refuse InvalidProducerIdMapping
        | AddToTransaction addition -> add isDeleted addition known
        | EndTransaction ending -> endTransaction ending known
        | FenceTransaction fencing -> fence fencing known
        | CompleteTransaction number when Transaction.isPrepared known && known.Number = number -> {
            Events = [| TransactionCompleted |]
            Reply = TransactionDone
          }
        | CompleteTransaction _ -> answer TransactionDone

    /// Whether a transactional id has not been used for so long that it is forgotten.
    let isExpired (settings: TransactionSettings) (nowMs: int64) (transaction: Transaction) =
        not (Transaction.isOngoing transaction || Transaction.isPrepared transaction)
        && nowMs - transaction.LastUpdateMs >= settings.IdExpirationMs
