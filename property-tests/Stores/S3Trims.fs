/// Trimming, and writers that slept through it.
module Tansu.PropertyTests.Stores.S3Trims

open System
open System.Net.Http
open System.Threading.Tasks
open Expecto
open Tansu.Adapters
open Tansu.Adapters.Ports
open Tansu.PropertyTests.Host
open Tansu.PropertyTests.Stores.Helpers
open Tansu.PropertyTests.Stores.S3Server

/// Two clocks that go on only when they are told to, each by itself, like those of a suspended machine.
type private TwoClocks() =
    inherit TimeProvider()
    member val Wall = TimeSpan.Zero with get, set
    member val Monotonic = TimeSpan.Zero with get, set

    override this.GetUtcNow() =
        DateTimeOffset(2030, 1, 1, 0, 0, 0, TimeSpan.Zero) + this.Wall

    override this.GetTimestamp() = this.Monotonic.Ticks
    override _.TimestampFrequency = TimeSpan.TicksPerSecond

let private atOnce (clock: TimeProvider) =
    StoreOptions(S3TrimGrace = TimeSpan.Zero, TimeProvider = clock)

/// Appends up to 20, with snapshots at 10 and 18, and trims below 15.
let private leaveBehind (place: string) first =
    task {
        use! store = openWith { at place with options = atOnce TimeProvider.System }
        let! log = store.OpenLogAsync("shard-0", none)
        do! appendRange log first 20L
        do! log.SaveSnapshotAsync(10L, sequence [| 10uy |], none)
        do! log.SaveSnapshotAsync(18L, sequence [| 18uy |], none)
        do! log.TrimAsync(15L, none)
    }

/// What a broker that was left behind does, and finds.
let private expectReload (log: IEventLog) =
    task {
        do! failsWith<EntryMissingException> "the entry after the last it knows" (fun () -> readHeads log 5L 10)
        let! snapshot = log.LoadSnapshotAsync(Int64.MaxValue, none)
        Expect.equal snapshot.Number 18L "the newest snapshot"
        do! expectEntries log 19L 20L
        do! appendNext log 21L
    }

let private pausedBefore name (clock: #TimeProvider) (pause: #TimeProvider -> unit) =
    testCaseTask $"a writer that was paused before it writes finds that others went on ({name})" (fun () ->
        task {
            let place = freshPlace ()
            use! store = openWith { at place with options = atOnce clock }
            let! log = store.OpenLogAsync("shard-0", none)
            do! appendRange log 1L 5L
            do! leaveBehind place 6L
            pause clock
            let before = store.Requests.Snapshot().Put
            let! outcome = tryAppend log 6L [| 1uy |] [||]
            Expect.equal outcome AppendOutcome.Conflict "entry 6, emptied"
            Expect.equal (store.Requests.Snapshot().Put) before "it was not even tried"
            do! expectReload log
        })

let private pausedInside =
    testCaseTask "a writer that was paused while it writes creates an entry that is nobody's" (fun () ->
        task {
            let place = freshPlace ()
            let clock = ManualTime()
            let mutable pausing = false

            let pause: Decide =
                fun request _ send ->
                    task {
                        if pausing && request.Method = HttpMethod.Put then
                            pausing <- false
                            do! leaveBehind place 6L
                            clock.Advance(TimeSpan.FromHours 2.0)

                        return! send ()
                    }

            use! store =
                openWith { at place with options = atOnce clock; wrap = intercept pause }

            let! log = store.OpenLogAsync("shard-0", none)
            do! appendRange log 1L 5L
            pausing <- true
            let! outcome = tryAppend log 6L [| 1uy |] [||]
            Expect.equal outcome AppendOutcome.Unknown "entry 6, emptied while it was written"

            // The number is taken again, and yet nobody reads it.
            use! other = openWith (at place)
            let! otherLog = other.OpenLogAsync("shard-0", none)
            do! failsWith<EntryMissingException> "another broker" (fun () -> readHeads otherLog 5L 10)
            do! expectReload log
        })

let private pausedAfter =
    testCaseTask "a writer that was paused before it had the answer does not call its entry another's" (fun () ->
        task {
            let place = freshPlace ()
            let clock = ManualTime()
            let mutable pausing = false

            let pause: Decide =
                fun request _ send ->
                    task {
                        let! answer = send ()

                        if pausing && request.Method = HttpMethod.Put then
                            pausing <- false
                            do! leaveBehind place 7L
                            clock.Advance(TimeSpan.FromHours 2.0)

                        return answer
                    }

            use! store =
                openWith { at place with options = atOnce clock; wrap = intercept pause }

            let! log = store.OpenLogAsync("shard-0", none)
            do! appendRange log 1L 5L
            pausing <- true
            let! outcome = tryAppend log 6L [| 1uy |] [||]
            Expect.equal outcome AppendOutcome.Unknown "entry 6, which others have read, and trimmed since"
            do! expectReload log
        })

let private pausedReading =
    testCaseTask "a reader that was paused while it read does not take an emptied number for the log's end" (fun () ->
        task {
            let place = freshPlace ()
            let clock = ManualTime()
            let mutable pausing = false

            let pause: Decide =
                fun request _ send ->
                    task {
                        if pausing && request.Method = HttpMethod.Get then
                            pausing <- false
                            do! leaveBehind place 6L
                            clock.Advance(TimeSpan.FromHours 2.0)

                        return! send ()
                    }

            use! store =
                openWith { at place with options = atOnce clock; wrap = intercept pause }

            let! log = store.OpenLogAsync("shard-0", none)
            do! appendRange log 1L 5L
            pausing <- true
            do! expectReload log
        })

let private leftovers =
    testCaseTask "what a paused writer left is swept by the next trim" (fun () ->
        task {
            let place = freshPlace ()

            use! store =
                openWith { at (place + "/blobs/inner") with options = atOnce TimeProvider.System }

            use! meddler = openWith (at place)
            let! log = store.OpenLogAsync("shard-0", none)
            do! appendRange log 1L 8L
            do! log.TrimAsync(5L, none)
            do! meddler.Blobs.PutAsync("inner/shard-0/entries/" + (2L).ToString "D20", sequence [| 1uy |], none)
            do! log.TrimAsync(5L, none)
            let! left = namesOf meddler.Blobs "inner/shard-0/entries/"
            Expect.equal left.Length 4 "entries 5 to 8"
        })

/// The hint of the store whose prefix is where the meddler keeps `inner/…`.
let private hintOf (meddler: S3Store) =
    task {
        let frame = 28
        let bytes = Array.zeroCreate<byte>(frame + 40)
        do! meddler.Blobs.ReadAsync("inner/shard-0/hint", 0L, bytes.AsMemory(), none)
        return S3Hint.Decode bytes
    }

let private graceful =
    testCaseTask "entries are announced first, and deleted when the grace period is over" (fun () ->
        task {
            let place = freshPlace ()
            let inner = at (place + "/blobs/inner")
            use! patient = openWith inner
            use! hasty = openWith { inner with options = atOnce TimeProvider.System }
            use! meddler = openWith (at place)
            let! log = patient.OpenLogAsync("shard-0", none)
            let! hastyLog = hasty.OpenLogAsync("shard-0", none)

            let trim (log: IEventLog) below announced left =
                task {
                    do! log.TrimAsync(below, none)
                    let! entries = namesOf meddler.Blobs "inner/shard-0/entries/"
                    Expect.equal entries.Length left $"entries left, trimming below {below}"
                    let! hint = hintOf meddler
                    Expect.equal hint.TrimBelow announced "announced"
                }

            do! appendRange log 1L 10L
            do! trim log 4L 4L 10
            // Too early to delete what was announced, and so to announce more.
            do! trim log 6L 4L 10
            do! trim hastyLog 4L 4L 7
            do! trim log 6L 4L 7
            do! trim hastyLog 6L 6L 5
            do! expectEntries log 6L 10L
        })

let private dated =
    testCaseTask "an announcement keeps its time by the store's clock when the hint is written again" (fun () ->
        task {
            let place = freshPlace ()
            use! store = openWith (at (place + "/blobs/inner"))
            use! meddler = openWith (at place)
            let! log = store.OpenLogAsync("shard-0", none)
            do! appendRange log 1L 10L
            do! log.TrimAsync(4L, none)
            let! announced = hintOf meddler
            Expect.equal announced.AnnouncedMs 0L "by the object itself"
            do! log.SaveSnapshotAsync(8L, sequence [| 8uy |], none)
            let! first = hintOf meddler

            let age =
                DateTimeOffset.UtcNow
                - DateTimeOffset.FromUnixTimeMilliseconds first.AnnouncedMs

            Expect.isLessThan (abs age.TotalMinutes) 1.0 "just now"
            do! log.SaveSnapshotAsync(9L, sequence [| 9uy |], none)
            let! second = hintOf meddler
            Expect.equal (second.AnnouncedMs, second.Newest) (first.AnnouncedMs, 9L) "the same time"
        })

let private growing =
    testCaseTask "brokers that save and trim at once lose nothing of each other's hints" (fun () ->
        task {
            let place = freshPlace ()
            let opening = { at place with options = atOnce TimeProvider.System }
            use! first = openWith opening
            use! second = openWith opening
            let! one = first.OpenLogAsync("shard-0", none)
            let! two = second.OpenLogAsync("shard-0", none)
            do! appendRange one 1L 30L

            for number in 5L..5L..25L do
                do!
                    Task.WhenAll [|
                        one.SaveSnapshotAsync(number, sequence [| byte number |], none).AsTask()
                        two.SaveSnapshotAsync(number + 1L, sequence [| byte number |], none).AsTask()
                        one.TrimAsync(number - 2L, none).AsTask()
                        two.TrimAsync(number - 3L, none).AsTask()
                    |]

                use! reader = openWith opening
                let! log = reader.OpenLogAsync("shard-0", none)
                let! newest = log.LoadSnapshotAsync(Int64.MaxValue, none)
                Expect.equal newest.Number (number + 1L) "the newest snapshot"
                do! failsWith<EntryMissingException> "trimmed" (fun () -> readHeads log (number - 5L) 1)
                do! expectEntries log (number - 2L) 30L
        })

let tests =
    testList "trims" [
        pausedBefore "both clocks went on" (ManualTime()) (fun clock -> clock.Advance(TimeSpan.FromSeconds 11.0))
        pausedBefore "only the wall clock went on" (TwoClocks()) (fun clock -> clock.Wall <- TimeSpan.FromHours 2.0)
        pausedBefore "only the monotonic clock went on" (TwoClocks()) (fun clock ->
            clock.Monotonic <- TimeSpan.FromHours 2.0)
        pausedBefore "the wall clock was set back" (TwoClocks()) (fun clock -> clock.Wall <- TimeSpan.FromHours -2.0)
        pausedInside
        pausedAfter
        pausedReading
        leftovers
        graceful
        dated
        growing
    ]
