/// What holds for every history.
module Tansu.PropertyTests.Domain.Laws

open System
open Expecto
open Tansu.Domain
open Tansu.PropertyTests
open Tansu.PropertyTests.Domain.Given

/// Commands as random producers and administrators would send them: mostly sound, often repeated, sometimes wrong.
let private randomCommand (random: Random) (sent: ResizeArray<ShardCommand>) =
    let key = partition (random.Next 3)

    match random.Next 12 with
    | 0 when sent.Count > 0 -> sent[random.Next sent.Count]
    | 1 -> DeleteRecords [| { Partition = key; BeforeOffset = random.NextInt64(-2L, 40L) } |]
    | 2 -> ForgetExpired
    | 3 when random.Next 10 = 0 -> RemoveTopic(topicId (random.Next 3))
    | 4
    | 5
    | 6 ->
        AppendBatches [|
            for _ in 0 .. random.Next 3 -> batch (partition (random.Next 3)) (random.Next(1, 6))
        |]
    | _ ->
        AppendBatches [|
            {
                batch key (random.Next(1, 4)) with
                    ProducerId = random.NextInt64 3L
                    ProducerEpoch = int16 (random.Next 2)
                    BaseSequence = random.Next 12
            }
        |]

let private isOrdered (partition: Partition) =
    let chunks = List.ofSeq partition.Chunks

    List.pairwise chunks
    |> List.forall (fun (earlier, later) -> earlier.LastOffset + 1L = later.BaseOffset)
    && chunks
       |> List.forall (fun chunk ->
           chunk.BaseOffset <= chunk.LastOffset
           && chunk.LastOffset >= partition.LogStartOffset)
    && (match List.tryLast chunks with
        | Some last -> last.LastOffset + 1L = partition.HighWatermark
        | None -> partition.LogStartOffset = partition.HighWatermark)

let private naiveIndex (offset: int64) (partition: Partition) =
    partition.Chunks
    |> Seq.tryFindIndex (fun chunk -> chunk.LastOffset >= offset)
    |> Option.defaultValue partition.Chunks.Count

/// What one step must keep, whatever it was.
let private holds (before: ShardState) (after: ShardState) =
    for KeyValue(key, now) in after.Partitions do
        let earlier = Shard.partition key before
        Expect.isGreaterThanOrEqual now.HighWatermark earlier.HighWatermark "the high watermark never goes back"
        Expect.isGreaterThanOrEqual now.LogStartOffset earlier.LogStartOffset "nor does the log start offset"
        Expect.isLessThanOrEqual now.LogStartOffset now.HighWatermark "and the log does not start after its end"
        Expect.isTrue (isOrdered now) "chunks are contiguous up to the high watermark"

        for offset in now.LogStartOffset .. now.HighWatermark do
            Expect.equal (now.Chunks.IndexOf offset) (naiveIndex offset now) "the chunk of an offset"

        for KeyValue(_, producer) in now.Producers do
            Expect.isLessThanOrEqual producer.Batches.Length Partition.RememberedBatches "at most five batches"

let private acceptedBatchesFollow (before: ShardState) (decision: Decision<ShardEvent, ShardReply>) =
    let mutable next = Map.empty

    for event in decision.Events do
        match event with
        | BatchAppended batch ->
            let key = batch.Partition.TopicId.Value, batch.Partition.Partition

            let expected =
                Map.tryFind key next
                |> Option.defaultValue (Shard.partition batch.Partition before).HighWatermark

            Expect.equal batch.BaseOffset expected "it begins where the log ended"
            next <- Map.add key (expected + int64 batch.LastOffsetDelta + 1L) next
        | _ -> ()

let private history
    (seed: int)
    (check: ShardState -> Decision<ShardEvent, ShardReply> -> ShardState -> ShardCommand -> unit)
    =
    let random = Random seed
    let sent = ResizeArray()
    let mutable state = Shard.initial
    let mutable nowMs = 1L

    for _ in 1..60 do
        nowMs <- nowMs + random.NextInt64 60L
        let command = randomCommand random sent
        sent.Add command
        let decision, next = act nowMs state command
        check state decision next command
        state <- next

let private shardLaws =
    testList "of a shard" [
        Check.property "offsets are contiguous and nothing goes back" (fun (seed: int) ->
            history seed (fun before decision after _ ->
                acceptedBatchesFollow before decision
                holds before after))

        Check.property "a command that is repeated at once adds nothing for idempotent producers" (fun (seed: int) ->
            history seed (fun _ first after command ->
                match command with
                | AppendBatches [| batch |] when batch.ProducerId >= 0L && first.Events.Length = 1 ->
                    let again = decideShard 1L after command
                    Expect.isEmpty again.Events "no event"

                    match replies first, replies again with
                    | [ Appended(one, _) ], [ Appended(other, _) ] -> Expect.equal other one "the same offset"
                    | _ -> failtest "accepted once, accepted again"
                | _ -> ()))
    ]

let private randomCatalogCommand (random: Random) =
    let names = [| "a"; "b"; "a.b"; "a_b"; "c"; "not valid" |]
    let name () = names[random.Next names.Length]

    match random.Next 6 with
    | 0
    | 1 ->
        CreateTopics(
            [|
                for _ in 0 .. random.Next 2 ->
                    {
                        Name = name ()
                        Id = topicId (random.Next())
                        PartitionCount = random.Next 4
                        Configs = Map.empty
                    }
            |],
            random.Next 5 = 0
        )
    | 2 -> DeleteTopics [| ByName(name ()) |]
    | 3 -> CreatePartitions([| { Topic = name (); Count = random.Next 8 } |], false)
    | 4 ->
        AlterTopicConfigs(
            [|
                {
                    Topic = name ()
                    ReplacesAll = random.Next 2 = 0
                    Changes = [| SetConfig("retention.ms", string (random.Next 10 - 5)) |]
                }
            |],
            false
        )
    | _ -> AllocateProducerIds(random.Next(1, 5))

let private catalogLaws =
    testList "of the catalog" [
        Check.property "its indexes agree, and ids are never given twice" (fun (seed: int) ->
            let random = Random seed
            let mutable state = Catalog.initial

            for _ in 1..40 do
                let before = state

                let decision =
                    Catalog.decide catalogSettings state (randomCatalogCommand random) (at 1L)

                state <- Array.fold (Catalog.evolve catalogSettings) state decision.Events

                let byName =
                    [ for topic in state.TopicsByName.Values -> topic.Id.Value ] |> List.sort

                let byId = [ for topic in state.TopicsById.Values -> topic.Id.Value ] |> List.sort
                Expect.equal byId byName "by name and by id"

                for KeyValue(name, topic) in state.TopicsByName do
                    Expect.equal topic.Name name "its own name"
                    Expect.equal state.NamesByCollisionKey[TopicName.collisionKey name] name "its collision key"

                Expect.equal state.NamesByCollisionKey.Count state.TopicsByName.Count "no other collision key"
                Expect.isGreaterThanOrEqual state.NextProducerId before.NextProducerId "producer ids only grow")
    ]

let private sequenceLaws =
    testList "of sequences" [
        Check.property "adding one at a time comes to the same" (fun (start: int) (increment: byte) ->
            let start = abs (max start (Int32.MinValue + 1))

            let expected =
                Seq.fold (fun sequence _ -> Sequence.add sequence 1) start [ 1 .. int increment ]

            Expect.equal (Sequence.add start (int increment)) expected "sum")

        testCase "after the largest comes 0"
        <| fun () ->
            Expect.equal (Sequence.add Int32.MaxValue 1) 0 "one step"
            Expect.isTrue (Sequence.follows Int32.MaxValue 0) "it follows"
    ]

let tests = testList "laws" [ shardLaws; catalogLaws; sequenceLaws ]
