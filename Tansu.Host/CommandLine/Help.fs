namespace Tansu.Host.CommandLine

open System
open System.Text

/// The help: of `tansu`, of a group of commands, and of a command for a cluster. That of `broker` and `verify-store` is Argu's.
module internal Help =
    let private width = 100

    /// Every command with what it does, in the order of the help; those of two words belong to a group of commands.
    let private commands = [
        "broker", "Run a broker. Without any command, `tansu` does the same."
        "verify-store",
        "Check that a store keeps what Tansu relies on: of several writers of one object exactly one wins."
        for command in ClientCommands.all do
            command.Name, command.Purpose
    ]

    let private exitCodes =
        "EXIT CODES:\n\
         \x20   0  done\n\
         \x20   1  something failed, if only for one of several topics or groups: standard error says what\n\
         \x20   2  wrong usage"

    let private lines (chosen: (string * string) list) =
        let widest = chosen |> List.map (fun (name, _) -> name.Length) |> List.max

        chosen
        |> List.map (fun (name, purpose) -> $"    {name.PadRight widest}  {purpose}")
        |> String.concat "\n"

    let private ofGroupOf (name: string) =
        commands
        |> List.filter (fun (command, _) -> command.StartsWith(name + " ", StringComparison.Ordinal))

    /// Whether it is the first of two words.
    let isGroup (name: string) = not (List.isEmpty (ofGroupOf name))

    /// The second words.
    let choices (group: string) =
        ofGroupOf group
        |> List.map (fun (command, _) -> command.Substring(group.Length + 1))
        |> String.concat ", "

    /// What `tansu --help` prints.
    let ofAll (version: string) =
        $"tansu {version}, a broker that speaks the Kafka protocol, and its tools for any Kafka cluster\n\n\
          USAGE: tansu [command] [flags]\n\n\
          COMMANDS:\n{lines commands}\n\n\
          `tansu <command> --help` explains the flags of a command, `tansu --version` prints the version.\n\n{exitCodes}"

    /// What `tansu topic --help` and its like print.
    let ofGroup (group: string) =
        $"USAGE: tansu {group} <command> [flags]\n\n\
          COMMANDS:\n{lines (ofGroupOf group)}\n\n\
          `tansu {group} <command> --help` explains the flags of a command.\n\n{exitCodes}"

    let private form (flag: ClientFlag) =
        match flag.Flag, flag.Value with
        | "", value -> $"<{value}>"
        | name, "" -> name
        | name, value -> $"{name} <{value}>"

    // Words in lines that begin at a column.
    let private wrapped (column: int) (text: string) =
        let result = StringBuilder()
        let mutable used = column

        for word in text.Split ' ' do
            if used > column && used + 1 + word.Length > width then
                result.Append('\n').Append(' ', column) |> ignore
                used <- column
            elif used > column then
                result.Append ' ' |> ignore
                used <- used + 1

            result.Append word |> ignore
            used <- used + word.Length

        result.ToString()

    /// What `tansu topic create --help` and its like print.
    let ofCommand (command: ClientCommand) =
        let column =
            6 + (command.Flags |> List.map (fun flag -> (form flag).Length) |> List.max)

        let explained (flag: ClientFlag) =
            $"    {(form flag).PadRight(column - 6)}  {wrapped column flag.Purpose}"

        let alone =
            command.Flags
            |> List.filter (fun flag -> flag.Flag = "")
            |> List.map (fun flag -> $" <{flag.Value}>...")
            |> String.concat ""

        $"{command.Purpose}\n\n\
          USAGE: tansu {command.Name}{alone} [flags]\n\n\
          FLAGS:\n"
        + (command.Flags |> List.map explained |> String.concat "\n")
        + $"\n\n{exitCodes}"
