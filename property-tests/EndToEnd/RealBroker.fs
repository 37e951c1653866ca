/// The real program in a process of its own, and the directories it stores in.
module Tansu.PropertyTests.EndToEnd.RealBroker

open System
open System.Collections.Concurrent
open System.Diagnostics
open System.IO
open System.Net
open System.Net.Sockets
open System.Text.RegularExpressions
open System.Threading
open System.Threading.Tasks

/// Far more than any step here takes; a step that needs longer hangs.
let patience = TimeSpan.FromSeconds 60.0

/// A directory that is gone when the test is over.
type Scratch() =
    let path = Directory.CreateTempSubdirectory("tansu-").FullName

    member _.Path = path
    member _.Store = $"file://{path}/store"

    interface IDisposable with
        member _.Dispose() = Directory.Delete(path, true)

/// The built program, which lies beside the tests: they reference it.
let private builtTansu = [ "dotnet"; Path.Combine(AppContext.BaseDirectory, "tansu.dll") ]

/// The program, unless a test says otherwise: the native one, as users have it, if ./test has published it, or else the built one.
let tansu =
    match Environment.GetEnvironmentVariable "TANSU_PROGRAM" with
    | null
    | "" -> builtTansu
    | native -> [ native ]

let private startInfo
    (command: string list)
    (directory: string)
    (environment: (string * string) list)
    (arguments: string list)
    =
    let info =
        ProcessStartInfo(
            List.head command,
            RedirectStandardOutput = true,
            RedirectStandardError = true,
            WorkingDirectory = directory
        )

    // Its default port is one for all.
    info.Environment["METRICS_LISTENER_URL"] <- "none"

    for name, value in environment do
        info.Environment[name] <- value

    for argument in List.tail command @ arguments do
        info.ArgumentList.Add argument

    info

/// What a finished run of the program left behind.
type Finished = { exitCode: int; output: string; error: string }

/// Runs the program, started by `command`, to its end.
let runBy command (directory: string) environment arguments =
    task {
        use ended = Process.Start(startInfo command directory environment arguments)
        let output = ended.StandardOutput.ReadToEndAsync()
        let error = ended.StandardError.ReadToEndAsync()
        do! ended.WaitForExitAsync().WaitAsync patience
        let! output = output
        let! error = error

        return { exitCode = ended.ExitCode; output = output; error = error }
    }

/// Runs the program to its end.
let run (directory: string) environment arguments =
    runBy tansu directory environment arguments

/// Runs the built program, never the native one, to its end.
let runBuilt (directory: string) environment arguments =
    runBy builtTansu directory environment arguments

/// A running broker.
type RealBroker private (broker: Process, lines: ConcurrentQueue<string>, started: Task<string>) =

    /// Starts a broker, by `command` or else the program, and waits for its start line.
    static member Start
        (directory: string, arguments: string list, ?environment: (string * string) list, ?command: string list)
        =
        let command = defaultArg command tansu
        let environment = defaultArg environment []

        let broker =
            Process.Start(startInfo command directory environment ("broker" :: arguments))

        let lines = ConcurrentQueue<string>()

        let started =
            TaskCompletionSource<string> TaskCreationOptions.RunContinuationsAsynchronously

        let onLine (line: string | null) =
            match line with
            | null ->
                started.TrySetException(Exception("the broker ended:\n" + String.Join("\n", lines)))
                |> ignore
            | line ->
                lines.Enqueue line

                if line.Contains "listens on" then
                    started.TrySetResult line |> ignore

        broker.OutputDataReceived.Add(fun event -> onLine event.Data)

        broker.ErrorDataReceived.Add(fun event ->
            match event.Data with
            | null -> ()
            | line -> lines.Enqueue line)

        broker.BeginOutputReadLine()
        broker.BeginErrorReadLine()
        started.Task.Wait patience |> ignore
        new RealBroker(broker, lines, started.Task)

    /// `host:port` for clients.
    member _.Bootstrap =
        let port =
            Regex.Match(started.Result, @"listens on tcp://\S*:(\d+)").Groups[1].Value

        $"127.0.0.1:{port}"

    /// Everything it has said so far.
    member _.Log = String.Join("\n", lines)

    member _.ProcessId = broker.Id

    /// SIGKILL: nothing is finished, nothing is said.
    member _.Kill() =
        broker.Kill()
        broker.WaitForExit()

    /// Sends it a signal of that name.
    member _.Signal(name: string) =
        use kill = Process.Start("kill", $"-{name} {broker.Id}")
        kill.WaitForExit()

    /// Waits until it has ended, and gives the exit code.
    member _.WaitForExit() =
        if not (broker.WaitForExit patience) then
            failwith "the broker did not stop"

        broker.ExitCode

    /// A line of /proc/PID/status in KiB, such as `VmRSS` (now) or `VmHWM` (the most so far).
    member _.StatusKiB(name: string) =
        let line =
            File.ReadAllLines $"/proc/{broker.Id}/status"
            |> Array.find (fun line -> line.StartsWith(name + ":", StringComparison.Ordinal))

        int (Regex.Match(line, @"\d+").Value)

    /// SIGTERM, and the exit code with the time it took.
    member this.Terminate() =
        let clock = Stopwatch.StartNew()
        this.Signal "TERM"
        this.WaitForExit(), clock.Elapsed

    interface IDisposable with
        member _.Dispose() =
            if not broker.HasExited then
                broker.Kill()
                broker.WaitForExit()

            broker.Dispose()

/// Starts a broker on loopback at a free port, storing in `scratch`.
let start (scratch: Scratch) =
    RealBroker.Start(scratch.Path, [ "--listener-url"; "tcp://127.0.0.1:0"; "--storage-engine"; scratch.Store ])

/// Runs a program of the system with a text as its input, and gives what it wrote.
let shell (fileName: string) (arguments: string list) (input: string) =
    task {
        let info =
            ProcessStartInfo(
                fileName,
                RedirectStandardOutput = true,
                RedirectStandardError = true,
                RedirectStandardInput = true
            )

        for argument in arguments do
            info.ArgumentList.Add argument

        use ended = Process.Start info
        let output = ended.StandardOutput.ReadToEndAsync()
        let error = ended.StandardError.ReadToEndAsync()
        do! ended.StandardInput.WriteAsync input
        ended.StandardInput.Close()
        do! ended.WaitForExitAsync().WaitAsync patience
        let! output = output
        let! error = error

        if ended.ExitCode <> 0 then
            failwith $"{fileName} ended with {ended.ExitCode}: {error}"

        return output
    }
