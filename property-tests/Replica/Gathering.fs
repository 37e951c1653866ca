/// Commands that a thread submits together: whom they wake, and when.
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

let private command isBrief =
    PendingCommand<int, int>(1, Payload.None, CommandChain(), isBrief, 0L)

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
            queue.Enqueue(command true)
            Expect.isTrue woken.IsCompletedSuccessfully "woken"
            Expect.isTrue queue.IsOnLentThread "thread"

        testCase "commands that come together wake it once, at the end"
        <| fun () ->
            let queue = newQueue ()
            let woken = wait queue
            let gathering = Gathering.Begin()
            Expect.isFalse Gathering.HasAny "nothing yet"

            for _ in 1..3 do
                queue.Enqueue(command true)

            Expect.isTrue Gathering.HasAny "something"
            Expect.isFalse woken.IsCompleted "woken before the end"
            gathering.Dispose()
            Expect.isTrue woken.IsCompletedSuccessfully "woken"
            Expect.isTrue queue.IsOnLentThread "thread"
            Expect.hasLength (queue.Take()) 3 "commands"
            Expect.isFalse Gathering.HasAny "nothing left"

        testCase "all loops that got some are woken, and only they"
        <| fun () ->
            let queues = [ newQueue (); newQueue (); newQueue () ]
            let woken = List.map wait queues
            let gathering = Gathering.Begin()
            queues[0].Enqueue(command true)
            queues[2].Enqueue(command true)
            gathering.Dispose()
            Expect.isTrue (woken[2].IsCompleted && queues[2].IsOnLentThread) "the last, here"
            Expect.isTrue (woken[0].Wait patience) "the first, beside it"
            Expect.isFalse (woken[1].IsCompleted || queues[0].IsOnLentThread) "the others"

        testCase "afterwards a command wakes it at once again"
        <| fun () ->
            let queue = newQueue ()
            Gathering.Begin().Dispose()
            let woken = wait queue
            queue.Enqueue(command true)
            Expect.isTrue woken.IsCompleted "woken"

        testCase "within another one the outer one decides"
        <| fun () ->
            let queue = newQueue ()
            let woken = wait queue
            let outer = Gathering.Begin()
            let inner = Gathering.Begin()
            queue.Enqueue(command true)
            inner.Dispose()
            Expect.isFalse woken.IsCompleted "woken by the inner one"
            outer.Dispose()
            Expect.isTrue woken.IsCompleted "woken"

        testCase "a loop that is woken gathers in its turn"
        <| fun () ->
            let queue = newQueue ()
            let other = newQueue ()
            let wokenOther = wait other

            let woken =
                task {
                    do! wait queue
                    let gathering = Gathering.Begin()
                    other.Enqueue(command true)
                    let isEarly = wokenOther.IsCompleted
                    gathering.Dispose()
                    return isEarly
                }

            let gathering = Gathering.Begin()
            queue.Enqueue(command true)
            gathering.Dispose()
            Expect.isTrue (woken.IsCompletedSuccessfully && not woken.Result) "not before its end"
            Expect.isTrue wokenOther.IsCompletedSuccessfully "the other"
            Expect.isFalse Gathering.HasAny "nothing left"

        testCase "what has waited for long is woken elsewhere, although it goes on gathering"
        <| fun () ->
            let queue = newQueue ()
            let woken = wait queue
            let gathering = Gathering.Begin()
            queue.Enqueue(command true)
            // Not late yet, or late already: both end with its being woken elsewhere.
            let isWoken =
                SpinWait.SpinUntil(
                    (fun () ->
                        Gathering.RingIfLate()
                        woken.IsCompleted),
                    patience
                )

            let hasAny = Gathering.HasAny
            let isHere = queue.IsOnLentThread
            gathering.Dispose()
            Expect.isTrue isWoken "woken"
            Expect.isFalse (hasAny || isHere) "elsewhere"

        testCase "another thread's command, or one that is not brief, waits for nothing"
        <| fun () ->
            let gathering = Gathering.Begin()
            let queue = newQueue ()
            let woken = wait queue
            queue.Enqueue(command false)
            let isWoken = woken.Wait patience
            let other = newQueue ()
            let wokenOther = wait other
            let thread = Thread(fun () -> other.Enqueue(command true))
            thread.Start()
            let isOtherWoken = wokenOther.Wait patience
            gathering.Dispose()
            thread.Join()
            Expect.isTrue isWoken "one that is not brief"
            Expect.isTrue isOtherWoken "another thread's"

        testCaseTask "those that were given up do not fill the queue while nobody takes them" (fun () ->
            task {
                let queue = newQueue ()
                let kept = command false
                queue.Enqueue kept
                let soon = TimeSpan.FromMilliseconds 1.0

                for _ in 1..40 do
                    let givenUp = [
                        for _ in 1..25 do
                            let one = command false
                            queue.Enqueue one
                            one.SetDeadline(soon, TimeProvider.System)
                            one.Task :> Task
                            queue.EnqueueCatchUp soon
                    ]

                    for one in givenUp do
                        do! one.ContinueWith(ignore<Task>).WaitAsync patience

                // A deadline ends the task before it tells the queue.
                let last = command false
                queue.Enqueue last
                Expect.isLessThan queue.Count 400 "of two thousand"
                let taken = queue.Take()
                Expect.sequenceEqual taken [ kept; last ] "those that wait"
                Expect.equal (queue.Take().Count) 0 "nothing else"
            })
    ]
