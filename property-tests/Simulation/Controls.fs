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
    /// Offsets are taken from anybody: from members that are out, and from those of older generations.
    | AnybodyCommits
    /// A broker does not notice that another one has taken a newer commit of the same member.
    | LateCommits
    /// Committed offsets are given as they are known, without a look at the log's end.
    | OffsetsAsKnown
    /// Chunks are replaced although they are no longer what the compactor has read.
    | ChunksAnyhow
    /// Chunks are replaced by those in objects however old.
    | OldSegments
    /// The collector deletes what it found before it said how far it goes.
    | CarelessCollector
    /// A compactor does not notice that something of what it cleans has been refused.
    | RefusalsIgnored
    /// Entries go although partitions still refer to what is in them.
    | PayloadsTrimmed
    /// Entries go although the snapshot that has their events has not been stored.
    | TrimBeforeSnapshot
    /// Tombstones go as soon as they have been cleaned.
    | TombstonesAtOnce
    /// Batches and offsets pass for parts of whichever transaction of their producer is open.
    | NumbersIgnored
    /// Markers are written before it is decided that the transaction commits.
    | MarkersFirst
    /// Readers of committed records are given what is not decided yet.
    | StableOffsetIgnored
    /// An EndTxn ends whichever transaction is open.
    | AnyTransactionEnds

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
        | TrimBeforeSnapshot -> {
            new IEventLog with
                member _.Name = inner.Name

                member _.TryAppendAsync(number, head, payload, cancellationToken) =
                    inner.TryAppendAsync(number, head, payload, cancellationToken)

                member _.ReadHeadsAsync(after, maxEntries, cancellationToken) =
                    inner.ReadHeadsAsync(after, maxEntries, cancellationToken)

                member _.ReadPayloadAsync(number, position, destination, cancellationToken) =
                    inner.ReadPayloadAsync(number, position, destination, cancellationToken)

                member _.SaveSnapshotAsync(_, _, _) = ValueTask.CompletedTask

                member _.LoadSnapshotAsync(belowNumber, cancellationToken) =
                    inner.LoadSnapshotAsync(belowNumber, cancellationToken)

                member _.TrimAsync(below, cancellationToken) =
                    inner.TrimAsync(below, cancellationToken)

                member _.DisposeAsync() = inner.DisposeAsync()
          }
        | _ -> inner

    /// What compactors take the rules of topics to be.
    let cleanup control (inner: TopicId -> Cleanup voption) (topicId: TopicId) =
        match control with
        | TombstonesAtOnce ->
            inner topicId
            |> ValueOption.map (fun cleanup -> { cleanup with DeleteRetentionMs = 0L })
        | _ -> inner topicId

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
        /// The same decider, asked something else.
        let asking
            (change: ShardState -> ShardCommand -> ShardCommand)
            : IDecider<ShardState, ShardCommand, ShardEvent, ShardReply> = {
            new IDecider<ShardState, ShardCommand, ShardEvent, ShardReply> with
                member _.Initial = inner.Initial

                member _.Decide(state, command, context) =
                    inner.Decide(state, change state command, context)

                member _.Evolve(state, event, context) = inner.Evolve(state, event, context)
                member _.OldestEntry state = inner.OldestEntry state
                member _.ObjectsSinceMs state = inner.ObjectsSinceMs state
        }

        match control with
        | NoSequences ->
            asking (fun _ command ->
                match command with
                | AppendBatches batches ->
                    batches
                    |> Array.map (fun batch -> { batch with ProducerId = Absent.ProducerId })
                    |> AppendBatches
                | other -> other)
        | AnybodyCommits ->
            asking (fun state command ->
                match command with
                | AskGroup(groupId, CommitOffsets commit) ->
                    match Shard.group groupId state with
                    | ValueSome group when
                        not (group.Members.ContainsKey commit.MemberId)
                        || group.Generation <> commit.Generation
                        ->
                        let leader = group.Leader |> Option.ofObj |> Option.defaultValue ""

                        AskGroup(
                            groupId,
                            CommitOffsets {
                                commit with
                                    MemberId = leader
                                    InstanceId = null
                                    Generation = group.Generation
                            }
                        )
                    | _ -> command
                | other -> other)
        | LateCommits ->
            asking (fun state command ->
                match command with
                | AskGroup(groupId, CommitOffsets commit) ->
                    let known =
                        Shard.group groupId state
                        |> ValueOption.bind (fun group ->
                            match Map.tryFind commit.MemberId group.Members with
                            | Some committer -> ValueSome committer.CommitEntry
                            | None -> ValueNone)
                        |> ValueOption.defaultValue 0L

                    AskGroup(groupId, CommitOffsets { commit with KnownCommitEntry = known })
                | other -> other)
        | NumbersIgnored ->
            let isOpenOrNew (ended: int64) (opened: int64 voption) number =
                ValueOption.defaultValue (max number (ended + 1L)) opened

            asking (fun state command ->
                match command with
                | AppendBatches batches ->
                    batches
                    |> Array.map (fun batch ->
                        let partition = Shard.partition batch.Partition state

                        if batch.Transaction <= 0L then
                            batch
                        else
                            let ended =
                                match partition.Producers.TryGetValue batch.ProducerId with
                                | true, producer -> producer.EndedTransaction
                                | _ -> 0L

                            let opened =
                                match partition.OpenTransactions.TryGetValue batch.ProducerId with
                                | true, opened -> ValueSome opened.Number
                                | _ -> ValueNone

                            { batch with Transaction = isOpenOrNew ended opened batch.Transaction })
                    |> AppendBatches
                | AskGroup(groupId, CommitInTransaction commit) ->
                    let group = Shard.group groupId state |> ValueOption.defaultValue Group.initial
                    let known = Group.transactionOf commit.ProducerId group

                    let opened =
                        if known.Offsets.IsEmpty then
                            ValueNone
                        else
                            ValueSome known.Number

                    AskGroup(
                        groupId,
                        CommitInTransaction { commit with Number = isOpenOrNew known.Ended opened commit.Number }
                    )
                | other -> other)
        | OldObjects -> {
            new IDecider<ShardState, ShardCommand, ShardEvent, ShardReply> with
                member _.Initial = inner.Initial
                member _.Decide(state, command, context) = inner.Decide(state, command, context)
                member _.Evolve(state, event, context) = inner.Evolve(state, event, context)
                member _.OldestEntry state = inner.OldestEntry state
                member _.ObjectsSinceMs _ = 0L
          }
        | ChunksAnyhow ->
            asking (fun state command ->
                match command with
                | ReplaceChunks(requests, namedAtMs) ->
                    let asIs (request: ChunksToReplace) =
                        let struct (pages, chunks) =
                            Shard.partition request.New.Partition state
                            |> Partition.inRange request.New.FirstOffset request.New.LastOffset

                        { request with OldPages = Seq.toArray pages; OldChunks = Seq.toArray chunks }

                    ReplaceChunks(Array.map asIs requests, namedAtMs)
                | other -> other)
        | OldSegments ->
            asking (fun _ command ->
                match command with
                | ReplaceChunks(requests, _) -> ReplaceChunks(requests, System.Int64.MaxValue)
                | other -> other)
        | RefusalsIgnored ->
            // Refusing is always allowed; here it happens more often than others' work would bring it about.
            let proposals = ref 0

            {
                new IDecider<ShardState, ShardCommand, ShardEvent, ShardReply> with
                    member _.Initial = inner.Initial

                    member _.Decide(state, command, context) =
                        let decision = inner.Decide(state, command, context)

                        match decision.Reply with
                        | ReplacementsJudged areMade ->
                            proposals.Value <- proposals.Value + 1

                            {
                                Events = (if proposals.Value % 3 = 0 then [||] else decision.Events)
                                Reply = ReplacementsJudged(Array.create areMade.Length true)
                            }
                        | _ -> decision

                    member _.Evolve(state, event, context) = inner.Evolve(state, event, context)
                    member _.OldestEntry state = inner.OldestEntry state
                    member _.ObjectsSinceMs state = inner.ObjectsSinceMs state
            }
        | PayloadsTrimmed -> {
            new IDecider<ShardState, ShardCommand, ShardEvent, ShardReply> with
                member _.Initial = inner.Initial
                member _.Decide(state, command, context) = inner.Decide(state, command, context)
                member _.Evolve(state, event, context) = inner.Evolve(state, event, context)
                member _.OldestEntry _ = System.Int64.MaxValue
                member _.ObjectsSinceMs state = inner.ObjectsSinceMs state
          }
        | _ -> inner
