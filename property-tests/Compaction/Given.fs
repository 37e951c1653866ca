/// A log of record batches, and passes of compaction over it.
module Tansu.PropertyTests.Compaction.Given

open System
open Expecto
open Tansu.Adapters.Compaction
open Tansu.Codec.Records
open Tansu.PropertyTests.Codec.RecordsSamples

let t0 = 1_700_000_000_000L
let retentionMs = 1_000L

/// The producer whose transactions are aborted, wherever it matters.
let abortedProducerId = 9L

let isAborted =
    Func<RecordBatchHeader, bool>(fun header -> header.ProducerId = abortedProducerId)

/// A map with room for so many keys: up to 9, one slot more than that is enough.
let mapFor (keys: int) =
    if keys > 9 then
        failwith "more than 9 keys"

    KeyOffsets(int64 (keys + 1) * int64 KeyOffsets.BytesPerSlot)

let largeMap () = KeyOffsets(1L <<< 20)

let newestOffsets (pairs: (string * int64) list) =
    let map = largeMap ()

    for key, offset in pairs do
        if not (map.TryAdd(ReadOnlySpan(Text.Encoding.UTF8.GetBytes key), offset)) then
            failwith "full"

    map

let rule nowMs =
    CleaningRule(NowMs = nowMs, DeleteRetentionMs = retentionMs)

let value (key: string) (content: string) = {
    TimestampMs = t0
    Key = Some(Text.Encoding.UTF8.GetBytes key)
    Value = Some(Text.Encoding.UTF8.GetBytes content)
    Headers = [ "header"B, Some "h"B; "empty"B, None ]
}

let tombstone key = { value key "" with Value = None }

let keyless content = { value "" content with Key = None }

let clean (map: KeyOffsets) rule (batch: byte[]) =
    BatchCleaner().Clean(memory batch, map, rule)

/// The offsets of the records that a cleaned batch holds.
let offsetsOf (cleaned: CleanedBatch) =
    if cleaned.IsRemoved then
        []
    else
        readWithOffsets (cleaned.Bytes.ToArray()) |> List.map fst

/// Records read, records kept, tombstones dropped.
let countsOf (cleaned: CleanedBatch) =
    cleaned.RecordsRead, cleaned.RecordsKept, cleaned.TombstonesDropped

let headerOfCleaned (cleaned: CleanedBatch) = headerOf (cleaned.Bytes.ToArray())

/// Offsets 100 to 104.
let abcab = [ value "a" "1"; value "b" "2"; value "c" "3"; value "a" "4"; value "b" "5" ]

let at100 records =
    buildWith (RecordBatchBuilder(BaseOffset = 100L)) records

let always offset =
    CleaningRule(NowMs = t0, DeleteRetentionMs = retentionMs, AlwaysKeepOffset = offset)

let upTo endOffset =
    CleaningRule(NowMs = t0, DeleteRetentionMs = retentionMs, EndOffset = endOffset)

let aborting =
    CleaningRule(NowMs = t0, DeleteRetentionMs = retentionMs, IsAborted = isAborted)

let dropping =
    CleaningRule(NowMs = t0, DeleteRetentionMs = retentionMs, DropsControlBatch = (fun _ -> true))

let expectUnchanged (batch: byte[]) (cleaned: CleanedBatch) =
    Expect.isTrue cleaned.IsUnchanged "unchanged"
    Expect.isTrue (cleaned.Bytes.Equals(memory batch)) "the memory that was given"

let transactional producerId records =
    buildWith
        (RecordBatchBuilder(
            BaseOffset = 100L,
            IsTransactional = true,
            ProducerId = producerId,
            ProducerEpoch = 3s,
            BaseSequence = 40
        ))
        records

let markerAt100 () =
    let batch =
        EndTransactionMarker(ControlRecordType.Abort, 1).ToBatch(abortedProducerId, 3s, t0)

    RecordBatchEditor.SetBaseOffset(Span batch, 100L)
    batch

[<NoComparison>]
type Log = { Batches: byte[] list; NextOffset: int64; FirstDirtyOffset: int64 }

let emptyLog = { Batches = []; NextOffset = 0L; FirstDirtyOffset = 0L }

/// Puts the batch at the end; its base offset is set in place.
let appendTo log (batch: byte[]) =
    RecordBatchEditor.SetBaseOffset(Span batch, log.NextOffset)
    { log with Batches = log.Batches @ [ batch ]; NextOffset = (headerOf batch).LastOffset + 1L }

let private index (map: KeyOffsets) rule log =
    let rec from (batches: byte[] list) =
        match batches with
        | [] -> log.NextOffset
        | batch :: rest when (headerOf batch).LastOffset < log.FirstDirtyOffset -> from rest
        | batch :: rest ->
            let mutable indexedTo = 0L

            if BatchCleaner.Index(memory batch, map, rule, &indexedTo) then
                from rest
            else
                indexedTo

    from log.Batches

/// One pass: what indexing takes in is cleaned, from the oldest batch on.
let pass (map: KeyOffsets) nowMs log =
    map.Clear()

    let ruleTo endOffset =
        CleaningRule(
            NowMs = nowMs,
            DeleteRetentionMs = retentionMs,
            FirstDirtyOffset = log.FirstDirtyOffset,
            EndOffset = endOffset,
            AlwaysKeepOffset = log.NextOffset - 1L,
            IsAborted = isAborted
        )

    let endOffset = index map (ruleTo Int64.MaxValue) log
    let cleaner = BatchCleaner()

    let cleaned =
        log.Batches
        |> List.map (fun batch -> cleaner.Clean(memory batch, map, ruleTo endOffset))

    let batches =
        cleaned
        |> List.filter (fun cleaned -> not cleaned.IsRemoved)
        |> List.map (fun cleaned -> cleaned.Bytes.ToArray())

    { log with Batches = batches; FirstDirtyOffset = endOffset }, cleaned

/// As many passes as it takes until all of the log is clean.
let rec passes map nowMs log =
    let next = fst (pass map nowMs log)

    if next.FirstDirtyOffset < next.NextOffset then
        passes map nowMs next
    else
        next
