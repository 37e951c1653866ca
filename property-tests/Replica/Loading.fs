/// What a compactor reads, and that it gives back the memory, whatever comes of it.
module Tansu.PropertyTests.Replica.Loading

open System
open System.Threading
open System.Threading.Tasks
open Expecto
open Tansu.Adapters
open Tansu.Adapters.Compaction
open Tansu.Adapters.Ports
open Tansu.Adapters.Reading
open Tansu.Domain
open Tansu.PropertyTests

let private chunkBytes = 100_000
let private perObject = 4
let private objects = 9

/// Objects of zeros, of which one is not there; each read is told of.
let private store (isMissing: string -> bool) onRead = {
    new IBlobStore with
        member _.PutAsync(_, _, _) = raise (NotSupportedException())

        member _.ReadAsync(name, _, destination, _) =
            task {
                onRead destination.Length
                // Not before the others have begun.
                do! Task.Yield()

                if isMissing name then
                    raise (BlobMissingException(name, "there is none"))

                destination.Span.Clear()
            }
            |> ValueTask

        member _.DeleteAsync(_, _) = raise (NotSupportedException())
        member _.ListAsync(_, _) = raise (NotSupportedException())
}

/// Neighbours by fours, each four in an object.
let private chunks: Chunk array = [|
    for number in 0 .. objects * perObject - 1 do
        {
            BaseOffset = int64 number
            LastOffset = int64 number
            Source = Segment $"object-{number / perObject}"
            Position = number % perObject * chunkBytes
            Length = chunkBytes
            MaxTimestampMs = 1L
        }
|]

let private load blobs (memoryBytes: int64) =
    task {
        let! log =
            (new MemoryStore(MemorySpace(), StoreOptions.Default) :> IStore)
                .OpenLogAsync("shard-0", CancellationToken.None)

        let reader = RecordsReader(0, log, blobs, RecordCache 0L, 0)
        use blocks = new NativeBlocks()
        let loader = ChunkLoader(log, blobs, reader, blocks, 8, memoryBytes)
        use memory = new ScratchMemory(blocks)
        let! loaded = loader.LoadAsync(chunks, memory, CancellationToken.None)
        Expect.all loaded (fun chunk -> chunk.Bytes.Length = chunkBytes) "whole chunks"
    }

let tests =
    // What blocks take is counted for the whole process.
    testSequenced
    <| testList "loading" [
        for memoryBytes, expected in [ 32L * 1024L * 1024L, perObject; 1_700_000L, 2; 1L, 1 ] do
            testCaseTask $"with {memoryBytes} bytes for reads, {expected} neighbours are read together" (fun () ->
                task {
                    let mutable largest = 0
                    do! load (store (fun _ -> false) (fun length -> largest <- max largest length)) memoryBytes
                    Expect.equal largest (expected * chunkBytes) "the largest read"
                })

        testCase "memory that has been returned is used again, and is no more than was needed at once" (fun () ->
            let before = NativeBlock.BytesInUse
            let blocks = new NativeBlocks()
            let random = Random(int Check.seed)
            let rented = Collections.Generic.List<NativeBlock>()
            let mutable inUse = 0L
            let mutable most = 0L

            for _ in 1..2_000 do
                if rented.Count > 0 && random.Next 2 = 0 then
                    let block = rented[random.Next rented.Count]
                    rented.Remove block |> ignore
                    inUse <- inUse - int64 block.Length
                    blocks.Return block
                elif rented.Count < 20 then
                    let length = 1 + random.Next 1_000_000
                    let block = blocks.Rent length
                    Expect.isGreaterThanOrEqual block.Length length "long enough"

                    Expect.isLessThanOrEqual
                        block.Length
                        (max 65_536 (length + length / 2 + 65_536))
                        "and not much longer"

                    Expect.isFalse (rented.Contains block) "nobody else's"
                    rented.Add block
                    inUse <- inUse + int64 block.Length

                most <- max most inUse
                Expect.isLessThanOrEqual (NativeBlock.BytesInUse - before) most "the most in use at once"

            let block = blocks.Rent 300_000
            most <- max most (inUse + int64 block.Length)
            blocks.Return block
            let again = blocks.Rent 300_000
            Expect.isTrue (obj.ReferenceEquals(block, again)) "the same again"
            blocks.Return again
            Expect.isLessThanOrEqual (NativeBlock.BytesInUse - before) most "nothing more"
            (blocks :> IDisposable).Dispose()
            rented |> Seq.iter blocks.Return
            Expect.equal NativeBlock.BytesInUse before "all given back")

        testCaseTask "a read that fails, and those beside it, give their memory back" (fun () ->
            task {
                let before = NativeBlock.BytesInUse
                let mutable failures = 0

                for _ in 1..20 do
                    try
                        do! load (store (fun name -> name = "object-0") ignore) (32L * 1024L * 1024L)
                    with :? BlobMissingException ->
                        failures <- failures + 1

                Expect.equal failures 20 "each time"

                Expect.isLessThan
                    (NativeBlock.BytesInUse - before)
                    (int64 (20 * chunkBytes))
                    "bytes that are still in use"
            })
    ]
