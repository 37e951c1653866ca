/// Transactional producers in bytes, and what a consumer of committed records sees.
module Tansu.PropertyTests.Handlers.TransactionRig

open System
open System.Collections.Generic
open System.Threading.Tasks
open Expecto
open Tansu.Adapters
open Tansu.Codec
open Tansu.Codec.Messages
open Tansu.Codec.Records
open Tansu.PropertyTests.Handlers.Desk

/// A broker of a cluster with some shards, on a store that others may share.
let openDesk (space: MemorySpace) (port: int) (shards: int) =
    let options =
        ClusterOptions(AdvertisedHost = "localhost", AdvertisedPort = port, ShardCount = shards)

    Desk.Open(store = new MemoryStore(space, StoreOptions.Default), options = options)

let close (desk: Desk) =
    (desk :> IAsyncDisposable).DisposeAsync()

/// A test with brokers of their own on one store.
let brokersTest name (brokers: int) shards (body: Desk list -> Task<unit>) =
    testCaseTask name (fun () ->
        task {
            let space = MemorySpace()
            let desks = ResizeArray<Desk>()

            for index in 0 .. brokers - 1 do
                let! desk = openDesk space (9092 + index) shards
                desks.Add desk

            do! body (List.ofSeq desks)

            for desk in desks do
                do! close desk
        })

/// A batch of one record of a transaction.
let transactionalBatch (producerId: int64) (epoch: int16) (sequence: int) (value: string) =
    let builder =
        RecordBatchBuilder(
            IsTransactional = true,
            ProducerId = producerId,
            ProducerEpoch = epoch,
            BaseSequence = sequence
        )

    builder.Append(
        DateTimeOffset.UtcNow.ToUnixTimeMilliseconds(),
        ReadOnlyMemory [| 1uy |],
        ReadOnlyMemory(Text.Encoding.UTF8.GetBytes value),
        ReadOnlySpan.Empty
    )

    builder.Build()

let produceRequest (transactionalId: string) (topic: string) (batches: (int * byte array) list) =
    ProduceRequest(
        TransactionalId = transactionalId,
        Acks = -1s,
        TimeoutMs = 20_000,
        TopicData = [|
            ProduceRequest.TopicProduceData(
                Name = topic,
                PartitionData = [|
                    for partition, batch in batches ->
                        ProduceRequest.PartitionProduceData(
                            Index = partition,
                            Records = RecordBytes(ReadOnlyMemory batch)
                        )
                |]
            )
        |]
    )

/// Initializes a transactional id; gives the producer id and epoch, or the error.
let initialize (desk: Desk) (transactionalId: string) (timeoutMs: int) =
    desk.Ask<_, InitProducerIdResponse>(
        InitProducerIdRequest(TransactionalId = transactionalId, TransactionTimeoutMs = timeoutMs),
        5
    )

/// A producer as clients of transactions v1 (librdkafka, older Java clients) or v2 are.
type Transactor(transactionalId: string, isV2: bool) =
    let sequences = Dictionary<string * int, int>()
    member val Id = -1L with get, set
    member val Epoch = -1s with get, set
    member _.IsV2 = isV2
    member _.TransactionalId = transactionalId

    member this.Initialize(desk: Desk) =
        task {
            let! response = initialize desk transactionalId 60_000
            Expect.equal response.ErrorCode ErrorCode.None "initialized"
            this.Id <- response.ProducerId
            this.Epoch <- response.ProducerEpoch
            sequences.Clear()
        }

    member this.AddPartitions(desk: Desk, topic: string, partitions: int list) =
        task {
            let! response =
                desk.Ask<_, AddPartitionsToTxnResponse>(
                    AddPartitionsToTxnRequest(
                        V3AndBelowTransactionalId = transactionalId,
                        V3AndBelowProducerId = this.Id,
                        V3AndBelowProducerEpoch = this.Epoch,
                        V3AndBelowTopics = [|
                            AddPartitionsToTxnRequest.AddPartitionsToTxnTopic(
                                Name = topic,
                                Partitions = Array.ofList partitions
                            )
                        |]
                    ),
                    3
                )

            return [
                for result in response.ResultsByTopicV3AndBelow[0].ResultsByPartition -> result.PartitionErrorCode
            ]
        }

    /// Sends one record each, without adding the partitions; gives the partitions' answers.
    member this.Send(desk: Desk, topic: string, records: (int * string) list, ?version: int) =
        task {
            let next partition =
                match sequences.TryGetValue((topic, partition)) with
                | true, sequence -> sequence
                | _ -> 0

            let batches = [
                for partition, value in records ->
                    partition, transactionalBatch this.Id this.Epoch (next partition) value
            ]

            let version = defaultArg version (if isV2 then 12 else 9)

            let! response =
                desk.Ask<_, ProduceResponse>(produceRequest transactionalId topic batches, version)

            let answers = List.ofArray response.Responses[0].PartitionResponses

            for answer in answers do
                if answer.ErrorCode = ErrorCode.None then
                    sequences[(topic, answer.Index)] <- next answer.Index + 1

            return answers
        }

    /// Adds the partitions if the client has to, and sends one record each.
    member this.Produce(desk: Desk, topic: string, records: (int * string) list) =
        task {
            if not isV2 then
                let! errors = this.AddPartitions(desk, topic, List.map fst records)
                Expect.allEqual errors ErrorCode.None "added"

            let! answers = this.Send(desk, topic, records)
            Expect.allEqual [ for answer in answers -> answer.ErrorCode ] ErrorCode.None "produced"
            return [ for answer in answers -> answer.BaseOffset ]
        }

    member this.TryEnd(desk: Desk, isCommit: bool, ?version: int) =
        desk.Ask<_, EndTxnResponse>(
            EndTxnRequest(
                TransactionalId = transactionalId,
                ProducerId = this.Id,
                ProducerEpoch = this.Epoch,
                Committed = isCommit
            ),
            defaultArg version (if isV2 then 5 else 3)
        )

    member this.End(desk: Desk, isCommit: bool) =
        task {
            let! response = this.TryEnd(desk, isCommit)
            Expect.equal response.ErrorCode ErrorCode.None "ended"

            if isV2 then
                Expect.notEqual response.ProducerEpoch this.Epoch "another epoch"
                this.Id <- response.ProducerId
                this.Epoch <- response.ProducerEpoch
                sequences.Clear()
        }

    member this.AddOffsets(desk: Desk, group: string) =
        task {
            let! response =
                desk.Ask<_, AddOffsetsToTxnResponse>(
                    AddOffsetsToTxnRequest(
                        TransactionalId = transactionalId,
                        ProducerId = this.Id,
                        ProducerEpoch = this.Epoch,
                        GroupId = group
                    ),
                    3
                )

            return response.ErrorCode
        }

    /// TxnOffsetCommit without adding the group.
    member this.SendOffset(desk: Desk, group: string, topic: string, partition: int, offset: int64) =
        task {
            let! response =
                desk.Ask<_, TxnOffsetCommitResponse>(
                    TxnOffsetCommitRequest(
                        TransactionalId = transactionalId,
                        GroupId = group,
                        ProducerId = this.Id,
                        ProducerEpoch = this.Epoch,
                        Topics = [|
                            TxnOffsetCommitRequest.TxnOffsetCommitRequestTopic(
                                Name = topic,
                                Partitions = [|
                                    TxnOffsetCommitRequest.TxnOffsetCommitRequestPartition(
                                        PartitionIndex = partition,
                                        CommittedOffset = offset
                                    )
                                |]
                            )
                        |]
                    ),
                    (if isV2 then 5 else 3)
                )

            return response.Topics[0].Partitions[0].ErrorCode
        }

    member this.CommitOffset(desk: Desk, group: string, topic: string, partition: int, offset: int64) =
        task {
            if not isV2 then
                let! error = this.AddOffsets(desk, group)
                Expect.equal error ErrorCode.None "group added"

            let! error = this.SendOffset(desk, group, topic, partition, offset)
            Expect.equal error ErrorCode.None "offset taken"
        }

/// What a partition's fetch answers from an offset on.
let fetchFrom (desk: Desk) (isolation: sbyte) (topic: string) (partition: int) (offset: int64) =
    task {
        // A fetch that does not wait may be answered from what was known a moment ago.
        let! _ = desk.Broker.CatchUpAsync(TimeSpan.Zero, desk.Broker.Cluster.Shards)
        let request = fetch topic [ wanted partition offset 1_000_000 ]
        request.IsolationLevel <- isolation
        request.MaxBytes <- 1_000_000
        let! response = desk.Ask<_, FetchResponse>(request, 12)
        return response.Responses[0].Partitions[0]
    }

/// Offset and value of every record that a consumer keeps, by the protocol's rules.
let recordsOf (data: FetchResponse.PartitionData) =
    let aborted =
        match data.AbortedTransactions with
        | null -> Queue()
        | aborted -> Queue(aborted |> Seq.sortBy _.FirstOffset)

    let skipped = HashSet<int64>()
    let kept = ResizeArray<int64 * string>()
    let bytes = data.Records.Joined()
    let mutable batches = (RecordBatches bytes).GetEnumerator()

    while batches.MoveNext() do
        let header = batches.Current.Header

        while aborted.Count > 0 && aborted.Peek().FirstOffset <= header.LastOffset do
            skipped.Add(aborted.Dequeue().ProducerId) |> ignore

        use reader =
            new RecordReader(bytes.Slice(batches.Current.Position, batches.Current.TotalLength))

        for record in reader do
            let mutable ended = EndTransactionMarker()

            if header.IsControl then
                if
                    EndTransactionMarker.TryRead(&record, &ended)
                    && ended.Type = ControlRecordType.Abort
                then
                    skipped.Remove header.ProducerId |> ignore
            elif not (header.IsTransactional && skipped.Contains header.ProducerId) then
                kept.Add(record.Offset, Text.Encoding.UTF8.GetString(record.Value.Value.Span))

    List.ofSeq kept

let readCommitted (desk: Desk) topic partition =
    task {
        let! data = fetchFrom desk 1y topic partition 0L
        return List.map snd (recordsOf data)
    }

let readUncommitted (desk: Desk) topic partition =
    task {
        let! data = fetchFrom desk 0y topic partition 0L
        return List.map snd (recordsOf data)
    }

/// The latest offset for an isolation level.
let latest (desk: Desk) (isolation: sbyte) (topic: string) (partition: int) =
    task {
        let! response =
            desk.Ask<_, ListOffsetsResponse>(
                ListOffsetsRequest(
                    IsolationLevel = isolation,
                    Topics = [|
                        ListOffsetsRequest.ListOffsetsTopic(
                            Name = topic,
                            Partitions = [|
                                ListOffsetsRequest.ListOffsetsPartition(PartitionIndex = partition, Timestamp = -1L)
                            |]
                        )
                    |]
                ),
                7
            )

        return response.Topics[0].Partitions[0].Offset
    }

/// A group's committed offset, and the error.
let committedOffset (desk: Desk) (isStable: bool) (group: string) (topic: string) (partition: int) =
    task {
        let! response =
            desk.Ask<_, OffsetFetchResponse>(
                OffsetFetchRequest(
                    RequireStable = isStable,
                    Groups = [|
                        OffsetFetchRequest.OffsetFetchRequestGroup(
                            GroupId = group,
                            Topics = [|
                                OffsetFetchRequest.OffsetFetchRequestTopics(
                                    Name = topic,
                                    PartitionIndexes = [| partition |]
                                )
                            |]
                        )
                    |]
                ),
                8
            )

        let answer = response.Groups[0].Topics[0].Partitions[0]
        return answer.CommittedOffset, answer.ErrorCode
    }

/// How many entries all shards have as this broker knows them.
let entries (desk: Desk) =
    desk.Broker.Cluster.Shards
    |> Seq.sumBy (fun shard -> shard.Replica.Current.EntryNumber)
