/// One run of the simulated cluster from one seed.
module Tansu.PropertyTests.Simulation.Run

open System
open System.Collections.Concurrent
open System.Threading
open System.Threading.Tasks
open Tansu.Adapters.Compaction
open Tansu.Adapters.Replica
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
    Compaction: CompactionCounts
    Replacements: ReplacementCounts
    /// How often a broker was stopped in the middle of compacting.
    StopsWhileCompacting: int
}

let private maxSteps = 600_000

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

/// Kept for ever, deleted by time or size, compacted, or both; now and then the brokers do not know the topic.
let private drawCleanup (random: Random) : Cleanup voption =
    let seconds most =
        int64 (random.NextDouble() * most * 1000.0)

    let kind = random.Next 8

    let rules = {
        Cleanup.ofConfigs Map.empty with
            Deletes = (kind = 1 || kind = 2 || kind = 7)
            Compacts = (kind >= 4)
            RetentionMs = (if random.Next 2 = 0 then -1L else seconds 120.0)
            RetentionBytes = (if random.Next 2 = 0 then -1L else random.NextInt64 3000L)
            DeleteRetentionMs = seconds 40.0
            MinCompactionLagMs = (if random.Next 3 = 0 then seconds 10.0 else 0L)
            MinCleanableDirtyRatio = (if random.Next 2 = 0 then 0.0 else 0.5)
    }

    if kind = 0 then ValueNone else ValueSome rules

/// So small that chunks are merged, and pages happen.
let private drawLimits (random: Random) =
    let large = [| 300; 1000 |][random.Next 2]
    let unpaged = random.Next(1, 4)

    {
        LargeChunkBytes = large
        MaxChunkBytes = large * 2
        MergeWidth = random.Next(2, 4)
        PagedAtChunks = unpaged + random.Next(1, 4)
        UnpagedChunks = unpaged
        PageChunks = random.Next(1, 8)
    }

/// What a run with this seed is like.
let draw (random: Random) control = {
    Brokers = random.Next(1, 4) + (if random.Next 4 = 0 then 0 else 1)
    Shards = [| 1; 1; 2; 2; 5 |][random.Next 5]
    Partitions = random.Next(1, 6)
    IdempotentProducers = random.Next(0, 3)
    TransactionalIds = random.Next(1, 3)
    Takeovers = random.Next(1, 4)
    TransactionsPerProducer = random.Next(1, 7)
    TransactionTimeout = TimeSpan.FromSeconds(10.0 ** (random.NextDouble() * 1.3 + 0.3))
    PlainProducers = random.Next(0, 3)
    Readers = random.Next(2, 4)
    Members = max 0 (random.Next 6 - 2)
    BatchesPerProducer = random.Next(5, 25)
    LongestThought = TimeSpan.FromMilliseconds(10.0 ** (random.NextDouble() * 3.8))
    InlinePayloadBytes = [| 64; 150; 4000 |][random.Next 3]
    DataObjectBytes = [| 0; 200; 1000 |][random.Next 3]
    ReadAheadBytes = [| 0; 1000 |][random.Next 2]
    ObjectGrace =
        TimeSpan.FromSeconds(
            if random.Next 4 = 0 then
                0.0
            else
                random.NextDouble() * 10.0
        )
    Cleanups = Array.init 5 (fun _ -> drawCleanup random)
    CompactionLimits =
        (if random.Next 5 = 0 then
             CompactionLimits.Default
         else
             drawLimits random)
    // Half of it is for keys, of which the least has room for 3.
    CompactionMemoryBytes = [| 192L; 1000L; 4000L |][random.Next 3]
    ClaimLease = TimeSpan.FromSeconds(if random.Next 2 = 0 then 0.0 else 2.0)
    LongestCompactionRest = TimeSpan.FromSeconds(10.0 ** (random.NextDouble() * 1.6))
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
            IdempotentProducers = 3
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
    | ChunksAnyhow
    | OldSegments -> {
        settings with
            Brokers = 3
            ClaimLease = TimeSpan.Zero
            ObjectGrace = TimeSpan.Zero
            LongestCompactionRest = TimeSpan.FromSeconds 1.0
      }
    | RefusalsIgnored -> {
        settings with
            Brokers = 3
            Partitions = 1
            IdempotentProducers = 3
            BatchesPerProducer = 25
            LongestThought = TimeSpan.FromSeconds 2.0
            ClaimLease = TimeSpan.Zero
            ObjectGrace = TimeSpan.FromSeconds 5.0
            LongestCompactionRest = TimeSpan.FromSeconds 2.0
            // Room for all keys, and a proposal for nearly every chunk.
            CompactionMemoryBytes = 400L
            CompactionLimits = {
                settings.CompactionLimits with
                    LargeChunkBytes = 1000
                    MaxChunkBytes = 2000
                    MergeWidth = 2
            }
            Faults = { settings.Faults with IsSlow = 0.1 }
            Cleanups =
                settings.Cleanups
                |> Array.map (fun _ ->
                    ValueSome {
                        Cleanup.ofConfigs Map.empty with
                            Deletes = false
                            Compacts = true
                            DeleteRetentionMs = 0L
                            MinCleanableDirtyRatio = 0.0
                    })
      }
    | CarelessCollector -> {
        settings with
            Brokers = 3
            InlinePayloadBytes = 64
            DataObjectBytes = 200
            ObjectGrace = TimeSpan.Zero
            LongestThought = TimeSpan.FromMilliseconds 300.0
            LongestCompactionRest = TimeSpan.FromSeconds 3.0
      }
    | NumbersIgnored
    | AnyTransactionEnds -> {
        settings with
            Brokers = 3
            TransactionalIds = 3
            TransactionsPerProducer = 8
            BrokerPatience = TimeSpan.FromSeconds 10.0
            MeanPeace = TimeSpan.FromSeconds 2.0
            LongestPause = TimeSpan.FromSeconds 5.0
      }
    | TombstonesAtOnce -> {
        settings with
            Cleanups =
                settings.Cleanups
                |> Array.map (ValueOption.map (fun cleanup -> { cleanup with DeleteRetentionMs = 60_000L }))
      }
    | _ -> settings

/// What is stored although nobody needs it.
let private leftOvers (cluster: Cluster) = [
    for log in cluster.Judge.Logs do
        let state = log.State

        let listed prefix =
            cluster.Space.List(cluster.Scheduler.NowTicks, prefix)

        for found in listed (DataObjectName.Prefix log.LogName) do
            if not (state.Objects.ContainsKey found.Name) then
                found.Name

        for found in listed (ObjectLayout.entryPrefix log.LogName) do
            let payload = ObjectLayout.payload (cluster.Space.TryGet found.Name)

            if payload.Length > 0 && ObjectLayout.number found.Name < Shard.oldestEntry state then
                found.Name

        // Some may have come after the last time that old ones were deleted.
        if (listed (ObjectLayout.snapshotPrefix log.LogName)).Length > 10 then
            "snapshots"
]

/// After all has been quiet for longer than any grace period, nothing is stored that nobody needs, and everything that somebody needs.
let private expectTidy (cluster: Cluster) (main: Process) =
    task {
        let mutable looks = 0

        while looks < 60 && not (leftOvers cluster).IsEmpty do
            looks <- looks + 1
            do! Task.Delay(TimeSpan.FromSeconds 10.0, main.Time)

        match leftOvers cluster with
        | [] -> ()
        | left ->
            let names = left |> List.truncate 5 |> String.concat ", "
            cluster.Judge.Violation $"leaked: {left.Length} objects that nobody needs are still stored: {names}"

        for log in cluster.Judge.Logs do
            for name in log.State.Objects.Keys do
                if isNull (cluster.Space.TryGet name) then
                    cluster.Judge.Violation $"lost data: {name} is needed and not stored"
    }

/// How long a transaction that its client has left may stay open after the trouble: until it times out, and until somebody has noticed.
let private endingTime (settings: Settings) =
    settings.TransactionTimeout
    + settings.BrokerPatience * 2.0
    + TimeSpan.FromSeconds 45.0

/// With no client's help everything is decided and complete.
let private expectEnded (cluster: Cluster) (main: Process) (leftOpen: unit -> string list) =
    task {
        let until = main.Time.GetUtcNow() + endingTime cluster.Settings

        while not (leftOpen ()).IsEmpty && main.Time.GetUtcNow() < until do
            do! Task.Delay(TimeSpan.FromSeconds 1.0, main.Time)

        match leftOpen () with
        | [] -> ()
        | left ->
            let names = String.concat ", " left
            cluster.Judge.Violation $"transactions never end: {names} are left open"
    }

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
            for number in 1 .. settings.TransactionalIds -> Transactions.takeovers cluster number
        |]

        let readers = [|
            for number in 1 .. settings.Readers ->
                Actors.reader cluster number (number % 2 = 0) (fun () -> isProduced && isHealed)
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

        let newcomer = cluster.Brokers[0]
        newcomer.Crash()

        // One is gone, perhaps with what only it knew of: nobody may be kept waiting by that.
        if settings.Brokers > 1 && scheduler.Random.Next 2 = 0 then
            do! expectEnded cluster main (fun () -> cluster.Judge.KeptWaiting)

        // One that has seen nothing reads everything from the store.
        newcomer.Start()
        do! expectEnded cluster main (fun () -> cluster.Judge.LeftOpen)
        let! _ = Task.WhenAll readers
        let! _ = Task.WhenAll members

        for partition in 0 .. settings.Partitions - 1 do
            do! Actors.reader cluster (100 * settings.Partitions + partition) false (fun () -> true)
            do! Actors.reader cluster (200 * settings.Partitions + partition) true (fun () -> true)

        do! expectTidy cluster main
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
        Entries = (cluster.Judge.Logs |> Array.sumBy _.Tail)
        Ghosts = (cluster.Judge.Logs |> Array.sumBy _.Ghosts)
        VirtualTime = scheduler.Now
        Compaction = cluster.Compaction
        Replacements = (cluster.Judge.Logs |> Array.map _.Storage.Counts |> Array.reduce (+))
        StopsWhileCompacting = cluster.StopsWhileCompacting
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

/// Runs seeds on all processors, as long as `goesOn` says so of each; whether it always did. On threads of its own: those of the pool
/// would do nothing else meanwhile, and other tests would wait for them.
let private onAllProcessors (first: int) (count: int) (goesOn: int -> bool) : bool =
    let next = ref (first - 1)
    let isEnough = ref false
    let failures = ConcurrentBag<exn>()

    let work () =
        try
            let mutable number = Interlocked.Increment &next.contents

            while number < first + count && not (Volatile.Read &isEnough.contents) do
                if not (goesOn number) then
                    Volatile.Write(&isEnough.contents, true)

                number <- Interlocked.Increment &next.contents
        with error ->
            failures.Add error
            Volatile.Write(&isEnough.contents, true)

    let threads = [ for _ in 1 .. Environment.ProcessorCount -> Thread work ]
    threads |> List.iter _.Start()
    threads |> List.iter _.Join()

    if not failures.IsEmpty then
        raise (AggregateException failures)

    not isEnough.Value

/// Runs seeds on all processors.
let many control (first: int) (count: int) (onOutcome: Outcome -> unit) : unit =
    onAllProcessors first count (fun number ->
        withControl control number |> onOutcome
        true)
    |> ignore

/// Runs seeds on all processors until something is noticed; whether it was.
let notices control (first: int) (count: int) : bool =
    not (onAllProcessors first count (fun number -> (withControl control number).Violations.IsEmpty))
