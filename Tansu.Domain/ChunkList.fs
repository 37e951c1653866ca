namespace Tansu.Domain

open System
open System.Collections
open System.Collections.Generic
open System.Threading

/// Chunks of which the first `used` are there for ever; the rest are free.
[<Sealed>]
type private ChunkBlock(chunks: Chunk[], used: int) =
    let mutable used = used

    member _.Chunks = chunks

    /// Puts a chunk in a free place, unless another list has taken it, or there is none.
    member _.TryPut(index: int, chunk: Chunk) =
        if
            index < chunks.Length
            && Interlocked.CompareExchange(&used, index + 1, index) = index
        then
            chunks[index] <- chunk
            true
        else
            false

module private ChunkBlocks =
    /// The chunks of a full block.
    [<Literal>]
    let FullSize = 64

    let none: Chunk[][] = [||]

    /// Lists that need no block have this one; there is no room in it.
    let noBlock = ChunkBlock([||], 0)

    /// Room for so many. Most partitions have few chunks: blocks grow.
    let sizeFor chunks =
        if chunks <= 4 then 4
        elif chunks <= 16 then 16
        else FullSize

/// A partition's chunks in their order: an immutable list that is cheap to append to and to change at its end.
///
/// A list has full blocks, a block that is not full, and its last chunk by itself. To append is to put the former last chunk in the next free place
/// of the block, without a copy of anything before it. That is safe although lists share the block: each place is taken by one list only, whose
/// former last chunk it holds from then on, and a list that finds its place taken (two batches were appended to the same list, as when a
/// decision is made again after a conflict) takes a copy. A list only ever looks at places that were written before it was made, so that
/// whoever gets the list by a volatile read, or in any other way that orders memory, sees them.
[<Sealed>]
type ChunkList private (blocks: Chunk[][], block: ChunkBlock, count: int, last: Chunk) =
    static let empty =
        ChunkList(ChunkBlocks.none, ChunkBlocks.noBlock, 0, Unchecked.defaultof<Chunk>)

    /// How many chunks are in the block that is not full, if there are any chunks.
    member private _.InBlock = count - 1 - blocks.Length * ChunkBlocks.FullSize

    member private this.Check(index: int, length: int) =
        if index < 0 || length < 0 || index > count - length then
            raise (ArgumentOutOfRangeException(nameof index))

    /// Where the chunk at an index is, unless it is the last one: at the index modulo the size of a full block.
    member private _.Around(index: int) =
        let number = index / ChunkBlocks.FullSize

        if number < blocks.Length then
            blocks[number]
        else
            block.Chunks

    member private this.LastOffsetAt(index: int) =
        if index = count - 1 then
            last.LastOffset
        else
            let around = this.Around index
            around[index % ChunkBlocks.FullSize].LastOffset

    /// A list of so many chunks, at least one, in blocks that have no free places.
    static member private Make(count: int, chunkAt: int -> Chunk) =
        let fill first length =
            Array.init length (fun index -> chunkAt (first + index))

        let inBlock = (count - 1) % ChunkBlocks.FullSize
        let first = count - 1 - inBlock

        let blocks =
            if first = 0 then
                ChunkBlocks.none
            else
                Array.init (first / ChunkBlocks.FullSize) (fun number ->
                    fill (number * ChunkBlocks.FullSize) ChunkBlocks.FullSize)

        let block =
            if inBlock = 0 then
                ChunkBlocks.noBlock
            else
                ChunkBlock(fill first inBlock, inBlock)

        ChunkList(blocks, block, count, chunkAt (count - 1))

    /// No chunks.
    static member Empty = empty

    /// A list of these chunks, which are in order.
    static member CreateRange(chunks: seq<Chunk>) =
        let chunks =
            match chunks with
            | :? (Chunk[]) as chunks -> chunks
            | _ -> Seq.toArray chunks

        if chunks.Length = 0 then
            empty
        else
            ChunkList.Make(chunks.Length, (fun index -> chunks[index]))

    /// How many there are.
    member _.Count = count

    /// Whether there are none.
    member _.IsEmpty = count = 0

    /// The chunk at an index from 0.
    member this.Item
        with get (index: int) =
            this.Check(index, 1)

            if index = count - 1 then
                last
            else
                let around = this.Around index
                around[index % ChunkBlocks.FullSize]

    /// The last chunk. There is one.
    member this.Last = this[count - 1]

    /// The index of the chunk that holds `offset` or, when none does, of the first chunk after it; the number of chunks when all are
    /// before it.
    member this.IndexOf(offset: int64) =
        // Most look for what is at the end.
        let mutable low = 0
        let mutable high = count

        if count > 0 && last.LastOffset < offset then
            low <- count
        elif count > 1 && this.LastOffsetAt(count - 2) < offset then
            low <- count - 1
            high <- low

        while low < high do
            let middle = low + (high - low) / 2

            if this.LastOffsetAt middle < offset then
                low <- middle + 1
            else
                high <- middle

        low

    /// With one more at the end.
    member this.Add(chunk: Chunk) =
        let inBlock = this.InBlock

        if count = 0 then
            ChunkList(ChunkBlocks.none, ChunkBlocks.noBlock, 1, chunk)
        elif inBlock = ChunkBlocks.FullSize then
            let begun = Array.zeroCreate (ChunkBlocks.sizeFor 1)
            begun[0] <- last
            ChunkList(Array.append blocks [| block.Chunks |], ChunkBlock(begun, 1), count + 1, chunk)
        elif block.TryPut(inBlock, last) then
            ChunkList(blocks, block, count + 1, chunk)
        else
            let copied = Array.zeroCreate (ChunkBlocks.sizeFor (inBlock + 1))
            Array.Copy(block.Chunks, copied, inBlock)
            copied[inBlock] <- last
            ChunkList(blocks, ChunkBlock(copied, inBlock + 1), count + 1, chunk)

    /// With another one in the place of the last. There is one.
    member this.SetLast(chunk: Chunk) =
        this.Check(count - 1, 1)
        ChunkList(blocks, block, count, chunk)

    /// A part of it.
    member this.GetRange(index: int, length: int) =
        this.Check(index, length)

        if length = count then
            this
        elif length = 0 then
            empty
        else
            ChunkList.Make(length, (fun position -> this[index + position]))

    /// With others in the place of a part of it. Takes time by the number of all.
    member this.ReplaceRange(index: int, length: int, chunks: Chunk[]) =
        this.Check(index, length)
        let change = chunks.Length - length

        if length = 0 && chunks.Length = 0 then
            this
        elif count + change = 0 then
            empty
        else
            ChunkList.Make(
                count + change,
                (fun position ->
                    if position < index then
                        this[position]
                    elif position < index + chunks.Length then
                        chunks[position - index]
                    else
                        this[position - change])
            )

    /// Without a part of it. Takes time by the number of all.
    member this.RemoveRange(index: int, length: int) = this.ReplaceRange(index, length, [||])

    /// Goes through them in order.
    member this.GetEnumerator() = new ChunkEnumerator(this)

    interface IReadOnlyList<Chunk> with
        member this.Count = count

        member this.Item
            with get index = this[index]

        member this.GetEnumerator() : IEnumerator<Chunk> = new ChunkEnumerator(this)
        member this.GetEnumerator() : IEnumerator = new ChunkEnumerator(this)

/// Goes through a list of chunks in order.
and [<Struct; NoComparison; NoEquality>] ChunkEnumerator =
    val private chunks: ChunkList
    val mutable private next: int

    /// Before the first.
    new(chunks: ChunkList) = { chunks = chunks; next = 0 }

    /// The chunk that the last `MoveNext` came to.
    member this.Current = this.chunks[this.next - 1]

    /// Goes on to the next one; false if there is none.
    member this.MoveNext() =
        let isMore = this.next < this.chunks.Count

        if isMore then
            this.next <- this.next + 1

        isMore

    interface IEnumerator<Chunk> with
        member this.Current: Chunk = this.Current
        member this.Current: obj | null = box this.Current
        member this.MoveNext() = this.MoveNext()
        member this.Reset() = this.next <- 0
        member _.Dispose() = ()
