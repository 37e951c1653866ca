namespace Tansu.Host.CommandLine

/// Where to listen, or where clients are told to connect.
type Endpoint = {
    /// A host name or an IP address, an IPv6 one without its brackets.
    Host: string
    /// 0 for a listener: any free port.
    Port: int
} with

    /// `tcp://host:port`.
    member endpoint.Url =
        if endpoint.Host.Contains ':' then
            $"tcp://[{endpoint.Host}]:{endpoint.Port}"
        else
            $"tcp://{endpoint.Host}:{endpoint.Port}"

/// How much is logged. Each level includes those after it.
type LogLevel =
    | Verbose = 0
    | Debug = 1
    | Information = 2
    | Warning = 3
    | Error = 4
    | Fatal = 5

/// Everything `tansu broker` can be told.
type BrokerOptions = {
    /// The name of a new cluster; null lets the broker choose one. A cluster that exists keeps the id it has.
    ClusterId: string | null
    /// Where the broker accepts connections.
    Listener: Endpoint
    /// Where clients are told to connect; null for localhost and the listener's port.
    AdvertisedListener: Endpoint | null
    /// Where metrics and health are served; null for nowhere.
    MetricsListener: Endpoint | null
    /// Whether the broker is to end if it cannot serve them there: if it was told where. Otherwise, as when a second broker runs on a machine, it goes on.
    NeedsMetricsListener: bool
    /// The URL of the store. May hold secrets: never to be logged.
    StorageEngine: string
    /// How many shard logs a new cluster gets. A cluster that exists keeps what it has.
    Shards: int
    /// The least time between two commits of one log; negative for the store's own default.
    CommitIntervalMs: int
    /// How long a node is taken for live after its last sign of life.
    NodeLeaseMs: int
    /// How many bytes of memory the broker may use; 0 for what the container or the machine has.
    MemoryLimitBytes: int64
    /// How many bytes of records are kept for readers; negative for a share of the memory.
    CacheBytes: int64
    /// How often retention is applied and new records are moved into segments.
    CompactionIntervalMs: int
    /// How many bytes compaction may use; negative for a share of the memory.
    CompactionMemoryBytes: int64
    /// How long objects stay after the last reference to them has gone.
    GcGraceMs: int
    /// The largest request accepted; negative for a share of the memory.
    MaxRequestBytes: int
    /// A connection on which nothing happened for this long is closed.
    ConnectionIdleMs: int
    /// Whether a client's mention of an unknown topic creates it.
    AutoCreateTopics: bool
    /// How many partitions a topic gets that does not say.
    DefaultPartitions: int
    /// How long the first rebalance of an empty group waits after each member that joins.
    GroupInitialRebalanceDelayMs: int
    /// The shortest session timeout of a group's member.
    GroupMinSessionTimeoutMs: int
    /// The longest session timeout of a group's member.
    GroupMaxSessionTimeoutMs: int
    /// The most members of one group.
    GroupMaxSize: int
    /// How long committed offsets are kept after their group has emptied.
    OffsetsRetentionMinutes: int
    /// The longest text that may be kept with a committed offset.
    OffsetMetadataMaxBytes: int
    /// The longest time that a transaction may be open, in milliseconds.
    TransactionMaxTimeoutMs: int
    /// How long a transactional id that nobody uses is kept, in milliseconds.
    TransactionalIdExpirationMs: int
    /// How much is logged.
    LogLevel: LogLevel
}
