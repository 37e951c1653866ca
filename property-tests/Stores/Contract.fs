/// What every store promises, run on each. A store's tests call `contract` with a way to make an empty store.
module Tansu.PropertyTests.Stores.Contract

open System
open System.Threading
open System.Threading.Tasks
open Expecto
open Tansu.Adapters.Ports
open Tansu.PropertyTests.Stores.Helpers

let private racers = 32
let private rounds = 30

type private Make = unit -> Task<IStore>

/// A test with an empty store of its own.
let private withStore (make: Make) name (body: IStore -> Task<unit>) =
    testTask name {
        let! store = make ()
        use _ = store
        do! body store
    }

let private withLog (make: Make) name (body: IEventLog -> Task<unit>) =
    withStore make name (fun store ->
        task {
            let! log = store.OpenLogAsync("shard-0", none)
            do! body log
        })

let private race (count: int) (run: int -> Task<'result>) =
    Task.WhenAll [| for racer in 0 .. count - 1 -> Task.Run<'result>(fun () -> run racer) |]

let private appends make = [
    withLog make "an entry reads back as it was appended" (fun log ->
        task {
            do! appendRange log 1L 12L
            do! expectEntries log 1L 12L
        })
    withLog make "a number that is taken is a conflict, and the first entry stays" (fun log ->
        task {
            do! appendRange log 1L 3L

            for number in 1L .. 3L do
                let! outcome = tryAppend log number [| 9uy |] [| 9uy |]
                Expect.equal outcome AppendOutcome.Conflict $"entry {number} again"

            do! expectEntries log 1L 3L
        })
    withLog make "a number whose predecessor is missing is a conflict" (fun log ->
        task {
            do! appendRange log 1L 2L

            for number in [ -1L; 0L; 4L; 5L; 1_000_000L ] do
                let! outcome = tryAppend log number [| 9uy |] [||]
                Expect.equal outcome AppendOutcome.Conflict $"entry {number}"

            do! expectEntries log 1L 2L
        })
    withLog make $"of {racers} racers for one number exactly one wins, {rounds} times" (fun log ->
        task {
            for number in 1L .. int64 rounds do
                let! outcomes =
                    race racers (fun racer -> tryAppend log number [| byte racer |] (content racer 50))

                let winners =
                    outcomes
                    |> Array.indexed
                    |> Array.filter (fun (_, outcome) -> outcome = AppendOutcome.Appended)

                Expect.equal winners.Length 1 "winners"
                let winner = fst winners[0]
                let! heads = readHeads log (number - 1L) 10
                Expect.equal heads [ number, [| byte winner |], 50 ] "the winner's head"
                let! payload = readPayload log number 0 50
                Expect.equal payload (content winner 50) "the winner's payload"
        })
    withLog make "heads and payloads may come in pieces, and be large" (fun log ->
        task {
            let head, payload = content 1 70_000, content 2 3_000_000

            let! outcome =
                log.TryAppendAsync(1L, inPieces 999 head, inPieces 1_001 payload, none)

            Expect.equal outcome AppendOutcome.Appended "appended"
            let! heads = readHeads log 0L 1
            Expect.equal heads [ 1L, head, payload.Length ] "the head"
            let! read = readPayload log 1L 0 payload.Length
            Expect.isTrue (read.AsSpan().SequenceEqual payload) "the payload"
        })
    withStore make "logs are apart, and a log opened again is the same" (fun store ->
        task {
            let! first = store.OpenLogAsync("shard-0", none)
            let! again = store.OpenLogAsync("shard-0", none)
            let! other = store.OpenLogAsync("catalog", none)
            Expect.isTrue (Object.ReferenceEquals(first, again)) "the same instance"
            Expect.equal (first.Name, other.Name) ("shard-0", "catalog") "names"
            do! appendRange first 1L 2L
            let! heads = readHeads other 0L 10
            Expect.isEmpty heads "the other log"
        })
    withStore make "a log that was disposed can be opened again and holds what it held" (fun store ->
        task {
            let! log = store.OpenLogAsync("shard-0", none)
            do! appendRange log 1L 3L
            do! log.DisposeAsync()

            do!
                failsWith<ObjectDisposedException> "append to a disposed log" (fun () ->
                    tryAppend log 4L [| 1uy |] [||] :> Task)

            let! log = store.OpenLogAsync("shard-0", none)
            do! expectEntries log 1L 3L
            do! appendNext log 4L
        })
    withStore make "names that could leave the store are refused" (fun store ->
        task {
            for name in [ ""; "."; ".."; "../x"; "a/b"; "A"; "1a"; "a b"; String('a', 65) ] do
                do!
                    failsWith<ArgumentException> $"log '{name}'" (fun () ->
                        store.OpenLogAsync(name, none).AsTask() :> Task)
        })
]

let private reads make = [
    withLog make "an empty log has no heads" (fun log ->
        task {
            let! heads = readHeads log 0L 10
            Expect.isEmpty heads "heads"
            let! heads = readHeads log 5L 10
            Expect.isEmpty heads "heads after an entry that is not there"
        })
    withLog
        make
        "heads come in order, without gaps, at most as many as asked for, and never none while there are some"
        (fun log ->
            task {
                do! appendRange log 1L 25L

                for maxEntries in [ 1; 4; 25; 1_000 ] do
                    for after in 0L .. 25L do
                        let! heads = readHeads log after maxEntries
                        let most = min (25L - after) (int64 maxEntries)
                        Expect.isLessThanOrEqual (int64 heads.Length) most "at most"
                        Expect.isTrue (most = 0L || not heads.IsEmpty) "not none"
                        let numbers = heads |> List.map (fun (number, _, _) -> number)
                        Expect.equal numbers [ after + 1L .. after + int64 heads.Length ] "in order"
            })
    withLog make "any range of a payload can be read" (fun log ->
        task {
            let payload = content 5 100
            let! _ = tryAppend log 1L [| 1uy |] payload

            for position in 0..10..100 do
                for length in 0..10 .. 100 - position do
                    let! part = readPayload log 1L position length
                    Expect.equal part payload[position .. position + length - 1] "the range"
        })
    withLog make "a range outside of a payload, and a payload that is not there, are errors" (fun log ->
        task {
            let! _ = tryAppend log 1L [| 1uy |] (content 5 10)

            for position, length in [ 0, 11; 10, 1; 11, 0; -1, 1 ] do
                do!
                    failsWith<ArgumentOutOfRangeException> $"{length} bytes at {position}" (fun () ->
                        readPayload log 1L position length :> Task)

            for number in [ 0L; 2L ] do
                do! failsWith<EntryMissingException> $"entry {number}" (fun () -> readPayload log number 0 0 :> Task)
        })
]

let private load (log: IEventLog) below =
    task {
        let! snapshot = log.LoadSnapshotAsync(below, none)

        return
            snapshot
            |> Option.ofObj
            |> Option.map (fun found -> found.Number, found.Content.ToArray())
    }

let private snapshots make = [
    withLog make "snapshots come newest first, then the next older" (fun log ->
        task {
            let! nothing = load log Int64.MaxValue
            Expect.isNone nothing "no snapshot yet"
            do! appendRange log 1L 9L

            for number in [ 3L; 6L; 9L ] do
                do! log.SaveSnapshotAsync(number, inPieces 100 (content (int number) 1_000), none)

            let! newest = load log Int64.MaxValue
            Expect.equal newest (Some(9L, content 9 1_000)) "the newest"
            let! older = load log 9L
            Expect.equal older (Some(6L, content 6 1_000)) "the one before"
            let! oldest = load log 3L
            Expect.isNone oldest "none below the oldest"
        })
    withLog make "a snapshot with the same number replaces the first" (fun log ->
        task {
            do! appendRange log 1L 2L
            do! log.SaveSnapshotAsync(1L, sequence (content 1 10), none)
            do! log.SaveSnapshotAsync(2L, sequence (content 2 10), none)
            do! log.SaveSnapshotAsync(2L, sequence [||], none)
            let! newest = load log Int64.MaxValue
            Expect.equal newest (Some(2L, [||])) "the newest"
            let! older = load log 2L
            Expect.equal older (Some(1L, content 1 10)) "the one before"
        })
]

let private trims make = [
    withLog make "trimming never removes more than asked, nor snapshots" (fun log ->
        task {
            do! appendRange log 1L 20L
            do! log.SaveSnapshotAsync(10L, sequence [| 7uy |], none)

            for below in [ 0L; 1L; 5L; 11L; 3L ] do
                do! log.TrimAsync(below, none)
                let first = max 1L (if below = 3L then 11L else below)
                do! expectEntries log first 20L

            let! snapshot = load log Int64.MaxValue
            Expect.equal snapshot (Some(10L, [| 7uy |])) "the snapshot"
            do! appendNext log 21L
        })
    withLog make "a trimmed entry is missing, not absent; or it is still there" (fun log ->
        task {
            do! appendRange log 1L 20L
            do! log.TrimAsync(11L, none)

            try
                let! heads = readHeads log 0L 1
                Expect.equal heads [ 1L, headOf 1L, (payloadOf 1L).Length ] "still there"
            with :? EntryMissingException as missing ->
                Expect.equal (missing.LogName, missing.Number) ("shard-0", 1L) "missing"
        })
    withLog make "a log trimmed to nothing goes on at the same number" (fun log ->
        task {
            do! appendRange log 1L 5L
            do! log.TrimAsync(1_000L, none)

            for number in 1L .. 5L do
                let! outcome = tryAppend log number [| 9uy |] [||]
                Expect.equal outcome AppendOutcome.Conflict $"entry {number} again"

            let! heads = readHeads log 5L 10
            Expect.isEmpty heads "nothing after the last"
            do! appendNext log 6L
            do! expectEntries log 6L 6L
        })
]

let private listed (blobs: IBlobStore) prefix =
    task {
        let names = ResizeArray<string * int64>()
        let entries = blobs.ListAsync(prefix, none).GetAsyncEnumerator()
        let mutable more = true

        while more do
            let! next = entries.MoveNextAsync()
            more <- next

            if more then
                names.Add(entries.Current.Name, entries.Current.Length)

        do! entries.DisposeAsync()
        return List.ofSeq names
    }

let private blobs make = [
    withStore make "any range of an object can be read; beyond its end it is missing" (fun store ->
        task {
            let bytes = content 1 100_000
            do! store.Blobs.PutAsync("data/0001/abc-1.bin", inPieces 4_096 bytes, none)

            for position, length in [ 0, 100_000; 0, 0; 100_000, 0; 99_999, 1; 5_000, 50_000 ] do
                let! part = readBlob store.Blobs "data/0001/abc-1.bin" (int64 position) length
                Expect.isTrue (part.AsSpan().SequenceEqual(bytes.AsSpan(position, length))) "the range"

            for name, position, length in
                [
                    "data/0001/abc-1.bin", 1L, 100_000
                    "data/0001/abc-1.bin", 100_001L, 0
                    "data/0001/abc-2.bin", 0L, 0
                    "nothing/here", 0L, 1
                ] do
                let! missing =
                    failure<BlobMissingException> $"{length} bytes of {name}" (fun () ->
                        readBlob store.Blobs name position length :> Task)

                Expect.equal missing.Name name "its name"
        })
    withStore make "putting again replaces; deleting may be repeated" (fun store ->
        task {
            do! store.Blobs.PutAsync("a", sequence (content 1 10), none)
            do! store.Blobs.PutAsync("a", sequence (content 2 20), none)
            let! bytes = readBlob store.Blobs "a" 0L 20
            Expect.equal bytes (content 2 20) "the second"
            do! store.Blobs.DeleteAsync([| "a"; "b"; "c/d" |], none)
            do! store.Blobs.DeleteAsync([| "a" |], none)
            let! names = listed store.Blobs ""
            Expect.isEmpty names "nothing is left"
        })
    withStore make "a listing has what begins with the prefix, in ordinal order" (fun store ->
        task {
            let names = [ "a-b/c"; "a.b"; "a/b"; "a/b2/c"; "a0"; "B/x"; "data/1"; "data/10"; "data/2" ]

            for index, name in List.indexed names do
                do! store.Blobs.PutAsync(name, sequence (Array.zeroCreate index), none)

            for prefix in [ ""; "a"; "a/"; "a/b"; "data/1"; "dat"; "x"; "data/2/" ] do
                let expected =
                    List.indexed names
                    |> List.filter (fun (_, name) -> name.StartsWith(prefix, StringComparison.Ordinal))
                    |> List.map (fun (length, name) -> name, int64 length)
                    |> List.sortWith (fun (left, _) (right, _) -> String.CompareOrdinal(left, right))

                let! found = listed store.Blobs prefix
                Expect.equal found expected $"prefix '{prefix}'"
        })
    withStore make "object names that could leave the store are refused" (fun store ->
        task {
            for name in
                [
                    ""
                    "/a"
                    "a/"
                    "a//b"
                    ".."
                    "a/../b"
                    ".a"
                    "a/.b"
                    "a b"
                    "a\\b"
                    "ä"
                    String('a', 201)
                ] do
                do!
                    failsWith<ArgumentException> $"object '{name}'" (fun () ->
                        store.Blobs.PutAsync(name, sequence [||], none).AsTask())
        })
]

let private clusters make = [
    withStore make "of many first objects one is stored, and everybody gets it" (fun store ->
        task {
            let proposed racer = content racer (racer + 1)

            let create racer =
                task {
                    let! stored = store.GetOrCreateClusterAsync(ReadOnlyMemory(proposed racer), none)
                    return stored.ToArray()
                }

            let! stored = race racers create
            Expect.equal (Array.distinct stored).Length 1 "one object"
            Expect.contains [ for racer in 0 .. racers - 1 -> proposed racer ] stored[0] "a proposed one"
            let! later = create 99
            Expect.equal later stored[0] "the same later"
        })
]

let private cancellations make = [
    withStore make "a token that is cancelled before stops everything, and nothing is created" (fun store ->
        task {
            let! log = store.OpenLogAsync("shard-0", none)
            do! appendNext log 1L
            let token = CancellationToken true
            let one = sequence [| 1uy |]

            let calls: (string * (unit -> Task)) list = [
                "append", (fun () -> log.TryAppendAsync(2L, one, one, token).AsTask())
                "heads", (fun () -> log.ReadHeadsAsync(0L, 1, token).AsTask())
                "payload", (fun () -> log.ReadPayloadAsync(1L, 0, Memory.Empty, token).AsTask())
                "save", (fun () -> log.SaveSnapshotAsync(1L, one, token).AsTask())
                "load", (fun () -> log.LoadSnapshotAsync(1L, token).AsTask())
                "trim", (fun () -> log.TrimAsync(2L, token).AsTask())
                "put", (fun () -> store.Blobs.PutAsync("a", one, token).AsTask())
                "read", (fun () -> store.Blobs.ReadAsync("a", 0L, Memory.Empty, token).AsTask())
                "delete", (fun () -> store.Blobs.DeleteAsync([| "a" |], token).AsTask())
                "cluster", (fun () -> store.GetOrCreateClusterAsync(ReadOnlyMemory [| 1uy |], token).AsTask())
            ]

            for name, call in calls do
                do! failsWith<OperationCanceledException> name call

            let! heads = readHeads log 1L 1
            Expect.isEmpty heads "no entry 2"
            do! appendNext log 2L
        })
]

let contract (name: string, makeStore: unit -> Task<IStore>) =
    testList name [
        testList "append" (appends makeStore)
        testList "read" (reads makeStore)
        testList "snapshot" (snapshots makeStore)
        testList "trim" (trims makeStore)
        testList "objects" (blobs makeStore)
        testList "cluster" (clusters makeStore)
        testList "cancel" (cancellations makeStore)
    ]
