/// What a broker on S3 costs in requests: the promises of docs/storage-s3.md, counted on a real server.
module Tansu.PropertyTests.Replica.Costs

open System
open System.Net.Http
open System.Threading
open System.Threading.Tasks
open Expecto
open Tansu.Adapters
open Tansu.Adapters.Ports
open Tansu.Adapters.Replica
open Tansu.Domain
open Tansu.PropertyTests.Replica.Rig
open Tansu.PropertyTests.Stores

let private openCluster (store: IStore) =
    Cluster.OpenAsync(
        store,
        ClusterOptions(AdvertisedHost = "localhost", AdvertisedPort = 9092, CommitInterval = TimeSpan.Zero),
        CancellationToken.None
    )

/// One command that brings a batch of so many bytes to each of so many partitions.
let private flush (cluster: Cluster) (partitions: int) (valueBytes: int) =
    task {
        let bytes = recordBatch 1 valueBytes

        let batches: BatchToAppend array = [|
            for index in 0 .. partitions - 1 do
                {
                    Partition = partition index
                    Length = bytes.Length
                    LastOffsetDelta = 0
                    MaxTimestampMs = 1L
                    ProducerId = Absent.ProducerId
                    ProducerEpoch = Absent.ProducerEpoch
                    BaseSequence = Absent.Sequence
                    Transaction = 0L
                }
        |]

        let payload = Payload(Array.create partitions (ReadOnlyMemory bytes))

        let! _ =
            cluster.Shards[0].Replica.SubmitAsync(AppendBatches batches, payload, patience)

        return ()
    }

let private counted (store: S3Store) (work: unit -> Task<unit>) =
    task {
        let before = store.Requests.Snapshot()
        do! work ()
        return store.Requests.Snapshot().Minus before
    }

let private freshStore () =
    S3Server.openWith (S3Server.at (S3Server.freshPlace ()))

let private flushes =
    testList "a flush" [
        for partitions, valueBytes, puts in
            [
                1, 100, 1L
                1000, 100, 1L
                3, 1_000_000, 2L
                7, 1_000_000, 2L
                20, 1_000_000, 4L
            ] do
            testCaseTask $"of {partitions} x {valueBytes} bytes is {puts} PUT(s) and nothing else" (fun () ->
                task {
                    let! store = freshStore ()
                    use! cluster = openCluster store
                    do! flush cluster 1 1

                    // Several commands, as several connections would bring them.
                    let! cost =
                        counted store (fun () ->
                            task {
                                if valueBytes < 1_000_000 then
                                    do! flush cluster partitions valueBytes
                                else
                                    let bytes = recordBatch 1 valueBytes

                                    let append index =
                                        cluster.Shards[0]
                                            .Replica.SubmitAsync(
                                                appendCommand (partition index) 1 bytes,
                                                Payload [| ReadOnlyMemory bytes |],
                                                patience
                                            )

                                    let all = [| for index in 0 .. partitions - 1 -> append index |]
                                    let! _ = Task.WhenAll all
                                    ()
                            })

                    if valueBytes < 1_000_000 then
                        Expect.equal cost.Put puts "PUTs"
                    else
                        // The first command may be taken before the others are there: its object and its entry are two more.
                        Expect.isLessThanOrEqual cost.Put (puts + 2L) "PUTs"

                    Expect.equal (cost.Get + cost.List + cost.Head + cost.Delete) 0L "other requests"
                })

        testCaseTask "fetched from the broker that wrote it costs nothing" (fun () ->
            task {
                let place = S3Server.freshPlace ()
                let! store = S3Server.openWith (S3Server.at place)
                use! cluster = openCluster store
                do! flush cluster 10 100

                let read (cluster: Cluster) =
                    task {
                        let shard = cluster.Shards[0]
                        let state = shard.Partition(partition 3)

                        let! records =
                            shard.Reader.ReadAsync(state, 0L, 100_000, true, CancellationToken.None)

                        Expect.isGreaterThan records.Length 0 "records"
                    }

                let! own = counted store (fun () -> read cluster)
                Expect.equal (own.Get + own.Head + own.List + own.Put) 0L "nothing"
            })

        testCaseTask
            "read by another broker costs at most one GET for each run of batches, and nothing when read again"
            (fun () ->
                task {
                    let place = S3Server.freshPlace ()
                    let! store = S3Server.openWith (S3Server.at place)
                    use! cluster = openCluster store
                    let entries = 20

                    for _ in 1..entries do
                        do! flush cluster 3 100_000

                    let! otherStore = S3Server.openWith (S3Server.at place)
                    use! other = openCluster otherStore
                    let shard = other.Shards[0]

                    let readAll () =
                        task {
                            let mutable bytes = 0

                            for offset in 0 .. entries - 1 do
                                let state = shard.Partition(partition 1)

                                let! records =
                                    shard.Reader.ReadAsync(state, int64 offset, 1, true, CancellationToken.None)

                                bytes <- bytes + records.Length

                            Expect.equal bytes (entries * (recordBatch 1 100_000).Length) "every batch"
                        }

                    let! first = counted otherStore readAll
                    Expect.isLessThanOrEqual first.Get (int64 entries) "each run once, although it reads ahead"
                    let! again = counted otherStore readAll
                    Expect.equal again.Get 0L "from memory"
                })

        testCaseTask "that never comes: an idle broker sends no PUT, also while consumers wait" (fun () ->
            task {
                let! store = freshStore ()
                use! cluster = openCluster store
                do! flush cluster 1 1

                // What was written is moved into a segment, and two snapshots let go of the entry.
                for _ in 1..3 do
                    do! cluster.HousekeepAsync()

                let! idle =
                    counted store (fun () ->
                        task {
                            use _ = cluster.Shards[0].Replica.Follow()
                            do! cluster.HousekeepAsync()
                            do! cluster.LookAtNodesAsync()
                            do! cluster.Shards[0].Replica.CatchUpAsync patience
                        })

                Expect.equal (idle.Put + idle.Delete) 0L "no write"
            })
    ]

/// Holds requests back until no more come, then lets them all go: each wave is a round trip that cannot be had in parallel.
type private Waves() =
    let mutable waves = 0

    let mutable gate =
        TaskCompletionSource TaskCreationOptions.RunContinuationsAsynchronously

    let mutable lastArrival = Environment.TickCount64
    let mutable held = 0
    let said = System.Collections.Concurrent.ConcurrentQueue<string>()

    /// Every request, with the number of the wave before it.
    member _.Log = String.Join("\n", said)

    member _.Count = waves

    member _.Handler(inner: HttpMessageHandler) : HttpMessageHandler =
        S3Server.intercept
            (fun request _ send ->
                task {
                    said.Enqueue $"{waves}: {request.Method} {request.RequestUri}"
                    lastArrival <- Environment.TickCount64
                    Interlocked.Increment &held |> ignore
                    do! (Volatile.Read &gate).Task
                    return! send ()
                })
            inner

    /// Lets waves go until the work is done.
    member _.Run(work: Task) =
        task {
            while not work.IsCompleted do
                if held > 0 && Environment.TickCount64 - lastArrival > 300L then
                    waves <- waves + 1
                    held <- 0
                    let full = gate
                    gate <- TaskCompletionSource TaskCreationOptions.RunContinuationsAsynchronously
                    full.SetResult()
                else
                    let! _ = Task.WhenAny(work, Task.Delay 5)
                    ()

            do! work
        }

let private starting =
    testCaseTask "a start takes at most four round trips one after another" (fun () ->
        task {
            let place = S3Server.freshPlace ()

            do!
                task {
                    let! store = S3Server.openWith (S3Server.at place)
                    use! cluster = openCluster store
                    do! flush cluster 10 100
                }

            let waves = Waves()

            let opening =
                task {
                    let! store = S3Server.openWith { S3Server.at place with wrap = waves.Handler }
                    let verifying = StoreVerifier.VerifyAsync(store, 1, false, CancellationToken.None)
                    let! cluster = openCluster store
                    do! verifying
                    return cluster
                }

            do! waves.Run opening
            Expect.isLessThanOrEqual waves.Count 4 $"round trips:\n{waves.Log}"
            Expect.isGreaterThan waves.Count 0 "it was counted"
            // What goes on in the background needs nobody to hold it back.
            do! waves.Run((opening.Result :> IAsyncDisposable).DisposeAsync().AsTask())
        })

/// A member of a group of its own, in its first generation; its id.
let private joinAlone (cluster: Cluster) (group: string) =
    task {
        let groups = cluster.Shards[0].Groups

        let join: GroupJoin = {
            MemberId = ""
            NewMemberId = $"{group}-member"
            InstanceId = null
            ClientId = "client"
            ClientHost = "/127.0.0.1"
            SessionTimeoutMs = 1_800_000
            RebalanceTimeoutMs = 1_800_000
            ProtocolType = "consumer"
            Protocols = [| { Name = "range"; Metadata = [||] } |]
            RequiresKnownMemberId = false
            CanSkipAssignment = false
        }

        match! groups.JoinAsync(group, join, patience, CancellationToken.None) with
        | JoinedAtOnce joined ->
            let sync: GroupSync = {
                MemberId = joined.MemberId
                InstanceId = null
                Generation = joined.Generation
                ProtocolType = null
                ProtocolName = null
                Assignments = [||]
            }

            let! _ = groups.SyncAsync(group, sync, patience, CancellationToken.None)
            return joined.MemberId
        | _ -> return failtest "it was not let in"
    }

let private groups =
    testList "consumer groups" [
        testCaseTask "heartbeats send no PUT, and read at most once a second" (fun () ->
            task {
                let! store = freshStore ()
                use! cluster = openCluster store
                let! memberId = joinAlone cluster "group"
                let groups = cluster.Shards[0].Groups
                let begun = Environment.TickCount64

                let! cost =
                    counted store (fun () ->
                        task {
                            for _ in 1..300 do
                                let! refusal = groups.HeartbeatAsync("group", memberId, null, 1, patience)
                                Expect.isNull (box refusal) "all is well"
                        })

                let elapsedSeconds = (Environment.TickCount64 - begun) / 1000L
                Expect.equal (cost.Put + cost.Delete) 0L "no write"
                Expect.isLessThanOrEqual cost.Get (elapsedSeconds + 2L) "GETs"
            })

        testCaseTask "offset commits of many groups that gather share one PUT" (fun () ->
            task {
                let! store = freshStore ()
                use! cluster = openCluster store
                do! flush cluster 1 1
                let groups = cluster.Shards[0].Groups

                let commit: GroupCommit = {
                    MemberId = ""
                    InstanceId = null
                    Generation = -1
                    Broker = 1L
                    KnownCommitEntry = 0L
                    Offsets = [| { Partition = partition 0; Offset = 1L; LeaderEpoch = -1; Metadata = "" } |]
                }

                let! cost =
                    counted store (fun () ->
                        task {
                            let! replies =
                                Task.WhenAll [|
                                    for number in 1..100 ->
                                        groups.AskAsync($"group-{number}", CommitOffsets commit, patience)
                                |]

                            for reply in replies do
                                match reply with
                                | OffsetsJudged refusals -> Expect.equal refusals [| ValueNone |] "committed"
                                | _ -> failtest "it was refused"
                        })

                // The first may be taken before the others are there.
                Expect.isLessThanOrEqual cost.Put 2L "PUTs"
                Expect.equal (cost.Get + cost.List + cost.Head + cost.Delete) 0L "other requests"
            })
    ]

let tests = testSequenced (testList "costs on s3" [ flushes; groups; starting ])
