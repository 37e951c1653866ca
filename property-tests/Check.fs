/// How properties are stated: every run has one seed, printed by the runner, and `--seed N` runs the same cases again.
module Tansu.PropertyTests.Check

open System
open Expecto

let private argumentAfter (flag: string) =
    Environment.GetCommandLineArgs()
    |> Array.pairwise
    |> Array.tryPick (fun (name, value) -> if name = flag then Some value else None)

/// The seed of every property in this run.
let seed: uint64 =
    match argumentAfter "--seed" with
    | None -> uint64 (Random.Shared.NextInt64())
    | Some text ->
        match UInt64.TryParse text with
        | true, value -> value
        | false, _ -> failwith $"--seed {text}: expected a whole number"

/// 100 cases, with this run's seed; `{ Check.config with maxTest = … }` for more or fewer.
let config =
    // The second number is SplitMix's gamma: it has to be odd.
    { FsCheckConfig.defaultConfig with replay = Some(seed, 0x9E3779B97F4A7C15UL, None) }

/// A property named by a sentence.
let property name check =
    testPropertyWithConfig config name check

/// A property with a number of cases of its own.
let propertyTimes (cases: int) name check =
    testPropertyWithConfig { config with maxTest = cases } name check

/// Bytes that this thread allocates while it does something.
let allocatedBy (action: unit -> unit) =
    let before = GC.GetAllocatedBytesForCurrentThread()
    action ()
    GC.GetAllocatedBytesForCurrentThread() - before
