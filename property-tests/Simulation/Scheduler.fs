namespace Tansu.PropertyTests.Simulation

open System
open System.Collections.Generic
open System.Threading
open System.Threading.Tasks

/// The run cannot go on: nothing is left to run, it goes round in circles, or something left the scheduler's thread.
exception StuckException of reason: string with
    override this.Message = this.reason

/// Something to run on behalf of a process.
[<Struct; NoComparison; NoEquality>]
type internal Work = { Owner: Process; Callback: SendOrPostCallback; State: obj }

/// One simulated process: what its asynchronous code continues on, and its clocks. It can be paused and killed.
and [<Sealed; AllowNullLiteral>] Process internal (scheduler: Scheduler, name: string, clockSkew: TimeSpan) as this =
    inherit SynchronizationContext()

    let time = ProcessTime(scheduler, this, clockSkew)

    member _.Name = name

    /// Its clocks and timers.
    member _.Time: TimeProvider = time

    /// Nothing of it will ever run again.
    member val IsDead = false with get, set

    /// Its work waits in `Held`.
    member val internal IsPaused = false with get, set

    member val internal Held = List<Work>()

    /// Which of its pauses is the newest.
    member val internal Pauses = 0 with get, set

    /// Since when it is suspended; none if it is not, or its clocks go on.
    member val internal SuspendedSince: int64 voption = ValueNone with get, set

    /// By how much its monotonic clock is behind, in ticks: a suspended machine's clock stands still.
    member val internal SuspendedTicks = 0L with get, set

    override this.Post(callback, state) =
        scheduler.Enqueue { Owner = this; Callback = callback; State = state }

    override _.Send(callback, state) = callback.Invoke state
    override this.CreateCopy() = this

/// A process's view of the virtual time.
and [<Sealed>] internal ProcessTime(scheduler: Scheduler, owner: Process, skew: TimeSpan) =
    inherit TimeProvider()

    override _.GetUtcNow() =
        DateTimeOffset(2030, 1, 1, 0, 0, 0, TimeSpan.Zero).AddTicks scheduler.NowTicks
        + skew

    override _.GetTimestamp() =
        scheduler.NowTicks - owner.SuspendedTicks

    override _.TimestampFrequency = TimeSpan.TicksPerSecond

    override _.CreateTimer(callback, state, dueTime, period) =
        let timer = new VirtualTimer(scheduler, owner, callback, state)
        (timer :> ITimer).Change(dueTime, period) |> ignore
        timer

and [<Sealed>] internal VirtualTimer(scheduler: Scheduler, owner: Process, callback: TimerCallback, state: obj) =
    let mutable version = 0
    let mutable period = Timeout.InfiniteTimeSpan

    member _.Owner = owner
    member _.Version = version

    member this.Fire firedVersion =
        if firedVersion = version then
            if period <> Timeout.InfiniteTimeSpan then
                scheduler.Schedule(this, period)

            callback.Invoke state

    interface ITimer with
        member this.Change(dueTime, every) =
            version <- version + 1
            period <- every

            if dueTime <> Timeout.InfiniteTimeSpan then
                scheduler.Schedule(this, dueTime)

            true

        member _.Dispose() = version <- version + 1

        member _.DisposeAsync() =
            version <- version + 1
            ValueTask.CompletedTask

/// Runs many processes on the calling thread in virtual time. What runs next is chosen at random by the seed; when nothing
/// can run, time jumps to the next timer. The same seed gives the same run.
and [<Sealed>] Scheduler(random: Random, maxSteps: int) =
    let thread = Environment.CurrentManagedThreadId
    let ready = List<Work>()
    let timers = PriorityQueue<struct (VirtualTimer * int), struct (int64 * int64)>()
    let mutable nowTicks = 0L
    let mutable timerCount = 0L
    let mutable steps = 0
    let mutable escaped: string = null

    /// Whoever comes from another thread is only noted, and the run ends at its next step: an exception would end on that
    /// thread, where nothing but the end of the whole program awaits it.
    let isOnThread () =
        let isHere = Environment.CurrentManagedThreadId = thread

        if not isHere then
            Volatile.Write(&escaped, Environment.StackTrace)

        isHere

    let checkEscape () =
        match Volatile.Read &escaped with
        | null -> ()
        | stack -> raise (StuckException $"something left the simulation's thread and came back from\n{stack}")

    /// Called after every callback, with the process it ran for.
    member val AfterStep: Process -> unit = ignore with get, set

    /// Virtual time since the start.
    member _.NowTicks = nowTicks
    member _.Now = TimeSpan.FromTicks nowTicks

    /// How many callbacks have run.
    member _.Steps = steps

    member _.Random = random

    member this.NewProcess(name, clockSkew) = Process(this, name, clockSkew)

    member internal _.Enqueue(work: Work) =
        if not (isOnThread ()) || work.Owner.IsDead then ()
        elif work.Owner.IsPaused then work.Owner.Held.Add work
        else ready.Add work

    member internal _.Schedule(timer: VirtualTimer, dueTime: TimeSpan) =
        if isOnThread () then
            timerCount <- timerCount + 1L
            timers.Enqueue(struct (timer, timer.Version), struct (nowTicks + max 0L dueTime.Ticks, timerCount))

    /// Runs an action for a process after some time.
    member this.After(owner: Process, delay: TimeSpan, action: unit -> unit) =
        let timer = new VirtualTimer(this, owner, (fun _ -> action ()), null)
        this.Schedule(timer, delay)

    /// Starts an asynchronous body in a process; the task ends with it, wherever it is awaited.
    member _.Spawn(owner: Process, body: unit -> Task<'Result>) : Task<'Result> =
        let ended = TaskCompletionSource<'Result>()

        let start () =
            task {
                try
                    let! result = body ()
                    ended.SetResult result
                with failure ->
                    ended.SetException failure
            }

        owner.Post((fun _ -> start () |> ignore), null)
        ended.Task

    member private _.Withdraw(owner: Process) =
        let its = ready.FindAll(fun work -> obj.ReferenceEquals(work.Owner, owner))
        ready.RemoveAll(fun work -> obj.ReferenceEquals(work.Owner, owner)) |> ignore
        its

    /// Ends a process at once; none of its work will run.
    member this.Kill(owner: Process) =
        owner.IsDead <- true
        owner.Held.Clear()
        this.Withdraw owner |> ignore

    /// Stops a process for some time. With `isSuspended` its monotonic clock stands still meanwhile.
    member this.Pause(owner: Process, span: TimeSpan, isSuspended: bool) =
        if not owner.IsPaused && not owner.IsDead then
            owner.IsPaused <- true
            owner.Held.AddRange(this.Withdraw owner)
            owner.SuspendedSince <- if isSuspended then ValueSome nowTicks else ValueNone
            owner.Pauses <- owner.Pauses + 1
            let pause = owner.Pauses
            let clock = this.NewProcess("pause", TimeSpan.Zero)

            this.After(
                clock,
                span,
                fun () ->
                    // Somebody may have let it go on before, and it may be in another pause.
                    if owner.Pauses = pause then
                        this.Resume owner
            )

    member _.Resume(owner: Process) =
        if owner.IsPaused then
            owner.IsPaused <- false

            match owner.SuspendedSince with
            | ValueSome since -> owner.SuspendedTicks <- owner.SuspendedTicks + nowTicks - since
            | ValueNone -> ()

            if not owner.IsDead then
                ready.AddRange owner.Held

            owner.Held.Clear()

    /// Moves to the next timers that are due, all of them at that time.
    member private this.Advance() =
        let mutable due = Int64.MaxValue
        let mutable searching = true

        while searching do
            match timers.TryPeek() with
            | true, struct (timer, version), struct (time, _) when time = due || due = Int64.MaxValue ->
                timers.Dequeue() |> ignore

                if timer.Version = version && not timer.Owner.IsDead then
                    due <- time
                    nowTicks <- max nowTicks time

                    this.Enqueue {
                        Owner = timer.Owner
                        Callback = SendOrPostCallback(fun _ -> timer.Fire version)
                        State = null
                    }
            | true, _, _ -> searching <- false
            | _ ->
                searching <- false

                if due = Int64.MaxValue then
                    // Perhaps something is on its way back from the thread pool: then say that.
                    Thread.Sleep 50
                    checkEscape ()
                    raise (StuckException $"deadlock: nothing can run and no timer is set, {this.Now} in")

    member private this.Step() =
        checkEscape ()

        if ready.Count = 0 then
            this.Advance()
        else
            steps <- steps + 1

            if steps > maxSteps then
                raise (StuckException $"livelock: no end after {maxSteps} steps, {this.Now} in")

            let index = random.Next ready.Count
            let work = ready[index]
            ready[index] <- ready[ready.Count - 1]
            ready.RemoveAt(ready.Count - 1)
            SynchronizationContext.SetSynchronizationContext work.Owner
            work.Callback.Invoke work.State
            this.AfterStep work.Owner

    /// Runs until the body has ended.
    member this.Run(main: Process, body: unit -> Task<'Result>) : 'Result =
        let outer = SynchronizationContext.Current

        try
            let ended = this.Spawn(main, body)

            while not ended.IsCompleted do
                this.Step()

            ended.GetAwaiter().GetResult()
        finally
            SynchronizationContext.SetSynchronizationContext outer
