namespace Tansu.Host.CommandLine

open Argu

/// `tansu group list`.
[<NoComparison; NoEquality>]
type internal GroupListArgument =
    | State of name: string
    | Type of name: string
    | Bootstrap_Server of host: string
    | Timeout_Ms of milliseconds: string
    | Json

    interface IClientArgument with
        member argument.Said =
            match argument with
            | State value -> "--state", value
            | Type value -> "--type", value
            | Bootstrap_Server value -> "--bootstrap-server", value
            | Timeout_Ms value -> "--timeout-ms", value
            | Json -> "--json", ""

        member argument.Usage =
            match argument with
            | State _ -> "Only groups in this state, such as Stable or Empty; several with commas between."
            | Type _ -> "Only groups of this type, classic or consumer; several with commas between."
            | Bootstrap_Server _ -> Common.bootstrapUsage
            | Timeout_Ms _ -> Common.timeoutUsage
            | Json -> Common.jsonUsage

/// `tansu group describe`.
[<NoComparison; NoEquality>]
type internal GroupDescribeArgument =
    | [<MainCommand>] Group of name: string
    | Bootstrap_Server of host: string
    | Timeout_Ms of milliseconds: string
    | Json

    interface IClientArgument with
        member argument.Said =
            match argument with
            | Group value -> "", value
            | Bootstrap_Server value -> "--bootstrap-server", value
            | Timeout_Ms value -> "--timeout-ms", value
            | Json -> "--json", ""

        member argument.Usage =
            match argument with
            | Group _ -> "The group to describe; may be given several times. [default: all]"
            | Bootstrap_Server _ -> Common.bootstrapUsage
            | Timeout_Ms _ -> Common.timeoutUsage
            | Json -> Common.jsonUsage

/// `tansu group reset-offsets`.
[<NoComparison; NoEquality>]
type internal GroupResetArgument =
    | [<MainCommand>] Group of name: string
    | Topic of ``name:partitions``: string
    | All_Topics
    | To_Earliest
    | To_Latest
    | To_Current
    | To_Offset of offset: string
    | To_Datetime of time: string
    | Shift_By of records: string
    | By_Duration of duration: string
    | Execute
    | Dry_Run
    | Bootstrap_Server of host: string
    | Timeout_Ms of milliseconds: string
    | Json

    interface IClientArgument with
        member argument.Said =
            match argument with
            | Group value -> "", value
            | Topic value -> "--topic", value
            | All_Topics -> "--all-topics", ""
            | To_Earliest -> "--to-earliest", ""
            | To_Latest -> "--to-latest", ""
            | To_Current -> "--to-current", ""
            | To_Offset value -> "--to-offset", value
            | To_Datetime value -> "--to-datetime", value
            | Shift_By value -> "--shift-by", value
            | By_Duration value -> "--by-duration", value
            | Execute -> "--execute", ""
            | Dry_Run -> "--dry-run", ""
            | Bootstrap_Server value -> "--bootstrap-server", value
            | Timeout_Ms value -> "--timeout-ms", value
            | Json -> "--json", ""

        member argument.Usage =
            match argument with
            | Group _ -> "The group, which may have no members; may be given several times."
            | Topic _ -> "A topic, or some of its partitions, such as orders:0,2; may be given several times."
            | All_Topics -> "All topics for which the group has committed something."
            | To_Earliest -> "To the first record of each partition."
            | To_Latest -> "Behind the last record of each partition."
            | To_Current -> "To what is committed, brought back into the partition where it has left it."
            | To_Offset _ -> "To this offset, or the nearest that the partition has."
            | To_Datetime _ ->
                "To the first record that is not older, such as 2026-01-31T12:00:00Z; UTC without a zone."
            | Shift_By _ -> "So many records forward or, with a minus, back from what is committed."
            | By_Duration _ -> "To the first record that is not older than this before now, such as PT1H30M or P7D."
            | Execute -> "Do it. Without this flag it is only shown."
            | Dry_Run -> "Only show what would be done, as without --execute."
            | Bootstrap_Server _ -> Common.bootstrapUsage
            | Timeout_Ms _ -> Common.timeoutUsage
            | Json -> Common.jsonUsage

/// `tansu group delete`.
[<NoComparison; NoEquality>]
type internal GroupDeleteArgument =
    | [<MainCommand>] Group of name: string
    | Bootstrap_Server of host: string
    | Timeout_Ms of milliseconds: string
    | Json

    interface IClientArgument with
        member argument.Said =
            match argument with
            | Group value -> "", value
            | Bootstrap_Server value -> "--bootstrap-server", value
            | Timeout_Ms value -> "--timeout-ms", value
            | Json -> "--json", ""

        member argument.Usage =
            match argument with
            | Group _ -> "The group to delete with its offsets, which may have no members; may be given several times."
            | Bootstrap_Server _ -> Common.bootstrapUsage
            | Timeout_Ms _ -> Common.timeoutUsage
            | Json -> Common.jsonUsage

/// `tansu group delete-offsets`.
[<NoComparison; NoEquality>]
type internal GroupDeleteOffsetsArgument =
    | [<MainCommand>] Group of name: string
    | Topic of ``name:partitions``: string
    | Bootstrap_Server of host: string
    | Timeout_Ms of milliseconds: string
    | Json

    interface IClientArgument with
        member argument.Said =
            match argument with
            | Group value -> "", value
            | Topic value -> "--topic", value
            | Bootstrap_Server value -> "--bootstrap-server", value
            | Timeout_Ms value -> "--timeout-ms", value
            | Json -> "--json", ""

        member argument.Usage =
            match argument with
            | Group _ -> "The group, which may not be subscribed to the topic."
            | Topic _ -> "A topic, or some of its partitions, such as orders:0,2; may be given several times."
            | Bootstrap_Server _ -> Common.bootstrapUsage
            | Timeout_Ms _ -> Common.timeoutUsage
            | Json -> Common.jsonUsage
