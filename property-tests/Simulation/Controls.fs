namespace Tansu.PropertyTests.Simulation

open System
open System.Collections.Generic
open System.Threading.Tasks
open Tansu.Adapters.Ports
open Tansu.Domain

/// What a negative control takes away. The checks have to notice.
type Control =
    /// Nothing: everything has to hold.
    | Sound
    /// An append whose outcome is unknown counts as done.
    | UnknownIsSuccess
    /// Without commit ids: after an unknown outcome, whatever entry is there is taken as ours.
    | AnyEntryIsOurs
    /// A writer does not look whether its number has been trimmed before it appends.
    | NoLookBefore
    /// A writer does not look again after the append.
    | NoLookAfter
    /// Answers are released while the append is still under way.
    | AnswersBeforeAppend
    /// An entry refers to data that is still on its way.
    | EntryBeforeData
    /// A commit refers to data objects however old they are.
    | OldObjects
    /// Commands are decided even if one before them on their connection was given up.
    | NoChains
    /// Sequences of producers are ignored.
    | NoSequences

[<RequireQualifiedAccess>]
module Controls =
    let safeguard control = {
        LooksBefore = (control <> NoLookBefore)
        LooksAfter = (control <> NoLookBefore && control <> NoLookAfter)
    }

    let private breakAppend (inner: IEventLog) (append: int64 -> (unit -> Task<AppendOutcome>) -> Task<AppendOutcome>) = {
        new IEventLog with
            member _.Name = inner.Name

            member _.TryAppendAsync(number, head, payload, cancellationToken) =
                append number (fun () -> inner.TryAppendAsync(number, head, payload, cancellationToken).AsTask())
                |> ValueTask<AppendOutcome>

            member _.ReadHeadsAsync(after, maxEntries, cancellationToken) =
                inner.ReadHeadsAsync(after, maxEntries, cancellationToken)

            member _.ReadPayloadAsync(number, position, destination, cancellationToken) =
                inner.ReadPayloadAsync(number, position, destination, cancellationToken)

            member _.SaveSnapshotAsync(number, content, cancellationToken) =
                inner.SaveSnapshotAsync(number, content, cancellationToken)

            member _.LoadSnapshotAsync(belowNumber, cancellationToken) =
                inner.LoadSnapshotAsync(belowNumber, cancellationToken)

            member _.TrimAsync(below, cancellationToken) =
                inner.TrimAsync(below, cancellationToken)

            member _.DisposeAsync() = inner.DisposeAsync()
    }

    let log control (inner: IEventLog) =
        match control with
        | UnknownIsSuccess ->
            breakAppend inner (fun _ append ->
                task {
                    match! append () with
                    | AppendOutcome.Unknown -> return AppendOutcome.Appended
                    | outcome -> return outcome
                })
        | AnyEntryIsOurs ->
            let unsure = HashSet<int64>()

            breakAppend inner (fun number append ->
                task {
                    match! append () with
                    | AppendOutcome.Unknown ->
                        unsure.Add number |> ignore
                        return AppendOutcome.Unknown
                    | AppendOutcome.Conflict when unsure.Contains number -> return AppendOutcome.Appended
                    | outcome -> return outcome
                })
        | AnswersBeforeAppend ->
            breakAppend inner (fun _ append ->
                append () |> ignore
                Task.FromResult AppendOutcome.Appended)
        | _ -> inner

    let blobs control (inner: IBlobStore) =
        match control with
        | EntryBeforeData -> {
            new IBlobStore with
                member _.PutAsync(name, content, cancellationToken) =
                    inner.PutAsync(name, content, cancellationToken) |> ignore
                    ValueTask.CompletedTask

                member _.ReadAsync(name, position, destination, cancellationToken) =
                    inner.ReadAsync(name, position, destination, cancellationToken)

                member _.DeleteAsync(names, cancellationToken) =
                    inner.DeleteAsync(names, cancellationToken)

                member _.ListAsync(prefix, cancellationToken) =
                    inner.ListAsync(prefix, cancellationToken)
          }
        | _ -> inner

    let decider control (inner: IDecider<ShardState, ShardCommand, ShardEvent, ShardReply>) =
        match control with
        | NoSequences -> {
            new IDecider<ShardState, ShardCommand, ShardEvent, ShardReply> with
                member _.Initial = inner.Initial

                member _.Decide(state, command, context) =
                    match command with
                    | AppendBatches batches ->
                        let plain =
                            batches
                            |> Array.map (fun batch -> { batch with ProducerId = Absent.ProducerId })

                        inner.Decide(state, AppendBatches plain, context)
                    | other -> inner.Decide(state, other, context)

                member _.Evolve(state, event, context) = inner.Evolve(state, event, context)
                member _.OldestEntry state = inner.OldestEntry state
                member _.ObjectsSinceMs state = inner.ObjectsSinceMs state
          }
        | OldObjects -> {
            new IDecider<ShardState, ShardCommand, ShardEvent, ShardReply> with
                member _.Initial = inner.Initial
                member _.Decide(state, command, context) = inner.Decide(state, command, context)
                member _.Evolve(state, event, context) = inner.Evolve(state, event, context)
                member _.OldestEntry state = inner.OldestEntry state
                member _.ObjectsSinceMs _ = 0L
          }
        | _ -> inner
