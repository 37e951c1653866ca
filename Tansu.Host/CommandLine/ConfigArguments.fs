namespace Tansu.Host.CommandLine

open Argu

/// `tansu config get`.
[<NoComparison; NoEquality>]
type internal ConfigGetArgument =
    | [<MainCommand>] Name of name: string
    | Topic of name: string
    | Broker of ``id|default``: string
    | Group of name: string
    | All
    | Describe
    | Bootstrap_Server of host: string
    | Timeout_Ms of milliseconds: string
    | Json

    interface IClientArgument with
        member argument.Said =
            match argument with
            | Name value -> "", value
            | Topic value -> "--topic", value
            | Broker value -> "--broker", value
            | Group value -> "--group", value
            | All -> "--all", ""
            | Describe -> "--describe", ""
            | Bootstrap_Server value -> "--bootstrap-server", value
            | Timeout_Ms value -> "--timeout-ms", value
            | Json -> "--json", ""

        member argument.Usage =
            match argument with
            | Name _ -> "The configuration to show; may be given several times. [default: all that somebody has set]"
            | Topic _ -> "The configurations of this topic."
            | Broker _ -> "The configurations of the broker with this id, or with 'default' of all brokers."
            | Group _ -> "The configurations of this group."
            | All -> "Show also what nobody has set."
            | Describe -> "Say of each its type, where else it has a value, and what it is for."
            | Bootstrap_Server _ -> Common.bootstrapUsage
            | Timeout_Ms _ -> Common.timeoutUsage
            | Json -> Common.jsonUsage

/// `tansu config set`.
[<NoComparison; NoEquality>]
type internal ConfigSetArgument =
    | [<MainCommand>] Change of ``name=value``: string
    | Topic of name: string
    | Broker of ``id|default``: string
    | Group of name: string
    | Delete of name: string
    | Bootstrap_Server of host: string
    | Timeout_Ms of milliseconds: string
    | Json

    interface IClientArgument with
        member argument.Said =
            match argument with
            | Change value -> "", value
            | Topic value -> "--topic", value
            | Broker value -> "--broker", value
            | Group value -> "--group", value
            | Delete value -> "--delete", value
            | Bootstrap_Server value -> "--bootstrap-server", value
            | Timeout_Ms value -> "--timeout-ms", value
            | Json -> "--json", ""

        member argument.Usage =
            match argument with
            | Change _ -> "What to set, or with nothing after the = to delete; may be given several times."
            | Topic _ -> "The configurations of this topic."
            | Broker _ -> "The configurations of the broker with this id, or with 'default' of all brokers."
            | Group _ -> "The configurations of this group."
            | Delete _ -> "A configuration that is to have its default again; may be given several times."
            | Bootstrap_Server _ -> Common.bootstrapUsage
            | Timeout_Ms _ -> Common.timeoutUsage
            | Json -> Common.jsonUsage
