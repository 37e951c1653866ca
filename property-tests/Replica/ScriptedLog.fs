/// A log that does what a test says before it does what it should.
module Tansu.PropertyTests.Replica.ScriptedLog

open System
open System.Buffers
open System.Collections.Concurrent
open System.Threading
open System.Threading.Tasks
open Tansu.Adapters
open Tansu.Adapters.Ports

/// What an append comes to.
type Step =
    /// As the log below says.
    | Honest
    /// The entry is stored, but the caller hears nothing of it.
    | StoredButUnknown
    /// Nothing is stored, and the caller hears nothing of it.
    | LostAndUnknown
    /// The store is away for a moment.
    | Unavailable
    /// The store refuses for good.
    | Refused
    /// The entry is stored, and the caller is told that somebody was faster.
    | StoredButConflict
    /// Waits until the task is done, then honest.
    | After of Task
    /// The entry is stored, then this happens, and the caller hears nothing of it.
    | StoredThen of (unit -> Task)
    /// Nothing is stored, this happens, and the caller hears nothing of it.
    | LostThen of (unit -> Task)

type ScriptedLog(inner: IEventLog) as this =
    let steps = ConcurrentQueue<Step>()
    let mutable appends = 0
    let mutable reads = 0
    let mutable payloadReads = 0
    let mutable loadsToFail = 0
    let mutable trims = 0
    let mutable trimsToFail = 0
    let mutable saves = Task.CompletedTask

    /// What the next appends come to; honest when the script is over.
    member _.Script(script: Step list) =
        for step in script do
            steps.Enqueue step

    /// The log below.
    member _.Inner = inner

    /// How many appends were tried.
    member _.Appends = Volatile.Read &appends

    /// Happens before every read.
    member val BeforeRead: unit -> Task = (fun () -> Task.CompletedTask) with get, set

    /// Happens before a part of a payload is read.
    member val BeforePayload: unit -> Task = (fun () -> Task.CompletedTask) with get, set

    /// How many times heads were read.
    member _.Reads = Volatile.Read &reads

    /// How many times a part of a payload was read.
    member _.PayloadReads = Volatile.Read &payloadReads

    /// Lets the next attempts to load a snapshot find the store away.
    member _.FailLoads(count: int) =
        Interlocked.Add(&loadsToFail, count) |> ignore

    /// How many trims were tried.
    member _.Trims = Volatile.Read &trims

    /// Lets the next trims find the store away.
    member _.FailTrims(count: int) =
        Interlocked.Add(&trimsToFail, count) |> ignore

    /// Snapshots are saved once the task is done.
    member _.HoldSaves(gate: Task) = saves <- gate

    interface IEventLog with
        member _.Name = inner.Name

        member _.TryAppendAsync(number, head, payload, cancellationToken) =
            Interlocked.Increment &appends |> ignore

            let append () =
                inner.TryAppendAsync(number, head, payload, cancellationToken).AsTask()

            let step =
                match steps.TryDequeue() with
                | true, step -> step
                | _ -> Honest

            task {
                match step with
                | Honest -> return! append ()
                | StoredButUnknown ->
                    let! _ = append ()
                    return AppendOutcome.Unknown
                | LostAndUnknown -> return AppendOutcome.Unknown
                | Unavailable -> return raise (StoreUnavailableException "scripted")
                | Refused -> return raise (StoreRefusedException "scripted")
                | StoredButConflict ->
                    let! _ = append ()
                    return AppendOutcome.Conflict
                | After gate ->
                    do! gate
                    return! append ()
                | StoredThen happening ->
                    let! _ = append ()
                    do! happening ()
                    return AppendOutcome.Unknown
                | LostThen happening ->
                    do! happening ()
                    return AppendOutcome.Unknown
            }
            |> ValueTask<AppendOutcome>

        member _.ReadHeadsAsync(after, maxEntries, cancellationToken) =
            Interlocked.Increment &reads |> ignore

            task {
                do! this.BeforeRead()
                return! inner.ReadHeadsAsync(after, maxEntries, cancellationToken)
            }
            |> ValueTask<EntryHeads>

        member _.ReadPayloadAsync(number, position, destination, cancellationToken) =
            Interlocked.Increment &payloadReads |> ignore

            task {
                do! this.BeforePayload()
                do! inner.ReadPayloadAsync(number, position, destination, cancellationToken)
            }
            |> ValueTask

        member _.SaveSnapshotAsync(number, content, cancellationToken) =
            task {
                do! saves
                do! inner.SaveSnapshotAsync(number, content, cancellationToken)
            }
            |> ValueTask

        member _.LoadSnapshotAsync(belowNumber, cancellationToken) =
            if Interlocked.Decrement &loadsToFail >= 0 then
                raise (StoreUnavailableException "scripted")

            inner.LoadSnapshotAsync(belowNumber, cancellationToken)

        member _.TrimAsync(below, cancellationToken) =
            Interlocked.Increment &trims |> ignore

            if Interlocked.Decrement &trimsToFail >= 0 then
                raise (StoreUnavailableException "scripted")

            inner.TrimAsync(below, cancellationToken)

        member _.DisposeAsync() = inner.DisposeAsync()

/// A memory store of which one log follows a script.
let scriptedStore (name: string) =
    task {
        let memory = new MemoryStore() :> IStore
        let! inner = memory.OpenLogAsync(name, CancellationToken.None)
        let log = ScriptedLog inner

        let store = {
            new IStore with
                member _.Description = memory.Description
                member _.Limits = memory.Limits
                member _.Blobs = memory.Blobs

                member _.OpenLogAsync(name, cancellationToken) =
                    if name = inner.Name then
                        ValueTask<IEventLog>(log :> IEventLog)
                    else
                        memory.OpenLogAsync(name, cancellationToken)

                member _.GetOrCreateClusterAsync(proposed, cancellationToken) =
                    memory.GetOrCreateClusterAsync(proposed, cancellationToken)

                member _.DisposeAsync() = memory.DisposeAsync()
        }

        return store, log
    }
