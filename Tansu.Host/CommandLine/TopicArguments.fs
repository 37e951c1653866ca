namespace Tansu.Host.CommandLine

open Argu

/// The flags that every command takes which talks to a cluster.
module internal Common =
    [<Literal>]
    let BootstrapServer = "--bootstrap-server"

    [<Literal>]
    let BootstrapVariable = "BOOTSTRAP_SERVER"

    [<Literal>]
    let DefaultBootstrapServer = "localhost:9092"

    [<Literal>]
    let DefaultTimeoutMs = 30000

    let bootstrapUsage =
        $"The brokers to ask for all others: host:port, several with commas between. [environment: {BootstrapVariable}; default: {DefaultBootstrapServer}]"

    let timeoutUsage =
        $"How long to try, in milliseconds. [default: {DefaultTimeoutMs}]"

    let jsonUsage = "Print one JSON document instead of tables."

/// One flag as it was typed, for Argu to split and to write help of; values are read by `ClientReading`.
type internal IClientArgument =
    inherit IArgParserTemplate

    /// The flag and its value: the empty string for the flag of what stands alone, and for the value of a switch.
    abstract Said: string * string

/// `tansu topic create`.
[<NoComparison; NoEquality>]
type internal TopicCreateArgument =
    | [<MainCommand>] Topic of name: string
    | Partitions of count: string
    | Replication_Factor of count: string
    | Config of ``name=value``: string
    | [<AltCommandLine("--replica-assignment")>] Assignment of brokers: string
    | If_Not_Exists
    | Bootstrap_Server of host: string
    | Timeout_Ms of milliseconds: string
    | Json

    interface IClientArgument with
        member argument.Said =
            match argument with
            | Topic value -> "", value
            | Partitions value -> "--partitions", value
            | Replication_Factor value -> "--replication-factor", value
            | Config value -> "--config", value
            | Assignment value -> "--assignment", value
            | If_Not_Exists -> "--if-not-exists", ""
            | Bootstrap_Server value -> "--bootstrap-server", value
            | Timeout_Ms value -> "--timeout-ms", value
            | Json -> "--json", ""

        member argument.Usage =
            match argument with
            | Topic _ -> "The topic to create; may be given several times."
            | Partitions _ -> "How many partitions. [default: the broker's]"
            | Replication_Factor _ -> "How many copies of each partition. [default: the broker's]"
            | Config _ -> "A configuration of the topic, such as retention.ms=3600000; may be given several times."
            | Assignment _ ->
                "The brokers of each partition, instead of their numbers: 0:1,1:0 is two partitions with two copies each."
            | If_Not_Exists -> "A topic that is there already is left as it is, and is no failure."
            | Bootstrap_Server _ -> Common.bootstrapUsage
            | Timeout_Ms _ -> Common.timeoutUsage
            | Json -> Common.jsonUsage

/// `tansu topic list`.
[<NoComparison; NoEquality>]
type internal TopicListArgument =
    | Bootstrap_Server of host: string
    | Timeout_Ms of milliseconds: string
    | Json

    interface IClientArgument with
        member argument.Said =
            match argument with
            | Bootstrap_Server value -> "--bootstrap-server", value
            | Timeout_Ms value -> "--timeout-ms", value
            | Json -> "--json", ""

        member argument.Usage =
            match argument with
            | Bootstrap_Server _ -> Common.bootstrapUsage
            | Timeout_Ms _ -> Common.timeoutUsage
            | Json -> Common.jsonUsage

/// `tansu topic describe`.
[<NoComparison; NoEquality>]
type internal TopicDescribeArgument =
    | [<MainCommand>] Topic of name: string
    | Bootstrap_Server of host: string
    | Timeout_Ms of milliseconds: string
    | Json

    interface IClientArgument with
        member argument.Said =
            match argument with
            | Topic value -> "", value
            | Bootstrap_Server value -> "--bootstrap-server", value
            | Timeout_Ms value -> "--timeout-ms", value
            | Json -> "--json", ""

        member argument.Usage =
            match argument with
            | Topic _ -> "The topic to describe; may be given several times. [default: all]"
            | Bootstrap_Server _ -> Common.bootstrapUsage
            | Timeout_Ms _ -> Common.timeoutUsage
            | Json -> Common.jsonUsage

/// `tansu topic alter`.
[<NoComparison; NoEquality>]
type internal TopicAlterArgument =
    | [<MainCommand>] Topic of name: string
    | Partitions of count: string
    | Config of ``name=value``: string
    | Delete_Config of name: string
    | Bootstrap_Server of host: string
    | Timeout_Ms of milliseconds: string
    | Json

    interface IClientArgument with
        member argument.Said =
            match argument with
            | Topic value -> "", value
            | Partitions value -> "--partitions", value
            | Config value -> "--config", value
            | Delete_Config value -> "--delete-config", value
            | Bootstrap_Server value -> "--bootstrap-server", value
            | Timeout_Ms value -> "--timeout-ms", value
            | Json -> "--json", ""

        member argument.Usage =
            match argument with
            | Topic _ -> "The topic to alter; may be given several times."
            | Partitions _ -> "How many partitions it is to have altogether: more than it has."
            | Config _ -> "A configuration to set, such as retention.ms=3600000; may be given several times."
            | Delete_Config _ -> "A configuration that is to have its default again; may be given several times."
            | Bootstrap_Server _ -> Common.bootstrapUsage
            | Timeout_Ms _ -> Common.timeoutUsage
            | Json -> Common.jsonUsage

/// `tansu topic delete`.
[<NoComparison; NoEquality>]
type internal TopicDeleteArgument =
    | [<MainCommand>] Topic of name: string
    | If_Exists
    | Bootstrap_Server of host: string
    | Timeout_Ms of milliseconds: string
    | Json

    interface IClientArgument with
        member argument.Said =
            match argument with
            | Topic value -> "", value
            | If_Exists -> "--if-exists", ""
            | Bootstrap_Server value -> "--bootstrap-server", value
            | Timeout_Ms value -> "--timeout-ms", value
            | Json -> "--json", ""

        member argument.Usage =
            match argument with
            | Topic _ -> "The topic to delete, with all its records; may be given several times."
            | If_Exists -> "A topic that is not there is no failure."
            | Bootstrap_Server _ -> Common.bootstrapUsage
            | Timeout_Ms _ -> Common.timeoutUsage
            | Json -> Common.jsonUsage
