/// What the tests of stores share: the ports with F#'s types, and directories that go away.
module Tansu.PropertyTests.Stores.Helpers

open System
open System.Buffers
open System.Collections.Concurrent
open System.IO
open System.Runtime.InteropServices
open System.Threading
open System.Threading.Tasks
open Expecto
open Tansu.Adapters
open Tansu.Adapters.Ports

let none = CancellationToken.None

/// Bytes that depend on the seed alone.
let content (seed: int) (length: int) =
    let bytes = Array.zeroCreate<byte> length
    Random(seed).NextBytes bytes
    bytes

let sequence (bytes: byte array) = ReadOnlySequence<byte> bytes

type private Piece(bytes: ReadOnlyMemory<byte>, runningIndex: int64) as this =
    inherit ReadOnlySequenceSegment<byte>()

    do
        this.Memory <- bytes
        this.RunningIndex <- runningIndex

    member this.Follow(bytes: ReadOnlyMemory<byte>) =
        let next = Piece(bytes, this.RunningIndex + int64 this.Memory.Length)
        this.Next <- next
        next

/// The same bytes in pieces, as they come from a socket.
let inPieces (size: int) (bytes: byte array) =
    let first = Piece(ReadOnlyMemory.Empty, 0L)

    let last =
        bytes
        |> Array.chunkBySize size
        |> Array.fold (fun (piece: Piece) chunk -> piece.Follow(ReadOnlyMemory chunk)) first

    ReadOnlySequence<byte>(first, 0, last, last.Memory.Length)

let tryAppend (log: IEventLog) number (head: byte array) (payload: byte array) =
    log.TryAppendAsync(number, sequence head, sequence payload, none).AsTask()

/// The head and payload that tests give entry `number`.
let headOf (number: int64) =
    content (int number) (1 + int (number % 60L))

let payloadOf (number: int64) =
    content (int number + 100_000) (int (number * 37L % 200L))

/// The bytes before each entry in a log file.
let frameBytes = 40

/// How long entry `number` is in a log file.
let entryBytes number =
    frameBytes + (headOf number).Length + (payloadOf number).Length

let appendNext (log: IEventLog) number =
    task {
        let! outcome = tryAppend log number (headOf number) (payloadOf number)
        Expect.equal outcome AppendOutcome.Appended $"entry {number}"
    }

let appendRange (log: IEventLog) (first: int64) (last: int64) =
    task {
        for number in first..last do
            do! appendNext log number
    }

let readHeads (log: IEventLog) after maxEntries =
    task {
        let! heads = log.ReadHeadsAsync(after, maxEntries, none)
        return [ for head in heads -> head.Number, head.Head.ToArray(), head.PayloadLength ]
    }

/// All heads after a number, however many calls it takes.
let readAllHeads (log: IEventLog) after =
    let rec go after read =
        task {
            match! readHeads log after 7 with
            | [] -> return List.concat (List.rev read)
            | heads ->
                let number, _, _ = List.last heads
                return! go number (heads :: read)
        }

    go after []

let readPayload (log: IEventLog) number position length =
    task {
        let bytes = Array.zeroCreate<byte> length
        do! log.ReadPayloadAsync(number, position, bytes.AsMemory(), none)
        return bytes
    }

let readBlob (blobs: IBlobStore) name position length =
    task {
        let bytes = Array.zeroCreate<byte> length
        do! blobs.ReadAsync(name, position, bytes.AsMemory(), none)
        return bytes
    }

/// That the log holds exactly the entries first..last (as `appendRange` makes them) after `first - 1`.
let expectEntries (log: IEventLog) (first: int64) (last: int64) =
    task {
        let! heads = readAllHeads log (first - 1L)

        Expect.equal
            heads
            [
                for number in first..last -> number, headOf number, (payloadOf number).Length
            ]
            $"the heads of entries {first} to {last}"

        for number in first..last do
            let expected = payloadOf number
            let! payload = readPayload log number 0 expected.Length
            Expect.equal payload expected $"the payload of entry {number}"
    }

/// Runs what must fail, and returns its error.
let failure<'error when 'error :> exn> (what: string) (run: unit -> Task) =
    task {
        try
            do! run ()
            return failtest $"{what}: it did not fail"
        with :? 'error as error ->
            return error
    }

let failsWith<'error when 'error :> exn> (what: string) (run: unit -> Task) =
    task {
        let! _ = failure<'error> what run
        return ()
    }

/// The names that a listing gives, in its order.
let namesOf (blobs: IBlobStore) prefix =
    task {
        let names = ResizeArray<string>()
        let listing = blobs.ListAsync(prefix, none).GetAsyncEnumerator()
        let mutable more = true

        while more do
            let! next = listing.MoveNextAsync()
            more <- next

            if more then
                names.Add listing.Current.Name

        do! listing.DisposeAsync()
        return List.ofSeq names
    }

/// A directory of its own, deleted in the end. In memory where the system has such a place, unless the disk is wanted.
type TemporaryDirectory(onDisk: bool) =
    let parent =
        if not onDisk && Directory.Exists "/dev/shm" then
            "/dev/shm"
        else
            Path.GetTempPath()

    let path = Path.Combine(parent, "tansu-test-" + Guid.NewGuid().ToString "N")
    do Directory.CreateDirectory path |> ignore
    member _.Path = path

    interface IDisposable with
        member _.Dispose() =
            Directory.Delete(path, recursive = true)

    interface IAsyncDisposable with
        member this.DisposeAsync() =
            (this :> IDisposable).Dispose()
            ValueTask.CompletedTask

/// A test with a directory of its own, which may be in memory.
let withDirectory name (body: string -> Task<unit>) =
    testTask name {
        use directory = new TemporaryDirectory(false)
        do! body directory.Path
    }

/// Gives a file a second name.
[<DllImport("libc")>]
extern int link(string existing, string added)

/// Copies what is in a store's directory at this moment: what a killed process leaves.
let copyStore (source: string) (target: string) =
    for path in Directory.GetFiles(source, "*", SearchOption.AllDirectories) do
        let copy = Path.Combine(target, Path.GetRelativePath(source, path))
        Directory.CreateDirectory(Path.GetDirectoryName copy) |> ignore

        if not ((Path.GetFileName path).StartsWith "lock") then
            try
                File.Copy(path, copy)
            with :? FileNotFoundException ->
                // One that is not needed any more, deleted meanwhile.
                Expect.stringEnds path ".spare" "what goes by itself"

/// Whether the log file at `path` had other entries before.
let isWrittenOver (path: string) =
    use file =
        File.OpenHandle(path, FileMode.Open, FileAccess.Read, FileShare.ReadWrite)

    let start = Array.zeroCreate<byte> EntryFrame.Size
    let read = RandomAccess.Read(file, start.AsSpan(), 0L)
    fst (EntryFrame.IsBeginning(start.AsSpan(0, read)))

/// A file store under test, with the notices it gave.
type Opened = {
    store: FileStore
    notices: ConcurrentQueue<string>
} with

    interface IAsyncDisposable with
        member this.DisposeAsync() = this.store.DisposeAsync()

let openFileWith (change: StoreOptions -> StoreOptions) (directory: string) =
    task {
        let notices = ConcurrentQueue<string>()
        let options = change (StoreOptions(OnNotice = Action<string> notices.Enqueue))
        let! store = FileStore.OpenAsync(directory, options, none)
        return { store = store; notices = notices }
    }

let openFile directory = openFileWith id directory

/// The log that tests have in a file store.
let logName = "shard-0"

let logDirectory (root: string) = Path.Combine(root, logName)

/// The log's files, oldest first.
let filesOf root suffix =
    Directory.GetFiles(logDirectory root, "*" + suffix)
    |> Array.sort
    |> List.ofArray

/// Opens a file store and its log, runs `body`, closes both.
let withLogWith change root (body: Opened -> IEventLog -> Task<'result>) =
    task {
        let! opened = openFileWith change root
        use opened = opened
        let! log = opened.store.OpenLogAsync(logName, none)
        return! body opened log
    }

/// A store whose directory goes with it.
let temporaryFileStoreWith (options: StoreOptions) =
    task {
        let directory = new TemporaryDirectory(true)
        let! store = FileStore.OpenAsync(directory.Path, options, none)

        return {
            new IStore with
                member _.Description = store.Description
                member _.Limits = store.Limits
                member _.Blobs = store.Blobs
                member _.OpenLogAsync(name, token) = store.OpenLogAsync(name, token)

                member _.GetOrCreateClusterAsync(proposed, token) =
                    store.GetOrCreateClusterAsync(proposed, token)
            interface IAsyncDisposable with
                member _.DisposeAsync() =
                    ValueTask(
                        task {
                            do! store.DisposeAsync()
                            (directory :> IDisposable).Dispose()
                        }
                        :> Task
                    )
        }
    }

/// A store with the defaults whose directory goes with it.
let temporaryFileStore () =
    temporaryFileStoreWith StoreOptions.Default
