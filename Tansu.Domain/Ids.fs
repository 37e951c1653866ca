namespace Tansu.Domain

open System

/// A topic's identity for life (KIP-516): a name may be deleted and created again, an id never comes back.
[<Struct; CustomEquality; NoComparison>]
type TopicId =
    | TopicId of value: Guid

    /// The id as Kafka's wire carries it.
    member this.Value =
        let (TopicId value) = this
        value

    override this.GetHashCode() = this.Value.GetHashCode()

    override this.Equals(other: obj) =
        match other with
        | :? TopicId as other -> this.Value = other.Value
        | _ -> false

    interface IEquatable<TopicId> with
        member this.Equals(other: TopicId) = this.Value.Equals other.Value

/// One partition of one topic. Equality is written out because this is the key of the shard's largest map.
[<Struct; CustomEquality; NoComparison>]
type TopicPartition = {
    /// The topic the partition belongs to.
    TopicId: TopicId
    /// The partition's number within its topic, from 0.
    Partition: int
} with

    /// The same in every process, so that a simulation's seed replays the same history (`HashCode` has a seed of its own in each). Mixed, since neighbours differ in
    /// the lowest bits alone.
    override this.GetHashCode() =
        let mutable hash = this.TopicId.GetHashCode() + this.Partition * 0x9E3779B1
        hash <- (hash ^^^ (hash >>> 16)) * 0x85EBCA6B
        hash <- (hash ^^^ (hash >>> 13)) * 0xC2B2AE35
        hash ^^^ (hash >>> 16)

    override this.Equals(other: obj) =
        match other with
        | :? TopicPartition as other -> this.Partition = other.Partition && this.TopicId.Value = other.TopicId.Value
        | _ -> false

    interface IEquatable<TopicPartition> with
        member this.Equals(other: TopicPartition) =
            this.Partition = other.Partition
            && this.TopicId.Value.Equals other.TopicId.Value

/// What the protocol writes where a producer, an epoch, a sequence or a timestamp is absent.
[<RequireQualifiedAccess>]
module Absent =
    /// A batch that is not idempotent has this producer id.
    [<Literal>]
    let ProducerId = -1L

    /// A batch that is not idempotent has this producer epoch.
    [<Literal>]
    let ProducerEpoch = -1s

    /// A batch that is not idempotent has this base sequence.
    [<Literal>]
    let Sequence = -1

    /// No record: the answer of an offset look-up that found nothing.
    [<Literal>]
    let Offset = -1L

    /// No time, in milliseconds since 1970.
    [<Literal>]
    let TimestampMs = -1L
