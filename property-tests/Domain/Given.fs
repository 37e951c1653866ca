/// Given what has happened, when a command comes, then these events and this reply.
module Tansu.PropertyTests.Domain.Given

open System
open Expecto
open Tansu.Domain

let shardSettings = {
    ProducerIdExpirationMs = 1000L
    Groups = GroupSettings.Default
    Transactions = TransactionSettings.Default
}

let catalogSettings = { ShardCount = 3; MaxPartitionsPerTopic = 100 }

/// Where batches of 100 bytes lie that follow one another.
let private endToEnd = Array.init 100 (fun index -> index * 100)

let at (nowMs: int64) = { NowMs = nowMs; DataObject = null; PayloadPositions = ReadOnlyMemory endToEnd }

let topicId (number: int) =
    TopicId(Guid(number, 0s, 0s, 0uy, 0uy, 0uy, 0uy, 0uy, 0uy, 0uy, 0uy))

let partition (number: int) = { TopicId = topicId 1; Partition = number }

/// The state after these events, all in one entry per event, each a millisecond after the one before.
let shard (events: ShardEvent list) =
    (Shard.initial, List.indexed events)
    ||> List.fold (fun state (index, event) ->
        Shard.evolve state event { EntryNumber = int64 index + 1L; TimeMs = int64 index + 1L })

let catalog (events: CatalogEvent list) =
    (Catalog.initial, events) ||> List.fold (Catalog.evolve catalogSettings)

/// A batch that is not idempotent, of some records.
let batch (key: TopicPartition) (records: int) : BatchToAppend = {
    Partition = key
    Length = 100
    LastOffsetDelta = records - 1
    MaxTimestampMs = 5L
    ProducerId = Absent.ProducerId
    ProducerEpoch = Absent.ProducerEpoch
    BaseSequence = Absent.Sequence
    Transaction = 0L
}

/// A batch of producer 7.
let idempotent epoch sequence records : BatchToAppend = {
    batch (partition 0) records with
        ProducerId = 7L
        ProducerEpoch = epoch
        BaseSequence = sequence
}

let decideShard nowMs state command =
    Shard.decide shardSettings state command (at nowMs)

/// Decides, and evolves over what was decided.
let act nowMs (state: ShardState) command =
    let decision = decideShard nowMs state command

    let context = { EntryNumber = nowMs; TimeMs = nowMs }

    decision, Array.fold (fun state event -> Shard.evolve state event context) state decision.Events

/// Appends batches one command after another, all of which must be accepted.
let appended (batches: BatchToAppend list) =
    (Shard.initial, List.indexed batches)
    ||> List.fold (fun state (index, batch) -> act (int64 index + 1L) state (AppendBatches [| batch |]) |> snd)

let replies (decision: Decision<ShardEvent, ShardReply>) =
    match decision.Reply with
    | BatchesJudged replies -> List.ofArray replies
    | _ -> failtest "not the reply of an append"

/// The one batch of the command gets this reply, and stores something only if it is new.
let expectAppend (state: ShardState) nowMs batch (offset: int64) (isNew: bool) =
    let decision = decideShard nowMs state (AppendBatches [| batch |])

    match replies decision with
    | [ Appended(baseOffset, _) ] -> Expect.equal baseOffset offset "base offset"
    | other -> failtest $"expected it to be appended, got {List.length other} replies of another kind"

    Expect.equal decision.Events.Length (if isNew then 1 else 0) "events"

let expectRefused (state: ShardState) nowMs batch (refusal: Refusal) =
    let decision = decideShard nowMs state (AppendBatches [| batch |])

    match replies decision with
    | [ Refused actual ] -> Expect.equal actual refusal "why"
    | _ -> failtest "expected a refusal"

    Expect.isEmpty decision.Events "a refusal stores nothing"
