namespace Tansu.Codec;

/// <summary>
/// Kafka's error codes (<see href="https://kafka.apache.org/protocol.html#protocol_error_codes"/>), named as there but in C#'s spelling.
/// A response may carry a code that is not among them.
/// </summary>
#pragma warning disable CA1028 // The codes are 16 bits wide on the wire.
public enum ErrorCode : short
#pragma warning restore CA1028
{
    /// <summary>The broker met an error it did not expect.</summary>
    UnknownServerError = -1,

    /// <summary>No error.</summary>
    None = 0,

    /// <summary>The offset lies outside of what the partition holds.</summary>
    OffsetOutOfRange = 1,

    /// <summary>A batch is damaged: wrong checksum, size or format.</summary>
    CorruptMessage = 2,

    /// <summary>The broker does not know the topic or the partition.</summary>
    UnknownTopicOrPartition = 3,

    /// <summary>The number of bytes to fetch is not a valid one.</summary>
    InvalidFetchSize = 4,

    /// <summary>The partition has no leader at the moment, as during an election.</summary>
    LeaderNotAvailable = 5,

    /// <summary>The broker neither leads nor, where that is enough, follows the partition.</summary>
    NotLeaderOrFollower = 6,

    /// <summary>The time allowed ran out; whether the request took effect is not known.</summary>
    RequestTimedOut = 7,

    /// <summary>The broker is not in service.</summary>
    BrokerNotAvailable = 8,

    /// <summary>The broker has no copy of the partition.</summary>
    ReplicaNotAvailable = 9,

    /// <summary>A batch is larger than the topic or the broker allows.</summary>
    MessageTooLarge = 10,

    /// <summary>A controller was followed by a newer one.</summary>
    StaleControllerEpoch = 11,

    /// <summary>The text kept with an offset is too long.</summary>
    OffsetMetadataTooLarge = 12,

    /// <summary>The connection broke before there was an answer.</summary>
    NetworkException = 13,

    /// <summary>The coordinator is still reading its state; ask again.</summary>
    CoordinatorLoadInProgress = 14,

    /// <summary>There is no coordinator at the moment.</summary>
    CoordinatorNotAvailable = 15,

    /// <summary>The broker does not coordinate this group or transactional id.</summary>
    NotCoordinator = 16,

    /// <summary>The topic's name is not a valid one, or the topic may not be written.</summary>
    InvalidTopicException = 17,

    /// <summary>The batches of a request are larger than a log segment.</summary>
    RecordListTooLarge = 18,

    /// <summary>Too few replicas are in sync to accept the batch.</summary>
    NotEnoughReplicas = 19,

    /// <summary>The batch was appended, and then too few replicas were in sync.</summary>
    NotEnoughReplicasAfterAppend = 20,

    /// <summary>The acknowledgement asked for is not one of -1, 0 and 1.</summary>
    InvalidRequiredAcks = 21,

    /// <summary>The generation named is not the group's current one.</summary>
    IllegalGeneration = 22,

    /// <summary>The member shares no assignor, or not the protocol type, with the group.</summary>
    InconsistentGroupProtocol = 23,

    /// <summary>The group id is not a valid one.</summary>
    InvalidGroupId = 24,

    /// <summary>The group has no such member.</summary>
    UnknownMemberId = 25,

    /// <summary>The session timeout lies outside of what the broker allows.</summary>
    InvalidSessionTimeout = 26,

    /// <summary>The group is rebalancing: join again.</summary>
    RebalanceInProgress = 27,

    /// <summary>What is to be kept with the offset is too large.</summary>
    InvalidCommitOffsetSize = 28,

    /// <summary>The client may not do this with the topic.</summary>
    TopicAuthorizationFailed = 29,

    /// <summary>The client may not do this with the group.</summary>
    GroupAuthorizationFailed = 30,

    /// <summary>The client may not do this with the cluster.</summary>
    ClusterAuthorizationFailed = 31,

    /// <summary>A record's timestamp is too far from the broker's time.</summary>
    InvalidTimestamp = 32,

    /// <summary>The broker does not offer this SASL mechanism.</summary>
    UnsupportedSaslMechanism = 33,

    /// <summary>The request does not fit the state of the SASL exchange.</summary>
    IllegalSaslState = 34,

    /// <summary>The broker does not serve this version, or not what it asks for.</summary>
    UnsupportedVersion = 35,

    /// <summary>A topic of this name exists.</summary>
    TopicAlreadyExists = 36,

    /// <summary>The number of partitions is not a valid one.</summary>
    InvalidPartitions = 37,

    /// <summary>The number of replicas is not a valid one.</summary>
    InvalidReplicationFactor = 38,

    /// <summary>The assignment of replicas to brokers is not a valid one.</summary>
    InvalidReplicaAssignment = 39,

    /// <summary>A configuration entry or its value is not a valid one.</summary>
    InvalidConfig = 40,

    /// <summary>The broker is not the controller.</summary>
    NotController = 41,

    /// <summary>The request contradicts itself or the rules of its API.</summary>
    InvalidRequest = 42,

    /// <summary>The format of the stored batches does not allow this.</summary>
    UnsupportedForMessageFormat = 43,

    /// <summary>A policy of the cluster forbids this.</summary>
    PolicyViolation = 44,

    /// <summary>A batch of an idempotent producer does not follow its last one.</summary>
    OutOfOrderSequenceNumber = 45,

    /// <summary>A batch of an idempotent producer was appended before.</summary>
    DuplicateSequenceNumber = 46,

    /// <summary>The producer's epoch is older than the current one.</summary>
    InvalidProducerEpoch = 47,

    /// <summary>The transaction's state does not allow this.</summary>
    InvalidTxnState = 48,

    /// <summary>The producer id is not the one of the transactional id.</summary>
    InvalidProducerIdMapping = 49,

    /// <summary>The transaction timeout is longer than the broker allows.</summary>
    InvalidTransactionTimeout = 50,

    /// <summary>Another step of the same transaction is still under way; ask again.</summary>
    ConcurrentTransactions = 51,

    /// <summary>A transaction coordinator was followed by a newer one.</summary>
    TransactionCoordinatorFenced = 52,

    /// <summary>The client may not use the transactional id.</summary>
    TransactionalIdAuthorizationFailed = 53,

    /// <summary>The broker checks no access rules.</summary>
    SecurityDisabled = 54,

    /// <summary>Nothing was tried, because another part of the request failed.</summary>
    OperationNotAttempted = 55,

    /// <summary>The storage of the partition failed.</summary>
    KafkaStorageError = 56,

    /// <summary>There is no such log directory.</summary>
    LogDirNotFound = 57,

    /// <summary>The credentials were refused.</summary>
    SaslAuthenticationFailed = 58,

    /// <summary>The broker remembers nothing of the producer.</summary>
    UnknownProducerId = 59,

    /// <summary>The partition's replicas are being moved already.</summary>
    ReassignmentInProgress = 60,

    /// <summary>Delegation tokens are not in use.</summary>
    DelegationTokenAuthDisabled = 61,

    /// <summary>There is no such delegation token.</summary>
    DelegationTokenNotFound = 62,

    /// <summary>The delegation token belongs to someone else.</summary>
    DelegationTokenOwnerMismatch = 63,

    /// <summary>Delegation tokens cannot be asked for over this kind of connection.</summary>
    DelegationTokenRequestNotAllowed = 64,

    /// <summary>The client may not do this with delegation tokens.</summary>
    DelegationTokenAuthorizationFailed = 65,

    /// <summary>The delegation token is no longer valid.</summary>
    DelegationTokenExpired = 66,

    /// <summary>The type of the principal is not known.</summary>
    InvalidPrincipalType = 67,

    /// <summary>The group still has members.</summary>
    NonEmptyGroup = 68,

    /// <summary>There is no such group.</summary>
    GroupIdNotFound = 69,

    /// <summary>There is no such fetch session.</summary>
    FetchSessionIdNotFound = 70,

    /// <summary>The fetch is not the next one of its session.</summary>
    InvalidFetchSessionEpoch = 71,

    /// <summary>The leader has no listener like the one asked.</summary>
    ListenerNotFound = 72,

    /// <summary>Topics cannot be deleted in this cluster.</summary>
    TopicDeletionDisabled = 73,

    /// <summary>The client knows an older leader epoch than the broker.</summary>
    FencedLeaderEpoch = 74,

    /// <summary>The client knows a newer leader epoch than the broker.</summary>
    UnknownLeaderEpoch = 75,

    /// <summary>The client or the topic does not allow this codec.</summary>
    UnsupportedCompressionType = 76,

    /// <summary>A broker registered again since.</summary>
    StaleBrokerEpoch = 77,

    /// <summary>The leader does not know yet how far readers may see.</summary>
    OffsetNotAvailable = 78,

    /// <summary>A new member has to join again with the id it was given.</summary>
    MemberIdRequired = 79,

    /// <summary>The preferred leader is not in service.</summary>
    PreferredLeaderNotAvailable = 80,

    /// <summary>The group has as many members as it may have.</summary>
    GroupMaxSizeReached = 81,

    /// <summary>Another member has taken over the static member's name.</summary>
    FencedInstanceId = 82,

    /// <summary>No replica that may lead is in service.</summary>
    EligibleLeadersNotAvailable = 83,

    /// <summary>The partition has the leader that an election would give it.</summary>
    ElectionNotNeeded = 84,

    /// <summary>The partition's replicas are not being moved.</summary>
    NoReassignmentInProgress = 85,

    /// <summary>The group still reads the topic, so its offsets stay.</summary>
    GroupSubscribedToTopic = 86,

    /// <summary>A record breaks the rules of its topic or of the format.</summary>
    InvalidRecord = 87,

    /// <summary>An open transaction may still change the committed offset.</summary>
    UnstableOffsetCommit = 88,

    /// <summary>A quota for changes is used up; ask again later.</summary>
    ThrottlingQuotaExceeded = 89,

    /// <summary>A newer producer has taken over the transactional id.</summary>
    ProducerFenced = 90,

    /// <summary>Something that the request refers to does not exist.</summary>
    ResourceNotFound = 91,

    /// <summary>The request refers to the same thing twice.</summary>
    DuplicateResource = 92,

    /// <summary>The credential is not good enough, or not a valid one.</summary>
    UnacceptableCredential = 93,

    /// <summary>A voter is not one of those expected.</summary>
    InconsistentVoterSet = 94,

    /// <summary>The feature level asked for is not a valid one.</summary>
    InvalidUpdateVersion = 95,

    /// <summary>The features could not be changed.</summary>
    FeatureUpdateFailed = 96,

    /// <summary>A forwarded request names its principal in a way that cannot be read.</summary>
    PrincipalDeserializationFailure = 97,

    /// <summary>There is no such snapshot.</summary>
    SnapshotNotFound = 98,

    /// <summary>The position lies outside of the snapshot.</summary>
    PositionOutOfRange = 99,

    /// <summary>The broker does not know the topic id.</summary>
    UnknownTopicId = 100,

    /// <summary>Another broker is registered under the same id.</summary>
    DuplicateBrokerRegistration = 101,

    /// <summary>No broker is registered under this id.</summary>
    BrokerIdNotRegistered = 102,

    /// <summary>The topic id is not the one of the topic.</summary>
    InconsistentTopicId = 103,

    /// <summary>The cluster id is not the one of this cluster.</summary>
    InconsistentClusterId = 104,

    /// <summary>There is no such transactional id.</summary>
    TransactionalIdNotFound = 105,

    /// <summary>The fetch session mixes names and ids of topics.</summary>
    FetchSessionTopicIdError = 106,

    /// <summary>A replica may not become in sync.</summary>
    IneligibleReplica = 107,

    /// <summary>The change led to another leader.</summary>
    NewLeaderElected = 108,

    /// <summary>The offset is to be found in tiered storage only.</summary>
    OffsetMovedToTieredStorage = 109,

    /// <summary>The member's epoch is outdated: give up all partitions and join again.</summary>
    FencedMemberEpoch = 110,

    /// <summary>Another member still has the static member's name.</summary>
    UnreleasedInstanceId = 111,

    /// <summary>The group cannot use this assignor.</summary>
    UnsupportedAssignor = 112,

    /// <summary>The member's epoch is behind: learn the new one by a heartbeat, then ask again.</summary>
    StaleMemberEpoch = 113,

    /// <summary>The request was sent to the wrong kind of endpoint.</summary>
    MismatchedEndpointType = 114,

    /// <summary>The kind of endpoint is not supported.</summary>
    UnsupportedEndpointType = 115,

    /// <summary>There is no such controller.</summary>
    UnknownControllerId = 116,

    /// <summary>The set of metrics has changed: ask for it again.</summary>
    UnknownSubscriptionId = 117,

    /// <summary>The metrics pushed are too many bytes.</summary>
    TelemetryTooLarge = 118,

    /// <summary>The registration of a broker is not a valid one.</summary>
    InvalidRegistration = 119,

    /// <summary>The transaction failed; aborting it lets the producer go on.</summary>
    TransactionAbortable = 120,

    /// <summary>The record's delivery cannot be acknowledged in its state.</summary>
    InvalidRecordState = 121,

    /// <summary>There is no such share session.</summary>
    ShareSessionNotFound = 122,

    /// <summary>The fetch is not the next one of its share session.</summary>
    InvalidShareSessionEpoch = 123,

    /// <summary>The epoch of a share group's state is outdated.</summary>
    FencedStateEpoch = 124,

    /// <summary>The key of a voter is not the replica's.</summary>
    InvalidVoterKey = 125,

    /// <summary>The voter is in the set already.</summary>
    DuplicateVoter = 126,

    /// <summary>The voter is not in the set.</summary>
    VoterNotFound = 127,

    /// <summary>The regular expression is not a valid one.</summary>
    InvalidRegularExpression = 128,

    /// <summary>What the client knows is outdated: start again from the bootstrap servers.</summary>
    RebootstrapRequired = 129,

    /// <summary>The topology of a streams group is not a valid one.</summary>
    StreamsInvalidTopology = 130,

    /// <summary>The epoch of a streams group's topology is not a valid one.</summary>
    StreamsInvalidTopologyEpoch = 131,

    /// <summary>The epoch of a streams group's topology is outdated.</summary>
    StreamsTopologyFenced = 132,

    /// <summary>The broker keeps as many share sessions as it may.</summary>
    ShareSessionLimitReached = 133,
}
