namespace Tansu.PropertyTests.Simulation

open System
open System.Collections.Generic
open System.Threading.Tasks
open Tansu.Adapters.Ports

/// What became of a conditional put.
type PutOutcome =
    /// It is there now, and was not before.
    | Created
    /// An object of that name was there already (412).
    | Exists
    /// Something else was going on with that name: try again (409).
    | Busy
    /// No answer: it may have been created, or be created later.
    | NoAnswer

/// An object in a listing, with its age by the store's clock.
[<Struct>]
type Listed = { Name: string; Length: int64; Age: TimeSpan }

/// What an object store offers: no more than S3 with conditional writes. Every member raises `StoreUnavailableException`.
type IObjects =
    /// Creates an object unless it exists; `StoreUnavailableException` means that it was certainly not created.
    abstract PutIfAbsent: name: string * content: byte[] -> Task<PutOutcome>
    /// Creates or replaces; on failure it may have happened, or happen later.
    abstract Put: name: string * content: byte[] -> Task
    /// The content, or null when there is no such object.
    abstract Get: name: string -> Task<byte[]>
    /// By name, in ordinal order.
    abstract List: prefix: string -> Task<Listed[]>
    /// A name that does not exist is fine.
    abstract Delete: names: string list -> Task

/// How often a request meets which fault, as probabilities.
type Faults = {
    /// It fails before anything has happened, and says so.
    FailsBefore: float
    /// It takes effect, but the answer is lost.
    AnswerLost: float
    /// It has no effect, and there is no answer.
    RequestLost: float
    /// There is no answer, and it takes effect later, under the conditions of that time.
    LandsLate: float
    /// 409.
    IsBusy: float
    /// A read fails.
    ReadFails: float
    /// It takes up to seconds.
    IsSlow: float
    /// The process is stopped between its last look at the clock and the request leaving.
    PausedWhileSending: float
}

[<RequireQualifiedAccess>]
module Faults =
    let none = {
        FailsBefore = 0.0
        AnswerLost = 0.0
        RequestLost = 0.0
        LandsLate = 0.0
        IsBusy = 0.0
        ReadFails = 0.0
        IsSlow = 0.0
        PausedWhileSending = 0.0
    }

/// What the store holds: the truth that all brokers share.
[<Sealed>]
type ObjectSpace() =
    let objects =
        SortedDictionary<string, struct (byte[] * int64)>(StringComparer.Ordinal)

    /// Told of every object that is created, before anybody can see it.
    member val OnCreated: string -> byte[] -> unit = (fun _ _ -> ()) with get, set

    /// Told of every object that is about to be deleted.
    member val OnDeleted: string -> unit = ignore with get, set

    member this.TryCreate(nowTicks: int64, name, content: byte[]) =
        if objects.ContainsKey name then
            false
        else
            this.OnCreated name content
            objects[name] <- struct (content, nowTicks)
            true

    member this.Put(nowTicks: int64, name, content: byte[]) =
        this.OnCreated name content
        objects[name] <- struct (content, nowTicks)

    member _.TryGet name =
        match objects.TryGetValue name with
        | true, struct (content, _) -> content
        | _ -> null

    member _.List(nowTicks: int64, prefix: string) = [|
        for KeyValue(name, struct (content, created)) in objects do
            if name.StartsWith(prefix, StringComparison.Ordinal) then
                { Name = name; Length = content.LongLength; Age = TimeSpan.FromTicks(nowTicks - created) }
    |]

    member this.Delete(name: string) =
        if objects.ContainsKey name then
            this.OnDeleted name

        objects.Remove name |> ignore

/// The way of one process to the store, and what goes wrong on it. A request has an effect at one moment, which may be
/// before, after or without an answer.
[<Sealed>]
type FaultyObjects
    (
        scheduler: Scheduler,
        space: ObjectSpace,
        store: Process,
        owner: Process,
        faults: unit -> Faults,
        isCut: unit -> bool
    ) =
    let random = scheduler.Random

    let chance probability =
        probability > 0.0 && random.NextDouble() < probability

    let between (least: float) (most: float) =
        TimeSpan.FromMilliseconds(least + random.NextDouble() * (most - least))

    let latency (faults: Faults) =
        if chance faults.IsSlow then
            between 50.0 4000.0
        else
            between 0.1 15.0

    let unavailable () : exn =
        StoreUnavailableException "the simulated store does not answer"

    /// Longest time from a request's failure to its effect; the grace period has to be longer than this and the freshness of a
    /// writer's knowledge together.
    let latestLanding = 10_000.0

    /// The effect, unless the process died before the request had left it.
    let atStore delay (effect: unit -> unit) =
        scheduler.After(
            store,
            delay,
            fun () ->
                if not owner.IsDead || random.Next 2 = 0 then
                    effect ()
        )

    let write (effect: unit -> 'Answer) (noAnswer: unit -> Result<'Answer, exn>) : Task<'Answer> =
        let answer = TaskCompletionSource<'Answer>()

        let answerAfter delay (result: unit -> Result<'Answer, exn>) =
            scheduler.After(
                store,
                delay,
                fun () ->
                    match result () with
                    | Ok value -> answer.TrySetResult value |> ignore
                    | Error failure -> answer.TrySetException failure |> ignore
            )

        let faults = faults ()
        let first = latency faults

        if isCut () then
            if random.Next 2 = 0 then
                answerAfter first (fun () -> Error(unavailable ()))
            else
                answerAfter (between 500.0 4000.0) noAnswer
        elif chance faults.FailsBefore then
            answerAfter first (fun () -> Error(unavailable ()))
        elif chance faults.RequestLost then
            answerAfter (between 100.0 4000.0) noAnswer
        elif chance faults.AnswerLost then
            atStore first (fun () -> effect () |> ignore)
            answerAfter (first + between 1.0 4000.0) noAnswer
        elif chance faults.LandsLate then
            let reported = between 1.0 4000.0
            answerAfter reported noAnswer
            atStore (reported + between 0.0 latestLanding) (fun () -> effect () |> ignore)
        else
            let isStopped = chance faults.PausedWhileSending

            if isStopped then
                scheduler.Pause(owner, between 10.0 180_000.0, random.Next 2 = 0)

            // A stopped process sends when it goes on, and what it has not sent yet goes with it if it is killed.
            scheduler.After(
                (if isStopped then owner else store),
                TimeSpan.Zero,
                fun () ->
                    atStore first (fun () ->
                        let result = effect ()
                        answerAfter (latency faults) (fun () -> Ok result))
            )

        answer.Task

    let read (effect: unit -> 'Answer) : Task<'Answer> =
        let answer = TaskCompletionSource<'Answer>()
        let faults = faults ()
        let isFailing = isCut () || chance faults.ReadFails

        scheduler.After(
            store,
            latency faults,
            fun () ->
                let result = if isFailing then Error(unavailable ()) else Ok(effect ())

                scheduler.After(
                    store,
                    latency faults,
                    fun () ->
                        match result with
                        | Ok value -> answer.SetResult value
                        | Error failure -> answer.SetException failure
                )
        )

        answer.Task

    interface IObjects with
        member _.PutIfAbsent(name, content) =
            let isBusy = chance (faults().IsBusy)

            write
                (fun () ->
                    if isBusy then
                        Busy
                    elif space.TryCreate(scheduler.NowTicks, name, content) then
                        Created
                    else
                        Exists)
                (fun () -> Ok NoAnswer)

        member _.Put(name, content) =
            write (fun () -> space.Put(scheduler.NowTicks, name, content)) (fun () -> Error(unavailable ()))

        member _.Get name = read (fun () -> space.TryGet name)

        member _.List prefix =
            read (fun () -> space.List(scheduler.NowTicks, prefix))

        member _.Delete names =
            write (fun () -> List.iter space.Delete names) (fun () -> Error(unavailable ()))
