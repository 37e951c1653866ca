/// Transactions as they are written down: every event and every state is read back as it was.
module Tansu.PropertyTests.Replica.StoredTransactions

open System
open Expecto
open Tansu.Adapters.Replica
open Tansu.Codec
open Tansu.Codec.Storage
open Tansu.Domain
open Tansu.PropertyTests
open Tansu.PropertyTests.Domain

let private codec = ShardCodec()

let private written (write: KafkaWriter -> unit) =
    use writer = new KafkaWriter()
    write writer
    writer.ToArray()

let private writtenEvent (event: ShardEvent) =
    written (fun writer -> codec.WriteEvent(writer, event))

let private readEvent (bytes: byte[]) =
    let mutable reader = KafkaReader(ReadOnlyMemory bytes)
    let event = codec.ReadEvent &reader
    Expect.equal reader.Remaining 0 "it is read to its end"
    event

let private writtenState (state: ShardState) =
    written (fun writer -> codec.WriteState(writer, state))

let private readState (bytes: byte[]) =
    let mutable reader = KafkaReader(ReadOnlyMemory bytes)
    codec.ReadState &reader

let private large (random: Random) =
    match random.Next 4 with
    | 0 -> Int64.MinValue
    | 1 -> Int64.MaxValue
    | _ -> random.NextInt64 1_000_000L

let private small (random: Random) = random.Next()
let private epoch (random: Random) = int16 (random.Next(-1, 32768))
let private flag (random: Random) = random.Next 2 = 0
let private several (random: Random) (one: Random -> 'T) = [| for _ in 1 .. random.Next 4 -> one random |]

let private partition (random: Random) =
    let id = Array.zeroCreate 16
    random.NextBytes id
    { TopicId = TopicId(Guid id); Partition = random.Next 100 }

let private kinds: (Random -> TransactionEvent) list = [
    fun random ->
        ProducerInitialized {
            ProducerId = large random
            ProducerEpoch = epoch random
            LastProducerId = large random
            LastProducerEpoch = epoch random
            TimeoutMs = small random
        }
    fun random ->
        TransactionGrew {
            Number = large random
            BumpsEpoch = flag random
            Partitions = several random (fun random -> struct (partition random, small random))
            Groups = several random (fun random -> struct ($"g{random.Next 10}", small random))
        }
    fun random ->
        TransactionPrepared {
            IsCommit = flag random
            BumpsEpoch = flag random
            ProducerEpoch = epoch random
            LastProducerEpoch = epoch random
            NextProducerId = large random
        }
    fun _ -> TransactionCompleted
    fun _ -> TransactionalIdExpired
]

let private others: (Random -> ShardEvent) list = [
    fun random ->
        MarkerAppended {
            Partition = partition random
            Offset = large random
            DataObject = (if flag random then null else "data/shard-0/1")
            Position = small random
            Length = small random
            TimestampMs = large random
            ProducerId = large random
            ProducerEpoch = epoch random
            Number = large random
            IsCommit = flag random
        }
    fun random ->
        ShardEvent.BatchAppended {
            Partition = partition random
            BaseOffset = large random
            LastOffsetDelta = small random
            DataObject = (if flag random then null else "data/shard-0/1")
            Position = small random
            Length = small random
            MaxTimestampMs = large random
            ProducerId = large random
            ProducerEpoch = epoch random
            BaseSequence = small random
            Transaction = large random
        }
]

let private events =
    testList "an event" [
        Check.property "is read as it was written, whatever it holds" (fun (seed: int) ->
            let random = Random seed

            let events = [
                for kind in kinds -> TransactionChanged($"tx{random.Next 10}", kind random)
                for other in others -> other random
            ]

            for event in events do
                let bytes = writtenEvent event
                // Batches and markers cannot be compared; their bytes can.
                Expect.equal (writtenEvent (readEvent bytes)) bytes "the same bytes"

                match event, readEvent bytes with
                | TransactionChanged(id, event), TransactionChanged(again, eventAgain) ->
                    Expect.equal again id "the same id"
                    Expect.equal eventAgain event "the same event"
                | MarkerAppended marker, MarkerAppended again ->
                    Expect.equal (again.Partition, again.Number) (marker.Partition, marker.Number) "where and which"

                    Expect.equal
                        (again.IsCommit, again.ProducerId, again.ProducerEpoch, again.Offset)
                        (marker.IsCommit, marker.ProducerId, marker.ProducerEpoch, marker.Offset)
                        "what"

                    Expect.equal
                        (again.DataObject, again.Position, again.Length, again.TimestampMs)
                        (marker.DataObject, marker.Position, marker.Length, marker.TimestampMs)
                        "bytes"
                | BatchAppended batch, BatchAppended again ->
                    Expect.equal again.Transaction batch.Transaction "which transaction"
                | _ -> failtest "another kind")

        testCase "of every kind has been tried"
        <| fun () ->
            let cases = FSharp.Reflection.FSharpType.GetUnionCases typeof<TransactionEvent>
            Expect.equal kinds.Length cases.Length "one for each"

        testCase "of a batch from before transactions still reads"
        <| fun () ->
            let stored = BatchAppendedEvent(BaseOffset = 7L, LastOffsetDelta = 2)

            let bytes =
                written (fun writer ->
                    writer.WriteInt8 1y
                    writer.WriteInt8 0y
                    stored.Write(writer, 0s))

            match readEvent bytes with
            | BatchAppended batch -> Expect.equal (batch.BaseOffset, batch.Transaction) (7L, 0L) "plain"
            | _ -> failtest "a batch"
    ]

let private snapshots =
    testList "a snapshot" [
        Check.propertyTimes 50 "and the tail after it come to what all events come to" (fun (seed: int) ->
            let history = TransactionLaws.History(seed, 1 + abs (seed % 3))

            for _ in 1..80 do
                history.Step()

            for shard in 0 .. history.Shards.Count - 1 do
                let apply state (index, event: ShardEvent) =
                    let entry = { EntryNumber = int64 index + 1L; TimeMs = int64 index * 10L }
                    Shard.evolve state (readEvent (writtenEvent event)) entry

                let log = List.ofSeq (Seq.indexed (history.Shards.Log shard))
                let head, tail = List.splitAt (log.Length / 2) log
                let all = List.fold apply Shard.initial log
                let snapshot = writtenState (List.fold apply Shard.initial head)
                let again = readState snapshot
                Expect.equal (writtenState again) snapshot "the same bytes"
                let resumed = List.fold apply again tail
                Expect.equal (writtenState resumed) (writtenState all) "the same state"
                Expect.equal resumed.Transactions.Count all.Transactions.Count "the same ids"

                for KeyValue(key, one) in all.Partitions do
                    let other = Shard.partition key resumed
                    Expect.equal (Partition.lastStableOffset other) (Partition.lastStableOffset one) "stable"

                    Expect.equal
                        (Partition.abortedBetween 0L 1000L other)
                        (Partition.abortedBetween 0L 1000L one)
                        "aborted")

        testCase "of versions without transactions still reads"
        <| fun () ->
            for version in 0s .. 3s do
                let state =
                    written (fun writer ->
                        writer.WriteInt8(sbyte version)
                        ShardSnapshot().Write(writer, version))
                    |> readState

                Expect.isEmpty state.Transactions "none"

        testCase "of an unknown state is refused"
        <| fun () ->
            let stored =
                ShardSnapshot(Transactions = [| ShardSnapshot.Transaction(TransactionalId = "t", State = 6y) |])

            let bytes =
                written (fun writer ->
                    writer.WriteInt8 4y
                    stored.Write(writer, 4s))

            Expect.throwsT<KafkaFormatException> (fun () -> readState bytes |> ignore) "a newer build's"
    ]

let tests = testList "stored transactions" [ events; snapshots ]
