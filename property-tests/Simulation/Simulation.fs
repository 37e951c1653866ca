/// One run of the simulated cluster from one seed.
module Tansu.PropertyTests.Simulation.Run

open System
open System.Threading
open System.Threading.Tasks
open Tansu.Domain

/// What became of a run.
type Outcome = {
    Seed: int
    Settings: Settings
    /// Nothing, if all is well.
    Violations: string list
    /// Of everything that happened.
    Hash: uint64
    Steps: int
    Entries: int64
    /// Trimmed entries that were created again, and believed by nobody.
    Ghosts: int
    VirtualTime: TimeSpan
}

let private maxSteps = 300_000

/// Half of the runs have each fault, at rates up to one in five.
let private drawFaults (random: Random) : Faults =
    let rate () =
        if random.Next 2 = 0 then 0.0 else random.NextDouble() * 0.2

    {
        FailsBefore = rate ()
        AnswerLost = rate ()
        RequestLost = rate ()
        LandsLate = rate ()
        IsBusy = rate ()
        ReadFails = rate ()
        IsSlow = rate ()
        PausedWhileSending = rate () * 0.1
    }

/// What a run with this seed is like.
let draw (random: Random) control = {
    Brokers = random.Next(1, 4) + (if random.Next 4 = 0 then 0 else 1)
    Partitions = random.Next(1, 4)
    IdempotentProducers = random.Next(1, 4)
    PlainProducers = random.Next(0, 3)
    Readers = random.Next(1, 4)
    Members = max 0 (random.Next 6 - 2)
    BatchesPerProducer = random.Next(5, 25)
    LongestThought = TimeSpan.FromMilliseconds(10.0 ** (random.NextDouble() * 3.8))
    InlinePayloadBytes = [| 64; 150; 4000 |][random.Next 3]
    DataObjectBytes = [| 0; 200; 1000 |][random.Next 3]
    ReadAheadBytes = [| 0; 1000 |][random.Next 2]
    ObjectGrace = TimeSpan.FromSeconds(random.NextDouble() * 10.0)
    Follows = random.Next 3 = 0
    SnapshotEveryEntries = random.Next(2, 12)
    CommitInterval = TimeSpan.FromMilliseconds(if random.Next 2 = 0 then 0.0 else 50.0)
    BrokerPatience = TimeSpan.FromSeconds(1.0 + random.NextDouble() * 9.0)
    Faults = drawFaults random
    MeanPeace =
        if random.Next 5 = 0 then
            TimeSpan.Zero
        else
            TimeSpan.FromSeconds(1.0 + random.NextDouble() * 20.0)
    LongestPause = TimeSpan.FromSeconds(if random.Next 2 = 0 then 5.0 else 180.0)
    Control = control
    IsTold = false
}

/// More of the trouble that a control takes the remedy for away, so that few seeds suffice.
let private emphasised settings =
    match settings.Control with
    | NoLookBefore
    | NoLookAfter -> {
        settings with
            LongestPause = TimeSpan.FromSeconds 180.0
            MeanPeace = TimeSpan.FromSeconds 5.0
            LongestThought = TimeSpan.FromSeconds 5.0
            InlinePayloadBytes = 64
            SnapshotEveryEntries = 3
            Faults = { settings.Faults with PausedWhileSending = 0.03 }
      }
    | NoChains -> {
        settings with
            BrokerPatience = TimeSpan.FromSeconds 1.0
            Faults = { settings.Faults with IsSlow = 0.3 }
      }
    | AnybodyCommits
    | OffsetsAsKnown -> { settings with Members = 3 }
    | LateCommits -> {
        settings with
            Members = 3
            Brokers = 3
            BrokerPatience = TimeSpan.FromSeconds 10.0
            MeanPeace = TimeSpan.FromSeconds 2.0
            LongestPause = TimeSpan.FromSeconds 5.0
      }
    | _ -> settings

let private live (cluster: Cluster) (main: Process) =
    task {
        let scheduler = cluster.Scheduler
        let settings = cluster.Settings
        let mutable isProduced = false
        let mutable isHealed = false

        for broker in cluster.Brokers do
            broker.Start()

        let nemesis =
            if settings.MeanPeace > TimeSpan.Zero then
                Actors.nemesis cluster (fun () -> isProduced || isHealed)
            else
                Task.FromResult()

        let producers = [|
            for number in 1 .. settings.IdempotentProducers -> Actors.idempotentProducer cluster number
            for number in 1 .. settings.PlainProducers -> Actors.plainProducer cluster (100 + number)
        |]

        let readers = [|
            for number in 1 .. settings.Readers -> Actors.reader cluster number (fun () -> isProduced && isHealed)
        |]

        let members = [|
            for number in 1 .. settings.Members -> Groups.groupMember cluster number (fun () -> isProduced && isHealed)
        |]

        let deleter = Actors.deleter cluster (fun () -> isProduced)

        // The trouble ends after some minutes, and then everybody must get what is theirs.
        scheduler.After(
            main,
            TimeSpan.FromMinutes 5.0,
            fun () ->
                isHealed <- true
                cluster.Faults <- Faults.none
        )

        let! _ = Task.WhenAll producers
        isProduced <- true
        do! deleter
        do! nemesis
        isHealed <- true
        cluster.Faults <- Faults.none

        for broker in cluster.Brokers do
            broker.IsCut <- false

            if broker.Process.IsDead then
                broker.Start()
            else
                scheduler.Resume broker.Process

        // One that has seen nothing reads everything from the store.
        let newcomer = cluster.Brokers[0]
        newcomer.Crash()
        newcomer.Start()
        let! _ = Task.WhenAll readers
        let! _ = Task.WhenAll members

        for partition in 0 .. settings.Partitions - 1 do
            do! Actors.reader cluster (100 * settings.Partitions + partition) (fun () -> true)

        cluster.Judge.Finish()
    }

/// Runs one seed with a control.
let private run (control: Control) (isTold: bool) (seed: int) : Outcome =
    let random = Random seed
    let settings = { emphasised (draw random control) with IsTold = isTold }
    let scheduler = Scheduler(random, maxSteps)
    let cluster = Cluster(scheduler, settings)
    let main = scheduler.NewProcess("main", TimeSpan.Zero)

    try
        scheduler.Run(main, (fun () -> live cluster main))
    with failure ->
        cluster.Judge.Violation $"the run broke off: {failure.GetType().Name}: {failure.Message}"

    {
        Seed = seed
        Settings = settings
        Violations = List.ofSeq cluster.Judge.Violations
        Hash = cluster.Judge.Hash
        Steps = scheduler.Steps
        Entries = cluster.Judge.Tail
        Ghosts = cluster.Judge.Ghosts
        VirtualTime = scheduler.Now
    }

/// Runs one seed with a control.
let withControl control seed = run control false seed

/// Runs one seed.
let seed = withControl Sound

/// Runs one seed, and writes out what happens.
let tell seed = run Sound true seed

/// How to see a failed seed again.
let describe (outcome: Outcome) =
    let violations = String.Join("\n  ", outcome.Violations)

    $"seed {outcome.Seed} (again: ./test simulate --seeds 1 --first {outcome.Seed}), {outcome.Entries} entries, {outcome.Steps} steps, {outcome.VirtualTime}:\n  {violations}"

/// Runs seeds on all processors until `isEnough`; outcomes that have violations.
let many (first: int) (count: int) (onOutcome: Outcome -> unit) : unit =
    let options = ParallelOptions(MaxDegreeOfParallelism = Environment.ProcessorCount)

    Parallel.For(first, first + count, options, (fun number -> seed number |> onOutcome))
    |> ignore
