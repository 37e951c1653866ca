namespace Tansu.Host.CommandLine

open System
open System.Globalization
open System.Text.RegularExpressions

/// One setting: the same thing said by a flag or by an environment variable.
type Setting = {
    /// Such as `--cluster-id`.
    Flag: string
    /// Such as `CLUSTER_ID`.
    Variable: string
    /// What holds when nobody says anything, for people; null if there is nothing to say.
    Default: string
    /// What it is for, one sentence.
    Purpose: string
}

/// The settings of the broker, in the order in which the help shows them.
module Setting =
    let private setting flag variable defaultText purpose = {
        Flag = flag
        Variable = variable
        Default = defaultText
        Purpose = purpose
    }

    let clusterId =
        setting
            "--cluster-id"
            "CLUSTER_ID"
            "chosen at random"
            "The name of a new cluster; one that exists keeps its own."

    let listenerUrl =
        setting
            "--listener-url"
            "LISTENER_URL"
            "tcp://[::]:9092"
            "Where to accept connections; port 0 takes any free one."

    let advertisedListenerUrl =
        setting
            "--advertised-listener-url"
            "ADVERTISED_LISTENER_URL"
            "tcp://localhost:<port of the listener>"
            "Where clients are told to connect."

    let metricsListenerUrl =
        setting
            "--metrics-listener-url"
            "METRICS_LISTENER_URL"
            "tcp://[::]:9100"
            "Where to serve /metrics, /health/live and /health/ready over HTTP, or none; port 0 takes any free one."

    let storageEngine =
        setting
            "--storage-engine"
            "STORAGE_ENGINE"
            "file://./tansu-data"
            "Where everything is kept: file:///dir, file://./dir, s3://bucket/prefix, postgres://user@host/database or memory://."

    let shards =
        setting "--shards" "SHARDS" "1" "How many shard logs a new cluster gets; one that exists keeps its own."

    let commitInterval =
        setting
            "--commit-interval"
            "COMMIT_INTERVAL"
            "the store's own: 0 for file, memory and postgres, 50 for s3"
            "The least time between two commits of one log, in milliseconds: latency against requests to the store."

    let nodeLeaseMs =
        setting
            "--node-lease-ms"
            "NODE_LEASE_MS"
            "30000"
            "A broker that gives no sign of life for this many milliseconds is no longer named to clients; the same on all brokers."

    let memoryLimit =
        setting
            "--memory-limit"
            "MEMORY_LIMIT"
            "the container's or the machine's memory"
            "How much memory the broker may use, such as 256MiB; it makes clients wait rather than take more."

    let cacheBytes =
        setting
            "--cache-bytes"
            "CACHE_BYTES"
            "64MiB, less with less than 640MiB of memory"
            "How much record data is kept in memory for readers."

    let compactionInterval =
        setting
            "--compaction-interval"
            "COMPACTION_INTERVAL"
            "300000"
            "How often, in milliseconds, retention is applied and new records are moved into segments; sooner when much is written."

    let compactionMemory =
        setting
            "--compaction-memory"
            "COMPACTION_MEMORY"
            "32MiB, less with less than 640MiB of memory"
            "How much memory compaction may use; with less it reads compacted topics more often."

    let gcGrace =
        setting
            "--gc-grace"
            "GC_GRACE"
            "3600000"
            "How long, in milliseconds, objects stay in the store after the last reference to them has gone."

    let maxRequestBytes =
        setting
            "--max-request-bytes"
            "MAX_REQUEST_BYTES"
            "100MiB, less with less than 528MiB of memory"
            "The largest request accepted."

    let connectionIdleMs =
        setting
            "--connection-idle-ms"
            "CONNECTION_IDLE_MS"
            "600000"
            "A connection on which nothing happened for this many milliseconds is closed."

    let autoCreateTopics =
        setting
            "--auto-create-topics"
            "AUTO_CREATE_TOPICS"
            "true"
            "Whether a client's mention of an unknown topic creates it: true or false."

    let defaultPartitions =
        setting "--default-partitions" "DEFAULT_PARTITIONS" "1" "How many partitions a topic gets that does not say."

    let groupInitialRebalanceDelayMs =
        setting
            "--group-initial-rebalance-delay-ms"
            "GROUP_INITIAL_REBALANCE_DELAY_MS"
            "200"
            "How long the first rebalance of an empty consumer group waits for more members after each that joins."

    let groupMinSessionTimeoutMs =
        setting
            "--group-min-session-timeout-ms"
            "GROUP_MIN_SESSION_TIMEOUT_MS"
            "6000"
            "The shortest session timeout that a member of a consumer group may have."

    let groupMaxSessionTimeoutMs =
        setting
            "--group-max-session-timeout-ms"
            "GROUP_MAX_SESSION_TIMEOUT_MS"
            "1800000"
            "The longest session timeout that a member of a consumer group may have."

    let groupMaxSize =
        setting "--group-max-size" "GROUP_MAX_SIZE" "2147483647" "The most members of one consumer group."

    let offsetsRetentionMinutes =
        setting
            "--offsets-retention-minutes"
            "OFFSETS_RETENTION_MINUTES"
            "10080"
            "How long committed offsets are kept after the last member of their group has left."

    let offsetMetadataMaxBytes =
        setting
            "--offset-metadata-max-bytes"
            "OFFSET_METADATA_MAX_BYTES"
            "4096"
            "The longest text that may be kept with a committed offset."

    let transactionMaxTimeoutMs =
        setting
            "--transaction-max-timeout-ms"
            "TRANSACTION_MAX_TIMEOUT_MS"
            "900000"
            "The longest time that a transaction may be open, in milliseconds."

    let transactionalIdExpirationMs =
        setting
            "--transactional-id-expiration-ms"
            "TRANSACTIONAL_ID_EXPIRATION_MS"
            "604800000"
            "How long a transactional id that nobody uses is kept, in milliseconds."

    let logLevel =
        setting
            "--log-level"
            "LOG_LEVEL"
            "information"
            "How much is logged: verbose, debug, information, warning, error or fatal."

    let all = [
        clusterId
        listenerUrl
        advertisedListenerUrl
        metricsListenerUrl
        storageEngine
        shards
        commitInterval
        nodeLeaseMs
        memoryLimit
        cacheBytes
        compactionInterval
        compactionMemory
        gcGrace
        maxRequestBytes
        connectionIdleMs
        autoCreateTopics
        defaultPartitions
        groupInitialRebalanceDelayMs
        groupMinSessionTimeoutMs
        groupMaxSessionTimeoutMs
        groupMaxSize
        offsetsRetentionMinutes
        offsetMetadataMaxBytes
        transactionMaxTimeoutMs
        transactionalIdExpirationMs
        logLevel
    ]

/// Readers of single values: the value, or what is allowed.
module internal Value =
    let clusterId (text: string) : Result<string | null, string> =
        if Regex.IsMatch(text, @"^[A-Za-z0-9._-]{1,100}\z") then
            Ok text
        else
            Error "1 to 100 letters, digits, '.', '_' or '-'"

    let endpointOn (defaultPort: int) (lowestPort: int) (text: string) : Result<Endpoint, string> =
        let allowed = $"tcp://host:port with a port from {lowestPort} to 65535"

        let matched =
            Regex.Match(text, @"^tcp://(?:\[([0-9A-Fa-f:.%]+)\]|([^\[\]:/@?#\s]+))(?::([0-9]{1,5}))?/?\z")

        let group (index: int) = matched.Groups[index].Value
        let host = if group 1 <> "" then group 1 else group 2

        let isAddress = group 1 = "" || fst (Net.IPAddress.TryParse(group 1))

        let port =
            if group 3 = "" then
                defaultPort
            else
                Int32.Parse(group 3, CultureInfo.InvariantCulture)

        if matched.Success && isAddress && port >= lowestPort && port <= 65535 then
            Ok { Host = host; Port = port }
        else
            Error allowed

    let endpoint = endpointOn 9092

    let storageEngine (text: string) : Result<string, string> =
        let isFile =
            text.StartsWith("file://", StringComparison.Ordinal)
            && text.Length > "file://".Length

        let isPostgres =
            text.StartsWith("postgres://", StringComparison.Ordinal)
            || text.StartsWith("postgresql://", StringComparison.Ordinal)

        let isS3 =
            text.StartsWith("s3://", StringComparison.Ordinal)
            && text.Length > "s3://".Length

        if
            isFile
            || isPostgres
            || isS3
            || text = "memory://"
            || text.StartsWith("memory://", StringComparison.Ordinal)
        then
            Ok text
        else
            Error
                "file:///directory, file://./directory, s3://bucket/prefix, postgres://user@host/database or memory://"

    let wholeNumber (lowest: int) (highest: int) (text: string) : Result<int, string> =
        match Int32.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture) with
        | true, value when value >= lowest && value <= highest -> Ok value
        | _ -> Error $"a whole number from {lowest} to {highest}"

    let private units = [ "KiB", 1024L; "MiB", 1048576L; "GiB", 1073741824L; "B", 1L ]

    let bytes (lowest: int64) (highest: int64) (text: string) : Result<int64, string> =
        let unit =
            units
            |> List.tryFind (fun (name, _) -> text.EndsWith(name, StringComparison.OrdinalIgnoreCase))

        let digits, factor =
            match unit with
            | Some(name, factor) -> text.Substring(0, text.Length - name.Length).TrimEnd(), factor
            | None -> text, 1L

        match Int64.TryParse(digits, NumberStyles.None, CultureInfo.InvariantCulture) with
        | true, value when value <= highest / factor && value * factor >= lowest -> Ok(value * factor)
        | _ -> Error $"a number of bytes from {lowest} to {highest}, with or without KiB, MiB or GiB"

    let boolean (text: string) : Result<bool, string> =
        match text.ToLowerInvariant() with
        | "true" -> Ok true
        | "false" -> Ok false
        | _ -> Error "true or false"

    let logLevel (text: string) : Result<LogLevel, string> =
        match text.ToLowerInvariant() with
        | "verbose"
        | "trace" -> Ok LogLevel.Verbose
        | "debug" -> Ok LogLevel.Debug
        | "information"
        | "info" -> Ok LogLevel.Information
        | "warning"
        | "warn" -> Ok LogLevel.Warning
        | "error" -> Ok LogLevel.Error
        | "fatal" -> Ok LogLevel.Fatal
        | _ -> Error "verbose, debug, information, warning, error or fatal"
