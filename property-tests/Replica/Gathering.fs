/// Commands of one connection that have come together: whom they wake, and when.
module Tansu.PropertyTests.Replica.Gathering

open System
open System.Threading
open System.Threading.Tasks
open Expecto
open Tansu.Adapters
open Tansu.Adapters.Ports
open Tansu.Adapters.Replica
open Tansu.PropertyTests.Replica.Rig

let private options = ReplicaOptions(IsShared = false)

let private newQueue () =
    let uploader =
        DataObjectUploader(
            (new MemoryStore() :> IStore).Blobs,
            "log",
            Guid.Empty,
            (fun () -> 0L),
            options,
            CancellationToken.None
        )

    CommandQueue<int, int>(options, uploader)

let private command chain isBrief =
    PendingCommand<int, int>(1, Payload.None, chain, isBrief, 0L)

/// The loop has nothing to do; the task completes when it is woken.
let private wait (queue: CommandQueue<int, int>) =
    queue.Hush()
    queue.WaitForBell(Timeout.InfiniteTimeSpan).AsTask()

let tests =
    testList "gathering" [
        testCase "a command of its own wakes the loop, on the thread of its submitter"
        <| fun () ->
            let queue = newQueue ()
            let woken = wait queue
            queue.Enqueue(command (CommandChain()) true)
            Expect.isTrue woken.IsCompletedSuccessfully "woken"
            Expect.isTrue queue.IsOnLentThread "thread"

        testCase "commands that come together wake it once, at the end"
        <| fun () ->
            let queue = newQueue ()
            let woken = wait queue
            let chain = CommandChain()
            chain.Gather()

            for _ in 1..3 do
                queue.Enqueue(command chain true)

            Expect.isFalse woken.IsCompleted "woken before the end"
            chain.Go()
            Expect.isTrue woken.IsCompletedSuccessfully "woken"
            Expect.hasLength (queue.Take()) 3 "commands"

        testCase "all loops that got some are woken, and only they"
        <| fun () ->
            let queues = [ newQueue (); newQueue (); newQueue () ]
            let woken = List.map wait queues
            let chain = CommandChain()
            chain.Gather()
            queues[0].Enqueue(command chain true)
            queues[2].Enqueue(command chain true)
            chain.Go()
            Expect.isTrue (woken[2].IsCompleted && queues[2].IsOnLentThread) "the last, here"
            Expect.isTrue (woken[0].Wait patience) "the first, beside it"
            Expect.isFalse (woken[1].IsCompleted || queues[0].IsOnLentThread) "the others"

        testCase "afterwards a command wakes it at once again"
        <| fun () ->
            let queue = newQueue ()
            let chain = CommandChain()
            chain.Gather()
            chain.Go()
            let woken = wait queue
            queue.Enqueue(command chain true)
            Expect.isTrue woken.IsCompleted "woken"

        testCase "another connection's command, or one that is not brief, waits for nothing"
        <| fun () ->
            let chain = CommandChain()
            chain.Gather()

            for other in [ command (CommandChain()) true; command null true; command chain false ] do
                let queue = newQueue ()
                let woken = wait queue
                queue.Enqueue other
                Expect.isTrue (woken.Wait patience) "woken"

        testCase "whoever submits while it goes on is not forgotten"
        <| fun () ->
            for _ in 1..2_000 do
                let queue = newQueue ()
                let woken = wait queue
                let chain = CommandChain()
                chain.Gather()
                let submitting = Task.Run(fun () -> queue.Enqueue(command chain true))
                chain.Go()
                submitting.Wait()
                Expect.isTrue (woken.Wait patience) "woken"
    ]
