/// Private PostgreSQL servers on free loopback ports: one for most tests, started when the first of them asks, and others for tests
/// that stop or break theirs. All are gone when the process ends.
module Tansu.PropertyTests.Stores.PostgresServer

open System
open System.Collections.Concurrent
open System.Diagnostics
open System.IO
open System.Net
open System.Net.Sockets
open System.Threading
open System.Threading.Tasks
open Npgsql
open Tansu.PropertyTests

/// What a URL must escape is in it.
let private password = "p@ss:w/rd#1"

let private script =
    Path.Combine(Machine.repository, "property-tests", "servers", "postgres.sh")

let private runScript (directory: string) (port: int) (command: string) =
    let info = ProcessStartInfo(script, command, RedirectStandardError = true)
    info.Environment["PG_DIR"] <- directory
    info.Environment["PG_PORT"] <- string port
    info.Environment["PGPASSWORD"] <- password
    use running = Process.Start info
    let said = running.StandardError.ReadToEnd()
    running.WaitForExit()

    if running.ExitCode = 0 then
        Ok()
    else
        Error $"postgres.sh {command}: {said}"

let private required outcome =
    match outcome with
    | Ok() -> ()
    | Error said -> failwith said

let private running = ConcurrentDictionary<string, unit -> unit>()

/// Ends every server that was started here, and removes what it kept.
let stopAll () =
    for directory in running.Keys do
        match running.TryRemove directory with
        | true, stop -> stop ()
        | _ -> ()

// Also on SIGTERM and Ctrl+C.
AppDomain.CurrentDomain.ProcessExit.Add(fun _ -> stopAll ())

type Server private (directory: string, port: int) =
    let mutable databases = 0

    /// Starts a server. Somebody else may take a free port before the server does, hence the attempts.
    static member Start() =
        let rec start attempts =
            let directory =
                Path.Combine(Path.GetTempPath(), "tansu-test-postgres-" + Guid.NewGuid().ToString("N").Substring(0, 8))

            let port = Machine.freePort ()
            running[directory] <- fun () -> runScript directory port "wipe" |> ignore

            match runScript directory port "start" with
            | Ok() -> Server(directory, port)
            | Error said when attempts = 1 -> failwith said
            | Error _ ->
                runScript directory port "wipe" |> ignore
                running.TryRemove directory |> ignore
                start (attempts - 1)

        start 5

    member _.Port = port

    /// A storage engine.
    member _.UrlAs(user: string, secret: string, database: string) =
        $"postgres://{user}:{Uri.EscapeDataString secret}@127.0.0.1:{port}/{database}"

    member this.Url(database: string) =
        this.UrlAs("postgres", password, database)

    /// Runs statements as the superuser, on a connection that the function gets first.
    member _.With(database: string, run: NpgsqlConnection -> Task<'result>) =
        task {
            let settings =
                NpgsqlConnectionStringBuilder(
                    Host = "127.0.0.1",
                    Port = port,
                    Username = "postgres",
                    Password = password,
                    Database = database,
                    Pooling = false
                )

            use connection = new NpgsqlConnection(settings.ConnectionString)
            do! connection.OpenAsync()
            return! run connection
        }

    member this.Execute(database: string, statement: string) =
        this.With(
            database,
            fun connection ->
                task {
                    use command = new NpgsqlCommand(statement, connection)
                    let! _ = command.ExecuteNonQueryAsync()
                    return ()
                }
        )

    member this.Scalar<'value>(database: string, statement: string) =
        this.With(
            database,
            fun connection ->
                task {
                    use command = new NpgsqlCommand(statement, connection)
                    let! value = command.ExecuteScalarAsync()
                    return unbox<'value> value
                }
        )

    /// Waits until a session is as the condition on `pg_stat_activity` says.
    member this.UntilAny(database: string, condition: string) =
        task {
            let mutable count = 0L

            while count = 0L do
                let! now =
                    this.Scalar<int64>(
                        "postgres",
                        $"SELECT count(*) FROM pg_stat_activity WHERE datname = '{database}' AND {condition}"
                    )

                count <- now
        }

    /// Does something while a transaction holds what a statement locks.
    member this.Holding(database: string, statement: string, body: unit -> Task<'result>) =
        this.With(
            database,
            fun connection ->
                task {
                    use! transaction = connection.BeginTransactionAsync()
                    use hold = new NpgsqlCommand(statement, connection)
                    let! _ = hold.ExecuteNonQueryAsync()
                    return! body ()
                }
        )

    /// An empty database of one's own.
    member this.NewDatabase() =
        task {
            let name = $"test{Interlocked.Increment &databases}"
            do! this.Execute("postgres", $"CREATE DATABASE {name}")
            return name
        }

    /// Ends all other sessions of a database, as a restart or an administrator does.
    member this.EndSessions(database: string) =
        this.Execute(
            "postgres",
            $"SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE datname = '{database}'"
        )

    member _.Restart() =
        runScript directory port "restart" |> required

    /// As after a power failure: what was not written to the log file is gone.
    member _.Crash() =
        runScript directory port "crash" |> required

/// The server that tests share, each with a database of its own.
let shared = lazy Server.Start()
