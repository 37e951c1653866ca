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
    /// The most chunks of a block.
    [<Literal>]
    let FullSize = 64

    /// The least, unless there are fewer before the block that grows.
    [<Literal>]
    let LeastSize = 32

    let none: Chunk[][] = [||]
    let noEnds: int[] = [||]

    /// Lists that need no block that grows have this one; there is no room in it.
    let noBlock = ChunkBlock([||], 0)

    /// Room for so many. Most partitions have few chunks: blocks grow.
    let sizeFor chunks =
        if chunks <= 4 then 4
        elif chunks <= 16 then 16
        else FullSize

    /// The first number from 0 on for which something no longer holds, if it does for none after that; `count` if it holds for all.
    let inline firstNot count ([<InlineIfLambda>] holds: int -> bool) =
        let mutable low = 0
        let mutable high = count

        while low < high do
            let middle = low + (high - low) / 2

            if holds middle then low <- middle + 1 else high <- middle

        low

    /// Blocks of about the same size that hold these chunks.
    let split (chunks: Chunk[]) =
        if chunks.Length = 0 then
            none
        else
            Array.splitInto ((chunks.Length + FullSize - 1) / FullSize) chunks

    /// How many chunks there are up to the end of each block.
    let endsOf (blocks: Chunk[][]) =
        if blocks.Length = 0 then
            noEnds
        else
            let mutable total = 0

            blocks
            |> Array.map (fun block ->
                total <- total + block.Length
                total)

/// A partition's chunks in their order: an immutable list that is cheap to append to, and to change anywhere.
///
/// A list has blocks that never change, a block that grows, and its last chunk by itself. To append is to put the former last chunk in the next free place
/// of the block that grows, without a copy of anything before it. That is safe although lists share the block: each place is taken by one list only, whose
/// former last chunk it holds from then on, and a list that finds its place taken (two batches were appended to the same list, as when a
/// decision is made again after a conflict) takes a copy. A list only ever looks at places that were written before it was made, so that
/// whoever gets the list by a volatile read, or in any other way that orders memory, sees them. To change a part is to write the blocks around it anew and to
/// share all others.
[<Sealed>]
type ChunkList private (blocks: Chunk[][], ends: int[], block: ChunkBlock, count: int, last: Chunk) =
    static let empty =
        ChunkList(ChunkBlocks.none, ChunkBlocks.noEnds, ChunkBlocks.noBlock, 0, Unchecked.defaultof<Chunk>)

    /// How many chunks are in the blocks that never change.
    let inBlocks = if ends.Length = 0 then 0 else ends[ends.Length - 1]

    /// How many are in the block that grows, if there are any chunks.
    let inBlock = count - 1 - inBlocks

    let startOf number =
        if number = 0 then 0 else ends[number - 1]

    /// The first block that ends behind an index; the number of blocks if none does.
    let blockOf index =
        ChunkBlocks.firstNot ends.Length (fun number -> ends[number] <= index)

    let check index length =
        if index < 0 || length < 0 || index > count - length then
            raise (ArgumentOutOfRangeException(nameof index))

    /// The chunks around the one at an index, which is not the last, and the index of the first of them.
    member internal _.Around(index: int) : struct (Chunk[] * int) =
        if index >= inBlocks then
            struct (block.Chunks, inBlocks)
        else
            let number = blockOf index
            struct (blocks[number], startOf number)

    /// Copies a part of it.
    member private this.CopyTo(target: Chunk[], at: int, index: int, length: int) =
        let mutable copied = 0

        while copied < length do
            if index + copied = count - 1 then
                target[at + copied] <- last
                copied <- copied + 1
            else
                let struct (around, start) = this.Around(index + copied)
                let from = index + copied - start
                let held = if start = inBlocks then inBlock else around.Length
                let part = min (held - from) (length - copied)
                Array.Copy(around, from, target, at + copied, part)
                copied <- copied + part

    /// The first `kept` blocks of this list, and after them these chunks. There are some, in either.
    member private _.EndedBy(kept: int, chunks: Chunk[]) =
        // Of what comes after the blocks the last chunk stands by itself; the block that grows is what does not fill one.
        let growing = (chunks.Length - 1) % ChunkBlocks.FullSize
        let whole = chunks.Length - 1 - growing

        let blocks =
            if kept + whole = 0 then
                ChunkBlocks.none
            else
                Array.append (Array.truncate kept blocks) (ChunkBlocks.split (Array.truncate whole chunks))

        let block =
            if growing = 0 then
                ChunkBlocks.noBlock
            else
                ChunkBlock(Array.sub chunks whole growing, growing)

        ChunkList(blocks, ChunkBlocks.endsOf blocks, block, startOf kept + chunks.Length, chunks[chunks.Length - 1])

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
            empty.EndedBy(0, chunks)

    /// How many there are.
    member _.Count = count

    /// Whether there are none.
    member _.IsEmpty = count = 0

    /// The chunk at an index from 0.
    member this.Item
        with get (index: int) =
            check index 1

            if index = count - 1 then
                last
            else
                let struct (around, start) = this.Around index
                around[index - start]

    /// The last chunk. There is one.
    member this.Last = this[count - 1]

    /// The index of the chunk that holds `offset` or, when none does, of the first chunk after it; the number of chunks when all are
    /// before it.
    member _.IndexOf(offset: int64) =
        // Many look for what comes next.
        if count = 0 || last.LastOffset < offset then
            count
        else
            let number =
                ChunkBlocks.firstNot blocks.Length (fun number ->
                    let around = blocks[number]
                    around[around.Length - 1].LastOffset < offset)

            let struct (around, held) =
                if number < blocks.Length then
                    struct (blocks[number], blocks[number].Length)
                else
                    struct (block.Chunks, inBlock)

            startOf number
            + ChunkBlocks.firstNot held (fun index -> around[index].LastOffset < offset)

    /// With one more at the end.
    member _.Add(chunk: Chunk) =
        if count = 0 then
            ChunkList(ChunkBlocks.none, ChunkBlocks.noEnds, ChunkBlocks.noBlock, 1, chunk)
        elif inBlock = ChunkBlocks.FullSize then
            let begun = Array.zeroCreate (ChunkBlocks.sizeFor 1)
            begun[0] <- last

            ChunkList(
                Array.append blocks [| block.Chunks |],
                Array.append ends [| inBlocks + inBlock |],
                ChunkBlock(begun, 1),
                count + 1,
                chunk
            )
        elif block.TryPut(inBlock, last) then
            ChunkList(blocks, ends, block, count + 1, chunk)
        else
            let copied = Array.zeroCreate (ChunkBlocks.sizeFor (inBlock + 1))
            Array.Copy(block.Chunks, copied, inBlock)
            copied[inBlock] <- last
            ChunkList(blocks, ends, ChunkBlock(copied, inBlock + 1), count + 1, chunk)

    /// With another one in the place of the last. There is one.
    member _.SetLast(chunk: Chunk) =
        check (count - 1) 1
        ChunkList(blocks, ends, block, count, chunk)

    /// A part of it.
    member this.GetRange(index: int, length: int) : ChunkList =
        check index length
        this.RemoveRange(index + length, count - index - length).RemoveRange(0, index)

    /// With others in the place of a part of it.
    member this.ReplaceRange(index: int, length: int, chunks: Chunk[]) : ChunkList =
        check index length
        let behind = index + length
        let isWithin = count > 0 && behind <= inBlocks

        if length = 0 && chunks.Length = 0 then
            this
        elif length = count && chunks.Length = 0 then
            empty
        else
            // What is written anew goes from the beginning of a block to the end of one, or of the list.
            let mutable kept = blockOf index

            let next =
                if not isWithin then blocks.Length
                elif behind = startOf kept then kept
                else blockOf (behind - 1) + 1

            let until = if isWithin then startOf next else count

            let lengthFrom start =
                index - start + chunks.Length + until - behind

            while kept > 0 && lengthFrom (startOf kept) < ChunkBlocks.LeastSize do
                kept <- kept - 1

            let start = startOf kept
            let made = Array.zeroCreate (lengthFrom start)
            this.CopyTo(made, 0, start, index - start)
            Array.Copy(chunks, 0, made, index - start, chunks.Length)
            this.CopyTo(made, index - start + chunks.Length, behind, until - behind)

            if isWithin then
                let blocks =
                    Array.concat [ Array.truncate kept blocks; ChunkBlocks.split made; Array.skip next blocks ]

                ChunkList(blocks, ChunkBlocks.endsOf blocks, block, count + chunks.Length - length, last)
            else
                this.EndedBy(kept, made)

    /// Without a part of it.
    member this.RemoveRange(index: int, length: int) : ChunkList = this.ReplaceRange(index, length, [||])

    /// A copy of a part of it.
    member this.ToArray(index: int, length: int) : Chunk[] =
        check index length
        let copied = Array.zeroCreate length
        this.CopyTo(copied, 0, index, length)
        copied

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
    val mutable private around: Chunk[]
    val mutable private start: int

    /// Before the first.
    new(chunks: ChunkList) = { chunks = chunks; next = 0; around = Array.Empty(); start = 0 }

    /// The chunk that the last `MoveNext` came to.
    member this.Current =
        if this.next = this.chunks.Count then
            this.chunks.Last
        else
            this.around[this.next - 1 - this.start]

    /// Goes on to the next one; false if there is none.
    member this.MoveNext() =
        let isMore = this.next < this.chunks.Count

        if isMore then
            this.next <- this.next + 1

            if this.next < this.chunks.Count && this.next > this.start + this.around.Length then
                let struct (around, start) = this.chunks.Around(this.next - 1)
                this.around <- around
                this.start <- start

        isMore

    interface IEnumerator<Chunk> with
        member this.Current: Chunk = this.Current
        member this.Current: obj | null = box this.Current
        member this.MoveNext() = this.MoveNext()

        member this.Reset() =
            this.next <- 0
            this.around <- Array.Empty()
            this.start <- 0

        member _.Dispose() = ()
