/// A file store whose disk fails: nothing acknowledged is ever lost, nothing unknown is ever called certain.
module Tansu.PropertyTests.Stores.FileFaults

open System
open System.Collections.Generic
open System.IO
open System.Threading
open System.Threading.Tasks
open Expecto
open Tansu.Adapters
open Tansu.Adapters.Ports
open Tansu.PropertyTests
open Tansu.PropertyTests.Stores.Helpers

let private errnoInputOutput = 5
let internal errnoNoSpace = 28

type internal Call =
    | Write
    | Sync
    | Truncate

/// Fails a call when `decide` says so: with that errno, after writing that many of the bytes.
type internal FaultyDisk() =
    inherit Disk()
    member val Decide: Call -> (int * int) option = (fun _ -> None) with get, set

    member private this.FailIf call =
        match this.Decide call with
        | Some(errno, _) -> raise (IOException("a made-up failure", errno))
        | None -> ()

    override this.Write(handle, buffers, position) =
        match this.Decide Write with
        | Some(errno, count) ->
            let bytes = buffers |> Seq.collect (fun buffer -> buffer.ToArray()) |> Array.ofSeq
            base.Write(handle, [| ReadOnlyMemory(bytes[.. min count bytes.Length - 1]) |], position)
            raise (IOException("a made-up failure", errno))
        | None -> base.Write(handle, buffers, position)

    override this.SyncData handle =
        this.FailIf Sync
        base.SyncData handle

    override this.Truncate(handle, length) =
        this.FailIf Truncate
        base.Truncate(handle, length)

let private openFaultyWith rollBytes root (disk: FaultyDisk) =
    task {
        let! store =
            FileStore.OpenAsync(root, StoreOptions(FileRollBytes = rollBytes), disk, none)

        let! log = store.OpenLogAsync(logName, none)
        return store, log
    }

let private openFaulty root disk = openFaultyWith 2_000L root disk

let private withFaulty name (body: FaultyDisk -> IEventLog -> Task<unit>) =
    testTask name {
        use directory = new TemporaryDirectory(false)
        let disk = FaultyDisk()
        let! (store: FileStore), log = openFaulty directory.Path disk
        do! appendRange log 1L 3L
        do! body disk log
        do! store.DisposeAsync()
        // Whatever happened, the log opens, and goes on where it was.
        disk.Decide <- fun _ -> None
        let! (store: FileStore), log = openFaulty directory.Path disk
        let! heads = readHeads log 0L 3
        Expect.equal heads [ for number in 1L .. 3L -> number, headOf number, (payloadOf number).Length ] "acknowledged"
        do! store.DisposeAsync()
    }

let internal failing call errno count =
    fun actual -> if actual = call then Some(errno, count) else None

let internal once (decide: Call -> (int * int) option) =
    let left = ref 1

    fun call ->
        match decide call with
        | Some fault when left.Value > 0 ->
            left.Value <- left.Value - 1
            Some fault
        | _ -> None

let private outcomeOf log number =
    tryAppend log number (headOf number) (payloadOf number)

let private situations = [
    for count in [ 0; 1; 39; 60; 100_000 ] do
        withFaulty
            $"a write that fails after {count} bytes is unknown, then absent, and can be repeated"
            (fun disk log ->
                task {
                    disk.Decide <- failing Write errnoInputOutput count
                    let! outcome = outcomeOf log 4L
                    Expect.equal outcome AppendOutcome.Unknown "the failed append"
                    disk.Decide <- fun _ -> None
                    let! heads = readHeads log 3L 1
                    Expect.isEmpty heads "absent"
                    let! outcome = outcomeOf log 4L
                    Expect.equal outcome AppendOutcome.Appended "repeated"
                    do! expectEntries log 1L 4L
                })
    withFaulty
        "a sync that fails is unknown, and nothing is accepted or shown until the disk has been asked"
        (fun disk log ->
            task {
                disk.Decide <- failing Sync errnoInputOutput 0
                let! outcome = outcomeOf log 4L
                Expect.equal outcome AppendOutcome.Unknown "the failed append"

                do! failsWith<StoreUnavailableException> "the tail" (fun () -> readHeads log 3L 1 :> Task)
                do! failsWith<StoreUnavailableException> "an append" (fun () -> outcomeOf log 4L :> Task)
                let! older = readHeads log 0L 3
                Expect.equal older.Length 3 "what was acknowledged before"
                let! conflict = outcomeOf log 3L
                Expect.equal conflict AppendOutcome.Conflict "a number that is taken"

                disk.Decide <- fun _ -> None
                let! outcome = outcomeOf log 4L
                Expect.equal outcome AppendOutcome.Appended "when the disk is well again"
            })
    withFaulty "on a full disk the append is refused for now, and it is certain that it was not made" (fun disk log ->
        task {
            disk.Decide <- once (failing Write errnoNoSpace 50)
            do! failsWith<StoreUnavailableException> "the append" (fun () -> outcomeOf log 4L :> Task)
            let! heads = readHeads log 3L 1
            Expect.isEmpty heads "absent"
            disk.Decide <- fun _ -> None
            let! outcome = outcomeOf log 4L
            Expect.equal outcome AppendOutcome.Appended "when there is room"
        })
    withFaulty "on a full disk that cannot be cut back either, the append is unknown" (fun disk log ->
        task {
            disk.Decide <-
                function
                | Write -> Some(errnoNoSpace, 50)
                | Sync -> None
                | Truncate -> Some(errnoInputOutput, 0)

            let! outcome = outcomeOf log 4L
            Expect.equal outcome AppendOutcome.Unknown "the append"
        })
    withFaulty "a full file whose zeros cannot be taken away gets no further entry" (fun disk log ->
        task {
            disk.Decide <- failing Truncate errnoInputOutput 0
            let mutable next = 4L
            let mutable isFull = false

            while not isFull do
                try
                    let! outcome = outcomeOf log next
                    Expect.equal outcome AppendOutcome.Appended $"entry {next}"
                    next <- next + 1L
                with :? StoreUnavailableException ->
                    isFull <- true

            do! failsWith<StoreUnavailableException> "once more" (fun () -> outcomeOf log next :> Task)
            disk.Decide <- fun _ -> None
            let! outcome = outcomeOf log next
            Expect.equal outcome AppendOutcome.Appended "when the disk is well again"
            do! expectEntries log 1L next
        })
    withFaulty "closed in doubt" (fun disk log ->
        task {
            disk.Decide <- failing Sync errnoInputOutput 0
            let! outcome = outcomeOf log 4L
            Expect.equal outcome AppendOutcome.Unknown "the append"
        })
]

/// Appends under random failures and crashes; an acknowledged entry must stay, a certain absence must be one.
/// How many files were written over that had other entries before.
let private campaign mayTrim steps (seed: int) =
    task {
        let open' root disk =
            openFaultyWith (if mayTrim then 20_000L else 2_000L) root disk

        let longest = if mayTrim then 4_000 else 300
        let writtenOver = HashSet<string>()
        use directory = new TemporaryDirectory(false)
        let random = Random seed
        let disk = FaultyDisk()
        let acknowledged = Dictionary<int64, byte array>()
        let mutable unknown: (int64 * byte array) option = None
        let mutable trimmedBelow = 1L
        let mutable place = Path.Combine(directory.Path, "0")
        let! store, log = open' place disk
        let mutable store: FileStore = store
        let mutable log: IEventLog = log
        let mutable next = 1L

        let faults _ =
            if random.Next(if mayTrim then 10 else 4) = 0 then
                let isFull = random.Next(if mayTrim then 40 else 2) = 0
                Some((if isFull then errnoNoSpace else errnoInputOutput), random.Next(longest + 100))
            else
                None

        /// Reads the tail: what was unknown is now known.
        let settle () =
            task {
                let! heads = readHeads log (next - 1L) 1

                match heads, unknown with
                | [], _ -> ()
                | [ number, head, _ ], Some(unknownNumber, unknownHead) ->
                    Expect.equal (number, head) (unknownNumber, unknownHead) "the unknown entry"
                    acknowledged[number] <- head
                    next <- number + 1L
                | heads, _ -> failtest $"{heads.Length} entries that nobody appended"

                unknown <- None
            }

        for step in 1..steps do
            disk.Decide <- faults

            if random.Next 8 = 0 then
                let isKilled = mayTrim && random.Next 2 = 0
                let left = place

                if isKilled then
                    place <- Path.Combine(directory.Path, string step)
                    copyStore left place

                do! store.DisposeAsync()
                disk.Decide <- fun _ -> None
                let! reopened, reopenedLog = open' place disk
                store <- reopened
                log <- reopenedLog
                do! settle ()
            elif mayTrim && random.Next 6 = 0 then
                trimmedBelow <- max trimmedBelow (random.NextInt64(max 1L (next - 15L), next + 1L))
                do! log.TrimAsync(trimmedBelow, none)

                filesOf place ".log" |> List.filter isWrittenOver |> writtenOver.UnionWith
            else
                let head = content (seed + step) (1 + random.Next 100)

                try
                    let! outcome = tryAppend log next head (content step (random.Next longest))

                    match outcome with
                    | AppendOutcome.Appended ->
                        acknowledged[next] <- head
                        next <- next + 1L
                        unknown <- None
                    | AppendOutcome.Unknown -> unknown <- Some(next, head)
                    | _ -> failtest "a conflict with nobody"
                with :? StoreUnavailableException ->
                    ()

        do! store.DisposeAsync()
        disk.Decide <- fun _ -> None
        let! reopened, reopenedLog = open' place disk
        log <- reopenedLog
        do! settle ()
        let! heads = readAllHeads log (trimmedBelow - 1L)

        Expect.equal
            [ for number, head, _ in heads -> number, head ]
            [ for number in trimmedBelow .. next - 1L -> number, acknowledged[number] ]
            "every acknowledged entry, once"

        do! reopened.DisposeAsync()
        return writtenOver.Count
    }

let private threads =
    testCaseTask "work for which no thread can be started is not done, and the next is" (fun () ->
        task {
            let mutable failing = true

            let start (thread: Thread) =
                if failing then
                    raise (OutOfMemoryException())

                thread.Start()

            use threads = new IoThreads("test", 2, start)
            let mutable ran = 0

            let run () =
                threads.RunAsync("Counting", (fun () -> Interlocked.Increment &ran), CancellationToken.None)

            let isRefused () =
                try
                    run () |> ignore
                    false
                with :? StoreUnavailableException ->
                    true

            Expect.isTrue (isRefused ()) "no thread at all"
            failing <- false
            let! first = run ()
            Expect.equal first 1 "what was refused has not been done"

            // One thread, which is busy, and no other to be had: it does that later.
            failing <- true
            use gate = new ManualResetEventSlim()

            let holding =
                threads.RunAsync(
                    "Waiting",
                    (fun () ->
                        gate.Wait()
                        0),
                    CancellationToken.None
                )

            let waiting = run ()
            gate.Set()
            let! _ = holding
            let! second = waiting
            Expect.equal second 2 "by the thread there is"
        })

let tests =
    testList "faults" [
        yield! situations
        threads
        Check.propertyTimes 100 "every acknowledged entry survives failing disks and restarts" (fun (seed: int) ->
            (campaign false 40 seed).GetAwaiter().GetResult() |> ignore)
        testCaseTask
            "every acknowledged entry survives failing disks and killed brokers, written over trimmed ones"
            (fun () ->
                task {
                    let mutable writtenOver = 0

                    for number in 0..99 do
                        let! more = campaign true 200 (int Check.seed + number)
                        writtenOver <- writtenOver + more

                    Expect.isGreaterThan writtenOver 100 "files that were written over"
                })
    ]
