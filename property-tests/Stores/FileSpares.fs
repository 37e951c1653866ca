/// Log files that have been trimmed and are written over.
module Tansu.PropertyTests.Stores.FileSpares

open System
open System.IO
open System.Threading
open System.Threading.Tasks
open Expecto
open Tansu.Adapters
open Tansu.Adapters.Ports
open Tansu.PropertyTests
open Tansu.PropertyTests.Host
open Tansu.PropertyTests.Stores.Helpers

/// Several blocks, so that older entries are left behind the block of the last.
let private rollBytes = 20_000L

let private withStore (clock: TimeProvider) root (body: Opened -> IEventLog -> Task<'result>) =
    let change (options: StoreOptions) =
        StoreOptions(OnNotice = options.OnNotice, FileRollBytes = rollBytes, TimeProvider = clock)

    withLogWith change root body

let private copyOf root =
    let copy = new TemporaryDirectory(false)
    copyStore root copy.Path
    copy

/// Appends from `next` on until the log has gone on in a file that was trimmed, and has three entries there.
let private goOn root (log: IEventLog) (next: int64) =
    task {
        let spares = (filesOf root ".spare").Length
        let mutable next = next

        while (filesOf root ".spare").Length = spares do
            do! appendNext log next
            next <- next + 1L

        do! appendRange log next (next + 1L)
        return next + 1L
    }

/// A log that has been trimmed to what is behind entry 500 and has gone on; with its last entry.
let private recycled root (log: IEventLog) =
    task {
        do! appendRange log 1L 750L
        do! log.TrimAsync(501L, none)
        return! goOn root log 751L
    }

/// What a crash leaves of such a log.
type private Crashed = {
    directory: TemporaryDirectory
    /// The file written last, and what is in it.
    path: string
    bytes: byte array
    last: int64
}

let private crashed () =
    task {
        use root = new TemporaryDirectory(false)

        return!
            withStore TimeProvider.System root.Path (fun _ log ->
                task {
                    let! last = recycled root.Path log
                    let copy = copyOf root.Path
                    let path = List.last (filesOf copy.Path ".log")

                    return { directory = copy; path = path; bytes = File.ReadAllBytes path; last = last }
                })
    }

let private testCrashed name (body: Crashed -> Task<unit>) =
    testTask name {
        let! (left: Crashed) = crashed ()
        use _ = left.directory
        do! body left
    }

/// Where an entry begins in the file at `path`, which is written over.
let private positionOf (path: string) number =
    EntryFrame.BeginningBytes
    + List.sumBy entryBytes [ int64 (Path.GetFileNameWithoutExtension path) .. number - 1L ]

let private afterBeginning (bytes: byte array) = bytes[EntryFrame.BeginningBytes ..]
let private beginningOf (bytes: byte array) = bytes[.. EntryFrame.BeginningBytes - 1]

let private using = [
    withDirectory "the log goes on in files that have been trimmed, which take no more space" (fun root ->
        withStore TimeProvider.System root (fun opened log ->
            task {
                let! last = recycled root log
                let mutable last = last

                let count () =
                    (filesOf root ".log").Length + (filesOf root ".spare").Length

                let most = count ()

                for _ in 1..20 do
                    do! log.TrimAsync(last - 200L, none)
                    let! next = goOn root log (last + 1L)
                    last <- next
                    Expect.isLessThanOrEqual (count ()) most "files"
                    do! expectEntries log (last - 200L) last

                for path in filesOf root ".log" do
                    Expect.isLessThanOrEqual (FileInfo(path).Length) rollBytes "the length of a file"

                Expect.isEmpty opened.notices "no notice"
            }))
    withDirectory "such a log is the same after it has been opened again, also to look at it" (fun root ->
        task {
            let! last = withStore TimeProvider.System root (fun _ log -> recycled root log)
            let left = filesOf root ".spare"
            Expect.isNonEmpty left "spare files"

            let readOnly (options: StoreOptions) =
                StoreOptions(OnNotice = options.OnNotice, FileRollBytes = rollBytes, IsReadOnly = true)

            File.WriteAllText(Path.Combine(root, "cluster"), "")
            let! looking = openFileWith readOnly root
            let! log = looking.store.OpenLogAsync(logName, none)
            do! expectEntries log 501L last
            do! looking.store.DisposeAsync()
            Expect.equal (filesOf root ".spare") left "nothing has changed"

            let! next =
                withStore TimeProvider.System root (fun opened log ->
                    task {
                        do! expectEntries log 501L last
                        let! next = goOn root log (last + 1L)
                        do! expectEntries log 501L next
                        Expect.isEmpty opened.notices "no notice"
                        return next
                    })

            do! withStore TimeProvider.System root (fun _ log -> expectEntries log 501L next)
        })
    withDirectory "a file with a second name is left as it is" (fun root ->
        withStore TimeProvider.System root (fun opened log ->
            task {
                let copies = Path.Combine(root, "copies")
                Directory.CreateDirectory copies |> ignore

                /// Gives files second names; they with what they hold.
                let copied suffix = [
                    for path in filesOf root suffix do
                        let copy = Path.Combine(copies, Path.GetFileName path)
                        Expect.equal (link (path, copy)) 0 "a second name"
                        copy, File.ReadAllBytes path
                ]

                do! appendRange log 1L 750L
                let before = copied ".log"
                do! log.TrimAsync(501L, none)
                Expect.isEmpty (filesOf root ".spare") "they are not kept"
                do! appendRange log 751L 1_500L
                do! log.TrimAsync(1_301L, none)
                let spare = copied ".spare"
                Expect.isNonEmpty spare "spare files"
                do! appendRange log 1_501L 2_500L
                do! expectEntries log 1_301L 2_500L

                // Not the one that was being written.
                for copy, bytes in List.take (before.Length - 1) before @ spare do
                    Expect.equal (File.ReadAllBytes copy) bytes copy

                Expect.isEmpty opened.notices "no notice"
            }))
    withDirectory "as many are kept as were filled in the last minutes, and the others deleted" (fun root ->
        let clock = ManualTime()

        withStore clock root (fun opened log ->
            task {
                // On the thread that deletes spare files, after all that has been begun.
                let settled () =
                    task {
                        for _ in 1..4 do
                            let! _ = log.LoadSnapshotAsync(Int64.MaxValue, none)
                            ()
                    }

                do! appendRange log 1L 750L
                do! log.TrimAsync(501L, none)
                let kept = (filesOf root ".spare").Length
                Expect.isGreaterThan kept 2 "spare files"
                clock.Advance(SpareLogFiles.Lately - TimeSpan.FromSeconds 1.0)
                let! last = goOn root log 751L
                do! settled ()
                Expect.equal (filesOf root ".spare").Length (kept - 1) "not yet"
                clock.Advance(TimeSpan.FromSeconds 1.0)

                while (filesOf root ".spare").Length > 1 do
                    do! settled ()

                clock.Advance SpareLogFiles.Lately

                while not (filesOf root ".spare").IsEmpty do
                    do! settled ()

                do! log.TrimAsync(last, none)
                Expect.isEmpty (filesOf root ".spare") "none is kept that is not needed"
                do! expectEntries log last last
                Expect.isEmpty opened.notices "no notice"
            }))
    withDirectory "those found at the start are kept for some minutes" (fun root ->
        task {
            let! _ = withStore TimeProvider.System root (fun _ log -> recycled root log)
            let found = (filesOf root ".spare").Length
            let clock = ManualTime()

            do!
                withStore clock root (fun _ log ->
                    task {
                        do! log.TrimAsync(1L, none)
                        Expect.equal (filesOf root ".spare").Length found "kept"
                        clock.Advance SpareLogFiles.Lately

                        while not (filesOf root ".spare").IsEmpty do
                            let! _ = log.LoadSnapshotAsync(Int64.MaxValue, none)
                            ()
                    })
        })
    withDirectory "on a full disk they are deleted" (fun root ->
        task {
            let disk = FileFaults.FaultyDisk()

            let! store =
                FileStore.OpenAsync(root, StoreOptions(FileRollBytes = rollBytes), disk, none)

            use store = store
            let! log = store.OpenLogAsync(logName, none)
            let! last = recycled root log
            Expect.isNonEmpty (filesOf root ".spare") "spare files"
            disk.Decide <- FileFaults.once (FileFaults.failing FileFaults.Write FileFaults.errnoNoSpace 10)
            do! failsWith<StoreUnavailableException> "the append" (fun () -> appendNext log (last + 1L) :> Task)

            while not (filesOf root ".spare").IsEmpty do
                let! _ = log.LoadSnapshotAsync(Int64.MaxValue, none)
                ()

            do! appendRange log (last + 1L) (last + 100L)
            do! expectEntries log 501L (last + 100L)
        })
    withDirectory
        "who reads while files are trimmed and written over finds what was written, or that it is gone"
        (fun root ->
            withStore TimeProvider.System root (fun _ log ->
                task {
                    let mutable first = 1L
                    let mutable last = 40L
                    let mutable isOver = false
                    do! appendRange log 1L last

                    let read (random: Random) =
                        task {
                            while not (Volatile.Read &isOver) do
                                let number =
                                    random.NextInt64(max 1L (Volatile.Read &first - 10L), Volatile.Read &last + 1L)

                                try
                                    if random.Next 2 = 0 then
                                        let! heads = readHeads log (number - 1L) 3
                                        let found, head, length = List.head heads

                                        Expect.equal
                                            (found, head, length)
                                            (number, headOf number, (payloadOf number).Length)
                                            "a head"
                                    else
                                        let expected = payloadOf number
                                        let! payload = readPayload log number 0 expected.Length
                                        Expect.equal payload expected "a payload"
                                with :? EntryMissingException ->
                                    Expect.isLessThan number (Volatile.Read &first) "only what was trimmed is gone"
                        }

                    let readers = [
                        for reader in 1..2 -> Task.Run<unit>(fun () -> read (Random(int Check.seed + reader)))
                    ]

                    let again = System.Collections.Generic.HashSet<string>()

                    for _ in 1..300 do
                        do! appendRange log (last + 1L) (last + 20L)
                        Volatile.Write(&last, last + 20L)
                        Volatile.Write(&first, last - 30L)
                        do! log.TrimAsync(first, none)
                        again.UnionWith(filesOf root ".log" |> List.filter isWrittenOver)

                    Volatile.Write(&isOver, true)
                    Expect.isGreaterThan again.Count 30 "files were used again"

                    for reader in readers do
                        do! reader
                }))
]

let private reopen (root: string) (check: IEventLog -> Task<unit>) =
    withStore TimeProvider.System root (fun opened log ->
        task {
            do! check log
            Expect.isEmpty opened.notices "no notice"
        })

let private crashing = [
    testCrashed
        "after a crash the entries are there, and the log goes on over what is left behind them"
        (fun { directory = copy; path = path; bytes = bytes; last = last } ->
            task {
                let behind = bytes[positionOf path (last + 1L) ..]
                Expect.isTrue (behind.AsSpan().IndexOf EntryFrame.Magic >= 0) "older entries are behind them"
                do! reopen copy.Path (fun log -> expectEntries log 501L last)
                File.WriteAllBytes(path, bytes)

                do!
                    reopen copy.Path (fun log ->
                        task {
                            do! appendRange log (last + 1L) (last + 30L)
                            Expect.equal (FileInfo(path).Length) (int64 bytes.Length) "no longer than before"
                            do! expectEntries log 501L (last + 30L)
                        })

                do! reopen copy.Path (fun log -> expectEntries log 501L (last + 30L))
            })
    testCrashed
        "a crash before the first entry in a file that is written over"
        (fun { directory = copy; path = path; bytes = bytes; last = last } ->
            task {
                // The file as it was before, with what its first entries had been.
                let older = List.head (filesOf copy.Path ".spare")
                let first = int64 (Path.GetFileNameWithoutExtension path)

                let before =
                    Array.append (beginningOf bytes) (afterBeginning (File.ReadAllBytes older))

                File.WriteAllBytes(path, before)
                do! reopen copy.Path (fun log -> expectEntries log 501L (first - 1L))
                File.WriteAllBytes(path, before)

                do!
                    reopen copy.Path (fun log ->
                        task {
                            do! appendRange log first last
                            do! expectEntries log 501L last
                        })

                Expect.equal
                    (File.ReadAllBytes path).Length
                    (positionOf path (last + 1L))
                    "cut when it has been closed"

                do! reopen copy.Path (fun log -> expectEntries log 501L last)
            })
    testCrashed
        "an entry that was written over older ones only in part is not there"
        (fun { directory = copy; path = path; bytes = bytes; last = last } ->
            task {
                let begins = positionOf path last
                let ends = positionOf path (last + 1L)
                // What the file had there before.
                let older = content 7 (ends - begins)

                for middle in begins..ends do
                    for isFront in [ true; false ] do
                        let torn = Array.copy bytes
                        // One part of the entry is there, the other is not.
                        let missing = if isFront then middle, ends else begins, middle
                        let from, until = missing
                        Array.blit older (from - begins) torn from (until - from)

                        if torn <> bytes then
                            File.WriteAllBytes(path, torn)
                            let hasFrame = isFront && middle >= begins + frameBytes

                            do!
                                withStore TimeProvider.System copy.Path (fun opened log ->
                                    task {
                                        do! expectEntries log (last - 2L) (last - 1L)

                                        if hasFrame then
                                            Expect.stringContains
                                                (Seq.exactlyOne opened.notices)
                                                $"entry {last}"
                                                "the notice"

                                        do! appendNext log last
                                        do! expectEntries log (last - 2L) last
                                    })
            })
    testCrashed
        "damage before the last entry is refused, whatever is left behind it"
        (fun { directory = copy; path = path; bytes = bytes; last = last } ->
            task {
                let beginning = [ 0 .. frameBytes - 1 ]
                let entries = [ EntryFrame.BeginningBytes .. positionOf path last - 1 ]
                let first = int64 (Path.GetFileNameWithoutExtension path)
                let afterFirst = positionOf path (first + 1L)

                let onlyFirst =
                    Array.append bytes[.. afterFirst - 1] (content 7 (bytes.Length - afterFirst))

                for bytes, position in
                    [ for position in beginning @ entries -> bytes, position ]
                    @ [ for position in beginning -> onlyFirst, position ] do
                    let damaged = Array.copy bytes
                    damaged[position] <- damaged[position] ^^^ (1uy <<< (position % 8))
                    File.WriteAllBytes(path, damaged)

                    let! (refused: StoreRefusedException) =
                        failure<StoreRefusedException> "opening" (fun () ->
                            reopen copy.Path (fun _ -> Task.FromResult()) :> Task)

                    Expect.stringContains refused.Message path "which file"
                    Expect.equal (FileInfo(path).Length) (int64 bytes.Length) "nothing was cut"

                File.WriteAllBytes(path, bytes)
                do! reopen copy.Path (fun log -> expectEntries log 501L last)
            })
    testCrashed
        "a file that still has its name as a spare one is the log's"
        (fun { directory = copy; path = path; bytes = bytes; last = last } ->
            task {
                // By the name that it had before it was trimmed, and by the one before it was given to the log.
                let oldest = List.head (filesOf copy.Path ".log")
                let before = Path.ChangeExtension(oldest, ".spare")
                File.WriteAllBytes(before, File.ReadAllBytes oldest)
                let given = Path.Combine(logDirectory copy.Path, "00000000000000000001.spare")
                File.WriteAllBytes(given, bytes)

                do!
                    reopen copy.Path (fun log ->
                        task {
                            do! appendRange log (last + 1L) (last + 1_000L)
                            do! expectEntries log (last - 3L) (last + 1_000L)
                        })

                Expect.isTrue (File.Exists before && File.Exists given) "neither used nor deleted"
                Expect.equal (File.ReadAllBytes given) bytes "nor written to"
            })
    testTask "records that look like entries are not taken for any, wherever they are left" {
        use root = new TemporaryDirectory(false)
        let forged = Array.zeroCreate<byte> frameBytes

        EntryFrame.Write(
            forged.AsSpan(),
            Int64.MaxValue / 2L,
            1UL,
            Buffers.ReadOnlySequence.Empty,
            Buffers.ReadOnlySequence.Empty
        )

        let payload = Array.replicate 25 forged |> Array.concat
        let head = [| 1uy |]

        let append (log: IEventLog) first last =
            task {
                for number in first..last do
                    let! outcome = tryAppend log number head payload
                    Expect.equal outcome AppendOutcome.Appended $"entry {number}"
            }

        // What a crash leaves when three entries are in a file that is written over.
        let! (copy: TemporaryDirectory), (path: string), (bytes: byte array), (last: int64) =
            withStore TimeProvider.System root.Path (fun _ log ->
                task {
                    do! append log 1L 100L
                    do! log.TrimAsync(81L, none)
                    let mutable last = 100L

                    while not (isWrittenOver (List.last (filesOf root.Path ".log"))) do
                        last <- last + 1L
                        do! append log last last

                    do! append log (last + 1L) (last + 2L)
                    let copy = copyOf root.Path
                    let path = List.last (filesOf copy.Path ".log")
                    return copy, path, File.ReadAllBytes path, last + 2L
                })

        use copy = copy

        let opens last =
            reopen copy.Path (fun log ->
                task {
                    let! heads = readAllHeads log 80L
                    Expect.equal [ for number, _, _ in heads -> number ] [ 81L .. last ] "the entries"
                    do! append log (last + 1L) (last + 3L)
                })

        do! opens last
        let first = int64 (Path.GetFileNameWithoutExtension path)
        let older = File.ReadAllBytes(List.head (filesOf copy.Path ".spare"))

        for shift in 0..90 do
            // Older bytes where the first entry would be, a frame among them at any place.
            let rest =
                Array.append (older[EntryFrame.BeginningBytes + shift ..]) (Array.zeroCreate shift)

            File.WriteAllBytes(path, Array.append (beginningOf bytes) rest)
            do! opens (first - 1L)

        // The beginning lost: there is the head of what was there before, an entry longer than the file is now. Whatever its id, what comes after it is not cut.
        let large = Array.zeroCreate<byte> frameBytes

        EntryFrame.Write(
            large.AsSpan(),
            1L,
            2UL,
            Buffers.ReadOnlySequence.Empty,
            Buffers.ReadOnlySequence(Array.zeroCreate<byte> bytes.Length)
        )

        File.WriteAllBytes(path, Array.append large bytes[frameBytes..])

        let! (refused: StoreRefusedException) =
            failure<StoreRefusedException> "opening" (fun () -> opens last)

        Expect.stringContains refused.Message path "the message"
    }
]

let tests =
    testList "spares" [ testList "using" using; testList "crashing" crashing ]
