/// Where the batches of one entry, or of one data object, lie: what a partition gets lies together.
module Tansu.PropertyTests.Replica.Layouts

open System
open System.Threading
open System.Threading.Tasks
open Expecto
open Tansu.Adapters.Replica
open Tansu.Codec.Records
open Tansu.Domain
open Tansu.PropertyTests
open Tansu.PropertyTests.Replica.Rig
open Tansu.PropertyTests.Replica.ScriptedLog

/// A batch of one record that holds this number.
let private numbered (number: int) =
    let builder = RecordBatchBuilder()
    builder.Append(1L, ReadOnlyMemory [| 1uy |], ReadOnlyMemory(BitConverter.GetBytes number), ReadOnlySpan.Empty)
    builder.Build()

let private toAppend key (bytes: byte array) sequence : BatchToAppend = {
    Partition = key
    Length = bytes.Length
    LastOffsetDelta = 0
    MaxTimestampMs = 1L
    ProducerId = (if sequence < 0 then Absent.ProducerId else 7L)
    ProducerEpoch = (if sequence < 0 then Absent.ProducerEpoch else 0s)
    BaseSequence = sequence
    Transaction = 0L
}

/// One command with batches of these partitions and numbers; idempotent if there is a sequence.
let private submit (one: Member) (batches: (TopicPartition * int) list) sequence =
    let bytes = [| for _, number in batches -> numbered number |]

    let command =
        AppendBatches [|
            for (key, _), bytes in Seq.zip batches bytes -> toAppend key bytes sequence
        |]

    let groups = [| for key, _ in batches -> hash key |]
    one.replica.SubmitAsync(command, Payload(Array.map ReadOnlyMemory bytes, groups), patience)

/// The numbers in batches whose offsets follow one another from 0.
let private numbersOf (bytes: ReadOnlyMemory<byte>) =
    let numbers = ResizeArray()
    let mutable batches = (RecordBatches bytes).GetEnumerator()

    while batches.MoveNext() do
        Expect.equal batches.Current.Header.BaseOffset (int64 numbers.Count) "offsets without gaps"

        let whole = bytes.Slice(batches.Current.Position, batches.Current.TotalLength)

        // The last byte is the number of headers, which there are none of.
        numbers.Add(BitConverter.ToInt32(whole.Span.Slice(whole.Length - 5, 4)))

    List.ofSeq numbers

/// The numbers in a partition in the order of their offsets, as a broker finds them that did not write them.
let private numbersIn (space: Tansu.Adapters.MemorySpace) key =
    task {
        let! other = openWith options 0L space
        let state = Shard.partition key other.replica.Current.State

        let! records =
            other.reader.ReadAsync(state, 0L, Int32.MaxValue, true, CancellationToken.None)

        return numbersOf (records.Joined())
    }

/// Lets the first append wait until all of this is submitted.
let private together (one: Member) (submitAll: unit -> Task<ShardReply> list) =
    task {
        let gate = TaskCompletionSource()
        one.log.Script [ After gate.Task ]

        let blocker = append one (partition 1000) 1
        SpinWait.SpinUntil(fun () -> one.log.Appends = 1)
        let pending = submitAll ()
        gate.SetResult()
        let! _ = blocker.WaitAsync patience
        return! (Task.WhenAll pending).WaitAsync patience
    }

let private stores = [
    "an entry", options
    "a data object", ReplicaOptions(InlinePayloadBytes = 1, DataObjectBytes = 1_000_000)
]

let tests =
    testList "the layout" [
        for where, options in stores do
            testCaseTask $"of {where}: each partition's batches lie together, in the order of their commands" (fun () ->
                task {
                    let random = Random(Check.seed |> int)

                    for _ in 1..20 do
                        let space = Tansu.Adapters.MemorySpace()
                        let! one = openWith options 0L space
                        let partitions = 1 + random.Next 5

                        let commands = [
                            for command in 0 .. random.Next 12 ->
                                [
                                    for batch in 0 .. random.Next 4 ->
                                        partition (random.Next partitions), command * 10 + batch
                                ]
                        ]

                        let! replies =
                            together one (fun () -> [ for batches in commands -> submit one batches -1 ])

                        for reply in replies do
                            match reply with
                            | BatchesJudged judged -> Expect.all judged _.IsAppended "taken"
                            | _ -> failtest "another answer"

                        for number in 0 .. partitions - 1 do
                            let key = partition number

                            let sent = [
                                for batches in commands do
                                    for found, value in batches do
                                        if found = key then
                                            value
                            ]

                            let! found = numbersIn space key
                            Expect.equal found sent "all that was sent, in its order"
                            let chunks = (Shard.partition key one.replica.Current.State).Chunks
                            Expect.equal chunks.Count (min 1 sent.Length) "as one chunk"
                })

        testCaseTask "parts what is longer than a chunk may be" (fun () ->
            task {
                let! one = openWith options 0L (Tansu.Adapters.MemorySpace())
                let bytes = recordBatch 1 700_000

                let append () =
                    one.replica.SubmitAsync(
                        appendCommand (partition 0) 1 bytes,
                        Payload([| ReadOnlyMemory bytes |], [| hash (partition 0) |]),
                        patience
                    )

                let! _ = together one (fun () -> [ for _ in 1..5 -> append () ])
                let state = Shard.partition (partition 0) one.replica.Current.State
                let lengths = [ for chunk in state.Chunks -> chunk.Length / bytes.Length ]
                Expect.equal lengths [ 2; 2; 1 ] "batches in each chunk"

                let! records =
                    one.reader.ReadAsync(state, 0L, Int32.MaxValue, true, CancellationToken.None)

                Expect.equal records.Length (5 * bytes.Length) "all of it, without what lies between"
            })

        testCaseTask "leaves no room for what comes to nothing" (fun () ->
            task {
                let space = Tansu.Adapters.MemorySpace()
                let! one = openWith options 0L space
                let length = (numbered 0).Length

                let! replies =
                    together one (fun () -> [
                        submit one [ partition 0, 1 ] 0
                        submit one [ partition 1, 2 ] -1
                        // A retry, and one that misses what is before it.
                        submit one [ partition 0, 1 ] 0
                        submit one [ partition 0, 3 ] 5
                        submit one [ partition 0, 4 ] 1
                    ])

                Expect.equal
                    (List.ofArray replies)
                    [
                        for reply in
                            [
                                Appended(0L, 0L)
                                Appended(0L, 0L)
                                Appended(0L, 0L)
                                AppendReply.Refused OutOfOrderSequence
                                Appended(1L, 0L)
                            ] -> BatchesJudged [| reply |]
                    ]
                    "each is judged on what the one before left"

                let chunks = [
                    for number in 0..1 do
                        yield! (Shard.partition (partition number) one.replica.Current.State).Chunks
                ]

                Expect.equal (chunks |> List.map _.Length |> List.sum) (3 * length) "three batches"
                let last = chunks |> List.maxBy _.Position
                Expect.equal (last.Position + last.Length) (3 * length) "end to end"
                let! first = numbersIn space (partition 0)
                let! second = numbersIn space (partition 1)
                Expect.equal (first, second) ([ 1; 4 ], [ 2 ]) "what they hold"
            })
    ]
