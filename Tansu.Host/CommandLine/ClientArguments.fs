namespace Tansu.Host.CommandLine

open Argu

/// The flags of all commands for a cluster, for Argu to split. Which of them a command takes, and what they mean there, is said by
/// `ClientCommands`. One union for all: each costs the native program tens of kilobytes.
[<NoComparison; NoEquality>]
type internal ClientArgument =
    | [<MainCommand>] Name of name: string
    | All
    | All_Topics
    | [<AltCommandLine("--replica-assignment")>] Assignment of brokers: string
    | Bootstrap_Server of host: string
    | Broker of id: string
    | By_Duration of duration: string
    | Config of ``name=value``: string
    | Delete of name: string
    | Delete_Config of name: string
    | Describe
    | Dry_Run
    | Execute
    | Group of name: string
    | If_Exists
    | If_Not_Exists
    | Json
    | Partitions of count: string
    | Replication_Factor of count: string
    | Shift_By of records: string
    | State of name: string
    | Timeout_Ms of milliseconds: string
    | To_Current
    | To_Datetime of time: string
    | To_Earliest
    | To_Latest
    | To_Offset of offset: string
    | Topic of name: string
    | Type of name: string

    /// The flag and its value: the empty string for the flag of what stands alone, and for the value of a switch.
    static member Said argument =
        match argument with
        | Name value -> "", value
        | All -> "--all", ""
        | All_Topics -> "--all-topics", ""
        | Assignment value -> "--assignment", value
        | Bootstrap_Server value -> "--bootstrap-server", value
        | Broker value -> "--broker", value
        | By_Duration value -> "--by-duration", value
        | Config value -> "--config", value
        | Delete value -> "--delete", value
        | Delete_Config value -> "--delete-config", value
        | Describe -> "--describe", ""
        | Dry_Run -> "--dry-run", ""
        | Execute -> "--execute", ""
        | Group value -> "--group", value
        | If_Exists -> "--if-exists", ""
        | If_Not_Exists -> "--if-not-exists", ""
        | Json -> "--json", ""
        | Partitions value -> "--partitions", value
        | Replication_Factor value -> "--replication-factor", value
        | Shift_By value -> "--shift-by", value
        | State value -> "--state", value
        | Timeout_Ms value -> "--timeout-ms", value
        | To_Current -> "--to-current", ""
        | To_Datetime value -> "--to-datetime", value
        | To_Earliest -> "--to-earliest", ""
        | To_Latest -> "--to-latest", ""
        | To_Offset value -> "--to-offset", value
        | Topic value -> "--topic", value
        | Type value -> "--type", value

    interface IArgParserTemplate with
        // The help is that of the command, see `Help`.
        member argument.Usage = fst (ClientArgument.Said argument)
