/// Logs in S3: several brokers at once, what requests are sent, what is found after damage.
module Tansu.PropertyTests.Stores.S3Logs

open System
open System.Collections.Concurrent
open System.Threading.Tasks
open Expecto
open Tansu.Adapters
open Tansu.Adapters.Ports
open Tansu.PropertyTests.Stores.Helpers
open Tansu.PropertyTests.Stores.S3Server

let private counted (store: S3Store) (run: unit -> Task<'result>) =
    task {
        let before = store.Requests.Snapshot()
        let! result = run ()
        return result, store.Requests.Snapshot().Minus before
    }

let private requests put get head list delete =
    S3RequestCounts(put, get, head, list, delete)

let private ignoring (run: unit -> Task) () =
    task {
        do! run ()
        return ()
    }

let private racing =
    testCaseTask "brokers that race for the same entries get each of them once" (fun () ->
        task {
            let place = freshPlace ()
            use! first = openWith (at place)
            use! second = openWith (at place)
            let! one = first.OpenLogAsync("shard-0", none)
            let! two = second.OpenLogAsync("shard-0", none)

            for number in 1L .. 30L do
                let! outcomes =
                    Task.WhenAll [|
                        for racer in 0..7 ->
                            tryAppend (if racer % 2 = 0 then one else two) number [| byte racer |] (content racer 10)
                    |]

                let winners =
                    outcomes
                    |> Array.indexed
                    |> Array.filter (fun (_, outcome) -> outcome = AppendOutcome.Appended)

                Expect.equal winners.Length 1 "winners"
                let! heads = readHeads (if number % 2L = 0L then one else two) (number - 1L) 1
                Expect.equal heads [ number, [| byte (fst winners[0]) |], 10 ] "the winner's"
        })

let private counts =
    testCaseTask "requests: one PUT for an entry, one GET for looking at the end, none for nothing" (fun () ->
        task {
            let place = freshPlace ()
            use! store = openWith (at place)
            Expect.equal (store.Requests.Snapshot()) (requests 0L 1L 0L 0L 0L) "opening"
            let! _ = store.GetOrCreateClusterAsync(ReadOnlyMemory [| 1uy |], none)
            let! log = store.OpenLogAsync("shard-0", none)
            let! _ = log.LoadSnapshotAsync(Int64.MaxValue, none)
            let! _ = readHeads log 0L 1000

            let! _, append = counted store (fun () -> appendNext log 1L)
            Expect.equal append (requests 1L 0L 0L 0L 0L) "append"
            let! _, append = counted store (fun () -> appendNext log 2L)
            Expect.equal append (requests 1L 0L 0L 0L 0L) "append again"
            let! _, look = counted store (fun () -> readHeads log 2L 1000)
            Expect.equal look (requests 0L 1L 0L 0L 0L) "looking at the end"
            let! _, payload = counted store (fun () -> readPayload log 1L 0 10)
            Expect.equal payload (requests 0L 1L 0L 0L 0L) "a payload of a known entry"
            let! _, conflict = counted store (fun () -> tryAppend log 2L [| 1uy |] [||])
            Expect.equal conflict.Put 1L "a conflict is the store's word, not ours"

            let! _, snapshot =
                counted store (ignoring (fun () -> log.SaveSnapshotAsync(2L, sequence [| 1uy |], none).AsTask()))

            Expect.equal snapshot (requests 2L 0L 0L 0L 0L) "a snapshot and its hint"

            let! _, blob =
                counted store (ignoring (fun () -> store.Blobs.PutAsync("a", sequence [| 1uy |], none).AsTask()))

            Expect.equal blob (requests 1L 0L 0L 0L 0L) "an object"
        })

let private starting =
    testCaseTask "starting: cluster object, hint, snapshot with the entries after it, and the end" (fun () ->
        task {
            let place = freshPlace ()

            do!
                task {
                    use! store = openWith (at place)
                    let! _ = store.GetOrCreateClusterAsync(ReadOnlyMemory [| 1uy |], none)
                    let! log = store.OpenLogAsync("shard-0", none)
                    do! appendRange log 1L 12L
                    do! log.SaveSnapshotAsync(9L, sequence [| 7uy |], none)
                }

            use! store = openWith (at place)
            let! cluster = store.GetOrCreateClusterAsync(ReadOnlyMemory [| 2uy |], none)
            Expect.equal (cluster.ToArray()) [| 1uy |] "the cluster object"
            Expect.equal (store.Requests.Snapshot()) (requests 0L 1L 0L 0L 0L) "one round trip"
            let! log = store.OpenLogAsync("shard-0", none)
            Expect.equal (store.Requests.Snapshot().Get) 1L "opening a log sends nothing"
            let! snapshot = log.LoadSnapshotAsync(Int64.MaxValue, none)
            Expect.equal snapshot.Number 9L "the snapshot"
            let! heads, first = counted store (fun () -> readHeads log 9L 256)
            Expect.equal (heads |> List.map (fun (number, _, _) -> number)) [ 10L; 11L; 12L ] "entries"
            Expect.isLessThanOrEqual first.Put 0L "nothing is written"
            let! heads, last = counted store (fun () -> readHeads log 12L 256)
            Expect.isEmpty heads "the end"
            Expect.equal last (requests 0L 1L 0L 0L 0L) "one GET for the end"
        })

let private sharing =
    testCaseTask "who want parts of an entry that nobody has looked at yet are answered by one GET" (fun () ->
        task {
            let place = freshPlace ()
            let payload = content 1 20_000

            do!
                task {
                    use! store = openWith (at place)
                    let! log = store.OpenLogAsync("shard-0", none)
                    let! _ = tryAppend log 1L [| 1uy |] payload
                    ()
                }

            // Until all have asked.
            let gate = TaskCompletionSource()

            let decide: Decide =
                fun request _ send ->
                    task {
                        if request.RequestUri.AbsolutePath.Contains "/entries/" then
                            do! gate.Task

                        return! send ()
                    }

            use! store = openWith { at place with wrap = intercept decide }
            let! log = store.OpenLogAsync("shard-0", none)

            let! parts, together =
                counted store (fun () ->
                    let reading = [| for part in 0..19 -> readPayload log 1L (part * 1000) 1000 |]

                    gate.SetResult()
                    Task.WhenAll reading)

            Expect.equal (Array.concat parts) payload "every part"
            Expect.equal together (requests 0L 1L 0L 0L 0L) "one for all"

            let! _ =
                failure<EntryMissingException> "no such entry" (fun () ->
                    Task.WhenAll [| for part in 0..19 -> readPayload log 2L part 1 |])

            ()
        })

let private manyEntries =
    testCaseTask "hundreds of entries are read in few steps, in order" (fun () ->
        task {
            let place = freshPlace ()
            use! store = openWith (at place)
            let! log = store.OpenLogAsync("shard-0", none)
            do! appendRange log 1L 150L
            use! other = openWith (at place)
            let! log = other.OpenLogAsync("shard-0", none)

            let rec steps after count =
                task {
                    match! readHeads log after 256 with
                    | [] -> return after, count
                    | heads ->
                        Expect.equal
                            (heads |> List.map (fun (number, _, _) -> number))
                            [ after + 1L .. after + int64 heads.Length ]
                            "in order"

                        return! steps (after + int64 heads.Length) (count + 1)
                }

            let! last, count = steps 0L 0
            Expect.equal last 150L "all of them"
            Expect.isLessThanOrEqual count 5 "steps"
        })

/// Two stores: the second sees the first's objects, hint and all, as blobs that it can put and delete.
let private withMeddler
    (name: string)
    (body: S3Store -> IEventLog -> IBlobStore -> ConcurrentQueue<string> -> string -> Task<unit>)
    =
    testCaseTask name (fun () ->
        task {
            let place = freshPlace ()
            let notices = ConcurrentQueue<string>()

            let options =
                StoreOptions(OnNotice = Action<string> notices.Enqueue, S3TrimGrace = TimeSpan.Zero)

            use! store = openWith { at (place + "/blobs/inner") with options = options }
            use! meddler = openWith (at place)
            let! log = store.OpenLogAsync("shard-0", none)
            do! body store log meddler.Blobs notices (place + "/blobs/inner")
        })

let private key kind (number: int64) = $"inner/shard-0/{kind}/{number:D20}"

let private damage = [
    withMeddler "a damaged snapshot is passed over for an older one" (fun _ log meddler notices _ ->
        task {
            do! appendRange log 1L 4L
            do! log.SaveSnapshotAsync(2L, sequence (content 2 50), none)
            do! log.SaveSnapshotAsync(4L, sequence (content 4 50), none)
            do! meddler.PutAsync(key "snapshots" 4L, sequence (content 9 60), none)
            let! found = log.LoadSnapshotAsync(Int64.MaxValue, none)
            Expect.equal found.Number 2L "the older"
            Expect.equal (found.Content.ToArray()) (content 2 50) "its content"
            Expect.exists notices _.Contains("damaged") "a notice"
        })
    withMeddler "a lost or damaged hint is made again" (fun _ log meddler notices place ->
        task {
            do! appendRange log 1L 8L
            do! log.SaveSnapshotAsync(3L, sequence [| 3uy |], none)
            do! log.SaveSnapshotAsync(6L, sequence [| 6uy |], none)
            do! log.TrimAsync(4L, none)

            for lose in
                [
                    fun () -> meddler.DeleteAsync([| "inner/shard-0/hint" |], none).AsTask()
                    fun () -> meddler.PutAsync("inner/shard-0/hint", sequence [| 1uy |], none).AsTask()
                ] do
                do! lose ()
                let options = StoreOptions(OnNotice = Action<string> notices.Enqueue)
                use! other = openWith { at place with options = options }
                let! log = other.OpenLogAsync("shard-0", none)
                let! found = log.LoadSnapshotAsync(Int64.MaxValue, none)

                if isNull found then
                    do! failsWith<EntryMissingException> "from the start" (fun () -> readHeads log 0L 1)

                let! found = log.LoadSnapshotAsync(Int64.MaxValue, none)
                Expect.equal found.Number 6L "the newest snapshot"
                do! expectEntries log 7L 8L
                do! failsWith<EntryMissingException> "a trimmed entry" (fun () -> readHeads log 1L 1)

            Expect.exists notices _.Contains("made again") "a notice"
        })
    withMeddler "an entry that was lost among others is not taken for the end of the log" (fun _ log meddler _ place ->
        task {
            do! appendRange log 1L 8L
            do! meddler.DeleteAsync([| key "entries" 5L |], none)
            use! other = openWith (at place)
            let! log = other.OpenLogAsync("shard-0", none)

            let! missing =
                failure<EntryMissingException> "entries 1 to 4 are there" (fun () -> readHeads log 0L 10)

            Expect.equal missing.Number 5L "the one that is missing"
        })
    withMeddler "a damaged entry is refused by its name" (fun store log meddler _ place ->
        task {
            do! appendRange log 1L 3L

            for bytes in [ content 1 5; content 1 100 ] do
                do! meddler.PutAsync(key "entries" 2L, sequence bytes, none)
                use! other = openWith (at place)
                let! log = other.OpenLogAsync("shard-0", none)
                let! error = failure<StoreRefusedException> "damage" (fun () -> readHeads log 1L 1)
                Expect.stringContains error.Message $"{2L:D20}" "the key"
                Expect.stringContains error.Message "damaged" "what is wrong"
        })
    withMeddler "only the newest three snapshots stay" (fun _ log meddler _ _ ->
        task {
            do! appendRange log 1L 6L

            for number in 1L .. 6L do
                do! log.SaveSnapshotAsync(number, sequence [| byte number |], none)

            let! listed = namesOf meddler "inner/shard-0/snapshots/"
            Expect.equal listed [ for number in 4L .. 6L -> key "snapshots" number ] "kept"
        })
]

let tests =
    testList "logs" [ racing; counts; starting; sharing; manyEntries; yield! damage ]
