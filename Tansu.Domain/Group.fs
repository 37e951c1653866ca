namespace Tansu.Domain

open System.Collections.Immutable

/// A way of sharing out partitions that a member offers, and what it tells the leader under it.
type GroupProtocol = {
    /// Such as `range` or `cooperative-sticky`.
    Name: string
    /// Opaque to the broker.
    Metadata: byte[]
}

/// A member of a group.
type GroupMember = {
    /// Given by a broker.
    MemberId: string
    /// A static member's name for itself (KIP-345); null for a dynamic one.
    InstanceId: string | null
    /// The client's `client.id`.
    ClientId: string
    /// Where it last joined from.
    ClientHost: string
    /// Without a sign of life for this long it is removed, in milliseconds.
    SessionTimeoutMs: int
    /// How long it may take to rejoin, in milliseconds.
    RebalanceTimeoutMs: int
    /// What it offers, in the order of its preference.
    Protocols: GroupProtocol[]
    /// What the leader gave it in this generation; empty until then.
    Assignment: byte[]
    /// Whether it waits for the next generation.
    HasJoined: bool
    /// The entry that last told of a sign of life. Brokers compare it with what they saw before; no clock is in it.
    SeenAtEntry: int64
    /// The entry with its last OffsetCommit; 0 for none.
    CommitEntry: int64
    /// The broker that took it; see `GroupCommit`.
    CommitBroker: int64
}

/// What a group is doing (the states of Kafka's classic groups; a dead group is not in the state at all).
[<Struct>]
type GroupPhase =
    /// No members; perhaps committed offsets.
    | Empty
    /// Waits for members to join. The first rebalance of an empty group does not end as soon as all have joined, since
    /// more may be on their way (`group.initial.rebalance.delay.ms`).
    | PreparingRebalance of isInitial: bool
    /// Waits for the leader's assignment.
    | CompletingRebalance
    /// Everybody has an assignment.
    | Stable

/// A committed offset.
[<Struct>]
type CommittedOffset = {
    /// The next offset to read.
    Offset: int64
    /// The epoch of the record before it; -1 if the client did not say.
    LeaderEpoch: int
    /// Whatever the client wants to remember.
    Metadata: string
    /// When it was committed, in milliseconds since 1970.
    CommitTimeMs: int64
}

/// What a group remembers of a transactional producer.
type GroupTransaction = {
    /// The newest epoch seen.
    Epoch: int16
    /// The number of its last transaction that has ended here; 0 for none. See `Transaction.Number`.
    Ended: int64
    /// The number of the transaction that the offsets belong to.
    Number: int64
    /// Offsets that count once their transaction has committed.
    Offsets: ImmutableDictionary<TopicPartition, CommittedOffset>
    /// When it last changed, in milliseconds since 1970.
    LastTimeMs: int64
}

/// One consumer group (of the classic type: KIP-848's groups will be another).
type Group = {
    /// `consumer`, `connect`, …; null for a group that nobody has ever joined.
    ProtocolType: string | null
    /// What it does.
    Phase: GroupPhase
    /// The entry at which the phase began: whoever wants to end it because it has lasted too long says which one was meant.
    PhaseEntry: int64
    /// The entry at which a member last joined.
    LastJoinEntry: int64
    /// Counts the rebalances.
    Generation: int
    /// The protocol chosen for this generation; null before the first.
    ProtocolName: string | null
    /// The member id of the one who assigns; null when there is none.
    Leader: string | null
    /// By member id.
    Members: Map<string, GroupMember>
    /// By partition. A deleted topic's are gone with it.
    Offsets: ImmutableDictionary<TopicPartition, CommittedOffset>
    /// When the last member left, in milliseconds since 1970.
    EmptySinceMs: int64
    /// By producer id: transactional producers that have committed offsets lately.
    Transactions: ImmutableDictionary<int64, GroupTransaction>
}

/// The rules' settings: the same on every broker of a cluster.
type GroupSettings = {
    /// `group.min.session.timeout.ms`.
    MinSessionTimeoutMs: int
    /// `group.max.session.timeout.ms`.
    MaxSessionTimeoutMs: int
    /// `group.max.size`: the most members of one group.
    MaxSize: int
    /// `offset.metadata.max.bytes`, in characters of UTF-16 as in Kafka.
    MaxMetadataLength: int
    /// `offsets.retention.minutes`, in milliseconds.
    OffsetsRetentionMs: int64
} with

    /// Kafka's defaults.
    static member Default = {
        MinSessionTimeoutMs = 6_000
        MaxSessionTimeoutMs = 1_800_000
        MaxSize = System.Int32.MaxValue
        MaxMetadataLength = 4096
        OffsetsRetentionMs = 7L * 24L * 3_600_000L
    }

/// JoinGroup.
type GroupJoin = {
    /// Empty for a new member.
    MemberId: string
    /// What a new member is to be called; see `Group.isHandedOut`.
    NewMemberId: string
    /// Null for a dynamic member.
    InstanceId: string | null
    /// The client's `client.id`.
    ClientId: string
    /// Where it comes from.
    ClientHost: string
    /// In milliseconds.
    SessionTimeoutMs: int
    /// In milliseconds.
    RebalanceTimeoutMs: int
    /// Such as `consumer`.
    ProtocolType: string
    /// In the order of preference.
    Protocols: GroupProtocol[]
    /// A new dynamic member must come back with its id before it counts (KIP-394, version 4).
    RequiresKnownMemberId: bool
    /// The client knows that a leader need not always assign (KIP-814, version 9).
    CanSkipAssignment: bool
}

/// SyncGroup.
type GroupSync = {
    /// Who asks.
    MemberId: string
    /// Null for a dynamic member.
    InstanceId: string | null
    /// Of which generation.
    Generation: int
    /// Null if the client does not say (before version 5).
    ProtocolType: string | null
    /// Null if the client does not say.
    ProtocolName: string | null
    /// The leader's assignments by member id; empty from others.
    Assignments: struct (string * byte[])[]
}

/// A member as LeaveGroup names it.
[<Struct>]
type LeavingMember = {
    /// Empty when only the instance is named.
    MemberId: string
    /// Null for a dynamic member.
    InstanceId: string | null
}

/// One partition of an OffsetCommit.
[<Struct; NoComparison>]
type OffsetToCommit = {
    /// Whose offset.
    Partition: TopicPartition
    /// The next offset to read.
    Offset: int64
    /// -1 if the client does not say.
    LeaderEpoch: int
    /// Whatever the client wants to remember.
    Metadata: string
}

/// OffsetCommit.
type GroupCommit = {
    /// Empty from a client that is not a member.
    MemberId: string
    /// Null for a dynamic member.
    InstanceId: string | null
    /// -1 from a client that is not a member.
    Generation: int
    /// Random for each life of a broker. Commits of one broker are decided in the order in which they came; one that another broker took long
    /// ago must not undo what the member has committed since.
    Broker: int64
    /// The member's `CommitEntry` as the broker knew it when the request came.
    KnownCommitEntry: int64
    /// What to remember.
    Offsets: OffsetToCommit[]
}

/// TxnOffsetCommit.
type TransactionalCommit = {
    /// Empty from a client that does not say which member it is.
    MemberId: string
    /// Null for a dynamic member.
    InstanceId: string | null
    /// -1 from a client that does not say.
    Generation: int
    /// In whose transaction.
    ProducerId: int64
    /// Its epoch.
    ProducerEpoch: int16
    /// Which of its transactions.
    Number: int64
    /// What the producer's transaction had committed here so far, as the broker knew it when the request came: if it has gone on since, this
    /// commit is a late one.
    Known: ImmutableDictionary<TopicPartition, CommittedOffset>
    /// What to remember if it commits.
    Offsets: OffsetToCommit[]
}

/// What a group can be asked. What only looks (Heartbeat, OffsetFetch, DescribeGroups) is not a command.
type GroupCommand =
    /// JoinGroup.
    | Join of join: GroupJoin
    /// The members have had their time to join the phase that began at that entry. `lastJoinEntry`: the initial delay has passed since that
    /// join; -1: the rebalance timeout has passed, and whoever has not joined is left out.
    | EndJoin of phaseEntry: int64 * lastJoinEntry: int64
    /// SyncGroup of the leader.
    | Sync of sync: GroupSync
    /// The leader has had its time to assign in the phase that began at that entry.
    | EndSync of phaseEntry: int64
    /// LeaveGroup.
    | Leave of members: LeavingMember[]
    /// By some broker's clock these members have given no sign of life for their session timeouts since the entries named.
    | ExpireMembers of members: struct (string * int64)[]
    /// OffsetCommit.
    | CommitOffsets of commit: GroupCommit
    /// TxnOffsetCommit.
    | CommitInTransaction of commit: TransactionalCommit
    /// OffsetDelete.
    | DeleteOffsets of partitions: struct (TopicPartition * string)[]
    /// DeleteGroups.
    | DeleteGroup

/// What has happened in a group.
type GroupEvent =
    /// A member joined, rejoined, or took the place of the one that had its instance id.
    | MemberJoined of protocolType: string * replaces: (string | null) * joined: GroupMember
    /// Everybody has to join again.
    | RebalanceStarted of isInitial: bool
    /// The next generation: those who had not joined are out. Without a leader the group is empty.
    | GenerationStarted of generation: int * leader: (string | null) * protocolName: (string | null) * removed: string[]
    /// The leader's assignments.
    | MembersAssigned of assignments: struct (string * byte[])[]
    /// They left, or gave no sign of life.
    | MembersRemoved of memberIds: string[]
    /// A sign of life of each.
    | MembersSeen of memberIds: string[]
    /// Offsets, by the member named (empty if none), taken by the broker named.
    | OffsetsCommitted of memberId: string * broker: int64 * offsets: OffsetToCommit[]
    /// Deleted by a client, or expired.
    | OffsetsDeleted of partitions: TopicPartition[]
    /// The group is no more.
    | GroupDeleted
    /// Offsets that count once the producer's transaction has committed.
    | PendingOffsetsCommitted of producerId: int64 * producerEpoch: int16 * number: int64 * offsets: OffsetToCommit[]
    /// The producer's transaction has ended: its offsets count, or are dropped.
    | PendingOffsetsEnded of producerId: int64 * producerEpoch: int16 * number: int64 * isCommit: bool
    /// Producers that have not committed anything for long were forgotten.
    | GroupProducersForgotten of producerIds: int64[]

/// What a member learns of its generation.
type JoinedGroup = {
    /// Its own id.
    MemberId: string
    /// The generation.
    Generation: int
    /// Such as `consumer`.
    ProtocolType: string
    /// The protocol chosen.
    ProtocolName: string
    /// Who assigns.
    Leader: string
    /// The leader need not assign: nothing has changed (KIP-814).
    SkipAssignment: bool
    /// Everybody, if it is to assign; empty otherwise.
    Members: GroupMember[]
}

/// What became of one partition of an OffsetDelete.
[<Struct>]
type OffsetDeletion =
    /// There is no committed offset any more.
    | OffsetGone
    /// A member reads the topic.
    | OffsetInUse

/// A group's answer.
type GroupReply =
    /// To Join: not now. The id is the one to come back with, or the one it came with.
    | JoinRefused of refusal: Refusal * memberId: string
    /// To Join: the generation after this one will have it; `Group.joinProgress` tells when.
    | JoinAwaits of memberId: string * generation: int
    /// To Join: nothing has changed for it.
    | JoinedAtOnce of joined: JoinedGroup
    /// To Sync: look at the state again.
    | SyncTaken
    /// To Leave, in the order of what was asked.
    | MembersLeft of refusals: Refusal voption[]
    /// To CommitOffsets and CommitInTransaction: those that were not refused are committed.
    | OffsetsJudged of refusals: Refusal voption[]
    /// To DeleteOffsets.
    | OffsetsDeletion of outcomes: OffsetDeletion[]
    /// To any command: nothing was done.
    | GroupRefused of refusal: Refusal
    /// To commands that have nothing to report.
    | GroupDone

/// Where a JoinGroup that waits stands.
type JoinProgress =
    /// It goes on waiting.
    | StillJoining
    /// The generation is there.
    | HasJoinedGroup of joined: JoinedGroup
    /// It was left out.
    | JoinFailed of refusal: Refusal

/// Where a SyncGroup stands.
type SyncProgress =
    /// It goes on waiting for the leader.
    | StillSyncing
    /// It is the leader's, and brings the assignment: submit it.
    | BringsAssignment
    /// Here it is.
    | IsAssigned of protocolType: string * protocolName: string * assignment: byte[]
    /// Not in this group, or not now.
    | SyncFailed of refusal: Refusal
