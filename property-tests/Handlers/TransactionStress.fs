/// Many transactions at several brokers at once, whose producers move, lose answers and take ids from each other.
module Tansu.PropertyTests.Handlers.TransactionStress

open System
open System.Collections.Concurrent
open System.Threading.Tasks
open Expecto
open Tansu.Adapters
open Tansu.Codec
open Tansu.Codec.Messages
open Tansu.Domain
open Tansu.PropertyTests
open Tansu.PropertyTests.Handlers.Desk
open Tansu.PropertyTests.Handlers.TransactionRig

let private partitions = 6

/// What the client knows of a transaction's end.
type private Outcome =
    | Committed
    | Aborted
    | Unknown

let private isRetriable error =
    error = ErrorCode.NotEnoughReplicas
    || error = ErrorCode.ConcurrentTransactions
    || error = ErrorCode.CoordinatorLoadInProgress
    || error = ErrorCode.CoordinatorNotAvailable

/// One producer after another with one transactional id; each record names its transaction, and goes to several partitions.
let private work (desks: Desk[]) (random: Random) name (outcomes: ConcurrentDictionary<string, Outcome>) =
    let any () = desks[random.Next desks.Length]

    // Sends until it is taken; false if this producer is out.
    let rec send (transactor: Transactor) place value tries =
        task {
            let! answers = transactor.Send(any (), "a", [ place, value ])

            match answers[0].ErrorCode with
            | ErrorCode.None -> return true
            | error when isRetriable error && tries < 20 -> return! send transactor place value (tries + 1)
            | _ -> return false
        }

    let rec finish (transactor: Transactor) isCommit tries =
        task {
            let! response = transactor.TryEnd(any (), isCommit)

            match response.ErrorCode with
            | ErrorCode.None ->
                if transactor.IsV2 then
                    // As a client whose first answer was lost.
                    let! again = transactor.TryEnd(any (), isCommit)
                    Expect.equal again.ErrorCode ErrorCode.None "the same again"
                    Expect.equal again.ProducerEpoch response.ProducerEpoch "the same epoch"

                return (if isCommit then Committed else Aborted)
            | error when isRetriable error && tries < 20 -> return! finish transactor isCommit (tries + 1)
            // Whoever is fenced has been aborted before it could end anything.
            | _ -> return Aborted
        }

    let transaction (transactor: Transactor) number =
        task {
            let value = $"{name}-{number}"
            outcomes[value] <- Unknown

            let places = [
                for place in 0 .. partitions - 1 do
                    if random.Next 2 = 0 then
                        place
            ]

            let mutable goesOn = true

            if not transactor.IsV2 && not places.IsEmpty then
                let! errors = transactor.AddPartitions(any (), "a", places)
                goesOn <- errors |> List.forall (fun error -> error = ErrorCode.None)

            for place in places do
                if goesOn then
                    let! isTaken = send transactor place value 0
                    goesOn <- isTaken

            if places.IsEmpty || not goesOn then
                outcomes[value] <- Aborted
                return false
            elif random.Next 8 = 0 then
                // It goes away; the next producer of the id aborts it.
                outcomes[value] <- Aborted
                return false
            else
                let! outcome = finish transactor (random.Next 3 > 0) 0
                outcomes[value] <- outcome
                // In v2 the sequences and the epoch begin anew with every transaction.
                return not transactor.IsV2 && outcome <> Unknown && random.Next 4 > 0
        }

    task {
        let mutable number = 0

        while number < 30 do
            let transactor = Transactor(name, random.Next 2 = 0)
            do! transactor.Initialize(any ())
            let mutable goesOn = true

            while goesOn do
                number <- number + 1
                let! more = transaction transactor number
                goesOn <- more && number < 30

        // Ends whatever the last one left.
        do! Transactor(name, false).Initialize(any ())
    }

let private stress shards =
    testCaseTask $"is in all of its partitions or in none, {shards} shard(s)" (fun () ->
        task {
            let space = MemorySpace()
            let desks = ResizeArray<Desk>()

            for port in 9092..9094 do
                let! desk = openDesk space port shards
                desks.Add desk

            let! _ = desks[0].Create("a", partitions, [])
            let outcomes = ConcurrentDictionary<string, Outcome>()
            let seed = int Check.seed

            do!
                Task.WhenAll [
                    for worker in 0..4 ->
                        Task.Run<unit>(fun () -> work (desks.ToArray()) (Random(seed + worker)) $"tx{worker}" outcomes)
                        :> Task
                ]

            let found = ConcurrentDictionary<string, int>()

            for desk in desks do
                for partition in 0 .. partitions - 1 do
                    let! read = readCommitted desk "a" partition
                    let! stable = latest desk 1y "a" partition
                    let! ending = latest desk 0y "a" partition
                    Expect.equal stable ending "nothing hangs"
                    Expect.equal (List.distinct read) read "each once"

                    for value in read do
                        found.AddOrUpdate(value, 1, (fun _ count -> count + 1)) |> ignore

            let mutable committed = 0

            for KeyValue(value, outcome) in outcomes do
                let isThere = found.ContainsKey value

                match outcome with
                | Committed ->
                    committed <- committed + 1
                    Expect.isTrue isThere $"{value} was committed"
                | Aborted -> Expect.isFalse isThere $"{value} was aborted"
                | Unknown -> ()

            Expect.isGreaterThan committed 20 "many were"

            for KeyValue(value, count) in found do
                let! written =
                    task {
                        let mutable written = 0

                        for partition in 0 .. partitions - 1 do
                            let! all = readUncommitted desks[0] "a" partition

                            if List.contains value all then
                                written <- written + 1

                        return written
                    }

                Expect.equal count (written * desks.Count) $"{value} is in all of its partitions, at every broker"

            for shard in desks[0].Broker.Cluster.Shards do
                for KeyValue(_, transaction) in shard.Replica.Current.State.Transactions do
                    Expect.isFalse (Transaction.isOngoing transaction || Transaction.isPrepared transaction) "ended"

            for desk in desks do
                do! close desk
        })

let tests = testList "a transaction among many" [ stress 1; stress 5 ]
