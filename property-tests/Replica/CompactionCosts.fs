/// What compaction is for: few requests to read a partition, nothing to do when nothing has changed, and bytes that go when their topic goes.
module Tansu.PropertyTests.Replica.CompactionCosts

open System
open System.Diagnostics
open System.Threading
open System.Threading.Tasks
open Expecto
open Tansu.Adapters
open Tansu.Adapters.Ports
open Tansu.Adapters.Replica
open Tansu.Codec.Records
open Tansu.Domain
open Tansu.PropertyTests.Replica.Rig
open Tansu.PropertyTests.Stores

let private openCluster (store: IStore) =
    Cluster.OpenAsync(
        store,
        ClusterOptions(
            AdvertisedHost = "localhost",
            AdvertisedPort = 9092,
            CommitInterval = TimeSpan.Zero,
            GarbageGrace = TimeSpan.Zero
        ),
        CancellationToken.None
    )

/// One command that brings one record of that many bytes to each of the partitions.
let private append (cluster: Cluster) (partitions: (TopicPartition * int) list) =
    task {
        let records = [ for key, valueBytes in partitions -> key, recordBatch 1 valueBytes ]

        let batches: BatchToAppend array = [|
            for key, bytes in records do
                {
                    Partition = key
                    Length = bytes.Length
                    LastOffsetDelta = 0
                    MaxTimestampMs = 1L
                    ProducerId = Absent.ProducerId
                    ProducerEpoch = Absent.ProducerEpoch
                    BaseSequence = Absent.Sequence
                    Transaction = 0L
                }
        |]

        let payload = Payload [| for _, bytes in records -> ReadOnlyMemory bytes |]

        match! cluster.Shards[0].Replica.SubmitAsync(AppendBatches batches, payload, patience) with
        | BatchesJudged replies ->
            for reply in replies do
                match reply with
                | Appended _ -> ()
                | Refused _ -> failtest "it was refused"
        | _ -> failtest "another answer"
    }

/// Where batches end that begin at an offset, without a gap.
let private endOf (records: ReadOnlyMemory<byte>) (offset: int64) =
    let mutable batches = (RecordBatches records).GetEnumerator()
    let mutable next = offset

    while batches.MoveNext() do
        Expect.equal batches.Current.Header.BaseOffset next "no record is missing"
        next <- batches.Current.Header.LastOffset + 1L

    next

/// Reads a partition from its start to its end as a consumer does, with fetches of up to 1 MiB; its bytes.
let private readAll (cluster: Cluster) key =
    task {
        let shard = cluster.Shards[0]
        let state = shard.Partition key
        let mutable offset = state.LogStartOffset
        let mutable bytes = 0

        while offset < state.HighWatermark do
            let! records =
                shard.Reader.ReadAsync(state, offset, 1_048_576, true, CancellationToken.None)

            Expect.isGreaterThan records.Length 0 $"records at {offset}"

            offset <- endOf (records.Joined()) offset
            bytes <- bytes + records.Length

        return bytes
    }

let private counted (store: S3Store) (work: unit -> Task<'result>) =
    task {
        let before = store.Requests.Snapshot()
        let! result = work ()
        return result, store.Requests.Snapshot().Minus before
    }

let private catchingUp =
    testCaseTask
        "one partition of a hundred is read with a request per flush before compaction, and with one or two after it"
        (fun () ->
            task {
                let place = S3Server.freshPlace ()
                let! store = S3Server.openWith (S3Server.at place)
                use! cluster = openCluster store
                let flushes = 100
                let key = partition 42

                for _ in 1..flushes do
                    do! append cluster [ for index in 0..99 -> partition index, 2000 ]

                let read () =
                    task {
                        let! otherStore = S3Server.openWith (S3Server.at place)
                        use! other = openCluster otherStore
                        let! bytes, cost = counted otherStore (fun () -> readAll other key)
                        return bytes, cost.Get
                    }

                let! bytes, before = read ()
                Expect.isGreaterThanOrEqual before (int64 flushes) "each entry is asked for"
                do! cluster.HousekeepAsync()
                let! again, after = read ()
                Expect.equal again bytes "the same records"
                // 20 MB do not fit into one job of 16 MiB.
                Expect.isLessThanOrEqual after 2L "requests"

                let! own, cost = counted store (fun () -> readAll cluster key)
                Expect.equal own bytes "the same records"
                Expect.equal cost.Total 0L "the broker that wrote and compacted them has them at hand"
            })

let private idle =
    testCaseTask "once all is compacted, more passes write and delete nothing" (fun () ->
        task {
            let! store = S3Server.openWith (S3Server.at (S3Server.freshPlace ()))
            use! cluster = openCluster store

            for _ in 1..20 do
                do! append cluster [ for index in 0..9 -> partition index, 1000 ]
                do! cluster.HousekeepAsync()

            let pass () =
                counted store (fun () ->
                    task {
                        do! cluster.HousekeepAsync()
                        do! cluster.Shards[0].Replica.CatchUpAsync patience
                    })

            let mutable passes = 0
            let mutable writes = 1L

            while writes > 0L do
                let! _, cost = pass ()
                writes <- cost.Put + cost.Delete
                passes <- passes + 1
                Expect.isLessThan passes 10 "it comes to rest"

            for _ in 1..3 do
                let! _, cost = pass ()
                Expect.equal (cost.Put + cost.Delete) 0L "no write"
                Expect.isLessThanOrEqual cost.Total 5L "and few reads"
        })

let private blobBytes (store: IStore) =
    task {
        let listing =
            store.Blobs.ListAsync("data/", CancellationToken.None).GetAsyncEnumerator()

        let mutable bytes = 0L
        let mutable more = true

        while more do
            let! next = listing.MoveNextAsync()
            more <- next

            if more then
                bytes <- bytes + listing.Current.Length

        do! listing.DisposeAsync()
        return bytes
    }

let private createTopic (cluster: Cluster) name =
    task {
        let wanted = {
            Name = name
            Id = TopicId(Guid.NewGuid())
            PartitionCount = 2
            Configs = Map.ofList [ "retention.ms", "-1" ]
        }

        match! cluster.SubmitAsync(CreateTopics([| wanted |], false), patience) with
        | TopicsJudged [| TopicChanged topic |] -> return topic
        | _ -> return failtest "it was not created"
    }

let private frees name (openStore: unit -> Task<IStore>) =
    testCaseTask $"{name}: a deleted topic's bytes go, though they were in the same segments as others'" (fun () ->
        task {
            use! store = openStore ()
            use! cluster = openCluster store
            let! stays = createTopic cluster "stays"
            let! goes = createTopic cluster "goes"

            for _ in 1..4 do
                for _ in 1..10 do
                    do!
                        append cluster [
                            for index in 0..1 do
                                { TopicId = stays.Id; Partition = index }, 500
                                { TopicId = goes.Id; Partition = index }, 60_000
                        ]

                do! cluster.HousekeepAsync()

            let kept = { TopicId = stays.Id; Partition = 1 }
            let! expected = readAll cluster kept
            let! full = blobBytes store
            Expect.isGreaterThan full 4_000_000L "it is in segments"
            let! _ = cluster.DeleteTopicsAsync([| ByName "goes" |], patience)
            let clock = Stopwatch.StartNew()
            let mutable left = full

            while left > 3L * int64 expected * 2L do
                if clock.Elapsed > patience then
                    failtest $"{left} bytes of {full} are left"

                do! cluster.HousekeepAsync()
                let! bytes = blobBytes store
                left <- bytes

            let! again = readAll cluster kept
            Expect.equal again expected "the other topic's records are all there"
            let! log = store.OpenLogAsync("shard-0", CancellationToken.None)

            let isGone () =
                task {
                    try
                        let! _ = log.ReadHeadsAsync(1L, 1, CancellationToken.None)
                        return false
                    with :? EntryMissingException ->
                        return true
                }

            let mutable gone = false

            while not gone do
                if clock.Elapsed > patience then
                    failtest "the entries are still there"

                do! cluster.HousekeepAsync()
                let! now = isGone ()
                gone <- now
        })

let private deleting =
    testList "topic deletion" [
        frees "Memory" (fun () -> Task.FromResult(new MemoryStore(MemorySpace(), StoreOptions.Default) :> IStore))
        // Its log goes on in a new file every MiB, so that there are files to delete.
        frees "File" (fun () -> Helpers.temporaryFileStoreWith (StoreOptions(FileRollBytes = 1_048_576L)))
        frees "PostgreSQL" (fun () ->
            task {
                let server = PostgresServer.shared.Value
                let! database = server.NewDatabase()
                return! StoreUrl.OpenAsync(server.Url database, StoreOptions.Default, CancellationToken.None)
            })
        frees "S3" S3Server.fresh
    ]

let tests =
    testSequenced (testList "costs of compaction" [ catchingUp; idle; deleting ])
