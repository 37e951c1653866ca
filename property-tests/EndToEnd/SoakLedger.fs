/// What a soak writes, and what it knows of where it was written.
module Tansu.PropertyTests.EndToEnd.SoakLedger

open System
open System.Collections.Concurrent
open System.Collections.Generic
open System.Text
open Confluent.Kafka

/// The header that tells a record's number, from which everything else of it follows.
[<Literal>]
let NumberHeader = "number"

let private mix (number: int64) (salt: int) =
    let mutable hash = (uint64 number + 1UL) * 0x9E3779B97F4A7C15UL + uint64 salt
    hash <- (hash ^^^ (hash >>> 30)) * 0xBF58476D1CE4E5B9UL
    hash <- (hash ^^^ (hash >>> 27)) * 0x94D049BB133111EBUL
    hash ^^^ (hash >>> 31)

/// One topic of a soak: its records are numbered, and a number tells the record.
type Plan = {
    topic: string
    partitions: int
    /// 0 for records without keys.
    keys: int
    /// The least and the most bytes of a value.
    valueBytes: int * int
} with

    /// The record's key. All numbers of a key are given out by one producer, in order.
    member this.KeyOf(number: int64) =
        int (mix number 1 % uint64 this.keys)

    member this.PartitionOf(number: int64) =
        if this.keys > 0 then
            this.KeyOf number % this.partitions
        else
            int (number % int64 this.partitions)

    /// A fifth of the records of a topic with keys deletes its key.
    member this.IsTombstone(number: int64) = this.keys > 0 && mix number 2 % 5UL = 0UL

    member this.Message(number: int64) =
        let headers = Headers()
        headers.Add(NumberHeader, BitConverter.GetBytes number)

        let value: byte array | null =
            if this.IsTombstone number then
                null
            else
                let least, most = this.valueBytes
                let bytes = Array.zeroCreate<byte> (least + int (mix number 3 % uint64 (most - least + 1)))
                // Half of it compresses well, as real records do.
                Random(int (mix number 4 &&& 0x7FFFFFFFUL)).NextBytes(bytes.AsSpan(0, bytes.Length / 2))
                bytes

        let key: byte array | null =
            if this.keys > 0 then
                Encoding.ASCII.GetBytes $"key-{this.KeyOf number}"
            else
                null

        Message<byte array, byte array>(Key = key, Value = value, Headers = headers)

/// The number of a record that was read, if it is what the number says.
let numberOf (plan: Plan) (record: ConsumeResult<byte array, byte array>) =
    match record.Message.Headers with
    | null -> Result.Error "it has no headers"
    | headers ->
        let number = BitConverter.ToInt64(headers.GetLastBytes NumberHeader, 0)
        let expected = plan.Message number

        let same (left: byte array) (right: byte array) =
            ReadOnlySpan.op_Implicit(left).SequenceEqual(ReadOnlySpan.op_Implicit right)
            && isNull left = isNull right

        if not (same expected.Key record.Message.Key) then
            Result.Error $"record {number} has another key"
        elif not (same expected.Value record.Message.Value) then
            Result.Error $"record {number} has another value"
        elif plan.PartitionOf number <> record.Partition.Value then
            Result.Error $"record {number} is in another partition"
        else
            Result.Ok number

/// What went wrong, said once each, and not without end.
type Anomalies() =
    let found = ConcurrentDictionary<string, unit>()

    member _.Add(text: string) =
        if found.Count < 100 then
            found.TryAdd(text, ()) |> ignore

    member _.All = List.ofSeq found.Keys

/// The record at every offset of a topic: told by the producer when it was acknowledged, and by consumers, and all must say the same.
type Ledger(plan: Plan, anomalies: Anomalies) =
    /// 0 for nothing known; number + 1 once acknowledged; -(number + 1) if only a consumer has seen it.
    let records = Array.init plan.partitions (fun _ -> List<int64>())
    let latest = Array.create (max 1 plan.keys) -1L
    let mutable acknowledged = 0L

    let claim partition (offset: int64) number isAcknowledged =
        let known = records[partition]

        lock known (fun () ->
            while int64 known.Count <= offset do
                known.Add 0L

            let before = known[int offset]

            if before <> 0L && abs before <> number + 1L then
                anomalies.Add
                    $"{plan.topic}-{partition}: records {number} and {abs before - 1L} are both said to be at offset {offset}"
            elif isAcknowledged && before > 0L then
                anomalies.Add $"{plan.topic}-{partition}: record {number} at offset {offset} was acknowledged twice"
            else
                known[int offset] <- if isAcknowledged then number + 1L else (if before = 0L then -(number + 1L) else before)

                if plan.keys > 0 then
                    let key = plan.KeyOf number
                    latest[key] <- max latest[key] offset)

    member _.Plan = plan
    member _.Acknowledged = System.Threading.Volatile.Read &acknowledged

    member _.Acknowledge(partition, offset, number) =
        claim partition offset number true
        System.Threading.Interlocked.Increment &acknowledged |> ignore

    member _.See(partition, offset, number) = claim partition offset number false

    /// The record at an offset; none if nobody has told.
    member _.At(partition: int, offset: int64) =
        let known = records[partition]

        lock known (fun () ->
            if offset < int64 known.Count && known[int offset] <> 0L then
                Some(abs known[int offset] - 1L)
            else
                None)

    /// Whether a consumer that did not get an offset may have missed it because a newer record has its key, or it deletes the key.
    member this.MayBeGone(partition: int, offset: int64) =
        match this.At(partition, offset) with
        | Some number ->
            plan.IsTombstone number
            || lock records[partition] (fun () -> latest[plan.KeyOf number] > offset)
        | None -> false

    /// Where each key's newest record is, and its number.
    member this.Newest = [
        for partition in 0 .. plan.partitions - 1 do
            for offset in 0 .. records[partition].Count - 1 do
                match this.At(partition, int64 offset) with
                | Some number when latest[plan.KeyOf number] = int64 offset -> (partition, int64 offset), number
                | _ -> ()
    ]

    /// Every offset up to the end must have been acknowledged, once.
    member _.Check() =
        for partition in 0 .. plan.partitions - 1 do
            for offset in 0 .. records[partition].Count - 1 do
                match records[partition][offset] with
                | 0L -> anomalies.Add $"{plan.topic}-{partition}: nobody knows of offset {offset}"
                | number when number < 0L ->
                    anomalies.Add
                        $"{plan.topic}-{partition}: record {-number - 1L} at offset {offset} was read and never acknowledged"
                | _ -> ()
