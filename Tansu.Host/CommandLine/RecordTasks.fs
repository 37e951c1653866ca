namespace Tansu.Host.CommandLine

/// A header that every record gets.
[<NoComparison>]
type RecordHeaderText = { Name: string; Value: string }

/// What `tansu cat produce` is asked to do.
[<NoComparison>]
type ProduceTask = {
    Topic: string
    /// -1 to choose by the key, or in turn.
    Partition: int
    /// The key of every record; null for none.
    Key: string | null
    /// What stands between key and value of a line; null if lines are values.
    KeySeparator: string | null
    Headers: RecordHeaderText array
    /// The value that stands for null; null if none does.
    NullValue: string | null
    /// Whether a line is an object with key, value and so on.
    IsJson: bool
    /// `none`, `gzip`, `snappy`, `lz4` or `zstd`.
    Compression: string
    /// 0, 1 or -1 for all.
    Acks: int
    BatchBytes: int
    /// How long a record waits for others while nothing more comes.
    LingerMs: int
    /// The name of the transaction that all records belong to; null for none.
    TransactionalId: string | null
}

/// Where reading begins in each partition.
[<NoComparison>]
type StartPosition =
    | FromBeginning
    | FromEnd
    | FromOffset of offset: int64
    /// So many records before the end.
    | FromLast of records: int64
    /// The first record that is not older, in milliseconds since 1970.
    | FromTime of timestampMs: int64

/// What `tansu cat consume` is asked to do.
[<NoComparison>]
type ConsumeTask = {
    Topic: string
    /// Empty for all.
    Partitions: int array
    /// In a group only for partitions of which nothing is committed.
    From: StartPosition
    /// Whether to wait for more at the end.
    Follows: bool
    /// How many records to print at most; -1 for all.
    Count: int64
    IsReadCommitted: bool
    /// The group to be a member of; null for none.
    Group: string | null
    /// A text with `%k`, `%v` and so on, its escapes replaced; null for values alone.
    Format: string | null
    /// Whether to print an object for each record.
    IsJson: bool
    /// What is printed for null.
    NullValue: string
}

/// What `tansu perf` measures.
[<NoComparison>]
type PerfKind =
    | PerfProduce
    | PerfConsume
    | PerfLatency

/// What `tansu perf` is asked to do.
[<ReferenceEquality>]
type PerfTask = {
    Kind: PerfKind
    Topic: string
    /// Whether to create the topic if it is not there, with so many partitions; -1 for the broker's default.
    Creates: bool
    Partitions: int
    /// How many records altogether; -1 for no end but the duration's.
    Records: int64
    /// For how long at most; -1 for ever.
    DurationMs: int64
    /// Bytes of each value.
    RecordSize: int
    /// How many producers or consumers at once.
    Clients: int
    /// Records in a second, all clients together; 0 for as many as possible.
    RecordsPerSecond: float
    Compression: string
    Acks: int
    BatchBytes: int
    LingerMs: int
    /// Batches under way at once, for each client.
    InFlight: int
    /// Records of each client's transactions; 0 for none.
    TransactionRecords: int64
    IsReadCommitted: bool
}

/// What `tansu dump` is asked to do.
[<NoComparison>]
type DumpTask = {
    /// `catalog` or `shard-0` and so on.
    Log: string
    /// The first entry; 0 for the oldest that is there.
    From: int64
    /// How many entries at most; -1 for all.
    Count: int64
    /// Whether to print the snapshots instead of entries.
    Snapshots: bool
    /// Whether to print an object for each instead of text.
    Json: bool
}
