/// Replicas of one shard over one memory store.
module Tansu.PropertyTests.Replica.Rig

open System
open System.Buffers
open System.Threading
open System.Threading.Tasks
open Expecto
open Tansu.Adapters
open Tansu.Adapters.Ports
open Tansu.Adapters.Reading
open Tansu.Adapters.Replica
open Tansu.Codec.Records
open Tansu.Domain
open Tansu.PropertyTests.Replica.ScriptedLog

type ShardReplica = Replica<ShardState, ShardCommand, ShardEvent, ShardReply>

/// Far more than any step here takes.
let patience = TimeSpan.FromSeconds 20.0

let settings = {
    ProducerIdExpirationMs = 86_400_000L
    Groups = GroupSettings.Default
    Transactions = TransactionSettings.Default
}

let options =
    ReplicaOptions(FirstBackoff = TimeSpan.FromMilliseconds 0.1, MaxBackoff = TimeSpan.FromMilliseconds 1.0)

let topic = TopicId(Guid(1, 0s, 0s, 0uy, 0uy, 0uy, 0uy, 0uy, 0uy, 0uy, 0uy))

let partition number = { TopicId = topic; Partition = number }

/// A broker's view of the shard: its replica, reader and cache.
type Member = {
    log: ScriptedLog
    replica: ShardReplica
    reader: RecordsReader
    cache: RecordCache
    waiters: PartitionWaiters
    blobs: IBlobStore
}

/// Opens a member whose objects go through `wrap`.
let openThrough (wrap: IBlobStore -> IBlobStore) (options: ReplicaOptions) (cacheBytes: int64) (space: MemorySpace) =
    task {
        let store = new MemoryStore(space, StoreOptions.Default) :> IStore
        let blobs = wrap store.Blobs
        let! inner = store.OpenLogAsync("shard-0", CancellationToken.None)
        let log = ScriptedLog inner
        let cache = RecordCache cacheBytes
        let reader = RecordsReader(0, log, blobs, cache, 0)
        let waiters = PartitionWaiters()

        let! replica =
            ShardReplica.OpenAsync(
                log,
                blobs,
                ShardDecider settings,
                ShardCodec(),
                ShardObserver(reader, waiters),
                options,
                CancellationToken.None
            )

        return { log = log; replica = replica; reader = reader; cache = cache; waiters = waiters; blobs = blobs }
    }

let openWith options cacheBytes space = openThrough id options cacheBytes space

let openMember space = openWith options 1_000_000L space

/// An object store that does something before each upload, which may be told by its content.
let beforePuts (before: ReadOnlySequence<byte> -> Task) (inner: IBlobStore) = {
    new IBlobStore with
        member _.PutAsync(name, content, token) =
            task {
                do! before content
                do! inner.PutAsync(name, content, token)
            }
            |> ValueTask

        member _.ReadAsync(name, position, destination, token) =
            inner.ReadAsync(name, position, destination, token)

        member _.DeleteAsync(names, token) = inner.DeleteAsync(names, token)
        member _.ListAsync(prefix, token) = inner.ListAsync(prefix, token)
}

/// A record batch as a producer sends it.
let recordBatch (records: int) (valueBytes: int) =
    let builder = RecordBatchBuilder()

    for index in 0 .. records - 1 do
        builder.Append(
            int64 index,
            ReadOnlyMemory [| byte index |],
            ReadOnlyMemory(Array.create valueBytes 1uy),
            ReadOnlySpan.Empty
        )

    builder.Build()

let appendCommand key (records: int) (bytes: byte array) : ShardCommand =
    AppendBatches [|
        {
            Partition = key
            Length = bytes.Length
            LastOffsetDelta = records - 1
            MaxTimestampMs = int64 records
            ProducerId = Absent.ProducerId
            ProducerEpoch = Absent.ProducerEpoch
            BaseSequence = Absent.Sequence
            Transaction = 0L
        }
    |]

/// Appends a batch; the task gives its base offset.
let appendTo (replica: ShardReplica) key records =
    let bytes = recordBatch records 10

    let reply =
        replica.SubmitAsync(
            appendCommand key records bytes,
            Payload([| ReadOnlyMemory bytes |], [| hash key |]),
            patience
        )

    task {
        match! reply with
        | BatchesJudged [| Appended(baseOffset, _) |] -> return baseOffset
        | _ -> return failtest "it was not accepted"
    }

/// Appends a batch; the task gives its base offset.
let append (one: Member) key records = appendTo one.replica key records

/// The task fails with this exception.
let failsWith<'Failure when 'Failure :> exn> (pending: Task) =
    task {
        try
            do! pending.WaitAsync patience
            failtest $"expected {typeof<'Failure>.Name}"
        with :? 'Failure ->
            ()
    }

/// The state as its stored bytes: equal states give equal bytes.
let bytesOf (state: ShardState) =
    use writer = new Tansu.Codec.KafkaWriter()
    ShardCodec().WriteState(writer, state)
    writer.ToArray()
