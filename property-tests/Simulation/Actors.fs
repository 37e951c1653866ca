/// What clients do to a simulated cluster.
module Tansu.PropertyTests.Simulation.Actors

open System
open System.Collections.Generic
open System.Threading
open System.Threading.Tasks
open Tansu.Adapters.Ports
open Tansu.Adapters.Reading
open Tansu.Adapters.Replica
open Tansu.Domain

let private newProcess (cluster: Cluster) name =
    cluster.Scheduler.NewProcess(name, TimeSpan.Zero)

let private rest (cluster: Cluster) (client: Process) (longest: TimeSpan) =
    Task.Delay(longest * cluster.Scheduler.Random.NextDouble(), client.Time)

let private retryRest = TimeSpan.FromMilliseconds 400.0

let private clientPatience (cluster: Cluster) =
    cluster.Settings.BrokerPatience + TimeSpan.FromSeconds 1.0

/// Failures after which a client tries again elsewhere.
let private isRetriable (failure: exn) =
    match failure with
    | :? TimeoutException
    | :? StoreUnavailableException
    | :? NotThereException -> true
    | _ -> false

/// Of a batch's records, in milliseconds since 1970; now and then they have none.
let private timestamp (cluster: Cluster) (client: Process) =
    if cluster.Scheduler.Random.Next 12 = 0 then
        -1L
    else
        client.Time.GetUtcNow().ToUnixTimeMilliseconds()

/// One attempt to append a batch, at the broker.
let private produce
    (cluster: Cluster)
    (connection: Connection)
    (batch: SentBatch)
    producerId
    epoch
    (broker: Broker)
    : Task<AppendReply> =
    task {
        let random = cluster.Scheduler.Random
        let valueBytes = if random.Next 3 = 0 then 120 else 8
        let bytes = Batches.build batch producerId epoch valueBytes

        let command =
            AppendBatches [|
                {
                    Partition = batch.Partition
                    Length = bytes.Length
                    LastOffsetDelta = batch.Records - 1
                    MaxTimestampMs = batch.TimestampMs
                    ProducerId = producerId
                    ProducerEpoch = epoch
                    BaseSequence =
                        (if batch.IsIdempotent then
                             batch.Sequence
                         else
                             Absent.Sequence)
                    Transaction = 0L
                }
            |]

        match!
            (broker.ShardOf batch.Partition)
                .Replica.SubmitAsync(
                    command,
                    Payload([| ReadOnlyMemory bytes |], [| batch.Partition.GetHashCode() |]),
                    cluster.Settings.BrokerPatience,
                    connection.Chain
                )
        with
        | BatchesJudged [| Appended(offset, logStart) |] ->
            cluster.Judge.OnAnswered(broker.Name, batch, offset)
            return Appended(offset, logStart)
        | BatchesJudged [| refused |] -> return refused
        | _ -> return failwith "not the answer to a produce request"
    }

/// An idempotent producer with up to five batches in flight, which sends all that is in doubt again, in order, when one of them
/// fails: Kafka's client with `enable.idempotence`.
let idempotentProducer (cluster: Cluster) (number: int) =
    let client = newProcess cluster $"producer {number}"
    let random = cluster.Scheduler.Random

    let body () =
        task {
            let partition = cluster.Partition(random.Next cluster.Settings.Partitions)
            let inDoubt = Queue<SentBatch>()
            let mutable left = cluster.Settings.BatchesPerProducer
            let mutable sequence = 0
            let mutable refusals = 0

            while left > 0 || inDoubt.Count > 0 do
                let connection = Connection(cluster, client, cluster.AnyBroker())
                let flying = Queue<Task<AppendReply>>()
                let mutable isWell = true

                let send (batch: SentBatch) =
                    batch.Tries <- batch.Tries + 1

                    flying.Enqueue(
                        connection.Call(clientPatience cluster, produce cluster connection batch (int64 number) 0s)
                    )

                // Sent again all at once, or only what is first until that is settled.
                for batch in inDoubt do
                    send batch

                let isUneven = random.Next 2 = 0
                let lifetime = random.Next(1, 15)
                let mutable answered = 0

                while isWell && (flying.Count > 0 || (left > 0 && answered < lifetime)) do
                    let room = random.Next(1, 6)

                    while left > 0 && answered < lifetime && inDoubt.Count < room do
                        let batch =
                            cluster.Judge.NewBatch(
                                number,
                                partition,
                                random.Next(1, 4),
                                true,
                                false,
                                timestamp cluster client
                            )

                        batch.Sequence <- sequence
                        sequence <- sequence + batch.Records
                        left <- left - 1
                        inDoubt.Enqueue batch
                        send batch

                        if isUneven then
                            do! rest cluster client (TimeSpan.FromSeconds 1.0)

                    if flying.Count > 0 then
                        let head = inDoubt.Peek()

                        try
                            match! flying.Dequeue() with
                            | Appended(offset, _) ->
                                cluster.Judge.OnAcked(head, offset)
                                cluster.Judge.Note $"producer {number}: batch {head.Id} is at offset {offset}"
                                inDoubt.Dequeue() |> ignore
                                answered <- answered + 1
                                refusals <- 0
                                do! rest cluster client cluster.Settings.LongestThought
                            | Refused refusal ->
                                cluster.Judge.Note $"producer {number}: batch {head.Id} is refused"
                                // Everything before it was acknowledged: it can only be a batch in front of it in the same
                                // burst that got lost, which does not happen to the first one again and again.
                                refusals <- refusals + 1

                                if refusals = 30 then
                                    cluster.Judge.Violation
                                        $"wrongly refused: batch {head.Id} (sequence {head.Sequence}) of producer {number}: {refusal.GetType().Name}"

                                    inDoubt.Clear()
                                    left <- 0

                                isWell <- false
                        with failure when isRetriable failure ->
                            cluster.Judge.Note $"producer {number}: batch {head.Id} failed: {failure.GetType().Name}"
                            isWell <- false

                if not isWell then
                    do! rest cluster client retryRest
        }

    cluster.Scheduler.Spawn(client, body)

/// A producer without sequences, one batch at a time: what it retries may be there twice.
let plainProducer (cluster: Cluster) (number: int) =
    let client = newProcess cluster $"producer {number}"
    let random = cluster.Scheduler.Random

    let body () =
        task {
            let partition = cluster.Partition(random.Next cluster.Settings.Partitions)

            for _ in 1 .. cluster.Settings.BatchesPerProducer do
                let batch =
                    cluster.Judge.NewBatch(number, partition, random.Next(1, 4), false, false, timestamp cluster client)

                while batch.AckedOffset.IsNone do
                    batch.Tries <- batch.Tries + 1
                    let connection = Connection(cluster, client, cluster.AnyBroker())

                    try
                        match!
                            connection.Call(
                                clientPatience cluster,
                                produce cluster connection batch Absent.ProducerId Absent.ProducerEpoch
                            )
                        with
                        | Appended(offset, _) -> cluster.Judge.OnAcked(batch, offset)
                        | Refused _ -> cluster.Judge.Violation $"batch {batch.Id} without sequence was refused"
                    with failure when isRetriable failure ->
                        do! rest cluster client retryRest

                do! rest cluster client cluster.Settings.LongestThought
        }

    cluster.Scheduler.Spawn(client, body)

/// What a poll finds.
[<NoComparison; NoEquality>]
type private Polled =
    | Records of records: struct (int64 * SimulatedRecord) list * next: int64
    | AtEnd of endOffset: int64
    | BeforeStart of logStart: int64
    | Gone

/// How often a broker looks again for what an old state of its refers to.
let private looks = 5

/// Leaves out what clients do: markers and, by the list of aborted transactions that comes with a fetch, their records.
let private readable isCommitted (aborted: AbortedTransaction[]) (found: struct (int64 * SimulatedRecord) list) =
    let waiting =
        Queue<AbortedTransaction>(aborted |> Seq.sortBy (fun (one: AbortedTransaction) -> one.FirstOffset))

    let passing = HashSet<int64>()

    [
        for struct (offset, record) in found do
            while waiting.Count > 0 && waiting.Peek().FirstOffset <= offset do
                passing.Add(waiting.Dequeue().ProducerId) |> ignore

            if record.IsControl then
                if record.Id = 0L then
                    passing.Remove record.ProducerId |> ignore
            elif not (isCommitted && record.IsTransactional && passing.Contains record.ProducerId) then
                struct (offset, record)
    ]

/// A poll, at the broker. What its state refers to may have been collected, if that is old: then it catches up, as a fetch does.
let private poll
    (cluster: Cluster)
    (reader: string)
    isCommitted
    (key: TopicPartition)
    (offset: int64)
    (broker: Broker)
    : Task<Polled> =
    task {
        let shard = broker.ShardOf key

        let look () =
            Shard.partition key shard.Replica.Current.State

        let endOf (partition: Partition) =
            if isCommitted && cluster.Settings.Control <> StableOffsetIgnored then
                Partition.lastStableOffset partition
            else
                partition.HighWatermark

        if endOf (look ()) <= offset then
            do! shard.Replica.CatchUpAsync cluster.Settings.BrokerPatience

        let mutable polled = ValueNone
        let mutable missed = 0

        while polled.IsNone do
            let partition = look ()
            let endOffset = endOf partition

            if offset < partition.LogStartOffset then
                polled <- ValueSome(BeforeStart partition.LogStartOffset)
            elif offset >= endOffset then
                polled <- ValueSome(AtEnd endOffset)
            else
                try
                    use lease = new RecordLease()

                    let! bytes =
                        shard.Reader.ReadAsync(
                            partition,
                            offset,
                            endOffset,
                            ReadLimits(400, true),
                            lease,
                            CancellationToken.None
                        )

                    let found, next = Batches.readAll (bytes.Joined().ToArray())

                    // Compaction may have left nothing that is decided, and then a client waits for more.
                    let next = if bytes.Length = 0 && isCommitted then endOffset else next

                    if next > endOffset then
                        cluster.Judge.Violation
                            $"{reader} at {broker.Name} is given records up to {next} of partition {key.Partition}, beyond {endOffset}"

                    let found =
                        readable isCommitted (Partition.abortedBetween offset next partition) found
                        |> List.filter (fun struct (at, _) -> at >= offset)

                    polled <- ValueSome(Records(found, next))
                with
                | :? EntryMissingException
                | :? BlobMissingException as missing ->
                    missed <- missed + 1

                    if missed < looks then
                        do! shard.Replica.CatchUpAsync cluster.Settings.BrokerPatience
                    else
                        if not (cluster.Judge.IsDeleted(key, offset)) then
                            cluster.Judge.Violation
                                $"lost data: {reader} at {broker.Name} finds nothing at offset {offset} of partition {key.Partition}: {missing.Message}"

                        polled <- ValueSome Gone

        return polled.Value
    }

/// Reads a partition from its start to the end, now at this broker and now at that one; ends once it is told to and has
/// everything.
let reader (cluster: Cluster) (number: int) isCommitted (isLast: unit -> bool) =
    let client = newProcess cluster $"reader {number}"
    let random = cluster.Scheduler.Random

    let body () =
        task {
            let key = cluster.Partition(number % cluster.Settings.Partitions)
            let mutable offset = 0L
            let mutable isDone = false
            let mutable broker = cluster.AnyBroker()
            let mutable given = []

            while not isDone do
                if random.Next 4 = 0 then
                    broker <- cluster.AnyBroker()

                let isFinal = isLast ()

                // One that has been told where the log ends at some time must not be told less later.
                let knownEnd =
                    let partition = Shard.partition key (cluster.Judge.LogOf key).State

                    if isCommitted then
                        Partition.lastStableOffset partition
                    else
                        partition.HighWatermark

                try
                    let connection = Connection(cluster, client, broker)

                    match! connection.Call(clientPatience cluster, poll cluster client.Name isCommitted key offset) with
                    | Records(found, next) ->
                        if next <= offset then
                            cluster.Judge.Violation $"{client.Name} gets nothing at offset {offset} below the end"

                        for struct (at, record) in found do
                            if at < offset then
                                cluster.Judge.Violation
                                    $"non-monotonic poll: {client.Name} is given offset {at} of partition {key.Partition} after {offset - 1L}"

                            cluster.Judge.OnPassedOver(client.Name, key, isCommitted, offset, at)

                            if isCommitted then
                                cluster.Judge.OnReadCommitted(client.Name, key, at, record)
                            else
                                cluster.Judge.OnRead(client.Name, key, at, record)

                            given <- struct (at, record) :: given
                            offset <- at + 1L

                        cluster.Judge.OnPassedOver(client.Name, key, isCommitted, offset, next)
                        offset <- max offset next
                    | BeforeStart logStart -> offset <- logStart
                    | AtEnd endOffset ->
                        if isFinal && offset = int64 (cluster.Judge.RecordsOf key).Count then
                            isDone <- true

                            if (Topics.cleanup cluster.Settings key.TopicId |> ValueOption.exists _.Compacts) then
                                cluster.Judge.OnReadAll(client.Name, key, given)
                        elif endOffset < knownEnd then
                            cluster.Judge.Violation
                                $"{broker.Name} has caught up to {endOffset} of partition {key.Partition}, which ended at {knownEnd} before"

                        do! rest cluster client (TimeSpan.FromSeconds 2.0)
                    | Gone -> do! rest cluster client (TimeSpan.FromSeconds 1.0)
                with failure when isRetriable failure ->
                    broker <- cluster.AnyBroker()
                    do! rest cluster client retryRest
        }

    cluster.Scheduler.Spawn(client, body)

/// Deletes records from the beginning now and then, until told to end.
let deleter (cluster: Cluster) (isOver: unit -> bool) =
    let client = newProcess cluster "deleter"
    let random = cluster.Scheduler.Random

    let delete (key: TopicPartition) (broker: Broker) : Task<DeleteRecordsReply> =
        task {
            let replica = (broker.ShardOf key).Replica
            let partition = Shard.partition key replica.Current.State
            let span = partition.HighWatermark - partition.LogStartOffset

            let before =
                if random.Next 3 = 0 then
                    -1L
                else
                    partition.LogStartOffset + random.NextInt64(span + 1L)

            (cluster.Judge.LogOf key).Storage.OnToDelete(key, (if before < 0L then Int64.MaxValue else before))
            let command = DeleteRecords [| { Partition = key; BeforeOffset = before } |]

            match! replica.SubmitAsync(command, Payload.None, cluster.Settings.BrokerPatience) with
            | RecordsDeleted [| reply |] -> return reply
            | _ -> return failwith "not the answer to DeleteRecords"
        }

    let body () =
        task {
            while not (isOver ()) do
                do! rest cluster client (TimeSpan.FromSeconds 10.0)
                let key = cluster.Partition(random.Next cluster.Settings.Partitions)

                try
                    let connection = Connection(cluster, client, cluster.AnyBroker())

                    match! connection.Call(clientPatience cluster, delete key) with
                    | LogStartsAt offset -> cluster.Judge.OnDeleted(key, offset)
                    | DeleteRefused _ -> cluster.Judge.Violation "DeleteRecords within the log was refused"
                with failure when isRetriable failure ->
                    ()
        }

    cluster.Scheduler.Spawn(client, body)

/// Crashes brokers, pauses them and cuts them off, until told to end.
let nemesis (cluster: Cluster) (isOver: unit -> bool) =
    let client = newProcess cluster "nemesis"
    let random = cluster.Scheduler.Random
    let settings = cluster.Settings

    let body () =
        task {
            while not (isOver ()) do
                do! rest cluster client (settings.MeanPeace * 2.0)

                let broker =
                    match cluster.Brokers |> Array.filter _.IsCompacting with
                    | compacting when compacting.Length > 0 && random.Next 2 = 0 ->
                        compacting[random.Next compacting.Length]
                    | _ -> cluster.AnyBroker()

                // Often just after it has begun to compact: between any two steps of that.
                if random.Next 2 = 0 then
                    let mutable looks = 0

                    while not broker.IsCompacting && looks < 100 && not (isOver ()) do
                        looks <- looks + 1
                        do! rest cluster client (TimeSpan.FromMilliseconds 200.0)

                if not (isOver ()) then
                    if broker.IsCompacting then
                        cluster.StopsWhileCompacting <- cluster.StopsWhileCompacting + 1

                    match random.Next 4 with
                    | 0 ->
                        cluster.Judge.Note $"{broker.Name} crashes"
                        broker.Crash()

                        cluster.Scheduler.After(
                            client,
                            TimeSpan.FromSeconds(random.NextDouble() * 10.0),
                            fun () ->
                                if broker.Process.IsDead then
                                    broker.Start()
                        )
                    | 1 ->
                        cluster.Judge.Note $"{broker.Name} is cut off"
                        broker.IsCut <- true

                        cluster.Scheduler.After(
                            client,
                            TimeSpan.FromSeconds(random.NextDouble() * 30.0),
                            fun () -> broker.IsCut <- false
                        )
                    | _ ->
                        cluster.Judge.Note $"{broker.Name} is paused"

                        cluster.Scheduler.Pause(
                            broker.Process,
                            settings.LongestPause * random.NextDouble(),
                            random.Next 2 = 0
                        )
        }

    cluster.Scheduler.Spawn(client, body)
