/// The simulated cluster as tests and as a command.
module Tansu.PropertyTests.Simulation.Tests

open System
open System.Collections.Concurrent
open System.Diagnostics
open System.Threading
open System.Threading.Tasks
open Expecto
open Tansu.Adapters.Compaction
open Tansu.PropertyTests

/// The first seed of this run.
let private firstSeed = int (Check.seed % 1_000_000_000UL)

let private expectSound count =
    let failed = ConcurrentBag<Run.Outcome>()
    let watch = Stopwatch.StartNew()

    Run.many Sound firstSeed count (fun outcome ->
        if not outcome.Violations.IsEmpty then
            failed.Add outcome)

    let some =
        failed
        |> Seq.sortBy _.Seed
        |> Seq.truncate 3
        |> Seq.map Run.describe
        |> String.concat "\n"

    Expect.equal failed.Count 0 $"{failed.Count} of {count} seeds failed in {watch.Elapsed}:\n{some}"

let private controlled = [
    UnknownIsSuccess
    AnyEntryIsOurs
    NoLookBefore
    NoLookAfter
    AnswersBeforeAppend
    EntryBeforeData
    OldObjects
    NoChains
    NoSequences
    AnybodyCommits
    LateCommits
    OffsetsAsKnown
    ChunksAnyhow
    OldSegments
    CarelessCollector
    RefusalsIgnored
    PayloadsTrimmed
    TrimBeforeSnapshot
    TombstonesAtOnce
    NumbersIgnored
    MarkersFirst
    StableOffsetIgnored
    AnyTransactionEnds
]

let private controls =
    testList "control" [
        for control in controlled do
            testCase $"{control} is noticed"
            <| fun () ->
                let most = 1000

                if not (Run.notices control firstSeed most) then
                    failtest $"nothing was noticed in {most} seeds from {firstSeed}"
    ]

/// What many outcomes come to, in whatever order they come.
let private together (history: uint64) (outcome: Run.Outcome) =
    history + outcome.Hash * (uint64 outcome.Seed * 2UL + 1UL)

/// The line that tells it begins so.
let private historyIs = "hash of all that happened: "

/// What some seeds come to in a process of its own, which has other hash codes for strings.
let private historyElsewhere (first: int) (count: int) =
    let start =
        ProcessStartInfo(
            Environment.ProcessPath,
            [ "simulate"; "--seeds"; string count; "--first"; string first ],
            RedirectStandardOutput = true
        )

    use elsewhere = Process.Start start
    let said = elsewhere.StandardOutput.ReadToEnd()
    elsewhere.WaitForExit()
    Expect.equal elsewhere.ExitCode 0 said

    said.Split '\n'
    |> Array.pick (fun line ->
        if line.StartsWith(historyIs, StringComparison.Ordinal) then
            Some(UInt64.Parse(line.AsSpan historyIs.Length))
        else
            None)

let tests =
    testList "simulation" [
        testCase "a seed replays identically"
        <| fun () ->
            for seed in firstSeed .. firstSeed + 20 do
                Expect.equal (Run.seed seed) (Run.seed seed) "the same history"

        testCase "a seed replays identically in another process"
        <| fun () ->
            let count = 60
            let gate = obj ()
            let mutable history = 0UL

            Run.many Sound firstSeed count (fun outcome -> lock gate (fun () -> history <- together history outcome))

            Expect.equal
                (historyElsewhere firstSeed count)
                history
                $"the same histories, {count} seeds from {firstSeed}"

        testCase "2000 seeds: every promise holds" <| fun () -> expectSound 2000

        testCase "what leaves the scheduler's thread is noticed"
        <| fun () ->
            let scheduler = Scheduler(Random 1, 1000)
            let main = scheduler.NewProcess("main", TimeSpan.Zero)
            let ended = TaskCompletionSource()

            let endElsewhere () =
                let other = Thread(fun () -> ended.SetResult())
                other.Start()
                other.Join()

            Expect.throwsT<StuckException>
                (fun () ->
                    scheduler.Run(
                        main,
                        (fun () ->
                            task {
                                main.Post((fun _ -> endElsewhere ()), null)
                                do! ended.Task
                            })
                    ))
                "another thread"

        testCase "a run that nothing can end is noticed"
        <| fun () ->
            let scheduler = Scheduler(Random 1, 1000)
            let main = scheduler.NewProcess("main", TimeSpan.Zero)

            Expect.throwsT<StuckException>
                (fun () -> scheduler.Run(main, (fun () -> task { do! TaskCompletionSource().Task })))
                "a deadlock"

            Expect.throwsT<StuckException>
                (fun () ->
                    scheduler.Run(
                        main,
                        (fun () ->
                            task {
                                while true do
                                    do! Task.Yield()
                            })
                    ))
                "a livelock"

        controls
    ]

/// `./test simulate --seeds N [--first SEED] [--control NAME]`, or `./test simulate --tell SEED` to read along.
let simulate (arguments: string list) =
    let rec number name (fallback: int) (rest: string list) =
        match rest with
        | flag :: value :: _ when flag = name -> int value
        | _ :: tail -> number name fallback tail
        | [] -> fallback

    let told = number "--tell" -1 arguments

    if told >= 0 then
        let outcome = Run.tell told
        Console.Out.WriteLine $"{outcome.Settings}"
        Console.Out.WriteLine(Run.describe outcome)

    let count = if told >= 0 then 0 else number "--seeds" 2000 arguments
    let first = number "--first" firstSeed arguments

    let control =
        List.pairwise arguments
        |> List.tryPick (fun (flag, name) ->
            if flag = "--control" then
                controlled |> List.tryFind (fun control -> $"{control}" = name)
            else
                None)
        |> Option.defaultValue Sound

    let mutable replacements = { Merges = 0; Paged = 0; PagesCleaned = 0; PagesFreed = 0 }
    let watch = Stopwatch.StartNew()
    let mutable finished = 0
    let mutable failed = 0
    let mutable steps = 0L
    let mutable entries = 0L
    let mutable ghosts = 0
    let mutable compaction = CompactionCounts()
    let mutable stops = 0
    let mutable history = 0UL
    let gate = obj ()

    Console.Out.WriteLine $"{count} seeds from {first}"

    Run.many control first count (fun outcome ->
        lock gate (fun () ->
            finished <- finished + 1
            steps <- steps + int64 outcome.Steps
            entries <- entries + outcome.Entries
            ghosts <- ghosts + outcome.Ghosts
            compaction <- compaction + outcome.Compaction
            replacements <- replacements + outcome.Replacements
            stops <- stops + outcome.StopsWhileCompacting
            history <- together history outcome

            if not outcome.Violations.IsEmpty then
                failed <- failed + 1

                if failed <= 20 then
                    Console.Out.WriteLine(Run.describe outcome)

            if finished % 500 = 0 || finished = count then
                Console.Out.WriteLine
                    $"{finished} of {count} seeds, {failed} failed, {steps} steps, {entries} entries, {ghosts} created again in vain, {watch.Elapsed.TotalSeconds:F1} s"))

    Console.Out.WriteLine $"compaction, {stops} stops in the middle of it: {compaction}"
    Console.Out.WriteLine $"{replacements}"
    Console.Out.WriteLine $"{historyIs}{history}"
    if failed = 0 then 0 else 1
