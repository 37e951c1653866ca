/// How a broker learns of what others append.
module Tansu.PropertyTests.Replica.Following

open System
open System.Threading
open System.Threading.Tasks
open Expecto
open Tansu.Adapters
open Tansu.Adapters.Replica
open Tansu.Domain
open Tansu.PropertyTests.Host
open Tansu.PropertyTests.Replica.Rig
open Tansu.PropertyTests.Replica.ScriptedLog

let private clocked (time: TimeProvider) =
    ReplicaOptions(FirstBackoff = options.FirstBackoff, MaxBackoff = options.MaxBackoff, TimeProvider = time)

/// Lets the clock run until something is so. Returns how much time that took.
let private runUntil (time: ManualTime) (isSo: unit -> bool) (complaint: unit -> string) =
    task {
        let begun = time.GetUtcNow()
        let deadline = DateTime.UtcNow + patience

        while not (isSo ()) do
            time.Advance(TimeSpan.FromMilliseconds 1.0)
            do! Task.Yield()

            if DateTime.UtcNow > deadline then
                failtest (complaint ())

        return time.GetUtcNow() - begun
    }

/// Lets the clock run until the log has been read this often in all. Returns how much time that took.
let private runUntilReads (time: ManualTime) (one: Member) (reads: int) =
    runUntil time (fun () -> one.log.Reads >= reads) (fun () -> $"{one.log.Reads} reads instead of {reads}")

/// So many commits one after another, each of which takes this long.
let private commits (time: ManualTime) (one: Member) (count: int) (commitMs: float) =
    one.log.Script(
        List.replicate
            count
            (StoredThen(fun () ->
                time.Advance(TimeSpan.FromMilliseconds commitMs)
                Task.CompletedTask))
    )

    [| for _ in 1..count -> append one (partition 0) 1 |]

/// Forty commits one after another, each of which takes this long. Returns how long the broker left the log alone after the 32nd.
let private pauseOf (time: ManualTime) (one: Member) (commitMs: float) =
    task {
        let commits = commits time one 40 commitMs
        let! _ = commits[31].WaitAsync patience
        return! runUntil time (fun () -> commits[32].IsCompleted) (fun () -> "the broker does not go on")
    }

let private oneByOne time =
    ReplicaOptions(
        FirstBackoff = options.FirstBackoff,
        MaxBackoff = options.MaxBackoff,
        TimeProvider = time,
        MaxCommandsPerEntry = 1
    )

let tests =
    testList "following" [
        testCaseTask "a busy broker that has the log to itself goes on" (fun () ->
            task {
                let time = ManualTime()
                let! one = openWith (oneByOne time) 0L (MemorySpace())

                // Nothing else lets the clock run, so that a pause would never end.
                let! offsets = Task.WhenAll(commits time one 100 10.0) |> _.WaitAsync(patience)

                Expect.equal offsets [| 0L .. 99L |] "all of them"
            })

        testCaseTask "a busy broker gives way to others that are there, and now and then to who may come" (fun () ->
            task {
                let time = ManualTime()
                let space = MemorySpace()
                let! one = openWith (oneByOne time) 0L space
                let! other = openMember space
                let! _ = append other (partition 0) 1
                do! one.replica.CatchUpAsync patience
                let! inCompany = pauseOf time one 10.0
                Expect.isGreaterThanOrEqual inCompany (TimeSpan.FromMilliseconds 20.0) "two commits' time"

                let time = ManualTime()
                let! alone = openWith (oneByOne time) 0L (MemorySpace())
                let! pause = pauseOf time alone 200.0
                Expect.isGreaterThanOrEqual pause (TimeSpan.FromMilliseconds 400.0) "after six seconds alone"
            })

        testCaseTask "whoever waits is woken by another broker's entry" (fun () ->
            task {
                let space = MemorySpace()
                let! one = openMember space
                let! other = openMember space
                use waiter = one.waiters.Register [| partition 0 |]
                use _ = one.replica.Follow()
                let! _ = append other (partition 0) 3
                do! waiter.Changed.WaitAsync patience

                Expect.equal
                    (Shard.partition (partition 0) one.replica.Current.State).HighWatermark
                    3L
                    "it sees the records"
            })

        testCaseTask "a hint makes it look at once" (fun () ->
            task {
                let space = MemorySpace()
                let time = ManualTime()
                let! one = openWith (clocked time) 0L space
                let! other = openMember space
                use waiter = one.waiters.Register [| partition 0 |]
                use _ = one.replica.Follow()
                let! _ = append other (partition 0) 1
                one.replica.Poke()
                do! waiter.Changed.WaitAsync patience
            })

        testCaseTask
            "the log's end is read ever more rarely while nothing comes, and never when nobody waits"
            (fun () ->
                task {
                    let time = ManualTime()
                    let! one = openWith (clocked time) 0L (MemorySpace())
                    let before = one.log.Reads
                    time.Advance(TimeSpan.FromMinutes 10.0)
                    Expect.equal one.log.Reads before "nobody waits"
                    use following = one.replica.Follow()
                    let! _ = runUntilReads time one (before + 1)
                    let! _ = runUntilReads time one (before + 6)
                    let! forTwenty = runUntilReads time one (before + 26)

                    Expect.isGreaterThanOrEqual
                        forTwenty
                        (TimeSpan.FromMilliseconds(20.0 * 500.0 - 500.0))
                        "twice a second at most"
                })

        testCaseTask "a log that no other broker can write to is never read after the start" (fun () ->
            task {
                let alone = ReplicaOptions(IsShared = false)
                let! one = openWith alone 0L (MemorySpace())
                let before = one.log.Reads
                use _ = one.replica.Follow()
                do! one.replica.CatchUpAsync patience
                let! _ = append one (partition 0) 1
                let! _ = one.replica.SubmitAsync(ForgetExpired, Payload.None, patience)
                Expect.equal one.log.Reads before "no read"
            })

        testCaseTask "however fast others append, a catch-up and a refusal come to an end" (fun () ->
            task {
                let space = MemorySpace()
                let! one = openMember space
                let! other = openMember space

                one.log.BeforeRead <-
                    fun () ->
                        task {
                            let! _ = append other (partition 0) 1
                            return ()
                        }

                do! one.replica.CatchUpAsync patience
                let before = one.log.Reads
                let beyond = [| { Partition = partition 0; BeforeOffset = 1_000_000L } |]

                match! one.replica.SubmitAsync(DeleteRecords beyond, Payload.None, patience) with
                | RecordsDeleted [| DeleteRefused OffsetOutOfRange |] -> ()
                | _ -> failtest "expected a refusal"

                Expect.equal one.log.Reads (before + 1) "one look at the log's end"
            })

        testCaseTask "what was known within the allowed age is not read again" (fun () ->
            task {
                let time = ManualTime()
                let! one = openWith (clocked time) 0L (MemorySpace())
                do! one.replica.CatchUpAsync patience
                let before = one.log.Reads
                do! one.replica.CatchUpAsync(TimeSpan.FromSeconds 1.0, patience)
                Expect.equal one.log.Reads before "new enough"
                time.Advance(TimeSpan.FromSeconds 2.0)
                do! one.replica.CatchUpAsync(TimeSpan.FromSeconds 1.0, patience)
                Expect.equal one.log.Reads (before + 1) "too old"
            })
    ]
