/// Random logs and passes, and what a pass does to a log in plain terms.
module Tansu.PropertyTests.Compaction.Model

open System
open FsCheck.FSharp
open Tansu.Codec.Records
open Tansu.PropertyTests.Codec.RecordsSamples
open Tansu.PropertyTests.Compaction.Given

type private Producer =
    | Plain
    | Idempotent
    | Committed
    | Aborted

type Step =
    | Append of batch: byte[]
    | Pass of keys: int * laterMs: int64

let private keys = [ [||]; "a"B; "b"B; "c"B; "d"B; Array.create 300 7uy; Array.create 301 7uy ]

let private record =
    gen {
        let! key =
            Gen.frequency [ 12, Gen.map Some (Gen.elements keys); 1, Gen.constant None ]

        let! isTombstone = Gen.frequency [ 3, Gen.constant false; 1, Gen.constant true ]
        let! content = Gen.choose (0, 255)
        let! length = Gen.frequency [ 9, Gen.choose (0, 9); 1, Gen.choose (0, 5_000) ]
        let! timestampMs = Gen.elements [ t0; t0 + 1L; t0 - 1L; -1L; 0L; Int64.MaxValue ]
        let! headers = Gen.elements [ []; [ "h"B, Some "1"B; "h"B, None ] ]

        return {
            TimestampMs = timestampMs
            Key = key
            Value =
                if isTombstone then
                    None
                else
                    Some(Array.create length (byte content))
            Headers = headers
        }
    }

let private dataBatch =
    gen {
        let! codec = Gen.elements codecs
        let! producer = Gen.elements [ Plain; Plain; Idempotent; Committed; Aborted ]
        let! sequence = Gen.elements [ 0; 5; Int32.MaxValue - 2 ]

        let! logAppendTimeMs =
            Gen.frequency [ 4, Gen.constant (Nullable()); 1, Gen.constant (Nullable(t0 + 3L)) ]

        let! records = Gen.nonEmptyListOf record |> Gen.resize 8

        let producerId, epoch, sequence =
            match producer with
            | Plain -> RecordBatchHeader.NoProducerId, RecordBatchHeader.NoProducerEpoch, RecordBatchHeader.NoSequence
            | Idempotent -> 7L, 2s, sequence
            | Committed -> 8L, 3s, sequence
            | Aborted -> abortedProducerId, 4s, sequence

        let builder =
            RecordBatchBuilder(
                Codec = codec,
                PartitionLeaderEpoch = 11,
                ProducerId = producerId,
                ProducerEpoch = epoch,
                BaseSequence = sequence,
                IsTransactional = (producer = Committed || producer = Aborted),
                LogAppendTimeMs = logAppendTimeMs
            )

        return buildWith builder records
    }

let private marker =
    gen {
        let! kind = Gen.elements [ ControlRecordType.Commit; ControlRecordType.Abort ]
        return EndTransactionMarker(kind, 1).ToBatch(abortedProducerId, 4s, t0)
    }

let batch = Gen.frequency [ 9, dataBatch; 1, marker ]

let private stepsWith passes =
    Gen.frequency [ 3, Gen.map Append batch; 2, passes ]
    |> Gen.listOf
    |> Gen.resize 14

/// Small maps, and time that may or may not reach a horizon.
let steps =
    stepsWith (
        gen {
            let! keys = Gen.choose (1, 8)

            let! laterMs =
                Gen.elements [ 0L; retentionMs / 2L; retentionMs - 1L; retentionMs; 2L * retentionMs ]

            return Pass(keys, laterMs)
        }
    )

/// Passes with small maps, and no time goes by.
let stepsAtOnce =
    stepsWith (Gen.map (fun keys -> Pass(keys, 0L)) (Gen.choose (1, 8)))

/// A batch as plain values: what the model works on, and what is compared with it.
[<NoComparison>]
type Content = {
    BaseOffset: int64
    LastOffset: int64
    IsControl: bool
    IsAborted: bool
    HorizonMs: int64 option
    Records: (int64 * SampleRecord) list
}

let contentOf (batch: byte[]) =
    let header = headerOf batch

    {
        BaseOffset = header.BaseOffset
        LastOffset = header.LastOffset
        IsControl = header.IsControl
        IsAborted =
            header.IsTransactional
            && header.ProducerId = abortedProducerId
            && not header.IsControl
        HorizonMs =
            if header.HasDeleteHorizon then
                Some header.BaseTimestamp
            else
                None
        Records = readWithOffsets batch
    }

let isTombstone record =
    record.Key.IsSome && record.Value.IsNone

/// The keyed records that count, in their order.
let counting (contents: Content list) = [
    for content in contents do
        if not (content.IsControl || content.IsAborted) then
            for offset, record in content.Records do
                match record.Key with
                | Some key -> key, offset, record
                | None -> ()
]

let newestIn records =
    records
    |> List.map (fun (key: byte[], offset: int64, _) -> key, offset)
    |> Map.ofList

/// The end of a pass: the first record whose key is one too many, else the end of the log.
let private endOf keys firstDirtyOffset nextOffset contents =
    let dirty =
        counting contents
        |> List.filter (fun (_, offset, _) -> offset >= firstDirtyOffset)

    let rec go seen records =
        match records with
        | [] -> nextOffset
        | (key, offset, _) :: rest ->
            let seen = Set.add key seen
            if Set.count seen > keys then offset else go seen rest

    go Set.empty dirty

let modelPass keys nowMs firstDirtyOffset nextOffset contents =
    let endOffset = endOf keys firstDirtyOffset nextOffset contents

    let newest =
        counting contents
        |> List.filter (fun (_, offset, _) -> offset >= firstDirtyOffset && offset < endOffset)
        |> newestIn

    let isReplaced key offset =
        match Map.tryFind key newest with
        | Some newer -> offset < newer
        | None -> false

    let stays content (offset, record) =
        let isOver =
            isTombstone record
            && content.HorizonMs |> Option.exists (fun horizonMs -> nowMs >= horizonMs)

        offset >= endOffset
        || offset = nextOffset - 1L
        || (not content.IsAborted
            && record.Key |> Option.exists (fun key -> not (isReplaced key offset))
            && not isOver)

    let clean content =
        if content.IsControl then
            Some content
        else
            let records = content.Records |> List.filter (stays content)

            let getsHorizon =
                content.HorizonMs.IsNone
                && content.LastOffset < endOffset
                && records |> List.exists (snd >> isTombstone)

            if List.isEmpty records then
                None
            else
                Some {
                    content with
                        Records = records
                        HorizonMs =
                            if getsHorizon then
                                Some(nowMs + retentionMs)
                            else
                                content.HorizonMs
                }

    List.choose clean contents, endOffset
