namespace Tansu.Host.CommandLine

open System
open System.Collections.Generic
open System.IO
open System.Runtime.CompilerServices
open Argu

/// What a command line asks for.
type Command =
    /// Run a broker. The variables are those of `.env` that the environment does not set itself.
    | RunBroker of options: BrokerOptions * dotEnv: IReadOnlyDictionary<string, string>
    /// Check a store by so many races. The variables as above.
    | VerifyStore of storageEngine: string * rounds: int * dotEnv: IReadOnlyDictionary<string, string>
    /// Print to standard output and end with 0.
    | Print of text: string
    /// Print to standard error and end with the exit code: 2 for wrong usage, 1 for a value that is not allowed.
    | Refuse of text: string * exitCode: int

/// What was asked for, before values are read: flags by name, and for a check how many rounds.
type internal Asked = { Flags: Map<string, string>; Rounds: string option }

/// The `tansu` command line.
[<AbstractClass; Sealed>]
type CommandLine private () =
    static let maxArguments = 1000

    static let parser () =
        ArgumentParser.Create<TansuArgument>(programName = "tansu", errorHandler = ExceptionExiter())

    // `--flag=value` is two arguments; without a command, or with flags only, the broker is meant.
    static let normalized (arguments: string array) =
        let split (argument: string) =
            match argument.IndexOf '=' with
            | equals when equals > 2 && argument.StartsWith("--", StringComparison.Ordinal) -> [|
                argument.Substring(0, equals)
                argument.Substring(equals + 1)
              |]
            | _ -> [| argument |]

        match Array.collect split arguments with
        | arguments when Array.contains arguments[0] [| "--help"; "-h"; "help"; "--version" |] -> arguments
        | arguments when arguments[0].StartsWith("-", StringComparison.Ordinal) -> Array.append [| "broker" |] arguments
        | arguments -> arguments

    // Argu follows its one line with the whole help, under which the line is lost.
    static let firstLine (message: string) =
        let line = (message.Split([| '\n' |])[0]).Trim()

        if line.StartsWith("ERROR: ", StringComparison.Ordinal) then
            line.Substring "ERROR: ".Length
        else
            line

    // Argu is slow to start: a launch without arguments must not touch it, so it stays out of the other methods.
    [<MethodImpl(MethodImplOptions.NoInlining)>]
    static let parseFlags (version: string) (arguments: string array) : Choice<Asked, Command> =
        try
            let results = (parser ()).ParseCommandLine(normalized arguments)

            if results.Contains TansuArgument.Version then
                Choice2Of2(Print $"tansu {version}")
            else
                match results.TryGetSubCommand() with
                | Some(Broker flags) ->
                    flags.GetAllResults()
                    |> Seq.map (fun flag -> (BrokerArgument.SettingOf flag).Flag, BrokerArgument.ValueOf flag)
                    |> Map.ofSeq
                    |> fun flags -> Choice1Of2 { Flags = flags; Rounds = None }
                | Some(Verify_Store flags) ->
                    let rounds =
                        flags.TryGetResult VerifyArgument.Rounds
                        |> Option.defaultValue $"{Verification.DefaultRounds}"

                    let engine =
                        flags.TryGetResult VerifyArgument.Storage_Engine
                        |> Option.map (fun url -> Setting.storageEngine.Flag, url)

                    Choice1Of2 { Flags = Map.ofList (Option.toList engine); Rounds = Some rounds }
                | Some TansuArgument.Version
                | None -> Choice1Of2 { Flags = Map.empty; Rounds = None }
        with :? ArguParseException as refusal ->
            if refusal.ErrorCode = ErrorCode.HelpText then
                Choice2Of2(Print refusal.Message)
            else
                Choice2Of2(Refuse($"tansu: {firstLine refusal.Message} Try 'tansu broker --help'.", 2))

    static let settle (variable: string -> string option) (dotEnv: Map<string, string>) (asked: Asked) =
        // The real environment wins over the file; an empty variable counts as not set.
        let merged name =
            match variable name with
            | Some value when value <> "" -> Some value
            | _ -> dotEnv |> Map.tryFind name |> Option.filter (fun value -> value <> "")

        match Configuration.broker { Flag = asked.Flags.TryFind; Variable = merged } with
        | Error line -> Refuse($"tansu: {line}", 1)
        | Ok options ->
            let missing = dotEnv |> Map.filter (fun name _ -> (variable name).IsNone)

            match asked.Rounds |> Option.map (Value.wholeNumber 1 Verification.MaxRounds) with
            | None -> RunBroker(options, missing)
            | Some(Ok rounds) -> VerifyStore(options.StorageEngine, rounds, missing)
            | Some(Error allowed) -> Refuse($"tansu: --rounds: allowed is {allowed}", 1)

    /// Reads a command line. `variable` is the process's environment (null if not set), `dotEnvText` the text of the
    /// `.env` file (null if there is none).
    static member Parse
        (arguments: string array, version: string, variable: Func<string, string | null>, dotEnvText: string | null)
        : Command =
        let variable name = variable.Invoke name |> Option.ofObj

        let flags =
            if arguments.Length = 0 then
                Choice1Of2 { Flags = Map.empty; Rounds = None }
            elif arguments.Length > maxArguments then
                Choice2Of2(Refuse($"tansu: more than {maxArguments} arguments", 2))
            else
                parseFlags version arguments

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
