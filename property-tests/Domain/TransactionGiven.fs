/// A cluster of pure shards, and producers that use one transactional id of it.
module Tansu.PropertyTests.Domain.TransactionGiven

open Expecto
open Tansu.Domain
open Tansu.PropertyTests.Domain.Given

let transactionalId = "tx"

let marker epoch : MarkerToAppend = { ProducerEpoch = epoch; Length = 78; TimestampMs = 1L }

/// Shard 0 coordinates; partition n is on shard n modulo their number.
type Shards(count: int) =
    let states = Array.create count Shard.initial
    let log = Array.init count (fun _ -> ResizeArray<ShardEvent>())

    member val NowMs = 1L with get, set
    member val Entry = 0L with get, set
    member _.Count = count
    member _.State shard = states[shard]
    member _.Log shard = log[shard]
    member _.ShardOf(key: TopicPartition) = key.Partition % count

    /// Decides and applies, one command to an entry.
    member this.Submit(shard: int, command: ShardCommand) =
        this.NowMs <- this.NowMs + 1L
        this.Entry <- this.Entry + 1L

        let decision = Shard.decide shardSettings states[shard] command (at this.NowMs)

        let context = { EntryNumber = this.Entry; TimeMs = this.NowMs }

        for event in decision.Events do
            states[shard] <- Shard.evolve states[shard] event context
            log[shard].Add event

        decision

    member this.Ask(command: TransactionCommand) =
        match this.Submit(0, AskTransaction(transactionalId, command)).Reply with
        | TransactionAnswered reply -> reply
        | _ -> failtest "not the answer of a transactional id"

    member _.Transaction = states[0].Transactions[transactionalId]

    member this.Partition number =
        Shard.partition (partition number) states[this.ShardOf(partition number)]

    member _.Group(groupId: string) =
        Shard.group groupId states[count - 1] |> ValueOption.defaultValue Group.initial

    /// InitProducerId; the known id is -1 for a new producer.
    member this.Initialize(newId: int64, knownId: int64, knownEpoch: int16) =
        this.Ask(
            InitializeProducer {
                NewProducerId = newId
                TimeoutMs = 1000
                KnownProducerId = knownId
                KnownProducerEpoch = knownEpoch
            }
        )

    member this.Addition(producerId, epoch, bumps, partitions: int list, groups: string list) : TransactionAddition = {
        ProducerId = producerId
        ProducerEpoch = epoch
        Partitions = [|
            for number in partitions -> struct (partition number, this.ShardOf(partition number))
        |]
        Groups = [| for group in groups -> struct (group, count - 1) |]
        BumpsEpoch = bumps
    }

    member this.Add(producerId, epoch, partitions, groups) =
        this.Ask(AddToTransaction(this.Addition(producerId, epoch, false, partitions, groups)))

    member this.End(producerId, epoch: int16, isCommit, bumps, ?number: int64, ?nextId: int64) =
        this.Ask(
            EndTransaction {
                Shard = 0
                ProducerId = producerId
                ProducerEpoch = epoch
                Number = defaultArg number -1L
                IsCommit = isCommit
                BumpsEpoch = bumps
                NextProducerId = defaultArg nextId -1L
                Marker = marker (if bumps then epoch + 1s else epoch)
            }
        )

    member this.Fence() =
        let transaction = this.Transaction

        this.Ask(
            FenceTransaction {
                Shard = 0
                ProducerId = transaction.ProducerId
                Number = transaction.Number
                Marker = marker (transaction.ProducerEpoch + 1s)
            }
        )

    /// Writes the markers of one other shard.
    member this.Mark(shard: int) =
        let transaction = this.Transaction
        this.Submit(shard, WriteMarkers(Transaction.markers shard (marker transaction.ProducerEpoch) transaction))

    member this.Complete() =
        this.Ask(CompleteTransaction this.Transaction.Number)

    /// Ends what is decided.
    member this.Finish() =
        if Transaction.isPrepared this.Transaction then
            for shard in Transaction.otherShards 0 this.Transaction do
                this.Mark shard |> ignore

            this.Complete() |> ignore

    /// A batch of one record in a transaction.
    member _.Batch(producerId, epoch, sequence, transaction, number: int) : BatchToAppend = {
        batch (partition number) 1 with
            ProducerId = producerId
            ProducerEpoch = epoch
            BaseSequence = sequence
            Transaction = transaction
    }

    member this.Append(batch: BatchToAppend) =
        match this.Submit(this.ShardOf batch.Partition, AppendBatches [| batch |]).Reply with
        | BatchesJudged [| reply |] -> reply
        | _ -> failtest "one batch, one reply"

    /// What the producer's transaction has committed in the group.
    member this.PendingOffsets(producerId: int64) =
        Shard.group "group" (this.State(count - 1))
        |> ValueOption.defaultValue Group.initial
        |> Group.transactionOf producerId
        |> _.Offsets

    /// `known`: what a broker knows that has not kept up.
    member this.Commit(producerId, epoch, number, offset: int64, ?known) =
        match
            this
                .Submit(
                    count - 1,
                    AskGroup(
                        "group",
                        CommitInTransaction {
                            MemberId = ""
                            InstanceId = null
                            Generation = -1
                            ProducerId = producerId
                            ProducerEpoch = epoch
                            Number = number
                            Known = defaultArg known (this.PendingOffsets producerId)
                            Offsets = [|
                                { Partition = partition 0; Offset = offset; LeaderEpoch = -1; Metadata = "" }
                            |]
                        }
                    )
                )
                .Reply
        with
        | GroupAnswered reply -> reply
        | _ -> failtest "not the answer of a group"

/// Producer 7 with epoch 0 and an open transaction of these partitions and group.
let opened count partitions =
    let shards = Shards count
    Expect.equal (shards.Initialize(7L, -1L, -1s)) (ProducerReady(7L, 0s)) "ready"
    Expect.equal (shards.Add(7L, 0s, partitions, [ "group" ])) (InTransaction 1L) "begun"
    shards

let expectAppended what (offset: int64) reply =
    match reply with
    | Appended(baseOffset, _) -> Expect.equal baseOffset offset what
    | Refused _ -> failtest $"{what}: refused"

let expectRefusal what (refusal: Refusal) reply =
    Expect.equal reply (Refused refusal) what
