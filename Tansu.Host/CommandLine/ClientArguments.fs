namespace Tansu.Host.CommandLine

open Argu

/// The flags of all commands for a cluster, for Argu to split. Which of them a command takes, and what they mean there, is said by
/// `ClientCommands`. One union for all: each costs the native program tens of kilobytes.
[<NoComparison; NoEquality>]
type internal ClientArgument =
    | [<MainCommand>] Name of name: string
    | Acks of replicas: string
    | All
    | All_Topics
    | [<AltCommandLine("--replica-assignment")>] Assignment of brokers: string
    | Batch_Bytes of bytes: string
    | Bootstrap_Server of host: string
    | Broker of id: string
    | By_Duration of duration: string
    | [<AltCommandLine("--codec")>] Compression of codec: string
    | Config of ``name=value``: string
    | Consumers of count: string
    | Count of records: string
    | Create
    | Delete of name: string
    | Delete_Config of name: string
    | Describe
    | Dry_Run
    | Duration of seconds: string
    | Execute
    | Follow
    | Format of format: string
    | From of position: string
    | Group of name: string
    | Header of ``name=value``: string
    | If_Exists
    | If_Not_Exists
    | In_Flight of batches: string
    | Isolation of level: string
    | Json
    | Key of text: string
    | Key_Separator of text: string
    | Linger_Ms of milliseconds: string
    | Log of name: string
    | Null_Value of text: string
    | Partition of number: string
    | Partitions of count: string
    | Producers of count: string
    | Record_Size of bytes: string
    | Records of count: string
    | Replication_Factor of count: string
    | Shift_By of records: string
    | Snapshots
    | State of name: string
    | Storage_Engine of url: string
    | Target_Mb of megabytes: string
    | Throughput of records: string
    | Timeout_Ms of milliseconds: string
    | To_Current
    | To_Datetime of time: string
    | To_Earliest
    | To_Latest
    | To_Offset of offset: string
    | Topic of name: string
    | Transaction_Records of count: string
    | Transactional_Id of name: string
    | Type of name: string
    | Until of position: string

    /// The flag and its value: the empty string for the flag of what stands alone, and for the value of a switch.
    static member Said argument =
        match argument with
        | Name value -> "", value
        | Acks value -> "--acks", value
        | All -> "--all", ""
        | All_Topics -> "--all-topics", ""
        | Assignment value -> "--assignment", value
        | Batch_Bytes value -> "--batch-bytes", value
        | Bootstrap_Server value -> "--bootstrap-server", value
        | Broker value -> "--broker", value
        | By_Duration value -> "--by-duration", value
        | Compression value -> "--compression", value
        | Config value -> "--config", value
        | Consumers value -> "--consumers", value
        | Count value -> "--count", value
        | Create -> "--create", ""
        | Delete value -> "--delete", value
        | Delete_Config value -> "--delete-config", value
        | Describe -> "--describe", ""
        | Dry_Run -> "--dry-run", ""
        | Duration value -> "--duration", value
        | Execute -> "--execute", ""
        | Follow -> "--follow", ""
        | Format value -> "--format", value
        | From value -> "--from", value
        | Group value -> "--group", value
        | Header value -> "--header", value
        | If_Exists -> "--if-exists", ""
        | If_Not_Exists -> "--if-not-exists", ""
        | In_Flight value -> "--in-flight", value
        | Isolation value -> "--isolation", value
        | Json -> "--json", ""
        | Key value -> "--key", value
        | Key_Separator value -> "--key-separator", value
        | Linger_Ms value -> "--linger-ms", value
        | Log value -> "--log", value
        | Null_Value value -> "--null-value", value
        | Partition value -> "--partition", value
        | Partitions value -> "--partitions", value
        | Producers value -> "--producers", value
        | Record_Size value -> "--record-size", value
        | Records value -> "--records", value
        | Replication_Factor value -> "--replication-factor", value
        | Shift_By value -> "--shift-by", value
        | Snapshots -> "--snapshots", ""
        | State value -> "--state", value
        | Storage_Engine value -> "--storage-engine", value
        | Target_Mb value -> "--target-mb", value
        | Throughput value -> "--throughput", value
        | Timeout_Ms value -> "--timeout-ms", value
        | To_Current -> "--to-current", ""
        | To_Datetime value -> "--to-datetime", value
        | To_Earliest -> "--to-earliest", ""
        | To_Latest -> "--to-latest", ""
        | To_Offset value -> "--to-offset", value
        | Topic value -> "--topic", value
        | Transaction_Records value -> "--transaction-records", value
        | Transactional_Id value -> "--transactional-id", value
        | Type value -> "--type", value
        | Until value -> "--until", value

    interface IArgParserTemplate with
        // The help is that of the command, see `Help`.
        member argument.Usage = fst (ClientArgument.Said argument)
