/// Looks into the store of a running cluster: what is in it, and what the shards' states refer to.
module Tansu.PropertyTests.EndToEnd.SoakStore

open System
open System.Collections.Generic
open System.Threading
open System.Threading.Tasks
open Tansu.Adapters
open Tansu.Adapters.Ports
open Tansu.Adapters.Reading
open Tansu.Adapters.Replica
open Tansu.Domain
open Tansu.PropertyTests.Replica
open Tansu.PropertyTests.Stores

/// What is in a store at one moment, in numbers.
type Weight = {
    entries: int64
    snapshots: int64
    /// Entries and snapshots.
    logBytes: int64
}

/// A store that brokers in other processes use.
type Place = {
    name: string
    storageEngine: string
    environment: (string * string) list
    opening: unit -> Task<IStore>
    weigh: unit -> Task<Weight>
}

let s3 () =
    task {
        let place = S3Server.freshPlace ()
        let! endpoint = S3Server.endpoint ()
        let environment = S3Server.environment endpoint

        let settings =
            S3Settings.Parse(place, Func<string, string>(fun name -> environment |> Map.tryFind name |> Option.toObj))

        return {
            name = "S3"
            storageEngine = "s3://" + place
            environment = Map.toList environment
            opening =
                fun () ->
                    task {
                        let! store = S3Server.openWith (S3Server.at place)
                        return store :> IStore
                    }
            weigh =
                fun () ->
                    task {
                        use client = new S3Client(settings, StoreOptions.Default, null)
                        let prefix = place.Substring(place.IndexOf '/' + 1) + "/"

                        let listing =
                            client.ListAsync(prefix, null, 1000, CancellationToken.None).GetAsyncEnumerator()

                        let mutable weight = { entries = 0L; snapshots = 0L; logBytes = 0L }
                        let mutable more = true

                        while more do
                            let! next = listing.MoveNextAsync()
                            more <- next

                            if more then
                                let found = listing.Current
                                let length = found.Size.GetValueOrDefault()

                                if found.Key.Contains "/entries/" then
                                    weight <- {
                                        weight with
                                            entries = weight.entries + 1L
                                            logBytes = weight.logBytes + length
                                    }
                                elif found.Key.Contains "/snapshots/" then
                                    weight <- {
                                        weight with
                                            snapshots = weight.snapshots + 1L
                                            logBytes = weight.logBytes + length
                                    }

                        do! listing.DisposeAsync()
                        return weight
                    }
        }
    }

let postgres () =
    task {
        let server = PostgresServer.shared.Value
        let! database = server.NewDatabase()
        let url = server.Url database

        return {
            name = "PostgreSQL"
            storageEngine = url
            environment = []
            opening = fun () -> StoreUrl.OpenAsync(url, StoreOptions.Default, CancellationToken.None)
            weigh =
                fun () ->
                    task {
                        let! entries = server.Scalar<int64>(database, "SELECT count(*) FROM tansu_entry")
                        let! snapshots = server.Scalar<int64>(database, "SELECT count(*) FROM tansu_snapshot")

                        let! bytes =
                            server.Scalar<int64>(
                                database,
                                "SELECT coalesce((SELECT sum(octet_length(head) + octet_length(payload))::bigint FROM tansu_entry), 0)"
                                + " + coalesce((SELECT sum(octet_length(content))::bigint FROM tansu_snapshot), 0)"
                            )

                        return { entries = entries; snapshots = snapshots; logBytes = bytes }
                    }
        }
    }

/// What a look at the store found.
type Look = {
    weight: Weight
    objects: int
    objectBytes: int64
    /// Of all records that partitions refer to.
    liveBytes: int64
    /// Entries that were ever appended, all shards together.
    appended: int64
    /// Chunks in the states.
    chunks: int
    /// Objects that a state refers to and that are not there.
    missing: string list
    /// Objects that nothing refers to, older than they may be.
    leaked: string list
}

/// Follows the shards of a cluster without ever writing to its store.
type Onlooker private (place: Place, store: IStore, replicas: Rig.ShardReplica array) =
    static member Open(place: Place, shards: int) =
        task {
            let! store = place.opening ()
            let replicas = List()

            for index in 0 .. shards - 1 do
                let! log = store.OpenLogAsync(ClusterShard.LogName index, CancellationToken.None)
                let reader = RecordsReader(index, log, store.Blobs, RecordCache 0L, 0)

                let! replica =
                    Rig.ShardReplica.OpenAsync(
                        log,
                        store.Blobs,
                        ShardDecider Rig.settings,
                        ShardCodec(),
                        ShardObserver(reader, PartitionWaiters()),
                        ReplicaOptions(),
                        CancellationToken.None
                    )

                replicas.Add replica

            return new Onlooker(place, store, replicas.ToArray())
        }

    /// The states as they are now.
    member _.States() =
        task {
            for replica in replicas do
                do! replica.CatchUpAsync Rig.patience

            return replicas |> Array.map _.Current.State
        }

    /// Counts, and compares what is there with what the states refer to.
    member this.Look(unreferencedFor: TimeSpan) =
        task {
            let! before = this.States()
            let found = Dictionary<string, BlobInfo>()

            let listing =
                store.Blobs.ListAsync("data/", CancellationToken.None).GetAsyncEnumerator()

            let mutable more = true

            while more do
                let! next = listing.MoveNextAsync()
                more <- next

                if more then
                    found[listing.Current.Name] <- listing.Current

            do! listing.DisposeAsync()
            let! after = this.States()
            let! weight = place.weigh ()

            let isNeeded (states: ShardState array) (name: string) =
                states |> Array.exists _.Objects.ContainsKey(name)

            let nowMs = DateTimeOffset.UtcNow.ToUnixTimeMilliseconds()

            let isLeaked (blob: BlobInfo) =
                let since =
                    after
                    |> Array.tryPick (fun state ->
                        match state.Garbage.TryGetValue blob.Name with
                        | true, sinceMs -> Some sinceMs
                        | _ -> None)
                    |> Option.defaultValue (blob.LastModified.ToUnixTimeMilliseconds())

                not (isNeeded before blob.Name || isNeeded after blob.Name)
                && float (nowMs - since) > unreferencedFor.TotalMilliseconds

            return {
                weight = weight
                objects = found.Count
                objectBytes = found.Values |> Seq.sumBy _.Length
                liveBytes =
                    after
                    |> Array.sumBy (fun state -> state.Partitions.Values |> Seq.sumBy Partition.sizeBytes)
                appended = replicas |> Array.sumBy _.Current.EntryNumber
                chunks =
                    after
                    |> Array.sumBy (fun state -> state.Partitions.Values |> Seq.sumBy _.Chunks.Count)
                missing = [
                    for state in before do
                        for name in state.Objects.Keys do
                            if isNeeded after name && not (found.ContainsKey name) then
                                name
                ]
                leaked = [
                    for blob in found.Values do
                        if isLeaked blob then
                            blob.Name
                ]
            }
        }

    interface IAsyncDisposable with
        member _.DisposeAsync() =
            ValueTask(
                task {
                    for replica in replicas do
                        do! replica.DisposeAsync()

                    do! store.DisposeAsync()
                }
                :> Task
            )
