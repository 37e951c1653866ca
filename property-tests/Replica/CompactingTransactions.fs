/// Compaction by key beside transactions: what is undecided stays and pushes nothing out, what was aborted counts for nothing.
module Tansu.PropertyTests.Replica.CompactingTransactions

open System
open System.Threading
open System.Threading.Tasks
open Expecto
open Tansu.Adapters.Replica
open Tansu.Adapters.Transactions
open Tansu.Codec.Records
open Tansu.Domain
open Tansu.PropertyTests.Replica.Rig

let private write (one: Member) sequence transaction =
    task {
        let builder =
            RecordBatchBuilder(IsTransactional = true, ProducerId = 7L, ProducerEpoch = 0s, BaseSequence = sequence)

        builder.Append(1L, ReadOnlyMemory [| 1uy |], ReadOnlyMemory [| byte sequence |], ReadOnlySpan.Empty)
        let bytes = builder.Build()

        let batch: BatchToAppend = {
            Partition = partition 0
            Length = bytes.Length
            LastOffsetDelta = 0
            MaxTimestampMs = 1L
            ProducerId = 7L
            ProducerEpoch = 0s
            BaseSequence = sequence
            Transaction = transaction
        }

        match! one.replica.SubmitAsync(AppendBatches [| batch |], Payload [| ReadOnlyMemory bytes |], patience) with
        | BatchesJudged [| Appended _ |] -> ()
        | _ -> failtest "appended"
    }

let private offsetsIn (bytes: ReadOnlyMemory<byte>) =
    let found = ResizeArray<int64>()
    let mutable batches = (RecordBatches bytes).GetEnumerator()

    while batches.MoveNext() do
        if batches.Current.Header.RecordCount > 0 then
            found.Add batches.Current.Header.BaseOffset

    List.ofSeq found

/// The offsets of all records and markers that are left.
let private offsets (one: Member) =
    task {
        let state = Shard.partition (partition 0) one.replica.Current.State
        let! records = one.reader.ReadAsync(state, 0L, 100_000, true, CancellationToken.None)
        return offsetsIn (records.Joined())
    }

let tests =
    testList "compacting transactions" [
        testCaseTask "keeps the committed record until another one of its key has committed" (fun () ->
            task {
                let! one = openMember (Tansu.Adapters.MemorySpace())
                let compactor = Compacting.compactor { Compacting.kept with Compacts = true } one

                let coordinator =
                    new TransactionCoordinator(
                        [| one.replica |],
                        (fun _ -> ValueTask<int64> 7L),
                        TransactionCoordinatorOptions()
                    )

                let! _ = coordinator.InitializeAsync("tx", 60_000, -1L, -1s, patience)

                let addition: TransactionAddition = {
                    ProducerId = 7L
                    ProducerEpoch = 0s
                    Partitions = [| struct (partition 0, 0) |]
                    Groups = [||]
                    BumpsEpoch = false
                }

                let begun number =
                    task {
                        let! _ = coordinator.AddAsync("tx", addition, patience)
                        do! write one (number - 1) (int64 number)
                    }

                let ended (number: int) isCommit =
                    coordinator.EndAsync("tx", 7L, 0s, int64 number, isCommit, false, patience)

                do! begun 1
                let! _ = ended 1 true
                do! begun 2
                let! _ = ended 2 false
                do! begun 3
                let! _ = compactor.PassAsync(CancellationToken.None).WaitAsync patience
                let! left = offsets one
                // What is merged with undecided records waits for them.
                Expect.contains left 0L "the committed one"
                Expect.contains left 4L "the undecided one"
                let! _ = ended 3 true
                let! _ = compactor.PassAsync(CancellationToken.None).WaitAsync patience
                let! left = offsets one
                Expect.equal left [ 4L; 5L ] "the newest committed one, and the marker that is the partition's end"

                Expect.isEmpty
                    (Shard.partition (partition 0) one.replica.Current.State).AbortedTransactions
                    "no reader has to leave anything out"

                do! coordinator.DisposeAsync()
            })
    ]
