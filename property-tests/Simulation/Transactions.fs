/// Transactional producers at a simulated cluster. Each transactional id is taken by one producer after another, who do not wait for each other: some of
/// them are zombies, paused for longer than their transactions may be open.
module Tansu.PropertyTests.Simulation.Transactions

open System
open System.Threading.Tasks
open Tansu.Adapters.Ports
open Tansu.Domain
open Tansu.PropertyTests.Simulation.TransactionRequests

let private isRetriable (failure: exn) =
    match failure with
    | :? TimeoutException
    | :? StoreUnavailableException
    | :? OperationCanceledException
    | :? NotThereException -> true
    | _ -> false

/// Why a producer stops.
exception private StopException of reason: string with
    override this.Message = this.reason

/// One producer from its InitProducerId to its end.
type private Producer(cluster: Cluster, idNumber: int, takeover: int) =
    let scheduler = cluster.Scheduler
    let random = scheduler.Random
    let settings = cluster.Settings
    let judge = cluster.Judge
    let transactionalId = $"transactional-{idNumber}"
    let groupId = $"input of {transactionalId}"
    let name = $"{transactionalId}.{takeover}"
    let client = scheduler.NewProcess(name, TimeSpan.Zero)
    /// Of batches; nobody else has it.
    let number = 1000 * idNumber + takeover
    let bumpsEpoch = random.Next 2 = 0
    /// What it reads is not simulated: it is a partition's offset that it moves.
    let input = cluster.Partition(idNumber % settings.Partitions)

    let mutable holder = {
        TransactionalId = transactionalId
        ProducerId = Absent.ProducerId
        Epoch = Absent.ProducerEpoch
        BumpsEpoch = bumpsEpoch
    }

    let mutable sequences: Map<int, int> = Map.empty
    let mutable position = 0L

    let rest (longest: TimeSpan) =
        Task.Delay(longest * random.NextDouble(), client.Time)

    let mutable connection = Connection(cluster, client, cluster.AnyBroker())

    let reconnect () =
        connection.Close()
        connection <- Connection(cluster, client, cluster.AnyBroker())

    /// Some give up long before the broker does.
    let patience =
        TimeSpan.FromMilliseconds 300.0
        + settings.BrokerPatience * 1.5 * random.NextDouble()

    let once (request: Connection -> Broker -> Task<'Reply>) : Task<'Reply voption> =
        task {
            if random.Next 8 = 0 then
                reconnect ()

            let current = connection

            try
                let! reply = current.Call(patience, request current)
                return ValueSome reply
            with failure when isRetriable failure ->
                judge.Note $"{name}: no answer: {failure.GetType().Name}"
                reconnect ()
                do! rest (TimeSpan.FromMilliseconds 400.0)
                return ValueNone
        }

    /// Asks until there is an answer, or it has been asked too often: then there is none.
    let ask what most (request: Connection -> Broker -> Task<Answer<'Reply>>) : Task<Answer<'Reply>> =
        task {
            let mutable answer = Again
            let mutable tries = 0

            while answer.IsAgain && tries < most do
                tries <- tries + 1

                match! once request with
                | ValueSome Again -> do! rest (TimeSpan.FromMilliseconds 100.0)
                | ValueSome said -> answer <- said
                | ValueNone -> ()

            match answer with
            | Fenced -> judge.Note $"{name}: {what}: fenced"
            | Abortable -> judge.Note $"{name}: {what}: to be aborted"
            | Unexpected refusal -> judge.Violation $"wrongly refused: {what} of {name}: {refusal.GetType().Name}"
            | Said _
            | Again -> ()

            return answer
        }

    let goOn struct (producerId, epoch) =
        if producerId <> holder.ProducerId || epoch <> holder.Epoch then
            sequences <- Map.empty

        holder <- { holder with ProducerId = producerId; Epoch = epoch }
        judge.Note $"{name}: is producer {producerId} with epoch {epoch}"

    let initialize knownId knownEpoch =
        task {
            match!
                ask "InitProducerId" 1000 (fun _ broker -> initialize cluster transactionalId knownId knownEpoch broker)
            with
            | Said reply -> goOn reply
            | _ -> raise (StopException "InitProducerId")
        }

    let fetchPosition () =
        task {
            let acknowledged = judge.CommitsAcknowledged groupId

            match! ask "OffsetFetch" 1000 (fun _ broker -> fetchOffset cluster groupId input broker) with
            | Said offset ->
                judge.OnOffsetsFetched(name, groupId, acknowledged, Map.ofList [ input.Partition, offset ])
                position <- offset
            | _ -> raise (StopException "OffsetFetch")
        }

    /// Sends batches until each has its answer; false if the transaction has to be aborted.
    let send (transaction: ClientTransaction) (fresh: SentBatch list) =
        task {
            transaction.Batches.AddRange fresh
            let mutable left = fresh
            let mutable isWell = true
            let mutable tries = 0
            let most = if random.Next 3 = 0 then 1 else 12

            while isWell && not left.IsEmpty do
                let sending = left

                for batch in sending do
                    batch.Tries <- batch.Tries + 1

                let asking = holder

                match! once (fun connection broker -> produce cluster connection asking sending broker) with
                | ValueNone -> ()
                | ValueSome answers ->
                    for batch, answer in answers do
                        match answer with
                        | Said offset ->
                            judge.OnAcked(batch, offset)
                            left <- List.except [ batch ] left
                        | Again -> ()
                        | Abortable -> isWell <- false
                        | Fenced -> raise (StopException "fenced by Produce")
                        | Unexpected refusal ->
                            judge.Violation
                                $"wrongly refused: batch {batch.Id} (sequence {batch.Sequence}) of {name}: {refusal.GetType().Name}"

                            raise (StopException "Produce")

                tries <- tries + 1

                if not left.IsEmpty then
                    isWell <- isWell && tries < most
                    do! rest (TimeSpan.FromMilliseconds 100.0)

            return isWell
        }

    let newBatches () =
        let partitions =
            [ 0 .. settings.Partitions - 1 ]
            |> List.filter (fun _ -> random.Next 2 = 0)
            |> function
                | [] -> [ random.Next settings.Partitions ]
                | some -> some

        [
            for partition in partitions do
                let timestamp = client.Time.GetUtcNow().ToUnixTimeMilliseconds()

                let batch =
                    judge.NewBatch(number, cluster.Partition partition, random.Next(1, 4), true, true, timestamp)

                batch.Sequence <- Map.tryFind partition sequences |> Option.defaultValue 0
                sequences <- Map.add partition (batch.Sequence + batch.Records) sequences
                batch
        ]

    /// Writes in a transaction; false if it has to be aborted.
    let write (transaction: ClientTransaction) =
        task {
            let mutable isWell = true
            let mutable left = random.Next(1, 4)

            while isWell && left > 0 do
                left <- left - 1
                let batches = newBatches ()
                let asking = holder
                let partitions = batches |> List.map _.Partition

                if not bumpsEpoch then
                    match!
                        ask "AddPartitionsToTxn" 12 (fun _ broker -> addPartitions cluster asking partitions broker)
                    with
                    | Said _ -> ()
                    | Fenced -> raise (StopException "fenced by AddPartitionsToTxn")
                    | _ -> isWell <- false

                if isWell then
                    let! isSent = send transaction batches
                    isWell <- isSent

                do! rest (min settings.LongestThought (TimeSpan.FromSeconds 1.0))

            return isWell
        }

    /// Moves the offset of what it has read, in the transaction; false if that has to be aborted.
    let moveOffset (transaction: ClientTransaction) =
        task {
            let asking = holder
            let mutable isWell = true
            transaction.Until <- position + int64 (random.Next(1, 4))

            if not bumpsEpoch then
                match! ask "AddOffsetsToTxn" 12 (fun _ broker -> addGroup cluster asking groupId broker) with
                | Said _ -> ()
                | Fenced -> raise (StopException "fenced by AddOffsetsToTxn")
                | _ -> isWell <- false

            let mutable moves = if random.Next 3 = 0 then 2 else 1

            while isWell && moves > 0 do
                moves <- moves - 1
                let reached = transaction.Until

                match!
                    ask "TxnOffsetCommit" 12 (fun connection broker ->
                        commitOffset cluster connection asking groupId input reached broker)
                with
                | Said() when moves > 0 -> transaction.Until <- reached + 1L
                | Said() -> ()
                | Fenced -> raise (StopException "fenced by TxnOffsetCommit")
                | _ -> isWell <- false

            return isWell
        }

    /// Ends a transaction, and says again what it said until it has an answer.
    let finish (transaction: ClientTransaction) isCommit =
        task {
            let asking = holder
            transaction.MayCommit <- isCommit

            match!
                ask "EndTxn" 1000 (fun connection broker -> endTransaction cluster connection asking isCommit broker)
            with
            | Said reply ->
                judge.Note $"{name}: transaction {transaction.Id} has ended, committed is {isCommit}"
                transaction.Told <- ValueSome isCommit
                goOn reply

                if isCommit && transaction.Until > transaction.From then
                    judge.OnCommitAcknowledged(groupId, input, transaction.Until)
                    position <- transaction.Until
            // Nothing had been added when it was given up.
            | Abortable when not isCommit -> ()
            | Abortable -> judge.Violation $"wrongly refused: the commit of {name}"
            | _ -> raise (StopException "fenced by EndTxn")
        }

    let transact isLast =
        task {
            let transaction = judge.NewTransaction(transactionalId, groupId, input, position)
            judge.Note $"{name}: begins transaction {transaction.Id}"
            let! isWritten = write transaction

            // Some read what they write from elsewhere.
            let! isMoved =
                if isWritten && random.Next 2 = 0 then
                    moveOffset transaction
                else
                    Task.FromResult isWritten

            let isWell = isWritten && isMoved

            if random.Next 8 = 0 then
                judge.Note $"{name}: is away"

                scheduler.Pause(client, settings.TransactionTimeout * 2.0 * random.NextDouble(), random.Next 2 = 0)

                do! rest (TimeSpan.FromMilliseconds 1.0)

            match random.Next 12 with
            | 0 -> raise (StopException "it gives up")
            | choice when isLast && choice < 5 -> raise (StopException "it gives up in the end")
            | choice ->
                do! finish transaction (isWell && choice > 2)

                // After an abort of which something may still be on its way, a producer of transactions v1 goes on with a new epoch.
                if not isWell && not bumpsEpoch then
                    do! initialize holder.ProducerId holder.Epoch
        }

    /// Ends when it has done all it wanted, is fenced, or gives up.
    member _.Run() =
        scheduler.Spawn(
            client,
            fun () ->
                task {
                    try
                        do! initialize Absent.ProducerId Absent.ProducerEpoch
                        do! fetchPosition ()

                        for count in 1 .. settings.TransactionsPerProducer do
                            do! transact (count = settings.TransactionsPerProducer)
                            do! rest settings.LongestThought
                    with :? StopException as stop ->
                        judge.Note $"{name} stops: {stop.Message}"

                    connection.Close()
                }
        )

/// The producers of one transactional id, one after another: the next may come while the one before is still there.
let takeovers (cluster: Cluster) (idNumber: int) =
    let client = cluster.Scheduler.NewProcess($"takeovers {idNumber}", TimeSpan.Zero)
    let random = cluster.Scheduler.Random

    let body () =
        task {
            let running = ResizeArray<Task<unit>>()

            for takeover in 1 .. cluster.Settings.Takeovers do
                let producer = Producer(cluster, idNumber, takeover)
                running.Add(producer.Run())

                if random.Next 2 = 0 then
                    do! running[running.Count - 1]
                else
                    do! Task.Delay(TimeSpan.FromSeconds(random.NextDouble() * 30.0), client.Time)

            for one in running do
                do! one
        }

    cluster.Scheduler.Spawn(client, body)
