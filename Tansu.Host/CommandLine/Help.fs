namespace Tansu.Host.CommandLine

open System

/// The commands of `tansu`, and the help that lists them. That of a single command is Argu's.
module internal Help =
    /// Every command with what it does, in the order of the help; those of two words belong to a group of commands.
    let commands = [
        "broker", "Run a broker. Without any command, `tansu` does the same."
        "verify-store",
        "Check that a store keeps what Tansu relies on: of several writers of one object exactly one wins."
        "topic create", "Create topics."
        "topic list", "List the topics."
        "topic describe", "Show partitions, leaders, offsets and configurations of topics."
        "topic alter", "Give topics more partitions or other configurations."
        "topic delete", "Delete topics with all their records."
        "group list", "List the consumer groups."
        "group describe", "Show members, assignments, committed offsets and lag of consumer groups."
        "group reset-offsets", "Set the committed offsets of consumer groups that have no members."
        "group delete", "Delete consumer groups that have no members."
        "group delete-offsets", "Delete committed offsets of a consumer group."
        "config get", "Show configurations of a topic, a broker or a consumer group."
        "config set", "Set or delete configurations of a topic, a broker or a consumer group."
    ]

    let private lines (chosen: (string * string) list) =
        let width = chosen |> List.map (fun (name, _) -> name.Length) |> List.max

        chosen
        |> List.map (fun (name, purpose) -> $"    {name.PadRight width}  {purpose}")
        |> String.concat "\n"

    let private exitCodes =
        "EXIT CODES:\n\
         \x20   0  done\n\
         \x20   1  something failed, if only for one of several topics or groups: standard error says what\n\
         \x20   2  wrong usage"

    let private ofGroupOf (name: string) =
        commands
        |> List.filter (fun (command, _) -> command.StartsWith(name + " ", StringComparison.Ordinal))

    /// Whether a command is called so, with all its words.
    let isCommand (name: string) =
        commands |> List.exists (fun (command, _) -> command = name)

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

    /// What follows Argu's help of a command.
    let after (command: string) =
        if command.Contains ' ' then $"\n\n{exitCodes}" else ""
