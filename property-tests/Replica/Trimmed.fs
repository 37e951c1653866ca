/// What a replica makes of a log whose entries have been deleted behind a snapshot while it was not looking.
module Tansu.PropertyTests.Replica.Trimmed

open System
open System.Threading
open System.Threading.Tasks
open Expecto
open Tansu.Adapters
open Tansu.Adapters.Ports
open Tansu.Adapters.Replica
open Tansu.Domain
open Tansu.PropertyTests.Replica.Rig
open Tansu.PropertyTests.Replica.ScriptedLog

/// Every batch is an object, so that no entry is needed once a snapshot holds its events.
let private often =
    ReplicaOptions(
        FirstBackoff = options.FirstBackoff,
        MaxBackoff = options.MaxBackoff,
        SnapshotEveryEntries = 4,
        SnapshotLeastShareOfState = 0.0,
        InlinePayloadBytes = 1
    )

let private written count (one: Member) =
    task {
        for _ in 1..count do
            let! _ = (append one (partition 0) 1).WaitAsync patience
            // A snapshot that is due while another is being saved waits for the next entry.
            do! one.replica.LastSave
    }

let private isTrimmed (one: Member) =
    task {
        try
            let! _ =
                one.log :> IEventLog
                |> fun log -> log.ReadHeadsAsync(0L, 1, CancellationToken.None)

            return false
        with :? EntryMissingException ->
            return true
    }

/// A broker that has seen nothing, and another that has written and trimmed.
let private behind () =
    task {
        let space = MemorySpace()
        let! one = openWith often 0L space
        let! other = openWith often 0L space
        do! written 20 other
        do! other.replica.StopAsync patience
        let! trimmed = isTrimmed one
        Expect.isTrue trimmed "the first entries are gone"
        return space, one
    }

let private end' (one: Member) =
    (Shard.partition (partition 0) one.replica.Current.State).HighWatermark

let tests =
    testList "a trimmed log" [
        testCaseTask "an append behind it goes to the end" (fun () ->
            task {
                let! _, one = behind ()
                let! offset = (append one (partition 0) 1).WaitAsync patience
                Expect.equal offset 20L "offset"
            })

        testCaseTask "a store that is away meanwhile is waited for" (fun () ->
            task {
                let! _, one = behind ()
                one.log.FailLoads 3
                do! one.replica.CatchUpAsync patience
                Expect.equal (end' one) 20L "all of it"
                let! offset = (append one (partition 0) 1).WaitAsync patience
                Expect.equal offset 20L "and it goes on"
            })

        testCaseTask "long polls wake for what was skipped" (fun () ->
            task {
                let! _, one = behind ()
                use waiter = one.waiters.Register [| partition 0 |]
                do! one.replica.CatchUpAsync patience
                do! waiter.Changed.WaitAsync patience
            })

        testCaseTask
            "an entry that may have been ours and is gone is answered with a timeout, never with a guess"
            (fun () ->
                task {
                    let space = MemorySpace()
                    let! one = openWith often 0L space
                    let! other = openWith often 0L space

                    one.log.Script [
                        StoredThen(fun () ->
                            task {
                                do! written 20 other
                                do! other.replica.StopAsync patience
                            })
                    ]

                    let! outcome =
                        task {
                            try
                                let! offset = (append one (partition 0) 1).WaitAsync patience
                                return Some offset
                            with :? TimeoutException ->
                                return None
                        }

                    Expect.isNone outcome "unknown"
                    Expect.equal (end' one) 21L "it was stored, once"
                    let! offset = (append one (partition 0) 1).WaitAsync patience
                    Expect.equal offset 21L "and the replica goes on"
                })

        testCaseTask "commands behind one that nobody can tell of are given up with it" (fun () ->
            task {
                let space = MemorySpace()
                let! one = openWith often 0L space
                let! other = openWith often 0L space

                let submit (chain: CommandChain) sequence =
                    let bytes = recordBatch 1 10

                    one.replica.SubmitAsync(
                        AppendBatches [|
                            {
                                Partition = partition 1
                                Length = bytes.Length
                                LastOffsetDelta = 0
                                MaxTimestampMs = 1L
                                ProducerId = 7L
                                ProducerEpoch = 0s
                                BaseSequence = sequence
                                Transaction = 0L
                            }
                        |],
                        Payload [| ReadOnlyMemory bytes |],
                        patience,
                        chain
                    )

                let gate = TaskCompletionSource()

                one.log.Script [
                    LostThen(fun () ->
                        task {
                            do! gate.Task
                            do! written 20 other
                            do! other.replica.StopAsync patience
                        })
                ]

                let chain = CommandChain()
                let first = submit chain 0
                SpinWait.SpinUntil(fun () -> one.log.Appends = 1)
                let second = submit chain 1
                gate.SetResult()

                for given in [ first; second ] do
                    let! isTimeout =
                        task {
                            try
                                let! _ = given.WaitAsync patience
                                return false
                            with :? TimeoutException ->
                                return given.IsFaulted
                        }

                    Expect.isTrue isTimeout "unknown"

                Expect.isTrue chain.IsBroken "the connection is to be closed"
                let fresh = CommandChain()

                for sequence in 0..1 do
                    let! reply = (submit fresh sequence).WaitAsync patience
                    Expect.equal reply (BatchesJudged [| Appended(int64 sequence, 0L) |]) "the client's next try"
            })

        testCaseTask "without a snapshot that can be used the broker says what is wrong" (fun () ->
            task {
                let space = MemorySpace()
                let! one = openWith often 0L space
                do! written 3 one
                do! (one.log :> IEventLog).TrimAsync(3L, CancellationToken.None)

                let! message =
                    task {
                        try
                            let! _ = openWith often 0L space
                            return ""
                        with :? StoreRefusedException as refused ->
                            return refused.Message
                    }

                Expect.stringContains message "log shard-0 no longer holds entry 1" "what is missing"
            })

        testCaseTask "records that ride inline keep their entries" (fun () ->
            task {
                let space = MemorySpace()

                let inlined =
                    ReplicaOptions(SnapshotEveryEntries = 4, SnapshotLeastShareOfState = 0.0)

                let! one = openWith inlined 0L space
                do! written 20 one
                do! one.replica.StopAsync patience
                let! again = openWith inlined 0L space
                let state = Shard.partition (partition 0) again.replica.Current.State

                let! records =
                    again.reader.ReadAsync(state, 0L, 1_000_000, true, CancellationToken.None)

                Expect.equal records.Length (20 * (recordBatch 1 10).Length) "every byte is there"

                let! _ =
                    again.replica.SubmitAsync(
                        DeleteRecords [| { Partition = partition 0; BeforeOffset = 12L } |],
                        Payload.None,
                        patience
                    )

                do! written 8 again
                do! again.replica.StopAsync patience
                let! trimmed = isTrimmed again
                Expect.isTrue trimmed "until they are deleted"
            })

        testCaseTask "a save that ends after a newer snapshot was loaded trims nothing that is needed" (fun () ->
            task {
                let space = MemorySpace()

                let inlined =
                    ReplicaOptions(SnapshotEveryEntries = 4, SnapshotLeastShareOfState = 0.0)

                let! slow = openWith often 0L space
                let! other = openWith inlined 0L space
                let gate = TaskCompletionSource()
                slow.log.HoldSaves gate.Task

                for _ in 1..4 do
                    let! _ = (append slow (partition 0) 1).WaitAsync patience
                    ()

                // The other goes on, until the entry after those is gone and a snapshot replaces it.
                do! written 20 other

                let! _ =
                    other.replica.SubmitAsync(
                        DeleteRecords [| { Partition = partition 0; BeforeOffset = 12L } |],
                        Payload.None,
                        patience
                    )

                do! written 12 other
                do! slow.replica.CatchUpAsync patience
                Expect.equal (end' slow) 36L "it has caught up"
                gate.SetResult()
                do! slow.replica.LastSave.WaitAsync patience

                let! again = openWith inlined 0L space
                let state = Shard.partition (partition 0) again.replica.Current.State

                let! records =
                    again.reader.ReadAsync(state, 12L, 1_000_000, true, CancellationToken.None)

                Expect.equal records.Length (24 * (recordBatch 1 10).Length) "every byte is there"
            })

        testCaseTask "a save that fails in a way that nobody expects is told of, and stops nothing" (fun () ->
            task {
                let notices = Collections.Concurrent.ConcurrentQueue<string>()

                let telling =
                    ReplicaOptions(
                        SnapshotEveryEntries = 4,
                        SnapshotLeastShareOfState = 0.0,
                        OnNotice = (fun text -> notices.Enqueue text)
                    )

                let! one = openWith telling 0L (MemorySpace())
                one.log.HoldSaves(Task.FromException(OutOfMemoryException "as the test wants it"))
                do! written 4 one
                do! one.replica.LastSave.WaitAsync patience
                Expect.hasLength notices 1 "told"
                Expect.stringContains (Seq.head notices) "OutOfMemoryException: as the test wants it" "why"
                one.log.HoldSaves Task.CompletedTask
                do! written 4 one
                do! one.replica.StopAsync patience

                let! found =
                    (one.log :> IEventLog).LoadSnapshotAsync(Int64.MaxValue, CancellationToken.None)

                Expect.isGreaterThan found.Number 4L "the next one is saved"
            })

        testCaseTask "disposing twice is fine" (fun () ->
            task {
                let! one = openMember (MemorySpace())
                do! one.replica.DisposeAsync()
                do! one.replica.DisposeAsync()
            })
    ]
