namespace Tansu.PropertyTests.Host

open System
open System.Collections.Generic
open System.Threading

/// A clock that stands still until it is told to go on, and then fires the timers it passes, in their order.
type ManualTime() =
    inherit TimeProvider()

    let gate = obj ()
    let timers = List<ManualTimer>()
    let mutable now = DateTimeOffset(2030, 1, 1, 0, 0, 0, TimeSpan.Zero)

    override _.GetUtcNow() = lock gate (fun () -> now)
    override this.GetTimestamp() = this.GetUtcNow().Ticks
    override _.TimestampFrequency = TimeSpan.TicksPerSecond

    override this.CreateTimer(callback, state, dueTime, period) =
        let timer = new ManualTimer(this, callback, state)
        lock gate (fun () -> timers.Add timer)
        (timer :> ITimer).Change(dueTime, period) |> ignore
        timer

    member internal _.Remove timer =
        lock gate (fun () -> timers.Remove timer |> ignore)

    member this.Advance(span: TimeSpan) =
        let target = this.GetUtcNow() + span

        let rec go () =
            let due =
                lock gate (fun () ->
                    let next =
                        timers
                        |> Seq.filter (fun timer -> timer.Due <= target)
                        |> Seq.sortBy _.Due
                        |> Seq.tryHead

                    match next with
                    | Some timer -> now <- max now timer.Due
                    | None -> now <- max now target

                    next)

            match due with
            | Some timer ->
                timer.Fire()
                go ()
            | None -> ()

        go ()

and ManualTimer(time: ManualTime, callback: TimerCallback, state: obj) =
    let mutable due = DateTimeOffset.MaxValue
    let mutable every = Timeout.InfiniteTimeSpan
    member _.Due = due

    member _.Fire() =
        due <-
            if every = Timeout.InfiniteTimeSpan then
                DateTimeOffset.MaxValue
            else
                due + every

        callback.Invoke state

    interface ITimer with
        member _.Change(dueTime, period) =
            every <- period

            due <-
                if dueTime = Timeout.InfiniteTimeSpan then
                    DateTimeOffset.MaxValue
                else
                    time.GetUtcNow() + dueTime

            true

        member this.Dispose() = time.Remove this

        member this.DisposeAsync() =
            time.Remove this
            Tasks.ValueTask.CompletedTask
