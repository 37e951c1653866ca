namespace Tansu.Host.CommandLine

open Argu

/// The limits of `tansu verify-store`.
module internal Verification =
    /// How many races are run unless said otherwise.
    [<Literal>]
    let DefaultRounds = 100

    /// The most races that may be asked for.
    [<Literal>]
    let MaxRounds = 1_000_000

/// The flags of `tansu broker`, for Argu: it splits them and writes the help; values are read by `Configuration`,
/// so that a flag and a variable are refused in the same words.
[<NoComparison; NoEquality>]
type internal BrokerArgument =
    | Cluster_Id of id: string
    | Listener_Url of url: string
    | Advertised_Listener_Url of url: string
    | Metrics_Listener_Url of url: string
    | Storage_Engine of url: string
    | Shards of count: string
    | Commit_Interval of milliseconds: string
    | Node_Lease_Ms of milliseconds: string
    | Memory_Limit of bytes: string
    | Cache_Bytes of bytes: string
    | Compaction_Interval of milliseconds: string
    | Compaction_Memory of bytes: string
    | Gc_Grace of milliseconds: string
    | Max_Request_Bytes of bytes: string
    | Max_Connections of count: string
    | Max_Connections_Per_Ip of count: string
    | Connection_Idle_Ms of milliseconds: string
    | Slow_Client_Ms of milliseconds: string
    | Auto_Create_Topics of ``true|false``: string
    | Default_Partitions of count: string
    | Group_Initial_Rebalance_Delay_Ms of milliseconds: string
    | Group_Min_Session_Timeout_Ms of milliseconds: string
    | Group_Max_Session_Timeout_Ms of milliseconds: string
    | Group_Max_Size of count: string
    | Offsets_Retention_Minutes of minutes: string
    | Offset_Metadata_Max_Bytes of bytes: string
    | Transaction_Max_Timeout_Ms of milliseconds: string
    | Transactional_Id_Expiration_Ms of milliseconds: string
    | Log_Level of level: string

    /// The setting that the flag belongs to.
    static member SettingOf argument =
        match argument with
        | Cluster_Id _ -> Setting.clusterId
        | Listener_Url _ -> Setting.listenerUrl
        | Advertised_Listener_Url _ -> Setting.advertisedListenerUrl
        | Metrics_Listener_Url _ -> Setting.metricsListenerUrl
        | Storage_Engine _ -> Setting.storageEngine
        | Shards _ -> Setting.shards
        | Commit_Interval _ -> Setting.commitInterval
        | Node_Lease_Ms _ -> Setting.nodeLeaseMs
        | Memory_Limit _ -> Setting.memoryLimit
        | Cache_Bytes _ -> Setting.cacheBytes
        | Compaction_Interval _ -> Setting.compactionInterval
        | Compaction_Memory _ -> Setting.compactionMemory
        | Gc_Grace _ -> Setting.gcGrace
        | Max_Request_Bytes _ -> Setting.maxRequestBytes
        | Max_Connections _ -> Setting.maxConnections
        | Max_Connections_Per_Ip _ -> Setting.maxConnectionsPerIp
        | Connection_Idle_Ms _ -> Setting.connectionIdleMs
        | Slow_Client_Ms _ -> Setting.slowClientMs
        | Auto_Create_Topics _ -> Setting.autoCreateTopics
        | Default_Partitions _ -> Setting.defaultPartitions
        | Group_Initial_Rebalance_Delay_Ms _ -> Setting.groupInitialRebalanceDelayMs
        | Group_Min_Session_Timeout_Ms _ -> Setting.groupMinSessionTimeoutMs
        | Group_Max_Session_Timeout_Ms _ -> Setting.groupMaxSessionTimeoutMs
        | Group_Max_Size _ -> Setting.groupMaxSize
        | Offsets_Retention_Minutes _ -> Setting.offsetsRetentionMinutes
        | Offset_Metadata_Max_Bytes _ -> Setting.offsetMetadataMaxBytes
        | Transaction_Max_Timeout_Ms _ -> Setting.transactionMaxTimeoutMs
        | Transactional_Id_Expiration_Ms _ -> Setting.transactionalIdExpirationMs
        | Log_Level _ -> Setting.logLevel

    /// The value as it was typed.
    static member ValueOf argument =
        match argument with
        | Cluster_Id value
        | Listener_Url value
        | Advertised_Listener_Url value
        | Metrics_Listener_Url value
        | Storage_Engine value
        | Shards value
        | Commit_Interval value
        | Node_Lease_Ms value
        | Memory_Limit value
        | Cache_Bytes value
        | Compaction_Interval value
        | Compaction_Memory value
        | Gc_Grace value
        | Max_Request_Bytes value
        | Max_Connections value
        | Max_Connections_Per_Ip value
        | Connection_Idle_Ms value
        | Slow_Client_Ms value
        | Auto_Create_Topics value
        | Default_Partitions value
        | Group_Initial_Rebalance_Delay_Ms value
        | Group_Min_Session_Timeout_Ms value
        | Group_Max_Session_Timeout_Ms value
        | Group_Max_Size value
        | Offsets_Retention_Minutes value
        | Offset_Metadata_Max_Bytes value
        | Transaction_Max_Timeout_Ms value
        | Transactional_Id_Expiration_Ms value
        | Log_Level value -> value

    interface IArgParserTemplate with
        member argument.Usage =
            let setting = BrokerArgument.SettingOf argument
            $"{setting.Purpose} [environment: {setting.Variable}; default: {setting.Default}]"

/// The flags of `tansu verify-store`, for Argu.
[<NoComparison; NoEquality>]
type internal VerifyArgument =
    | Storage_Engine of url: string
    | Rounds of count: string
    | Json

    interface IArgParserTemplate with
        member argument.Usage =
            match argument with
            | Storage_Engine _ ->
                $"The store to check. [environment: {Setting.storageEngine.Variable}; default: {Setting.storageEngine.Default}]"
            | Rounds _ -> $"How many races to run. [default: {Verification.DefaultRounds}]"
            | Json -> "Print one JSON document instead of lines."
