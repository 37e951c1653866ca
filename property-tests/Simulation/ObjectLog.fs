namespace Tansu.PropertyTests.Simulation

open System
open System.Buffers
open System.Buffers.Binary
open System.Collections.Generic
open System.Threading
open System.Threading.Tasks
open Tansu.Adapters.Ports

/// Which of the safeguards against creating a trimmed entry again are on: controls switch them off.
type Safeguard = {
    /// Before an append, a writer that has not read the bound lately reads it.
    LooksBefore: bool
    /// After an append, it looks again if that has become long ago.
    LooksAfter: bool
}

/// Names of objects, and how long things are good for.
[<RequireQualifiedAccess>]
module ObjectLayout =
    let entryPrefix log = $"log/{log}/"
    let entry log (number: int64) = $"log/{log}/{number:D20}"
    let snapshotPrefix log = $"snapshot/{log}/"
    let boundPrefix log = $"bound/{log}/"

    let number (name: string) =
        Int64.Parse(name.Substring(name.LastIndexOf '/' + 1))

    /// Entries stay this long after the bound has passed them, by the store's clock.
    let grace = TimeSpan.FromSeconds 30.0

    /// How long a writer may rely on having read the bound. This and the longest time in which a request can land have to be
    /// less than the grace period together.
    let fresh = TimeSpan.FromSeconds 10.0

    let join (head: ReadOnlySequence<byte>) (payload: ReadOnlySequence<byte>) =
        let content = Array.zeroCreate<byte>(4 + int head.Length + int payload.Length)
        BinaryPrimitives.WriteInt32BigEndian(Span content, int head.Length)
        head.CopyTo(Span(content, 4, int head.Length))
        payload.CopyTo(Span(content, 4 + int head.Length, int payload.Length))
        content

    let head (content: byte[]) =
        ReadOnlyMemory(content, 4, BinaryPrimitives.ReadInt32BigEndian(ReadOnlySpan content))

    let payload (content: byte[]) =
        let start = 4 + BinaryPrimitives.ReadInt32BigEndian(ReadOnlySpan content)
        ReadOnlyMemory(content, start, content.Length - start)

/// A log of one object per entry, on a store where a name that was deleted can be created again. What keeps a trimmed number
/// from coming back: trimming first publishes a bound (an object whose name is the lowest number that stays), and
/// deletes only a grace period later. A writer relies on the bound it has read for less than that, by both of its clocks.
[<Sealed>]
type ObjectLog(name: string, objects: IObjects, time: TimeProvider, safeguard: Safeguard) =
    let mutable bound = 1L
    let mutable confirmedAt: struct (int64 * DateTimeOffset) voption = ValueNone

    let isFresh () =
        match confirmedAt with
        | ValueNone -> false
        | ValueSome struct (timestamp, utc) ->
            let isRecent (elapsed: TimeSpan) =
                elapsed >= TimeSpan.Zero && elapsed < ObjectLayout.fresh

            isRecent (time.GetElapsedTime timestamp) && isRecent (time.GetUtcNow() - utc)

    let readBound () =
        task {
            let asked = struct (time.GetTimestamp(), time.GetUtcNow())
            let! listed = objects.List(ObjectLayout.boundPrefix name)

            if listed.Length > 0 then
                bound <- max bound (ObjectLayout.number listed[listed.Length - 1].Name)

            confirmedAt <- ValueSome asked
            return listed
        }

    /// The entry, having made sure that its number has not been trimmed; null when it does not exist yet.
    let rec getEntry (number: int64) : Task<byte[]> =
        task {
            if not (isFresh ()) then
                let! _ = readBound ()
                ()

            if number < bound then
                raise (EntryMissingException(name, number))

            let! content = objects.Get(ObjectLayout.entry name number)

            // The knowledge of the bound may have grown old meanwhile, or new: the entry may have been trimmed, or trimmed and
            // created again.
            if isFresh () && number >= bound then
                return content
            else
                return! getEntry number
        }

    let rec create (number: int64) (content: byte[]) : Task<AppendOutcome> =
        task {
            if safeguard.LooksBefore && not (isFresh ()) then
                let! _ = readBound ()
                ()

            if safeguard.LooksBefore && number < bound then
                return AppendOutcome.Conflict
            else
                match! objects.PutIfAbsent(ObjectLayout.entry name number, content) with
                | Busy ->
                    do! Task.Delay(TimeSpan.FromMilliseconds 200.0, time)
                    return! create number content
                | Exists -> return AppendOutcome.Conflict
                | NoAnswer -> return AppendOutcome.Unknown
                | Created when not safeguard.LooksAfter -> return AppendOutcome.Appended
                | Created ->
                    try
                        if not (isFresh ()) then
                            let! _ = readBound ()
                            ()

                        // Even if it is fresh: something else may have read the bound since. Then it was the next entry and has been
                        // trimmed since, or it was created again in vain: nobody can tell.
                        return
                            if number < bound then
                                AppendOutcome.Unknown
                            else
                                AppendOutcome.Appended
                    with :? StoreUnavailableException ->
                        return AppendOutcome.Unknown
        }

    let listSnapshots () =
        objects.List(ObjectLayout.snapshotPrefix name)

    let rec loadSnapshot (belowNumber: int64) : Task<Snapshot> =
        task {
            let! listed = listSnapshots ()

            let newest =
                listed
                |> Seq.map (fun one -> one.Name)
                |> Seq.filter (fun one -> ObjectLayout.number one < belowNumber)
                |> Seq.tryLast

            match newest with
            | None -> return null
            | Some found ->
                match! objects.Get found with
                | null -> return! loadSnapshot (ObjectLayout.number found)
                | content -> return Snapshot(ObjectLayout.number found, ReadOnlyMemory content)
        }

    let readHeads (after: int64) (maxEntries: int) =
        task {
            let heads = List<EntryHead>()
            let mutable isMore = true
            let mutable isEnd = false

            while isMore && heads.Count < min maxEntries 16 do
                let number = after + 1L + int64 heads.Count

                try
                    match! getEntry number with
                    | null ->
                        isMore <- false
                        isEnd <- true
                    | content ->
                        heads.Add(EntryHead(number, ObjectLayout.head content, (ObjectLayout.payload content).Length))
                with
                | :? EntryMissingException
                | :? StoreUnavailableException when heads.Count > 0 -> isMore <- false

            return EntryHeads(heads, isEnd)
        }

    let trim (below: int64) =
        task {
            let! bounds = readBound ()

            if below > bound then
                let! _ =
                    objects.PutIfAbsent($"{ObjectLayout.boundPrefix name}{below:D20}", [| 0uy |])

                ()

            // Only what a bound of sufficient age allows.
            let old =
                bounds
                |> Array.filter (fun one -> one.Age > ObjectLayout.grace)
                |> Array.map (fun one -> ObjectLayout.number one.Name)

            if old.Length > 0 then
                let! entries = objects.List(ObjectLayout.entryPrefix name)

                let names = [
                    for entry in entries do
                        if ObjectLayout.number entry.Name < Array.max old then
                            entry.Name
                ]

                if not names.IsEmpty then
                    do! objects.Delete names
        }

    interface IEventLog with
        member _.Name = name

        member _.TryAppendAsync(number, head, payload, cancellationToken) =
            cancellationToken.ThrowIfCancellationRequested()
            ValueTask<AppendOutcome>(create number (ObjectLayout.join head payload))

        member _.ReadHeadsAsync(after, maxEntries, cancellationToken) =
            cancellationToken.ThrowIfCancellationRequested()
            ValueTask<EntryHeads>(readHeads after maxEntries)

        member _.ReadPayloadAsync(number, position, destination, _) =
            task {
                match! getEntry number with
                | null -> raise (EntryMissingException(name, number))
                | content -> (ObjectLayout.payload content).Slice(position, destination.Length).CopyTo destination
            }
            |> ValueTask

        member _.SaveSnapshotAsync(number, content, _) =
            let content = content.ToArray()

            task {
                do! objects.Put($"{ObjectLayout.snapshotPrefix name}{number:D20}", content)
                let! listed = listSnapshots ()
                let names = [ for one in listed -> one.Name ]

                if names.Length > 3 then
                    do! objects.Delete(List.take (names.Length - 3) names)
            }
            |> ValueTask

        member _.LoadSnapshotAsync(belowNumber, _) =
            ValueTask<Snapshot>(loadSnapshot belowNumber)

        member _.TrimAsync(below, _) = ValueTask(trim below)
        member _.DisposeAsync() = ValueTask.CompletedTask

/// What is there, in the order of names.
[<Sealed>]
type Listing(objects: IObjects, prefix: string) =
    interface IAsyncEnumerable<BlobInfo> with
        member _.GetAsyncEnumerator _ =
            let mutable listed: Listed[] = null
            let mutable index = -1

            {
                new IAsyncEnumerator<BlobInfo> with
                    member _.Current =
                        BlobInfo(listed[index].Name, listed[index].Length, DateTimeOffset.UnixEpoch)

                    member _.MoveNextAsync() =
                        task {
                            if isNull listed then
                                let! found = objects.List prefix
                                listed <- found

                            index <- index + 1
                            return index < listed.Length
                        }
                        |> ValueTask<bool>

                    member _.DisposeAsync() = ValueTask.CompletedTask
            }

/// Data objects, under their own names.
[<Sealed>]
type ObjectBlobs(objects: IObjects) =
    interface IBlobStore with
        member _.PutAsync(name, content, _) =
            ValueTask(objects.Put(name, content.ToArray()))

        member _.ReadAsync(name, position, destination, _) =
            task {
                match! objects.Get name with
                | null -> raise (BlobMissingException(name, $"There is no object {name}."))
                | content -> ReadOnlyMemory(content, int position, destination.Length).CopyTo destination
            }
            |> ValueTask

        member _.DeleteAsync(names, _) =
            ValueTask(objects.Delete(List.ofSeq names))

        member _.ListAsync(prefix, cancellationToken) =
            Listing(objects, prefix) :> IAsyncEnumerable<BlobInfo>
