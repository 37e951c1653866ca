/// What holds for every history of transactions, whatever order their steps come in.
module Tansu.PropertyTests.Domain.TransactionLaws

open System
open System.Collections.Generic
open Expecto
open Tansu.Domain
open Tansu.PropertyTests
open Tansu.PropertyTests.Domain.Given
open Tansu.PropertyTests.Domain.TransactionGiven

let private partitionCount = 4

/// A producer as it sees itself: fenced ones go on all the same.
type private Client() =
    member val Id = -1L with get, set
    member val Epoch = -1s with get, set
    /// The transaction that it believes to have.
    member val Number = 0L with get, set
    /// The partitions that it has.
    member val Partitions = Set.empty<int> with get, set
    member val BumpsEpoch = false with get, set
    member val Sequences = Dictionary<int, int>()

/// Random steps of two producers that take the transactional id from each other, and of brokers that end what they find.
type History(seed: int, shardCount: int) =
    let random = Random seed
    let shards = Shards shardCount
    let clients = [| Client(); Client() |]
    let mutable nextId = 100L
    let late = List<BatchToAppend>()

    let initialize (client: Client) =
        nextId <- nextId + 1L

        match shards.Initialize(nextId, -1L, -1s) with
        | ProducerReady(producerId, epoch) ->
            client.Id <- producerId
            client.Epoch <- epoch
            client.Number <- 0L
            client.BumpsEpoch <- random.Next 2 = 0
            client.Sequences.Clear()
        | TransactionIsOpen -> shards.Fence() |> ignore
        | _ -> ()

    let add (client: Client) =
        let partitions = [
            for number in 0 .. partitionCount - 1 do
                if random.Next 2 = 0 then
                    number
        ]

        match
            shards.Ask(
                AddToTransaction(shards.Addition(client.Id, client.Epoch, client.BumpsEpoch, partitions, [ "group" ]))
            )
        with
        | InTransaction number ->
            client.Partitions <-
                if number = client.Number then
                    Set.union client.Partitions (Set.ofList partitions)
                else
                    Set.ofList partitions

            client.Number <- number
        | _ -> ()

    let produce (client: Client) =
        let number = random.Next partitionCount

        let sequence =
            match client.Sequences.TryGetValue number with
            | true, sequence -> sequence
            | _ -> 0

        // As a handler that knows of nothing newer.
        if client.Number > 0L && client.Partitions.Contains number then
            let batch = shards.Batch(client.Id, client.Epoch, sequence, client.Number, number)

            if random.Next 5 = 0 then
                late.Add batch
            else
                match shards.Append batch with
                | Appended _ -> client.Sequences[number] <- sequence + 1
                | Refused _ -> ()

    let finish (client: Client) =
        let isCommit = random.Next 2 = 0
        nextId <- nextId + 1L

        match
            shards.End(client.Id, client.Epoch, isCommit, client.BumpsEpoch, number = client.Number, nextId = nextId)
        with
        | TransactionDecided(producerId, epoch) ->
            if epoch <> client.Epoch || producerId <> client.Id then
                client.Sequences.Clear()

            client.Id <- producerId
            client.Epoch <- epoch
            client.Number <- 0L
        | _ -> ()

    let step () =
        let client = clients[random.Next clients.Length]
        let isKnown = (shards.State 0).Transactions.ContainsKey transactionalId

        match random.Next 14 with
        | 0 -> initialize client
        | _ when client.Id < 0L -> initialize client
        | 1
        | 2
        | 3 -> add client
        | 4
        | 5
        | 6
        | 7 -> produce client
        | 8
        | 9 -> finish client
        | 10 when late.Count > 0 -> shards.Append late[random.Next late.Count] |> ignore
        | 11 when isKnown && Transaction.isPrepared shards.Transaction -> shards.Mark(random.Next shardCount) |> ignore
        | 12 when isKnown -> shards.Finish()
        | 13 when client.Number > 0L ->
            shards.Commit(client.Id, client.Epoch, client.Number, random.NextInt64 100L)
            |> ignore
        | _ ->
            if random.Next 20 = 0 then
                shards.Submit(random.Next shardCount, ForgetExpired) |> ignore

    member _.Shards = shards
    member _.Step() = step ()

    /// Ends everything as brokers do: what is decided, and what is open.
    member _.Settle() =
        shards.Finish()
        shards.Fence() |> ignore
        shards.Finish()

        for batch in late do
            shards.Append batch |> ignore

/// Batches and markers of a partition, in order.
let private written (shards: Shards) number =
    let key = partition number

    [
        for event in shards.Log(shards.ShardOf key) do
            match event with
            | BatchAppended batch when batch.Partition.Equals key ->
                Choice1Of2(batch.BaseOffset, batch.ProducerId, batch.ProducerEpoch, batch.Transaction)
            | MarkerAppended marker when marker.Partition.Equals key ->
                Choice2Of2(marker.Offset, marker.ProducerId, marker.ProducerEpoch, marker.IsCommit)
            | _ -> ()
    ]

/// How each transaction was decided, by number: there is one transactional id.
let private decisions (shards: Shards) =
    let decided = Dictionary<int64, bool>()
    let mutable transaction = Transaction.initial

    for event in shards.Log 0 do
        match event with
        | TransactionChanged(_, event) ->
            match event with
            | TransactionPrepared prepared when Transaction.isOngoing transaction ->
                Expect.isFalse (decided.ContainsKey transaction.Number) "decided once"
                decided[transaction.Number] <- prepared.IsCommit
            | _ -> ()

            transaction <- Transaction.evolve transaction event { EntryNumber = 0L; TimeMs = 0L }
        | _ -> ()

    decided

/// What a consumer of committed records keeps, by the protocol's rules: aborted producers are skipped until their marker.
let private readCommitted (shards: Shards) number =
    let state = shards.Partition number
    let stable = Partition.lastStableOffset state

    let pending =
        Partition.abortedBetween 0L stable state
        |> Seq.map (fun aborted -> aborted.FirstOffset, aborted.ProducerId)
        |> Seq.sort
        |> Queue

    let skipped = HashSet<int64>()

    [
        for one in written shards number do
            match one with
            | Choice1Of2(offset, producerId, _, transaction) when offset < stable ->
                while pending.Count > 0 && fst (pending.Peek()) <= offset do
                    skipped.Add(snd (pending.Dequeue())) |> ignore

                if not (skipped.Contains producerId) then
                    offset, transaction
            | Choice2Of2(_, producerId, _, false) -> skipped.Remove producerId |> ignore
            | _ -> ()
    ]

let private history seed (each: Shards -> unit) =
    // Generated numbers are small: the run's seed makes every run another one.
    let history = History(seed * 7919 + int Check.seed, 1 + abs (seed % 3))

    for _ in 1..120 do
        history.Step()
        each history.Shards

    history.Settle()
    each history.Shards
    history.Shards

let tests =
    testList "laws of transactions" [
        Check.property "every transaction ends, and nothing hangs, not even what comes late" (fun (seed: int) ->
            let shards = history seed ignore

            if (shards.State 0).Transactions.ContainsKey transactionalId then
                Expect.isFalse (Transaction.isOngoing shards.Transaction) "not open"
                Expect.isFalse (Transaction.isPrepared shards.Transaction) "not half ended"

            for number in 0 .. partitionCount - 1 do
                let state = shards.Partition number
                Expect.isEmpty state.OpenTransactions "none open"
                Expect.equal (Partition.lastStableOffset state) state.HighWatermark "all stable"

            Expect.isFalse (Group.hasPendingOffsets (shards.Group "group")) "no pending offsets")

        Check.property "readers of committed records see exactly those of committed transactions" (fun (seed: int) ->
            let shards = history seed ignore
            let decided = decisions shards

            for number in 0 .. partitionCount - 1 do
                let expected = [
                    for one in written shards number do
                        match one with
                        | Choice1Of2(offset, _, _, transaction) when decided[transaction] -> offset, transaction
                        | _ -> ()
                ]

                Expect.equal (readCommitted shards number) expected "all of them, and no other")

        Check.property "the last stable offset never goes back, and nothing undecided is below it" (fun (seed: int) ->
            let stable = Array.zeroCreate<int64> partitionCount

            history seed (fun shards ->
                let decided = lazy (decisions shards)

                for number in 0 .. partitionCount - 1 do
                    let now = Partition.lastStableOffset (shards.Partition number)
                    Expect.isGreaterThanOrEqual now stable[number] "monotonic"

                    if now > stable[number] then
                        for _, transaction in readCommitted shards number do
                            Expect.isTrue (decided.Value.ContainsKey transaction) "decided"

                    stable[number] <- now)
            |> ignore)

        Check.property "who is fenced never writes again" (fun (seed: int) ->
            let shards = history seed ignore

            for number in 0 .. partitionCount - 1 do
                let epochs = Dictionary<int64, int16>()

                for one in written shards number do
                    match one with
                    | Choice1Of2(_, producerId, epoch, _) ->
                        match epochs.TryGetValue producerId with
                        | true, newest -> Expect.isGreaterThanOrEqual epoch newest "not of an older epoch"
                        | _ -> ()
                    | Choice2Of2(_, producerId, epoch, _) -> epochs[producerId] <- epoch)

        Check.property "all parts of a transaction end alike" (fun (seed: int) ->
            let shards = history seed ignore
            let decided = decisions shards

            for shard in 0 .. shards.Count - 1 do
                for event in shards.Log shard do
                    match event with
                    | MarkerAppended marker -> Expect.equal marker.IsCommit decided[marker.Number] "a partition"
                    | GroupChanged(_, PendingOffsetsEnded(_, _, number, isCommit)) ->
                        Expect.equal isCommit decided[number] "the group"
                    | _ -> ())
    ]
