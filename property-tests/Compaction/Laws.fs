/// What holds for every log of batches and every series of passes.
module Tansu.PropertyTests.Compaction.Laws

open System
open System.Collections.Generic
open Expecto
open FsCheck.FSharp
open Tansu.Adapters.Compaction
open Tansu.Codec.Records
open Tansu.PropertyTests
open Tansu.PropertyTests.Codec.RecordsSamples
open Tansu.PropertyTests.Compaction.Given
open Tansu.PropertyTests.Compaction.Model

/// What never changes about a batch, beside its records.
let private fixedOf (batch: byte[]) =
    let header = headerOf batch

    header.LastOffset,
    (header.PartitionLeaderEpoch, header.Codec, header.TimestampType),
    (header.IsTransactional, header.IsControl),
    (header.ProducerId, header.ProducerEpoch, header.BaseSequence)

/// The validator is for what clients send: of a batch that compaction made it may only say that records are missing.
let private expectSound (batch: byte[]) =
    let header = headerOf batch
    let copy = Array.copy batch
    RecordBatchEditor.SetBaseOffset(Span copy, 0L)

    if header.TimestampType = TimestampType.LogAppendTime then
        RecordBatchEditor.SetMaxTimestamp(Span copy, header.MaxTimestamp)
    else
        let timestamps = read batch |> List.map _.TimestampMs
        Expect.equal header.MaxTimestamp (List.max timestamps) "max timestamp"

    let limits =
        RecordBatchLimits(MaxBatchBytes = Int32.MaxValue, LooksIntoCompressed = true)

    let expected =
        if header.RecordCount <= header.LastOffsetDelta then
            RecordBatchOutcome.BadCount
        elif header.IsControl then
            RecordBatchOutcome.ControlBatchFromClient
        else
            RecordBatchOutcome.Valid

    Expect.equal (RecordBatchValidator.Validate(memory copy, &limits)).Outcome expected "what the validator says"
    Expect.equal (headerOf batch).Crc (Crc32C.Compute(ReadOnlySpan(batch, 21, batch.Length - 21))) "CRC"

let private contents log = List.map contentOf log.Batches

/// Runs the steps, with a check of each pass: log before, keys, time, log after, what cleaning said.
let private run check steps =
    let mutable log = emptyLog
    let mutable nowMs = t0
    let appended = ResizeArray<byte[]>()

    for step in steps do
        match step with
        | Append batch ->
            let batch = Array.copy batch
            log <- appendTo log batch
            appended.Add batch
        | Pass(keys, laterMs) ->
            nowMs <- nowMs + laterMs
            let after, cleaned = pass (mapFor keys) nowMs log
            check log keys nowMs after cleaned
            log <- after

    log, nowMs, List.ofSeq appended

let private ignoring _ _ _ _ _ = ()

let private allUnchanged cleaned =
    cleaned |> List.forall (fun (cleaned: CleanedBatch) -> cleaned.IsUnchanged)

let private sum (count: CleanedBatch -> int) cleaned = List.sumBy count cleaned

/// A horizon outlives the tombstones that it was set for; it then means nothing.
let private withNeededHorizons log =
    contents log
    |> List.map (fun content ->
        if content.Records |> List.exists (snd >> isTombstone) then
            content
        else
            { content with HorizonMs = None })

let private recordCount log =
    log.Batches |> List.sumBy (fun batch -> (headerOf batch).RecordCount)

let private newestOf appended =
    let records = counting (List.map contentOf appended)
    let newest = newestIn records
    records |> List.filter (fun (key, offset, _) -> newest[key] = offset)

let tests =
    testList "laws" [
        Check.propertyTimes 300 "a pass does what the model says"
        <| forAll steps (fun steps ->
            run
                (fun log keys nowMs after cleaned ->
                    let expected, endOffset =
                        modelPass keys nowMs log.FirstDirtyOffset log.NextOffset (contents log)

                    Expect.equal after.FirstDirtyOffset endOffset "end"
                    Expect.equal (contents after) expected "batches"
                    Expect.equal (sum _.RecordsRead cleaned) (recordCount log) "records read"
                    Expect.equal (sum _.RecordsKept cleaned) (recordCount after) "records kept")
                steps
            |> ignore)

        Check.property "the newest value of each key survives at its offset, with all it had"
        <| forAll steps (fun steps ->
            let log, _, appended = run ignoring steps
            let left = contents log |> List.collect _.Records |> Map.ofList

            for _, offset, record in newestOf appended do
                if record.Value.IsSome then
                    Expect.equal (Map.tryFind offset left) (Some record) "record")

        Check.property "what is left is some of what was appended, in its order, in batches with their old headers"
        <| forAll steps (fun steps ->
            let log, _, appended = run ignoring steps
            let batches = Dictionary<int64, byte[]>()

            for batch in appended do
                batches[(headerOf batch).BaseOffset] <- batch

            let baseOffsets = log.Batches |> List.map (fun batch -> (headerOf batch).BaseOffset)
            Expect.equal baseOffsets (List.distinct (List.sort baseOffsets)) "order of batches"

            for batch in log.Batches do
                let original = batches[(headerOf batch).BaseOffset]
                let records = readWithOffsets batch
                let wanted = records |> List.map fst |> Set.ofList
                Expect.equal (fixedOf batch) (fixedOf original) "header"
                expectSound batch

                Expect.equal
                    records
                    (readWithOffsets original
                     |> List.filter (fun (offset, _) -> Set.contains offset wanted))
                    "records")

        Check.property "the end of the log is never lost"
        <| forAll steps (fun steps ->
            let log, _, _ = run ignoring steps

            match List.tryLast log.Batches with
            | Some last ->
                Expect.equal (headerOf last).LastOffset (log.NextOffset - 1L) "last offset"
                Expect.equal (readWithOffsets last |> List.last |> fst) (log.NextOffset - 1L) "last record"
            | None -> Expect.equal log.NextOffset 0L "nothing was appended")

        Check.propertyTimes 300 "a newest tombstone goes only when the retention is over since all before it is clean"
        <| forAll steps (fun steps ->
            let cleanSinceMs = Dictionary<int64, int64>()

            run
                (fun log _ nowMs after cleaned ->
                    let before = counting (contents log)
                    let newest = newestIn before

                    let left =
                        counting (contents after)
                        |> List.map (fun (_, offset, _) -> offset)
                        |> Set.ofList

                    let mutable gone = 0

                    for key, offset, record in before do
                        if isTombstone record && newest[key] = offset && not (Set.contains offset left) then
                            gone <- gone + 1
                            Expect.isTrue (cleanSinceMs.ContainsKey offset) "it was clean before"
                            Expect.isGreaterThanOrEqual nowMs (cleanSinceMs[offset] + retentionMs) "time"

                    Expect.isLessThanOrEqual gone (sum _.TombstonesDropped cleaned) "tombstones dropped"

                    for _, offset, _ in before do
                        if offset < after.FirstDirtyOffset then
                            cleanSinceMs.TryAdd(offset, nowMs) |> ignore)
                steps
            |> ignore)

        Check.propertyTimes 300 "when all is clean, the newest of each key is left, and the last record"
        <| forAll (Gen.zip stepsAtOnce (Gen.choose (1, 8))) (fun (steps, keys) ->
            let log, nowMs, appended = run ignoring steps
            let clean = passes (mapFor keys) nowMs log

            let expected =
                newestOf appended
                |> List.map (fun (_, offset, _) -> offset)
                |> List.append [ log.NextOffset - 1L ]
                |> List.filter (fun offset -> offset >= 0L)
                |> List.distinct
                |> List.sort

            let data = contents clean |> List.filter (fun content -> not content.IsControl)

            let left = data |> List.collect _.Records |> List.map fst

            let lastIsControl =
                appended
                |> List.tryLast
                |> Option.exists (fun batch -> (headerOf batch).IsControl)

            let expected =
                if lastIsControl then
                    expected |> List.filter (fun offset -> offset < log.NextOffset - 1L)
                else
                    expected

            Expect.equal left expected "offsets"

            // Then time goes by, and nothing comes: the tombstones end.
            let later = fst (pass (mapFor keys) (nowMs + retentionMs) clean)

            for content in contents later do
                for offset, record in content.Records do
                    if isTombstone record && not content.IsControl then
                        Expect.equal offset (log.NextOffset - 1L) "only the last record may be a tombstone")

        Check.propertyTimes 200 "a map for 3 keys gives in several passes what a large one gives in one"
        <| forAll (Gen.listOf batch |> Gen.resize 10) (fun batches ->
            let log = batches |> List.map Array.copy |> List.fold appendTo emptyLog
            let once = fst (pass (largeMap ()) t0 log)
            Expect.equal (withNeededHorizons (passes (mapFor 3) t0 log)) (withNeededHorizons once) "batches")

        Check.property "cleaning once more at the same time changes nothing, not a byte"
        <| forAll steps (fun steps ->
            let log, nowMs, _ = run ignoring steps
            let clean = passes (mapFor 8) nowMs log
            let again, cleaned = pass (mapFor 8) nowMs clean
            Expect.isTrue (allUnchanged cleaned) "unchanged"
            Expect.equal again.Batches clean.Batches "bytes"

            let fromStart, cleaned =
                pass (largeMap ()) nowMs { clean with FirstDirtyOffset = 0L }

            Expect.isTrue (allUnchanged cleaned) "unchanged by a pass over all of it"
            Expect.equal fromStart.Batches clean.Batches "bytes after a pass over all of it")
    ]
