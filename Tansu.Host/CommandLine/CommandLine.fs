namespace Tansu.Host.CommandLine

open System
open System.Collections.Generic
open System.IO
open System.Runtime.CompilerServices
open Argu

/// What a command line asks for.
[<NoComparison>]
type Command =
    /// Run a broker. The variables are those of `.env` that the environment does not set itself.
    | RunBroker of options: BrokerOptions * dotEnv: IReadOnlyDictionary<string, string>
    /// Check a store by so many races. The variables as above.
    | VerifyStore of storageEngine: string * rounds: int * json: bool * dotEnv: IReadOnlyDictionary<string, string>
    /// Print what a store holds. The variables as above.
    | DumpStore of storageEngine: string * task: DumpTask * dotEnv: IReadOnlyDictionary<string, string>
    /// Do something with a running cluster.
    | UseCluster of settings: ClientSettings * task: ClientTask
    /// Print to standard output and end with 0.
    | Print of text: string
    /// Print to standard error and end with the exit code: 2 for wrong usage, 1 for a value that is not allowed.
    | Refuse of text: string * exitCode: int

/// What was asked for, before values are read.
[<NoComparison; NoEquality>]
type internal Asked =
    /// A broker, or if `rounds` is given a check of its store: flags by name.
    | Server of flags: Map<string, string> * rounds: (string * bool) option
    /// A command for a running cluster.
    | Client of command: string * said: ClientReading.Said
    /// Something that Argu takes and nobody means.
    | Mistaken of line: string

/// The flags of each command, as Argu splits them.
module internal Typed =
    // `--flag=value` is two arguments.
    let private split (argument: string) =
        match argument.IndexOf '=' with
        | equals when equals > 2 && argument.StartsWith("--", StringComparison.Ordinal) -> [|
            argument.Substring(0, equals)
            argument.Substring(equals + 1)
          |]
        | _ -> [| argument |]

    // Argu looks at a union when it is asked to parse one: only the command that was typed costs anything.
    let private results<'Argument when 'Argument :> IArgParserTemplate> (command: string) (arguments: string array) =
        let parser =
            ArgumentParser.Create<'Argument>(programName = $"tansu {command}", errorHandler = ExceptionExiter())

        parser.ParseCommandLine(Array.collect split arguments).GetAllResults()

    // Argu knows the flags of all commands, gives what it does not know to what stands alone, and the value of a switch too.
    let private mistake (command: ClientCommand) (arguments: string array) (said: ClientReading.Said) =
        let isKnown flag =
            command.Flags |> List.exists (fun known -> known.Flag = flag)

        let isValued (flag: string) =
            arguments
            |> Array.exists (fun argument ->
                argument.StartsWith(flag + "=", StringComparison.Ordinal)
                && argument.Length > flag.Length + 1)

        said
        |> List.tryPick (fun (flag, value) ->
            if flag = "" && (value.StartsWith '-' || not (isKnown "")) then
                Some $"unrecognized argument: '{value}'"
            elif not (isKnown flag) then
                Some $"unrecognized argument: '{flag}'"
            elif flag <> "" && value = "" && isValued flag then
                Some $"{flag} takes no value"
            else
                None)

    let private client (command: ClientCommand) arguments =
        let said =
            results<ClientArgument> command.Name arguments |> List.map ClientArgument.Said

        match mistake command arguments said with
        | Some line -> Mistaken line
        | None -> Client(command.Name, said)

    let private broker arguments =
        let flags =
            results<BrokerArgument> "broker" arguments
            |> Seq.map (fun flag -> (BrokerArgument.SettingOf flag).Flag, BrokerArgument.ValueOf flag)
            |> Map.ofSeq

        Server(flags, None)

    let private verifyStore arguments =
        let folder (flags, rounds, json) argument =
            match argument with
            | VerifyArgument.Storage_Engine url -> Map.add Setting.storageEngine.Flag url flags, rounds, json
            | VerifyArgument.Rounds rounds -> flags, rounds, json
            | VerifyArgument.Json -> flags, rounds, true

        let flags, rounds, json =
            results<VerifyArgument> "verify-store" arguments
            |> List.fold folder (Map.empty, $"{Verification.DefaultRounds}", false)

        Server(flags, Some(rounds, json))

    /// What was typed after a command.
    let ask (command: string) (arguments: string array) =
        match command with
        | "broker" -> broker arguments
        | "verify-store" -> verifyStore arguments
        | _ ->
            match ClientCommands.tryFind command with
            | Some command -> client command arguments
            | None -> invalidArg (nameof command) command

/// The `tansu` command line.
[<AbstractClass; Sealed>]
type CommandLine private () =
    static let maxArguments = 1000

    // Argu follows its one line with the whole help, under which the line is lost.
    static let firstLine (message: string) =
        let line = (message.Split([| '\n' |])[0]).Trim()

        if line.StartsWith("ERROR: ", StringComparison.Ordinal) then
            line.Substring "ERROR: ".Length
        else
            line

    static let refuse (command: string) (line: string) =
        let ended = if line.EndsWith '.' then line else line + "."
        Refuse($"tansu: {ended} Try '{command} --help'.", 2)

    // Argu is slow to start: a launch without arguments must not touch it, so it stays out of the other methods.
    [<MethodImpl(MethodImplOptions.NoInlining)>]
    static let parseCommand (command: string) (arguments: string array) : Choice<Asked, Command> =
        try
            match Typed.ask command arguments with
            | Mistaken line -> Choice2Of2(refuse $"tansu {command}" line)
            | asked -> Choice1Of2 asked
        with :? ArguParseException as refusal ->
            if refusal.ErrorCode = ErrorCode.HelpText then
                Choice2Of2(Print refusal.Message)
            else
                Choice2Of2(refuse $"tansu {command}" (firstLine refusal.Message))

    // Without a command, or with flags only, the broker is meant.
    static let parseWords (version: string) (arguments: string array) : Choice<Asked, Command> =
        let isHelp argument =
            Array.contains argument [| "--help"; "-h"; "help" |]

        let first = arguments[0]

        if isHelp first then
            Choice2Of2(Print(Help.ofAll version))
        elif first = "--version" then
            Choice2Of2(Print $"tansu {version}")
        elif first.StartsWith("-", StringComparison.Ordinal) then
            parseCommand "broker" arguments
        // Before the help's lists are made, which a broker does not need.
        elif first = "broker" || first = "verify-store" then
            parseCommand first arguments[1..]
        elif first = ClientCommands.dump.Name then
            if Array.exists isHelp arguments[1..] then
                Choice2Of2(Print(Help.ofCommand ClientCommands.dump))
            else
                parseCommand first arguments[1..]
        elif not (Help.isGroup first) then
            Choice2Of2(refuse "tansu" $"there is no command '{first}'")
        elif arguments.Length = 1 then
            Choice2Of2(refuse $"tansu {first}" $"'{first}' needs one of its commands: {Help.choices first}")
        elif isHelp arguments[1] then
            Choice2Of2(Print(Help.ofGroup first))
        else
            match ClientCommands.tryFind $"{first} {arguments[1]}" with
            | None -> Choice2Of2(refuse $"tansu {first}" $"there is no command '{first} {arguments[1]}'")
            | Some command when
                arguments
                |> Array.exists (fun argument -> argument = "--help" || argument = "-h")
                ->
                Choice2Of2(Print(Help.ofCommand command))
            | Some command -> parseCommand command.Name arguments[2..]

    static let settle (variable: string -> string option) (dotEnv: Map<string, string>) (asked: Asked) =
        // The real environment wins over the file; an empty variable counts as not set.
        let merged name =
            match variable name with
            | Some value when value <> "" -> Some value
            | _ -> dotEnv |> Map.tryFind name |> Option.filter (fun value -> value <> "")

        let missing = dotEnv |> Map.filter (fun name _ -> (variable name).IsNone)

        let withStore flags next =
            match Configuration.broker { Flag = flags; Variable = merged } with
            | Error line -> Refuse($"tansu: {line}", 1)
            | Ok options -> next options

        match asked with
        | Mistaken line -> refuse "tansu" line
        | Client("dump", said) ->
            let engine flag =
                said
                |> List.tryPick (fun (name, value) -> if name = flag then Some value else None)

            match RecordReading.dump said with
            | Ok task -> withStore engine (fun options -> DumpStore(options.StorageEngine, task, missing))
            | Error line -> refuse "tansu dump" line
        | Client(command, said) ->
            match ClientReading.read RecordReading.task command merged said with
            | Ok(settings, task) -> UseCluster(settings, task)
            | Error line -> refuse $"tansu {command}" line
        | Server(flags, rounds) ->
            withStore flags.TryFind (fun options ->
                match rounds with
                | None -> RunBroker(options, missing)
                | Some(rounds, json) ->
                    match Value.wholeNumber 1 Verification.MaxRounds rounds with
                    | Ok rounds -> VerifyStore(options.StorageEngine, rounds, json, missing)
                    | Error allowed -> Refuse($"tansu: --rounds: allowed is {allowed}", 1))

    /// Reads a command line. `variable` is the process's environment (null if not set), `dotEnvText` the text of the
    /// `.env` file (null if there is none).
    static member Parse
        (arguments: string array, version: string, variable: Func<string, string | null>, dotEnvText: string | null)
        : Command =
        let variable name = variable.Invoke name |> Option.ofObj

        let flags =
            if arguments.Length = 0 then
                Choice1Of2(Server(Map.empty, None))
            elif arguments.Length > maxArguments then
                Choice2Of2(Refuse($"tansu: more than {maxArguments} arguments", 2))
            else
                parseWords version arguments

        match flags with
        | Choice2Of2 command -> command
        | Choice1Of2 flags ->
            match DotEnv.parse (dotEnvText |> Option.ofObj |> Option.defaultValue "") with
            | Error line -> Refuse($"tansu: {line}", 1)
            | Ok dotEnv -> settle variable dotEnv flags

    /// Reads a command line with this process's environment and the `.env` file of a folder.
    static member ParseHere(arguments: string array, version: string, folder: string) : Command =
        let path = Path.Combine(folder, ".env")

        try
            let file = FileInfo path

            // Bytes are at least as many as characters, so a huge file need not be read to be refused.
            if file.Exists && file.Length > 4L * int64 DotEnv.MaxCharacters then
                Refuse($"tansu: {path} has {file.Length} bytes, which is too many", 1)
            else
                let text = if file.Exists then File.ReadAllText path else ""

                CommandLine.Parse(
                    arguments,
                    version,
                    Func<_, _>(fun name -> Environment.GetEnvironmentVariable name),
                    text
                )
        with
        | :? IOException
        | :? UnauthorizedAccessException -> Refuse($"tansu: {path} cannot be read", 1)
