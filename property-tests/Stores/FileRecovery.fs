/// What a file store finds when it opens a directory that something has happened to.
module Tansu.PropertyTests.Stores.FileRecovery

open System
open System.IO
open System.Threading
open System.Threading.Tasks
open Expecto
open Tansu.Adapters
open Tansu.Adapters.Ports
open Tansu.PropertyTests
open Tansu.PropertyTests.Stores.Helpers

/// Where entry `number` begins in a file whose first entry is `first`.
let private positionOf first number =
    List.sumBy entryBytes [ first .. number - 1L ]

let private withLog root (body: Opened -> IEventLog -> Task<unit>) = withLogWith id root body

let private write root last =
    withLog root (fun _ log -> appendRange log 1L last)

/// Rolls after about three entries.
let private tiny (options: StoreOptions) =
    let changed =
        StoreOptions(OnNotice = options.OnNotice, FileRollBytes = 400L, MaxOpenFiles = 2)

    changed

let private writeTiny root last =
    withLogWith tiny root (fun _ log -> appendRange log 1L last)

let private openFails change root =
    failure<StoreRefusedException> "opening" (fun () -> withLogWith change root (fun _ _ -> Task.FromResult()))

let private expectText (message: string) (parts: string list) =
    for part in parts do
        Expect.stringContains message part "the message"

    Expect.isFalse (message.Contains '\n') "one line"

let private flip (bytes: byte array) position =
    let changed = Array.copy bytes
    changed[position] <- changed[position] ^^^ (1uy <<< (position % 8))
    changed

/// That the torn end after entry `last` is cut with a notice, that the log goes on, and that it is then whole.
let private expectCut root path (last: int64) =
    task {
        do!
            withLog root (fun opened log ->
                task {
                    do! expectEntries log 1L last
                    Expect.equal opened.notices.Count 1 "one notice"

                    expectText (Seq.head opened.notices) [
                        path
                        $"byte {positionOf 1L (last + 1L)}"
                        $"entry {last + 1L}"
                    ]

                    Expect.equal (FileInfo(path: string).Length) (int64 (positionOf 1L (last + 1L))) "the length"
                    do! appendNext log (last + 1L)
                })

        do!
            withLog root (fun opened log ->
                task {
                    do! expectEntries log 1L (last + 1L)
                    Expect.isEmpty opened.notices "no notice"
                })
    }

let private tail = [
    withDirectory "a last entry cut short at any byte is cut off" (fun root ->
        task {
            do! write root 3L
            let path = List.exactlyOne (filesOf root ".log")
            let bytes = File.ReadAllBytes path

            for length in positionOf 1L 3L + 1 .. bytes.Length - 1 do
                File.WriteAllBytes(path, bytes[.. length - 1])
                do! expectCut root path 2L
        })
    withDirectory "a last entry with any byte damaged is cut off" (fun root ->
        task {
            do! write root 3L
            let path = List.exactlyOne (filesOf root ".log")
            let bytes = File.ReadAllBytes path

            for position in positionOf 1L 3L .. bytes.Length - 1 do
                File.WriteAllBytes(path, flip bytes position)
                do! expectCut root path 2L
        })
    withDirectory "anything but zeros after the last entry is cut off" (fun root ->
        task {
            do! write root 3L
            let path = List.exactlyOne (filesOf root ".log")
            let bytes = File.ReadAllBytes path

            for rest in
                [
                    Array.append (Array.zeroCreate 5_000) [| 1uy |]
                    content 3 70_000
                    bytes[..30]
                    [| 1uy |]
                ] do
                File.WriteAllBytes(path, Array.append bytes rest)
                do! expectCut root path 3L
        })
    withDirectory "a torn first entry leaves an empty log" (fun root ->
        task {
            do! write root 1L
            let path = List.exactlyOne (filesOf root ".log")
            let bytes = File.ReadAllBytes path

            for length in 1 .. bytes.Length - 1 do
                File.WriteAllBytes(path, bytes[.. length - 1])
                do! expectCut root path 0L
        })
    withDirectory "damage before the last entry is refused, saying which file and which byte" (fun root ->
        task {
            do! write root 4L
            let path = List.exactlyOne (filesOf root ".log")
            let bytes = File.ReadAllBytes path

            for position in 0 .. positionOf 1L 4L - 1 do
                let number =
                    [ 1L .. 3L ] |> List.findBack (fun number -> positionOf 1L number <= position)

                File.WriteAllBytes(path, flip bytes position)
                let! refused = openFails id root
                expectText refused.Message [ path; $"byte {positionOf 1L number}"; $"entry {number}" ]
                Expect.equal (FileInfo(path).Length) (int64 bytes.Length) "nothing was cut"

            File.WriteAllBytes(path, bytes)
            do! withLog root (fun _ log -> expectEntries log 1L 4L)
        })
    for before in [ 2L; 0L ] do
        withDirectory
            $"a torn entry whose payload holds entries of another log is cut off, with {before} before it"
            (fun root ->
                task {
                    use other = new TemporaryDirectory(false)
                    do! write other.Path 9L
                    let foreign = File.ReadAllBytes(List.exactlyOne (filesOf other.Path ".log"))

                    do!
                        withLog root (fun _ log ->
                            task {
                                do! appendRange log 1L before
                                let number = before + 1L

                                let! outcome =
                                    tryAppend log number (headOf number) (Array.append foreign (content 1 100))

                                Expect.equal outcome AppendOutcome.Appended "appended"
                            })

                    let path = List.exactlyOne (filesOf root ".log")
                    let bytes = File.ReadAllBytes path

                    // From where a whole entry is left of those in the payload.
                    let first =
                        positionOf 1L (before + 1L)
                        + frameBytes
                        + (headOf (before + 1L)).Length
                        + entryBytes 1L

                    for length in first..17 .. bytes.Length - 1 do
                        File.WriteAllBytes(path, bytes[.. length - 1])
                        do! expectCut root path before
                })
    withDirectory "a log that is shorter than its newest snapshot is refused" (fun root ->
        task {
            do!
                withLog root (fun _ log ->
                    task {
                        do! appendRange log 1L 3L
                        do! log.SaveSnapshotAsync(3L, sequence [| 1uy |], none)
                    })

            let path = List.exactlyOne (filesOf root ".log")
            let bytes = File.ReadAllBytes path
            File.WriteAllBytes(path, bytes[.. positionOf 1L 3L - 1])
            let! refused = openFails id root
            expectText refused.Message [ logDirectory root; "entry 2"; "entry 3" ]
        })
]

/// The log's only file as a broker with so many entries leaves it that does not come to closing it.
let private leftByCrash root last =
    task {
        let left = ref ("", [||])

        do!
            withLog root (fun _ log ->
                task {
                    do! appendRange log 1L last
                    let path = List.exactlyOne (filesOf root ".log")
                    left.Value <- path, File.ReadAllBytes path
                })

        return left.Value
    }

let private ahead = [
    withDirectory "zeros for the next entries are there after a crash, and are written over" (fun root ->
        task {
            let! path, bytes = leftByCrash root 3L
            let entries = positionOf 1L 4L
            Expect.isGreaterThan bytes.Length (entries + 50_000) "the zeros are not few"
            Expect.equal (FileInfo(path).Length) (int64 entries) "and gone when the log has been closed"
            File.WriteAllBytes(path, bytes)

            do!
                withLog root (fun opened log ->
                    task {
                        do! expectEntries log 1L 3L
                        do! appendRange log 4L 9L
                        do! expectEntries log 1L 9L
                        Expect.equal (FileInfo(path).Length) (int64 bytes.Length) "no longer than before"
                        Expect.isEmpty opened.notices "no notice"
                    })

            do!
                withLog root (fun opened log ->
                    task {
                        do! expectEntries log 1L 9L
                        Expect.isEmpty opened.notices "no notice"
                    })
        })
    withDirectory "an entry of which any part has remained zeros is cut off" (fun root ->
        task {
            let! path, bytes = leftByCrash root 3L

            for first in positionOf 1L 3L + 1 .. positionOf 1L 4L - 1 do
                let torn = Array.copy bytes
                Array.Clear(torn, first, positionOf 1L 4L - first)

                if torn <> bytes then
                    File.WriteAllBytes(path, torn)
                    do! expectCut root path 2L
        })
    withDirectory "damage before the last entry is refused, zeros or no zeros behind it" (fun root ->
        task {
            let! path, bytes = leftByCrash root 3L
            let position = positionOf 1L 2L

            for damaged in [ flip bytes (position + 50); Array.copy bytes ] do
                Array.Clear(damaged, position, 10)
                File.WriteAllBytes(path, damaged)
                let! refused = openFails id root
                expectText refused.Message [ path; $"byte {position}"; "entry 2" ]
        })
    withDirectory "large entries have no zeros behind them" (fun root ->
        withLog root (fun _ log ->
            task {
                let! outcome = tryAppend log 1L (headOf 1L) (content 1 100_000)
                Expect.equal outcome AppendOutcome.Appended "appended"
                let path = List.exactlyOne (filesOf root ".log")
                Expect.equal (FileInfo(path).Length) (int64 (frameBytes + (headOf 1L).Length + 100_000)) "the length"
            }))
    withDirectory "a sealed file may have kept its zeros" (fun root ->
        task {
            do! writeTiny root 30L
            let path = (filesOf root ".log")[1]
            File.AppendAllText(path, String('\000', 5_000))
            do! withLogWith tiny root (fun _ log -> expectEntries log 1L 30L)
        })
]

let private rolling = [
    withDirectory "a log of many files reads the same after it is opened again" (fun root ->
        task {
            for first in [ 1L; 21L; 41L ] do
                do!
                    withLogWith tiny root (fun opened log ->
                        task {
                            do! expectEntries log 1L (first - 1L)
                            do! appendRange log first (first + 19L)
                            do! expectEntries log 1L (first + 19L)
                            Expect.isEmpty opened.notices "no notice"
                        })

            Expect.isGreaterThan (filesOf root ".log").Length 10 "files"

            Expect.equal
                (filesOf root ".index").Length
                ((filesOf root ".log").Length - 1)
                "an index for each sealed file"

            for path in filesOf root ".log" do
                Expect.isLessThanOrEqual (FileInfo(path).Length) 400L "the length of a file"
        })
    withDirectory "an index that is missing or damaged is made again" (fun root ->
        task {
            do! writeTiny root 30L
            let indexes = filesOf root ".index"
            let original = indexes |> List.map File.ReadAllBytes
            File.Delete indexes[0]

            for number, bytes in List.indexed original |> List.skip 1 do
                let position = number * 7 % bytes.Length

                File.WriteAllBytes(
                    indexes[number],
                    if number % 3 = 0 then
                        bytes[..position]
                    else
                        flip bytes position
                )

            do!
                withLogWith tiny root (fun opened log ->
                    task {
                        do! expectEntries log 1L 30L
                        Expect.equal opened.notices.Count indexes.Length "a notice for each"
                    })

            Expect.equal (indexes |> List.map File.ReadAllBytes) original "the indexes"
        })
    withDirectory "a missing file between others is refused" (fun root ->
        task {
            do! writeTiny root 30L
            File.Delete(filesOf root ".log" |> List.item 2)
            let! refused = openFails tiny root
            expectText refused.Message [ (filesOf root ".log")[1]; "gap" ]
        })
    withDirectory "a sealed file that got shorter is refused" (fun root ->
        task {
            do! writeTiny root 30L
            let path = (filesOf root ".log")[1]
            let bytes = File.ReadAllBytes path
            File.WriteAllBytes(path, bytes[.. bytes.Length - 2])
            let! refused = openFails tiny root
            expectText refused.Message [ path; "byte" ]
        })
    withDirectory "a damaged head in a sealed file is refused when it is read, saying where" (fun root ->
        task {
            do! writeTiny root 30L
            let path = (filesOf root ".log")[0]
            let bytes = File.ReadAllBytes path
            let first = int64 (Path.GetFileNameWithoutExtension path)
            let position = positionOf first (first + 1L)

            for offset in [ 0; 5; 9; 17; 25; 29; 33; 37; frameBytes ] do
                File.WriteAllBytes(path, flip bytes (position + offset))

                do!
                    withLogWith tiny root (fun _ log ->
                        task {
                            let! refused =
                                failure<StoreRefusedException> "reading" (fun () -> readAllHeads log 0L :> Task)

                            expectText refused.Message [ path; $"byte {position}"; $"entry {first + 1L}" ]
                            let! others = readHeads log (first + 1L) 1
                            Expect.equal others.Length 1 "entries after it"
                        })
        })
    withDirectory "a roll that was interrupted goes on" (fun root ->
        task {
            do! writeTiny root 30L
            // The index of the last file has been written, and the next file created.
            let next = Path.Combine(logDirectory root, "00000000000000000031.log")
            File.WriteAllBytes(next, [||])
            do! withLogWith tiny root (fun _ log -> appendRange log 31L 40L)
            do! withLogWith tiny root (fun _ log -> expectEntries log 1L 40L)
        })
    withDirectory "trimming deletes whole files below, and what remains opens again" (fun root ->
        task {
            do! writeTiny root 40L
            let before = filesOf root ".log"

            do!
                withLogWith tiny root (fun _ log ->
                    task {
                        do! expectEntries log 1L 40L
                        do! log.TrimAsync(20L, none)
                        do! expectEntries log 20L 40L

                        let! missing =
                            failure<EntryMissingException> "entry 1" (fun () -> readHeads log 0L 1 :> Task)

                        Expect.equal missing.Number 1L "its number"
                        do! failsWith<EntryMissingException> "payload 1" (fun () -> readPayload log 1L 0 0 :> Task)
                    })

            let after = filesOf root ".log"
            Expect.isLessThan after.Length before.Length "files"
            Expect.equal (filesOf root ".index").Length (after.Length - 1) "indexes"
            // A crash between the deletion of a file and of its index.
            File.WriteAllText(Path.Combine(logDirectory root, "00000000000000000001.index"), "left over")

            do!
                withLogWith tiny root (fun _ log ->
                    task {
                        do! expectEntries log 20L 40L
                        do! log.TrimAsync(1_000L, none)
                        do! appendNext log 41L
                        do! expectEntries log 41L 41L
                    })

            Expect.isFalse
                (File.Exists(Path.Combine(logDirectory root, "00000000000000000001.index")))
                "the index left over"
        })
    withDirectory "who reads while the log is trimmed finds what was written, or that it is gone" (fun root ->
        let last = 24L
        let large number = content (int number) 1_500_000

        let rolls (options: StoreOptions) =
            StoreOptions(OnNotice = options.OnNotice, FileRollBytes = 6_500_000L)

        withLogWith rolls root (fun _ log ->
            task {
                for number in 1L .. last do
                    let! outcome = tryAppend log number (headOf number) (large number)
                    Expect.equal outcome AppendOutcome.Appended "appended"

                let mutable isTrimmed = false

                let read (random: Random) =
                    task {
                        while not (Volatile.Read &isTrimmed) do
                            let number = random.NextInt64(1L, last + 1L)

                            try
                                if random.Next 4 = 0 then
                                    let! heads = readHeads log (number - 1L) 3
                                    let _, head, length = List.head heads
                                    Expect.equal (head, length) (headOf number, 1_500_000) "a head"
                                else
                                    let position = random.Next 1_400_000
                                    let! bytes = readPayload log number position 100_000
                                    let expected = Array.sub (large number) position 100_000
                                    Expect.isTrue (bytes.AsSpan().SequenceEqual expected) "a payload"
                            with :? EntryMissingException ->
                                ()
                    }

                let readers = [
                    for reader in 1..3 -> Task.Run<unit>(fun () -> read (Random(int Check.seed + reader)))
                ]

                for below in 2L .. last do
                    do! log.TrimAsync(below, none)

                Volatile.Write(&isTrimmed, true)

                for reader in readers do
                    do! reader
            }))
]

let private others = [
    withDirectory "a damaged snapshot is passed over with a notice" (fun root ->
        task {
            do!
                withLog root (fun _ log ->
                    task {
                        do! appendRange log 1L 3L
                        do! log.SaveSnapshotAsync(1L, sequence (content 1 50), none)
                        do! log.SaveSnapshotAsync(2L, sequence (content 2 50), none)
                        do! log.SaveSnapshotAsync(3L, sequence (content 3 50), none)
                    })

            let files = Directory.GetFiles(logDirectory root, "snapshot-*") |> Array.sort
            Expect.equal files.Length 2 "the two newest are kept"
            let bytes = File.ReadAllBytes files[1]

            for position in 0 .. bytes.Length - 1 do
                File.WriteAllBytes(files[1], flip bytes position)

                do!
                    withLog root (fun opened log ->
                        task {
                            let! snapshot = log.LoadSnapshotAsync(Int64.MaxValue, none)
                            Expect.equal (snapshot.Number, snapshot.Content.ToArray()) (2L, content 2 50) "the older"
                            expectText (Seq.exactlyOne opened.notices) [ files[1] ]
                        })

            File.WriteAllBytes(files[0], [||])
            let! opened = openFile root
            use opened = opened
            let! log = opened.store.OpenLogAsync(logName, none)
            let! nothing = log.LoadSnapshotAsync(Int64.MaxValue, none)
            Expect.isNull nothing "no snapshot"
        })
    withDirectory "a second store on a directory is refused, naming it and who holds it" (fun root ->
        task {
            let! first = openFile root

            let! refused =
                failure<StoreRefusedException> "the second" (fun () -> openFile root :> Task)

            expectText refused.Message [ root; string Environment.ProcessId ]
            do! first.store.DisposeAsync()
            let! second = openFile root
            do! second.store.DisposeAsync()
        })
    withDirectory "a damaged first object is refused" (fun root ->
        task {
            let create () =
                task {
                    let! opened = openFile root
                    use opened = opened

                    let! stored =
                        opened.store.GetOrCreateClusterAsync(ReadOnlyMemory [| 1uy; 2uy |], none)

                    return stored.ToArray()
                }

            let! stored = create ()
            Expect.equal stored [| 1uy; 2uy |] "stored"
            let path = Path.Combine(root, "cluster")
            File.WriteAllBytes(path, flip (File.ReadAllBytes path) 41)

            let! refused =
                failure<StoreRefusedException> "reading it" (fun () -> create () :> Task)

            expectText refused.Message [ path ]
        })
    withDirectory "objects survive, and files that never got their name go away" (fun root ->
        task {
            let! opened = openFile root
            do! opened.store.Blobs.PutAsync("a/b", sequence (content 1 10), none)
            do! opened.store.DisposeAsync()
            let leftover = Path.Combine(root, "tmp", "leftover")
            File.WriteAllText(leftover, "x")
            let! opened = openFile root
            use opened = opened
            Expect.isFalse (File.Exists leftover) "the file left over"
            let! bytes = readBlob opened.store.Blobs "a/b" 0L 10
            Expect.equal bytes (content 1 10) "the object"
        })
    withDirectory "a file that is deleted is gone at once, and its space little by little" (fun root ->
        task {
            Directory.CreateDirectory root |> ignore
            let path = Path.Combine(root, "large")
            let bytes = content 1 5_000_000
            let wholePages = 2 * 1024 * 1024

            for isCancelled, hasCopy, left in
                [
                    false, false, wholePages
                    true, false, bytes.Length
                    false, true, bytes.Length
                ] do
                File.WriteAllBytes(path, bytes)

                if hasCopy then
                    Expect.equal (link (path, path + ".copy")) 0 "a second name"


                use reader =
                    new FileStream(path, FileMode.Open, FileAccess.Read, FileShare.ReadWrite ||| FileShare.Delete)

                use deleted = UnlinkedFile.Delete path
                Expect.isFalse (File.Exists path) "the name"
                deleted.GiveBack(CancellationToken isCancelled)
                let found = Array.zeroCreate<byte> bytes.Length
                Expect.equal (reader.ReadAtLeast(found, found.Length, false)) left "what a reader finds"
                Expect.isTrue (found.AsSpan(0, left).SequenceEqual(bytes.AsSpan(0, left))) "is what was written"

            use missing = UnlinkedFile.Delete path
            missing.GiveBack none
            use nowhere = UnlinkedFile.Delete(Path.Combine(root, "no", "where"))
            nowhere.GiveBack none
        })
    withDirectory "a path that is a file is refused" (fun root ->
        task {
            let path = Path.Combine(root, "file")
            File.WriteAllText(path, "")

            let! refused =
                failure<StoreRefusedException> "opening" (fun () -> openFile path :> Task)

            expectText refused.Message [ path ]
        })
]

let private urls = [
    withDirectory "URLs of both kinds open their store" (fun root ->
        task {
            let relative =
                Path.GetRelativePath(Directory.GetCurrentDirectory(), Path.Combine(root, "b c"))

            for url, description in
                [
                    "memory://", "memory"
                    $"file://{root}/a", $"file {root}/a"
                    $"file://./{relative}", $"file {root}/b c"
                    $"file://{root}/b%%20c/", $"file {root}/b c"
                ] do
                let! (store: IStore) = StoreUrl.OpenAsync(url, StoreOptions.Default, none)
                Expect.stringStarts store.Description description url
                do! store.DisposeAsync()
        })
    testTask "other URLs are refused with the forms that are allowed, and without secrets" {
        for url in
            [
                ""
                "tansu-data"
                "file:/a"
                "file://host/dir"
                "file://"
                "memory://x"
                "FILE:///a"
                "redis://me:secret@host/db"
                "gs://secret/x"
            ] do
            let! (refused: StoreRefusedException) =
                failure<StoreRefusedException> $"'{url}'" (fun () ->
                    StoreUrl.OpenAsync(url, StoreOptions.Default, none) :> Task)

            expectText refused.Message [ "file:///"; "file://./"; "memory://" ]
            Expect.isFalse (refused.Message.Contains "secret") "no secret"
    }
]

let tests =
    testList "recovery" [
        testList "end" tail
        testList "zeros" ahead
        testList "files" rolling
        testList "others" others
        testList "url" urls
    ]
