/// What a replica makes of commands, of conflicts and of a store that does not say what it did.
module Tansu.PropertyTests.Replica.Commits

open System
open System.Runtime.CompilerServices
open System.Threading
open System.Threading.Tasks
open Expecto
open Tansu.Adapters
open Tansu.Adapters.Ports
open Tansu.Adapters.Replica
open Tansu.Codec
open Tansu.Domain
open Tansu.PropertyTests.Domain
open Tansu.PropertyTests.Host
open Tansu.PropertyTests.Replica.Rig
open Tansu.PropertyTests.Replica.ScriptedLog

let private test name (body: unit -> Task<unit>) = testCaseTask name body

/// Submits a batch that is given up after a second, and keeps nothing of it.
[<MethodImpl(MethodImplOptions.NoInlining)>]
let private submitAndForget (one: Member) =
    let bytes = recordBatch 1 10_000

    let pending =
        one.replica.SubmitAsync(
            appendCommand (partition 0) 1 bytes,
            Payload [| ReadOnlyMemory bytes |],
            TimeSpan.FromSeconds 1.0
        )

    struct (pending :> Task, WeakReference bytes)

/// A clock with one timer, which goes off when it is told to.
type private Alarm() =
    inherit TimeProvider()
    let mutable ring = ignore

    member _.Ring() = ring ()

    override _.CreateTimer(callback, state, _, _) =
        ring <- fun () -> callback.Invoke state

        {
            new ITimer with
                member _.Change(_, _) = true
                member _.Dispose() = ()
                member _.DisposeAsync() = ValueTask.CompletedTask
        }

/// Commits an offset of a group with so much metadata.
let private commitOffset (one: Member) number metadata =
    let commit =
        GroupGiven.simpleCommit [
            {
                Partition = partition 0
                Offset = int64 number
                LeaderEpoch = -1
                Metadata = String('x', metadata)
            }
        ]

    one.replica.SubmitAsync(AskGroup("group", CommitOffsets commit), Payload.None, patience)

let private groupCommit =
    testList "group commit" [
        test "commands that come while an append is in flight share the next entry" (fun () ->
            task {
                let! one = openMember (MemorySpace())
                let gate = TaskCompletionSource()
                one.log.Script [ After gate.Task ]
                let first = append one (partition 0) 1
                SpinWait.SpinUntil(fun () -> one.log.Appends = 1)
                let others = [ for index in 1..50 -> append one (partition (index % 3)) 2 ]
                gate.SetResult()
                let! _ = first.WaitAsync patience
                let! offsets = (Task.WhenAll others).WaitAsync patience
                Expect.equal one.replica.Current.EntryNumber 2L "two entries in all"

                let perPartition =
                    List.indexed (List.ofArray offsets)
                    |> List.groupBy (fun (index, _) -> (index + 1) % 3)

                for _, given in perPartition do
                    let given = List.map snd given
                    Expect.equal (List.sort given) given "in the order they were submitted"
                    Expect.equal (List.distinct given) given "no offset twice"
            })

        test "nothing is visible and nothing is answered before the store has it" (fun () ->
            task {
                let! one = openMember (MemorySpace())
                let gate = TaskCompletionSource()
                one.log.Script [ After gate.Task ]
                let pending = append one (partition 0) 1
                SpinWait.SpinUntil(fun () -> one.log.Appends = 1)
                Expect.isFalse pending.IsCompleted "no answer"
                Expect.isEmpty one.replica.Current.State.Partitions "no state"
                gate.SetResult()
                let! offset = pending.WaitAsync patience
                Expect.equal offset 0L "the offset"
            })

        test "a retry within the entry of its first try waits for that entry" (fun () ->
            task {
                let! one = openMember (MemorySpace())
                let gate = TaskCompletionSource()
                one.log.Script [ After gate.Task; After gate.Task ]
                let blocker = append one (partition 1) 1
                SpinWait.SpinUntil(fun () -> one.log.Appends = 1)
                let bytes = recordBatch 1 10

                let command =
                    AppendBatches [|
                        {
                            Partition = partition 0
                            Length = bytes.Length
                            LastOffsetDelta = 0
                            MaxTimestampMs = 1L
                            ProducerId = 7L
                            ProducerEpoch = 0s
                            BaseSequence = 0
                            Transaction = 0L
                        }
                    |]

                let submit () =
                    one.replica.SubmitAsync(command, Payload [| ReadOnlyMemory bytes |], patience)

                let tries = [ submit (); submit () ]
                gate.SetResult()
                let! _ = blocker.WaitAsync patience
                let! replies = (Task.WhenAll tries).WaitAsync patience
                Expect.allEqual replies (BatchesJudged [| Appended(0L, 0L) |]) "both got the one offset"
                Expect.equal (Shard.partition (partition 0) one.replica.Current.State).HighWatermark 1L "stored once"
            })

        for name, options in
            [
                "inline", ReplicaOptions(MaxHeadBytes = 2_000)
                "in data objects", ReplicaOptions(MaxHeadBytes = 2_000, InlinePayloadBytes = 20, DataObjectBytes = 300)
            ] do
            test $"events that are too many for one entry are in several, in their order ({name})" (fun () ->
                task {
                    let! one = openWith options 1_000_000L (MemorySpace())
                    let gate = TaskCompletionSource()
                    one.log.Script [ After gate.Task ]
                    let first = commitOffset one 0 10
                    SpinWait.SpinUntil(fun () -> one.log.Appends = 1)
                    let appended = [ for _ in 1..20 -> append one (partition 0) 1 ]
                    let committed = [ for number in 1..20 -> commitOffset one number 500 ]
                    let more = [ for _ in 1..20 -> append one (partition 0) 1 ]
                    gate.SetResult()
                    let! _ = (Task.WhenAll(first :: committed)).WaitAsync patience
                    let! offsets = (Task.WhenAll(appended @ more)).WaitAsync patience
                    Expect.equal (List.ofArray offsets) [ 0L .. 39L ] "batches in their order"
                    let group = one.replica.Current.State.Groups["group"]
                    Expect.equal group.Offsets[partition 0].Offset 20L "the last commit counts"
                    Expect.isGreaterThanOrEqual one.log.Appends 7 "entries"
                    let! heads = one.log.Inner.ReadHeadsAsync(0L, 1000, CancellationToken.None)
                    Expect.all heads (fun head -> head.Head.Length <= options.MaxHeadBytes) "none is too large"
                })

        test "a command whose events are too large for an entry is refused, and the replica goes on" (fun () ->
            task {
                let! one = openWith (ReplicaOptions(MaxHeadBytes = 2_000)) 1_000_000L (MemorySpace())
                let gate = TaskCompletionSource()
                one.log.Script [ After gate.Task ]
                let first = commitOffset one 0 10
                SpinWait.SpinUntil(fun () -> one.log.Appends = 1)
                let others = [ commitOffset one 1 10; commitOffset one 2 3_000; commitOffset one 3 10 ]
                gate.SetResult()
                let! _ = first.WaitAsync patience
                do! failsWith<EntryTooLargeException> others[1]
                let! _ = (Task.WhenAll [ others[0]; others[2] ]).WaitAsync patience
                let! offset = (append one (partition 0) 1).WaitAsync patience
                Expect.equal offset 0L "the next one"
            })
    ]

let private unsure =
    testList "an unsure store" [
        for name, script in
            [
                "the entry was stored but nobody said so", [ StoredButUnknown ]
                "the entry was lost and nobody said so", [ LostAndUnknown; LostAndUnknown ]
                "the store was away", [ Unavailable; Unavailable ]
                "our own late entry looks like a conflict", [ StoredButConflict ]
                "all of it",
                [
                    Unavailable
                    LostAndUnknown
                    StoredButUnknown
                    Honest
                    StoredButConflict
                    StoredButUnknown
                ]
            ] do
            test $"{name}: every record is stored once, at the offset replied" (fun () ->
                task {
                    let space = MemorySpace()
                    let! one = openMember space
                    one.log.Script script

                    for expected in 0L .. 4L do
                        let! offset = (append one (partition 0) 1).WaitAsync patience
                        Expect.equal offset expected "offset"

                    let! other = openMember space

                    Expect.equal
                        (bytesOf other.replica.Current.State)
                        (bytesOf one.replica.Current.State)
                        "what another broker sees"
                })

        test "a command whose outcome is not known in time fails with a timeout" (fun () ->
            task {
                let time = ManualTime()
                let! one = openWith (ReplicaOptions(TimeProvider = time)) 0L (MemorySpace())
                let gate = TaskCompletionSource()
                one.log.Script [ After gate.Task ]
                let bytes = recordBatch 1 10

                let pending =
                    one.replica.SubmitAsync(
                        appendCommand (partition 0) 1 bytes,
                        Payload [| ReadOnlyMemory bytes |],
                        TimeSpan.FromSeconds 1.0
                    )

                SpinWait.SpinUntil(fun () -> one.log.Appends = 1)
                time.Advance(TimeSpan.FromSeconds 2.0)
                do! failsWith<TimeoutException> pending

                gate.SetResult()
                let! offset = (append one (partition 0) 1).WaitAsync patience
                Expect.equal offset 1L "it took effect all the same"
            })

        for name, inlineBytes, objectBytes in [ "inline", 1_000_000, 0; "in a data object", 1, 1 ] do
            test $"what a command brought is let go of when it is given up before its turn ({name})" (fun () ->
                task {
                    let time = ManualTime()

                    let options =
                        ReplicaOptions(
                            TimeProvider = time,
                            InlinePayloadBytes = inlineBytes,
                            DataObjectBytes = objectBytes
                        )

                    let! one = openWith options 0L (MemorySpace())
                    let gate = TaskCompletionSource()
                    one.log.Script [ After gate.Task ]
                    let first = append one (partition 0) 1
                    SpinWait.SpinUntil(fun () -> one.log.Appends = 1)
                    let struct (pending, bytes) = submitAndForget one
                    time.Advance(TimeSpan.FromSeconds 2.0)
                    do! failsWith<TimeoutException> pending

                    let isGone () =
                        GC.Collect()
                        not bytes.IsAlive

                    Expect.isTrue
                        (SpinWait.SpinUntil(isGone, patience))
                        "nobody holds its bytes, though the store hangs"

                    gate.SetResult()
                    let! _ = first.WaitAsync patience
                    let! offset = (append one (partition 0) 1).WaitAsync patience
                    Expect.equal offset 1L "it did not take effect"
                })

        testCase "whoever sees that a command is given up sees that those behind it are" (fun () ->
            let mutable wrong = 0
            let mutable watched: PendingCommand<int, int> array = [||]
            let mutable isOver = false

            let watch () =
                while not (Volatile.Read &isOver) do
                    match Volatile.Read &watched with
                    | [| first; second |] when first.IsAbandoned && not second.IsAbandoned ->
                        Interlocked.Increment &wrong |> ignore
                    | _ -> ()

            let watcher = Thread(watch, IsBackground = true)
            watcher.Start()

            for _ in 1..100_000 do
                let chain = CommandChain()
                let alarm = Alarm()
                let first = PendingCommand<int, int>(1, Payload.None, chain, false, 0L)
                first.SetDeadline(TimeSpan.FromSeconds 1.0, alarm)
                Volatile.Write(&watched, [| first; PendingCommand<int, int>(2, Payload.None, chain, false, 0L) |])
                alarm.Ring()

            Volatile.Write(&isOver, true)
            watcher.Join()
            Expect.equal wrong 0 "times that the second would have been taken without the first")

        test "a store that refuses ends the replica, and whoever waits is told" (fun () ->
            task {
                let! one = openMember (MemorySpace())
                one.log.Script [ Refused ]

                do! failsWith<StoreRefusedException>(append one (partition 0) 1)
                do! failsWith<StoreRefusedException> one.replica.Completion
                do! failsWith<StoreRefusedException>(append one (partition 0) 1)
            })
    ]

let private brokers =
    testList "several brokers" [
        test "both make progress, their offsets are disjoint and their states agree" (fun () ->
            task {
                let space = MemorySpace()
                let! one = openMember space
                let! other = openMember space

                let many (broker: Member) =
                    task {
                        let offsets = ResizeArray()

                        for _ in 1..100 do
                            let! offset = (append broker (partition 0) 1).WaitAsync patience
                            offsets.Add offset

                        return List.ofSeq offsets
                    }

                let! offsets = Task.WhenAll [ many one; many other ]
                let all = offsets |> Seq.concat |> Seq.sort |> List.ofSeq
                Expect.equal all [ 0L .. 199L ] "every offset once"
                do! one.replica.CatchUpAsync patience
                do! other.replica.CatchUpAsync patience
                Expect.equal (bytesOf one.replica.Current.State) (bytesOf other.replica.Current.State) "states"
            })

        test "a refusal is given only after looking at the log's end" (fun () ->
            task {
                let space = MemorySpace()
                let! one = openMember space
                let! behind = openMember space

                let submit (broker: Member) sequence =
                    let bytes = recordBatch 1 10

                    broker.replica.SubmitAsync(
                        AppendBatches [|
                            {
                                Partition = partition 0
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
                        patience
                    )

                let! _ = submit one 0
                let! _ = submit behind 1
                let! _ = submit one 2
                // To the broker that is behind, sequence 3 would look like a gap.
                let! reply = submit behind 3
                Expect.equal reply (BatchesJudged [| Appended(3L, 0L) |]) "the true answer"
            })
    ]

let private stopping =
    testList "stopping" [
        test "what was submitted is finished, what comes later is refused" (fun () ->
            task {
                let! one = openMember (MemorySpace())
                let pending = [ for _ in 1..20 -> append one (partition 0) 1 ]
                do! one.replica.StopAsync patience
                let! offsets = (Task.WhenAll pending).WaitAsync patience
                Expect.equal (List.ofArray offsets) [ 0L .. 19L ] "all of them"
                let late = append one (partition 0) 1

                do! failsWith<TimeoutException> late
            })
    ]

let tests = testList "commits" [ groupCommit; unsure; brokers; stopping ]
