namespace Tansu.Domain

/// Why a command was refused. The host maps each case to one of Kafka's error codes, in one place.
type Refusal =
    /// No topic of that name.
    | UnknownTopic
    /// No topic of that id (or it was deleted).
    | UnknownTopicId
    /// The topic exists but has no such partition.
    | UnknownPartition
    /// CreateTopics met a topic of that name.
    | TopicAlreadyExists of name: string
    /// The name is empty, too long, has a character Kafka forbids, or collides with another in metrics ('.' and '_').
    | InvalidTopicName of reason: string
    /// The partition count is not one that Kafka accepts here.
    | InvalidPartitions of reason: string
    /// The replication factor cannot be had.
    | InvalidReplicationFactor of reason: string
    /// A manual assignment that is not consecutive, or names unknown nodes.
    | InvalidReplicaAssignment of reason: string
    /// A configuration name or value that Kafka would refuse.
    | InvalidConfig of reason: string
    /// A request that contradicts itself.
    | InvalidRequest of reason: string
    /// An offset outside the partition's log.
    | OffsetOutOfRange
    /// The batch's base sequence does not follow the producer's last one (KIP-98).
    | OutOfOrderSequence
    /// The producer's epoch is older than one seen on the partition (KIP-360).
    | InvalidProducerEpoch
    /// No group of that name.
    | GroupIdNotFound
    /// The group has no such member (any more).
    | UnknownMemberId
    /// Another member has taken over the instance id (KIP-345).
    | FencedInstanceId
    /// The member is of another generation than the group.
    | IllegalGeneration
    /// Members have to join again.
    | RebalanceInProgress
    /// The member offers no protocol that all others offer, or another type.
    | InconsistentGroupProtocol
    /// Come back with the id that comes with this (KIP-394).
    | MemberIdRequired
    /// The group is full.
    | GroupMaxSizeReached
    /// The session timeout is outside the limits.
    | InvalidSessionTimeout
    /// The group has members.
    | NonEmptyGroup
    /// Another broker has taken a commit of the same member meanwhile: only the client knows which of them is the newer one.
    | CommitOvertaken
    /// The committed metadata is too long.
    | OffsetMetadataTooLarge
    /// The transactional id has another producer id, or none.
    | InvalidProducerIdMapping
    /// Somebody else has taken over the transactional id, or its transaction timed out.
    | ProducerFenced
    /// The transaction is not in a state in which this can be done, or the partition is not part of it.
    | InvalidTransactionState
    /// The transaction that this belonged to has ended.
    | TransactionEnded
    /// Something else is going on with the transaction: the same again will do.
    | ConcurrentTransactions
    /// The transaction timeout is not positive, or above the limit.
    | InvalidTransactionTimeout
