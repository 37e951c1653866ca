namespace Tansu.Domain

open System
open System.Collections
open System.Collections.Generic
open System.Runtime.InteropServices

/// One partition of a table, and others that have the same hash code by chance.
[<Sealed>]
type private PartitionEntry(hash: int, key: TopicPartition, value: Partition, next: PartitionEntry | null) =
    member _.Hash = hash
    member _.Key = key
    member _.Value = value
    member _.Next = next

    /// Whether it is this partition's. Without a box, which the key's own `Equals` would need.
    member _.Has(other: TopicPartition) =
        EqualityComparer<TopicPartition>.Default.Equals(key, other)

/// A tree by hash code.
module private PartitionTree =
    /// By so many bits of the hash code a branch says what is where: nothing, an entry, or another branch.
    [<Literal>]
    let Bits = 3

    [<Literal>]
    let Width = 8

    /// How deep branches can be: by then all bits have been looked at.
    [<Literal>]
    let MaxDepth = 11

    type Branch = (obj | null)[]

    let noBranch: Branch = Array.zeroCreate Width

    let place (hash: int) (shift: int) =
        int (uint32 hash >>> shift) &&& (Width - 1)

    let rec among (key: TopicPartition) (entry: PartitionEntry | null) : PartitionEntry | null =
        match entry with
        | null -> null
        | entry when entry.Has key -> entry
        | entry -> among key entry.Next

    let rec find (key: TopicPartition) (hash: int) (branch: Branch) (shift: int) : PartitionEntry | null =
        match branch[place hash shift] with
        | null -> null
        | :? PartitionEntry as entry -> among key entry
        | deeper -> find key hash (downcast deeper) (shift + Bits)

    /// These entries without the key's.
    let rec private without (key: TopicPartition) (entry: PartitionEntry | null) : PartitionEntry | null =
        match entry with
        | null -> null
        | entry when entry.Has key -> entry.Next
        | entry -> PartitionEntry(entry.Hash, entry.Key, entry.Value, without key entry.Next)

    let private isAlone (key: TopicPartition) (entry: PartitionEntry) = isNull entry.Next && entry.Has key

    /// What takes the place of an entry when another one comes there.
    let rec private meet
        (there: PartitionEntry)
        (hash: int)
        (key: TopicPartition)
        (value: Partition)
        (shift: int)
        : obj =
        if isAlone key there then
            PartitionEntry(hash, key, value, null)
        elif there.Hash = hash then
            PartitionEntry(hash, key, value, without key there)
        else
            let branch: Branch = Array.zeroCreate Width
            let place, other = place hash shift, place there.Hash shift

            if place = other then
                branch[place] <- meet there hash key value (shift + Bits)
            else
                branch[place] <- PartitionEntry(hash, key, value, null)
                branch[other] <- there

            branch

    /// With another value for the key. `copied` says whether a branch is copied, as it must be unless nobody else has seen it; `isNew` is told whether
    /// the key was not there.
    let rec set
        (copied: bool)
        (hash: int)
        (key: TopicPartition)
        (value: Partition)
        (branch: Branch)
        (shift: int)
        (isNew: byref<bool>)
        : Branch =
        let changed: Branch = if copied then branch.AsSpan().ToArray() else branch
        let place = place hash shift

        changed[place] <-
            match branch[place] with
            | null ->
                isNew <- true
                box (PartitionEntry(hash, key, value, null))
            | :? PartitionEntry as there ->
                isNew <- isNull (among key there)
                meet there hash key value (shift + Bits)
            | deeper -> box (set copied hash key value (downcast deeper) (shift + Bits) &isNew)

        changed

    /// Without the key, which is there. What is left of a branch that has only one entry is that entry, and nothing where there is none.
    let rec remove (hash: int) (key: TopicPartition) (branch: Branch) (shift: int) : obj | null =
        let place = place hash shift

        let rest: obj | null =
            match branch[place] with
            | null -> null
            | :? PartitionEntry as there -> without key there
            | deeper -> remove hash key (downcast deeper) (shift + Bits)

        let left = branch.AsSpan().ToArray()
        left[place] <- rest
        let children = left |> Array.filter (fun child -> not (isNull child))

        match children with
        | [||] -> null
        | [| :? PartitionEntry as only |] when shift > 0 -> only
        | _ -> left

/// The partitions of a shard: an immutable map made for one that is changed with every batch. A change copies as many small branches as there are
/// powers of eight in the number of partitions.
[<Sealed>]
type PartitionTable private (root: PartitionTree.Branch, count: int) =
    static let empty = PartitionTable(PartitionTree.noBranch, 0)

    member private _.Find(key: TopicPartition) =
        PartitionTree.find key (key.GetHashCode()) root 0

    /// No partitions.
    static member Empty = empty

    /// A table of these partitions. Of one that comes twice it has the later state.
    static member CreateRange(partitions: seq<KeyValuePair<TopicPartition, Partition>>) =
        let root: PartitionTree.Branch = Array.zeroCreate PartitionTree.Width
        let mutable count = 0

        for KeyValue(key, partition) in partitions do
            let mutable isNew = false

            PartitionTree.set false (key.GetHashCode()) key partition root 0 &isNew
            |> ignore

            if isNew then
                count <- count + 1

        PartitionTable(root, count)

    /// How many partitions there are.
    member _.Count = count

    /// Whether there are none.
    member _.IsEmpty = count = 0

    /// Whether a partition is there.
    member this.ContainsKey(key: TopicPartition) = not (isNull (this.Find key))

    /// Whether a partition is there, and its state if so.
    member this.TryGetValue(key: TopicPartition, [<Out>] partition: byref<Partition>) =
        match this.Find key with
        | null -> false
        | entry ->
            partition <- entry.Value
            true

    /// With a partition's new state, or one more partition.
    member _.SetItem(key: TopicPartition, partition: Partition) =
        let mutable isNew = false
        let changed = PartitionTree.set true (key.GetHashCode()) key partition root 0 &isNew
        PartitionTable(changed, (if isNew then count + 1 else count))

    /// Without a partition, if it is there.
    member this.Remove(key: TopicPartition) =
        if not (this.ContainsKey key) then
            this
        else
            match PartitionTree.remove (key.GetHashCode()) key root 0 with
            | null -> empty
            | rest -> PartitionTable(downcast rest, count - 1)

    /// Without these partitions, as far as they are there.
    member this.RemoveRange(keys: seq<TopicPartition>) =
        Seq.fold (fun (table: PartitionTable) key -> table.Remove key) this keys

    /// The partitions, in an order that depends on what is there.
    member this.Keys = this |> Seq.map (fun (KeyValue(key, _)) -> key)

    /// The partitions' states, in the order of `Keys`.
    member this.Values = this |> Seq.map (fun (KeyValue(_, partition)) -> partition)

    /// Goes through them in the order of `Keys`.
    member _.GetEnumerator() : IEnumerator<KeyValuePair<TopicPartition, Partition>> = new PartitionEnumerator(root)

    interface IReadOnlyCollection<KeyValuePair<TopicPartition, Partition>> with
        member _.Count = count
        member this.GetEnumerator() = this.GetEnumerator()
        member this.GetEnumerator() : IEnumerator = this.GetEnumerator()

/// Goes through a tree. The branches that it is in are a stack.
and [<Sealed>] private PartitionEnumerator(root: PartitionTree.Branch) =
    let branches: PartitionTree.Branch[] = Array.zeroCreate PartitionTree.MaxDepth
    let places: int[] = Array.zeroCreate PartitionTree.MaxDepth
    let mutable depth = 0
    let mutable entry: PartitionEntry | null = null
    do branches[0] <- root

    /// The next entry in the branches; null at the end.
    let rec next () : PartitionEntry | null =
        if depth < 0 then
            null
        elif places[depth] = PartitionTree.Width then
            depth <- depth - 1
            next ()
        else
            let child = branches[depth][places[depth]]
            places[depth] <- places[depth] + 1

            match child with
            | null -> next ()
            | :? PartitionEntry as found -> found
            | deeper ->
                depth <- depth + 1
                branches[depth] <- downcast deeper
                places[depth] <- 0
                next ()

    member private _.Current =
        match entry with
        | null -> raise (InvalidOperationException "not at a partition")
        | entry -> KeyValuePair(entry.Key, entry.Value)

    interface IEnumerator<KeyValuePair<TopicPartition, Partition>> with
        member this.Current: KeyValuePair<TopicPartition, Partition> = this.Current
        member this.Current: obj | null = box this.Current

        member _.MoveNext() =
            entry <-
                match entry with
                | null -> next ()
                | current when isNull current.Next -> next ()
                | current -> current.Next

            not (isNull entry)

        member _.Reset() = raise (NotSupportedException())
        member _.Dispose() = ()
