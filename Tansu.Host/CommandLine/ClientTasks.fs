namespace Tansu.Host.CommandLine

/// How a command reaches a cluster, and how it answers.
[<NoComparison>]
type ClientSettings = {
    /// The brokers to ask for all others; one that answers is enough.
    BootstrapServers: Endpoint array
    /// How long one operation may take, with all its retries.
    TimeoutMs: int
    /// Whether to print one JSON document instead of tables.
    Json: bool
}

/// A configuration to be changed.
[<NoComparison>]
type ConfigChange = {
    /// Such as `retention.ms`.
    Name: string
    /// Null to delete it, so that the default holds.
    Value: string | null
}

/// What a new topic is to be like.
[<NoComparison>]
type NewTopicSettings = {
    /// How many partitions; -1 for the broker's default.
    Partitions: int
    /// How many copies of each; -1 for the broker's default.
    ReplicationFactor: int
    /// What is set on it.
    Configs: ConfigChange array
    /// The brokers of each partition, the first of them the leader; empty for the broker's choice.
    Assignments: int array array
    /// Whether a topic that is there already is well.
    IfNotExists: bool
}

/// What `tansu topic` is asked to do.
[<NoComparison>]
type TopicTask =
    | CreateTopics of topics: string array * settings: NewTopicSettings
    | ListTopics
    /// Without names all topics.
    | DescribeTopics of topics: string array
    /// -1 partitions leave them as they are.
    | AlterTopics of topics: string array * partitions: int * configs: ConfigChange array
    | DeleteTopics of topics: string array * ifExists: bool

/// Some partitions of a topic; without numbers all of them.
[<NoComparison>]
type TopicScope = { Topic: string; Partitions: int array }

/// Where the offsets of a group are set to.
[<NoComparison>]
type ResetTarget =
    | ToEarliest
    | ToLatest
    /// What is committed already, for those partitions that have something.
    | ToCurrent
    | ToOffset of offset: int64
    /// The first record that is not older, in milliseconds since 1970.
    | ToTime of timestampMs: int64
    /// That far forward or, if negative, back from what is committed.
    | ShiftBy of records: int64
    /// The first record that is not older than so many milliseconds before now.
    | ByDuration of milliseconds: int64

/// What `tansu group` is asked to do.
[<NoComparison>]
type GroupTask =
    /// Only groups in one of the states and of one of the types; without any, all.
    | ListGroups of states: string array * types: string array
    /// Without names all groups.
    | DescribeGroups of groups: string array
    /// Without topics those for which something is committed. Nothing is changed unless it is to be executed.
    | ResetOffsets of groups: string array * topics: TopicScope array * target: ResetTarget * execute: bool
    | DeleteGroups of groups: string array
    | DeleteOffsets of group: string * topics: TopicScope array

/// What configurations belong to.
[<NoComparison>]
type ConfigOwner =
    | OfTopic of name: string
    | OfBroker of id: int
    /// All brokers of the cluster that have nothing of their own.
    | OfAllBrokers
    | OfGroup of name: string

/// What `tansu config` is asked to do.
[<NoComparison>]
type ConfigTask =
    /// Without names all that somebody has set, and with `defaults` all that there are.
    | GetConfigs of owner: ConfigOwner * names: string array * defaults: bool * explain: bool
    | SetConfigs of owner: ConfigOwner * changes: ConfigChange array

/// A task for a running cluster.
[<NoComparison>]
type ClientTask =
    | OnTopics of TopicTask
    | OnGroups of GroupTask
    | OnConfigs of ConfigTask
    | ProduceRecords of ProduceTask
    | ConsumeRecords of ConsumeTask
    | Measure of PerfTask
