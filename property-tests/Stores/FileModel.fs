/// The file store does what the memory store does, whatever is done to both, also when it is closed and opened in between.
module Tansu.PropertyTests.Stores.FileModel

open System
open System.Threading.Tasks
open Expecto
open Tansu.Adapters
open Tansu.Adapters.Ports
open Tansu.PropertyTests
open Tansu.PropertyTests.Stores.Helpers

type Operation =
    /// `ahead`: how far from the next number; 0 mostly.
    | Append of ahead: int * headBytes: int * payloadBytes: int
    | ReadHeads of after: int
    | ReadPayload of number: int
    | SaveSnapshot of number: int
    | LoadSnapshots
    | Trim of below: int
    | Reopen

/// What happened, in a form that can be compared.
type Observation =
    | Outcome of AppendOutcome
    | Heads of (int64 * byte array * int) list
    | Payload of byte array
    | Snapshots of (int64 * byte array) list
    | Missing
    | OutOfRange
    | Nothing

let private operation (random: Random) =
    let number () = random.Next 40

    match random.Next 20 with
    | 0 -> Reopen
    | 1 -> Trim(number ())
    | 2 -> SaveSnapshot(number ())
    | 3 -> LoadSnapshots
    | 4
    | 5 -> ReadHeads(number ())
    | 6
    | 7 -> ReadPayload(number ())
    | 8 -> Append(random.Next(-3, 4), 5, 5)
    | _ -> Append(0, 1 + random.Next 150, random.Next 300)

let private observe (log: IEventLog) next trimmedBelow operation : Task<Observation> =
    task {
        try
            match operation with
            | Append(ahead, headBytes, payloadBytes) ->
                let number = next + int64 ahead

                let! outcome =
                    tryAppend log number (content headBytes headBytes) (content payloadBytes payloadBytes)

                return Outcome outcome
            | ReadHeads after ->
                // How much of what was to be trimmed is still there is the store's own affair.
                let! heads = readAllHeads log (max (int64 after) (trimmedBelow - 1L))
                return Heads heads
            | ReadPayload number when int64 number < trimmedBelow -> return Nothing
            | ReadPayload number ->
                let! heads = readHeads log (int64 number - 1L) 1

                match heads with
                | [ _, _, length ] when length > 0 ->
                    let! payload = readPayload log (int64 number) (length / 3) (length - length / 3)
                    return Payload payload
                | _ ->
                    let! payload = readPayload log (int64 number) 0 0
                    return Payload payload
            | SaveSnapshot number ->
                do! log.SaveSnapshotAsync(int64 number, sequence (content number (number * 10)), none)
                return Nothing
            | LoadSnapshots ->
                let found = ResizeArray()
                let mutable below = Int64.MaxValue

                while below > 0L do
                    let! snapshot = log.LoadSnapshotAsync(below, none)

                    if isNull snapshot then
                        below <- 0L
                    else
                        found.Add(snapshot.Number, snapshot.Content.ToArray())
                        below <- snapshot.Number

                return Snapshots(List.ofSeq found)
            | Trim below ->
                do! log.TrimAsync(int64 below, none)
                return Nothing
            | Reopen -> return Nothing
        with
        | :? EntryMissingException -> return Missing
        | :? ArgumentOutOfRangeException -> return OutOfRange
    }

let private compare (seed: int) =
    task {
        let random = Random seed
        use directory = new TemporaryDirectory(false)
        let options = StoreOptions(FileRollBytes = 1_000L, MaxOpenFiles = 2)
        let! store = FileStore.OpenAsync(directory.Path, options, none)
        let mutable store = store
        let! log = store.OpenLogAsync("shard-0", none)
        let mutable log = log
        let! reference = (new MemoryStore()).OpenLogAsync("shard-0", none)
        let mutable next = 1L
        let mutable trimmedBelow = 1L

        for step in 1..80 do
            let operation = operation random
            let! expected = observe reference next trimmedBelow operation
            let! actual = observe log next trimmedBelow operation
            Expect.equal actual expected $"step {step}"

            match operation, expected with
            | Append _, Outcome AppendOutcome.Appended -> next <- next + 1L
            | Trim below, _ -> trimmedBelow <- max trimmedBelow (min (int64 below) next)
            | Reopen, _ ->
                do! store.DisposeAsync()
                let! reopened = FileStore.OpenAsync(directory.Path, options, none)
                store <- reopened
                let! reopenedLog = store.OpenLogAsync("shard-0", none)
                log <- reopenedLog
            | _ -> ()

        do! store.DisposeAsync()
    }

let tests =
    testList "model" [
        Check.propertyTimes 100 "a file store is a memory store that remembers" (fun (seed: int) ->
            (compare seed).GetAwaiter().GetResult())
    ]
