/// What the PostgreSQL store promises beyond the contract.
module Tansu.PropertyTests.Stores.Postgres

open System
open System.Collections.Concurrent
open System.IO
open System.Threading
open System.Threading.Tasks
open Expecto
open Npgsql
open Tansu.Adapters
open Tansu.Adapters.Ports
open Tansu.PropertyTests.Stores.Helpers
open Tansu.PropertyTests.Stores.PostgresServer

/// Far more than anything here takes.
let private patience = TimeSpan.FromSeconds 60.0

let private openUrl (url: string) =
    PostgresStore.OpenAsync(url, StoreOptions.Default, none)

let private newDatabase () = shared.Value.NewDatabase()

/// An empty store in a database of its own, for the contract.
let make () =
    task {
        let! database = newDatabase ()
        let! store = openUrl (shared.Value.Url database)
        return store :> IStore
    }

let private withDatabase name (body: Server -> string -> Task<unit>) =
    testCaseTask name (fun () ->
        task {
            let! database = newDatabase ()
            do! body shared.Value database
        })

/// What a broker does: append, and when unsure read whose the entry is; `mine` tells entries apart.
let rec private appendUntilKnown (log: IEventLog) (failures: int ref) number (mine: byte array) =
    task {
        try
            let! outcome = tryAppend log number mine mine

            if outcome = AppendOutcome.Appended then
                return true
            else
                if outcome = AppendOutcome.Unknown then
                    Interlocked.Increment failures |> ignore

                match! readHeads log (number - 1L) 1 with
                | (_, head, _) :: _ -> return head = mine
                | [] -> return! appendUntilKnown log failures number mine
        with :? StoreUnavailableException ->
            Interlocked.Increment failures |> ignore
            do! Task.Delay 20
            return! appendUntilKnown log failures number mine
    }

let rec private retrying (run: unit -> Task<'result>) =
    task {
        try
            return! run ()
        with :? StoreUnavailableException ->
            do! Task.Delay 20
            return! retrying run
    }

let private brokers = [
    withDatabase "two brokers race for every entry: each has one writer, who knows it" (fun server database ->
        task {
            use! first = openUrl (server.Url database)
            use! second = openUrl (server.Url database)
            let! one = first.OpenLogAsync("shard-0", none)
            let! other = second.OpenLogAsync("shard-0", none)

            for number in 1L .. 100L do
                let! outcomes =
                    Task.WhenAll [|
                        for log, name in [ one, 1uy; other, 2uy; one, 3uy; other, 4uy ] ->
                            Task.Run<AppendOutcome>(fun () -> tryAppend log number [| name |] [| name |])
                    |]

                let winners =
                    Array.indexed outcomes
                    |> Array.filter (fun (_, outcome) -> outcome = AppendOutcome.Appended)

                Expect.equal winners.Length 1 $"winners of entry {number}"

                Expect.equal
                    (outcomes |> Array.filter ((=) AppendOutcome.Conflict)).Length
                    3
                    $"losers of entry {number}"

                let! heads = readHeads other (number - 1L) 5
                Expect.equal heads [ number, [| byte (fst winners[0]) + 1uy |], 1 ] "the winner's"
        })
    withDatabase "eight brokers may start at once on an empty database" (fun server database ->
        task {
            let! stores =
                Task.WhenAll [|
                    for _ in 1..8 -> Task.Run<PostgresStore>(fun () -> openUrl (server.Url database))
                |]

            let! logs =
                Task.WhenAll [|
                    for (store: PostgresStore) in stores -> store.OpenLogAsync("catalog", none).AsTask()
                |]

            for index, log in Array.indexed logs do
                do! appendNext log (int64 index + 1L)

            do! expectEntries logs[0] 1L 8L
            Expect.equal stores[0].Description $"postgres 127.0.0.1:{server.Port}/{database}" "the description"

            for store in stores do
                do! store.DisposeAsync()
        })
    withDatabase "an append reaches the subscribers of other stores, and not one's own" (fun server database ->
        task {
            use! writer = openUrl (server.Url database)
            use! reader = openUrl (server.Url database)
            let! log = writer.OpenLogAsync("shard-0", none)
            let! _ = reader.OpenLogAsync("shard-0", none)
            use heard = new SemaphoreSlim(0)
            use own = new SemaphoreSlim(0)

            use _ =
                reader.Subscribe(fun name ->
                    if name = "shard-0" then
                        heard.Release() |> ignore)

            use _ =
                writer.Subscribe(fun name ->
                    if name = "shard-0" then
                        own.Release() |> ignore)
            // Each is told once when it begins to listen.
            let! first = heard.WaitAsync patience
            Expect.isTrue first "the listener is there"
            let! first = own.WaitAsync patience
            Expect.isTrue first "the writer's listener is there"

            for number in 1L .. 5L do
                do! appendNext log number
                let! told = heard.WaitAsync patience
                Expect.isTrue told $"entry {number}"

            Expect.equal own.CurrentCount 0 "the writer's own"

            // Whoever lost the connection may have missed something, and is told so.
            do! server.EndSessions database
            let! told = heard.WaitAsync patience
            Expect.isTrue told "after the connection was lost"
        })
    withDatabase "while nobody else listens the server is not bothered with notifications" (fun server database ->
        task {
            use! writer = openUrl (server.Url database)
            let! log = writer.OpenLogAsync("shard-0", none)
            use listening = new SemaphoreSlim(0)
            use _ = writer.Subscribe(fun _ -> listening.Release() |> ignore)
            let! first = listening.WaitAsync patience
            Expect.isTrue first "the writer listens itself"
            use heard = new SemaphoreSlim(0)

            do!
                server.With(
                    database,
                    fun connection ->
                        task {
                            let run statement =
                                task {
                                    use command = new NpgsqlCommand(statement, connection)
                                    let! _ = command.ExecuteNonQueryAsync()
                                    return ()
                                }

                            connection.Notification.Add(fun _ -> heard.Release() |> ignore)
                            do! run "LISTEN tansu"

                            for number in 1L .. 50L do
                                do! appendNext log number

                            // A statement brings what has been notified before.
                            do! run "SELECT 1"
                            Expect.equal heard.CurrentCount 0 "nobody else listens"
                            use! reader = openUrl (server.Url database)
                            let! _ = reader.OpenLogAsync("shard-0", none)
                            use subscribed = new SemaphoreSlim(0)
                            use _ = reader.Subscribe(fun _ -> subscribed.Release() |> ignore)
                            let! told = subscribed.WaitAsync patience
                            Expect.isTrue told "the reader listens"
                            do! appendNext log 51L
                            use limit = new CancellationTokenSource(patience)
                            do! connection.WaitAsync limit.Token
                            Expect.isGreaterThan heard.CurrentCount 0 "of what somebody waits for"
                        }
                )
        })
    withDatabase "announcing goes on when the server has ended its session" (fun server database ->
        task {
            use! writer = openUrl (server.Url database)
            let! log = writer.OpenLogAsync("shard-0", none)
            do! appendNext log 1L

            // Nobody listens, so whoever announces has asked only whether somebody does, and does so again before the next announcement.
            do! server.UntilAny(database, "state = 'idle' AND query LIKE '%pg_locks%'")
            do! server.EndSessions database
            let! isMine = appendUntilKnown log (ref 0) 2L (headOf 2L)
            Expect.isTrue isMine "the entry"
            use! reader = openUrl (server.Url database)
            let! _ = reader.OpenLogAsync("shard-0", none)
            use heard = new SemaphoreSlim(0)
            use _ = reader.Subscribe(fun _ -> heard.Release() |> ignore)
            let! first = heard.WaitAsync patience
            Expect.isTrue first "the reader listens"
            let mutable tail = 2L
            let mutable told = false
            use limit = new CancellationTokenSource(patience)

            while not told do
                limit.Token.ThrowIfCancellationRequested()
                tail <- tail + 1L
                do! appendNext log tail
                let! now = heard.WaitAsync(TimeSpan.FromMilliseconds 100.0)
                told <- now
        })
]

let private connecting = [
    testCaseTask
        "a connection that the driver cannot make is tried again, and so are announcing and listening"
        (fun () ->
            task {
                let server = Server.Start()
                let! database = server.NewDatabase()
                use! writer = openUrl (server.Url database)
                use! reader = openUrl (server.Url database)
                let! log = writer.OpenLogAsync("shard-0", none)
                let! _ = reader.OpenLogAsync("shard-0", none)
                use heard = new SemaphoreSlim(0)
                use _ = reader.Subscribe(fun _ -> heard.Release() |> ignore)
                let! first = heard.WaitAsync patience
                Expect.isTrue first "the reader listens"
                do! appendNext log 1L

                // The driver does not know how to authenticate so, and says that with an error that is not of its own kind.
                let! rulesFile = server.Scalar<string>("postgres", "SHOW hba_file")
                let rules = File.ReadAllText rulesFile

                let letIn (isLetIn: bool) =
                    task {
                        File.WriteAllText(
                            rulesFile,
                            (if isLetIn then
                                 rules
                             else
                                 $"host {database} all 127.0.0.1/32 gss\n{rules}")
                        )

                        do! server.Execute("postgres", "SELECT pg_reload_conf()")
                    }

                do! letIn false
                let mutable why = ""
                use limit = new CancellationTokenSource(patience)

                while not (why.Contains "Integrated security") do
                    limit.Token.ThrowIfCancellationRequested()
                    do! server.EndSessions database

                    try
                        let! _ = tryAppend log 2L (headOf 2L) [||]
                        ()
                    with :? StoreUnavailableException as unavailable ->
                        why <- unavailable.Message


                while heard.Wait 0 do
                    ()

                do! letIn true
                let! isMine = appendUntilKnown log (ref 0) 2L (headOf 2L)
                Expect.isTrue isMine "the entry"

                // Once it listens again it is told, and then of an append.
                let mutable tail = 2L
                let mutable told = 0

                while told < 3 do
                    limit.Token.ThrowIfCancellationRequested()
                    tail <- tail + 1L
                    do! appendNext log tail
                    let! now = heard.WaitAsync(TimeSpan.FromMilliseconds 100.0)
                    told <- told + if now then 1 else 0
            })
    withDatabase "a full pool says nothing about its connections" (fun server database ->
        task {
            use! store = openUrl (server.Url database + "?maximum_pool_size=1&connect_timeout=1")
            let! log = store.OpenLogAsync("shard-0", none)
            do! appendNext log 1L

            let sessions =
                $"SELECT string_agg(pid::text, ' ' ORDER BY pid) FROM pg_stat_activity WHERE datname = '{database}' AND query LIKE '%%advanced%%' AND pid <> pg_backend_pid()"

            let! before = server.Scalar<string>("postgres", sessions)

            let! appending =
                server.Holding(
                    database,
                    "SELECT tail FROM tansu_log FOR UPDATE",
                    fun () ->
                        task {
                            let appending = tryAppend log 2L (headOf 2L) [||]

                            let! _ =
                                failure<StoreUnavailableException> "no connection in time" (fun () ->
                                    readHeads log 0L 1)

                            return appending
                        }
                )

            let! outcome = appending
            Expect.equal outcome AppendOutcome.Appended "the append that had it"
            do! appendNext log 3L
            let! after = server.Scalar<string>("postgres", sessions)
            Expect.equal after before "the same connection"
        })
]

let private appendOutcomes = [
    withDatabase
        "an append that waits too long is unknown, and can be settled by appending again"
        (fun server database ->
            task {
                let options = StoreOptions(RequestTimeout = TimeSpan.FromMilliseconds 300.0)
                use! store = PostgresStore.OpenAsync(server.Url database, options, none)
                let! log = store.OpenLogAsync("shard-0", none)
                do! appendNext log 1L

                do!
                    server.Holding(
                        database,
                        "SELECT tail FROM tansu_log FOR UPDATE",
                        fun () ->
                            task {
                                let! outcome = tryAppend log 2L [| 2uy |] [||]
                                Expect.equal outcome AppendOutcome.Unknown "while the row is locked"
                            }
                    )

                let failures = ref 0
                let! isMine = appendUntilKnown log failures 2L [| 2uy |]
                Expect.isTrue isMine "the entry"
                let! heads = readHeads log 1L 10
                Expect.equal heads.Length 1 "once"
            })
    withDatabase "an append whose session the server ends is unknown" (fun server database ->
        task {
            use! store = openUrl (server.Url database)
            let! log = store.OpenLogAsync("shard-0", none)

            do!
                server.Holding(
                    database,
                    "SELECT tail FROM tansu_log FOR UPDATE",
                    fun () ->
                        task {
                            let append = tryAppend log 1L [| 1uy |] [||]

                            do! server.UntilAny(database, "wait_event_type = 'Lock'")

                            do!
                                server.Execute(
                                    "postgres",
                                    $"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{database}' AND wait_event_type = 'Lock'"
                                )

                            let! outcome = append
                            Expect.equal outcome AppendOutcome.Unknown "the outcome"
                        }
                )

            let! heads = readHeads log 0L 10
            Expect.isEmpty heads "it was not created"
            let! outcome = tryAppend log 1L [| 1uy |] [||]
            Expect.equal outcome AppendOutcome.Appended "the next try"
        })
    withDatabase "an append that the server refuses was not made: unavailable" (fun server database ->
        task {
            use! store = openUrl (server.Url database + "?options=-c%20lock_timeout%3D100")
            let! log = store.OpenLogAsync("shard-0", none)

            do!
                server.Holding(
                    database,
                    "SELECT tail FROM tansu_log FOR UPDATE",
                    fun () ->
                        task {
                            let! refused =
                                failure<StoreUnavailableException> "a lock that is not to be had" (fun () ->
                                    tryAppend log 1L [| 1uy |] [||])

                            Expect.stringContains refused.Message "shard-0" "what"
                        }
                )

            do! appendNext log 1L
        })
    withDatabase "an append whose commit fails after its statement succeeded was not made" (fun server database ->
        task {
            use! store = openUrl (server.Url database)
            let! log = store.OpenLogAsync("shard-0", none)

            do!
                server.Execute(
                    database,
                    """
                    CREATE FUNCTION disk_full() RETURNS trigger LANGUAGE plpgsql AS
                    $$ BEGIN RAISE EXCEPTION 'the disk is full' USING ERRCODE = '53100'; END $$;
                    CREATE CONSTRAINT TRIGGER disk_full AFTER INSERT ON tansu_entry DEFERRABLE INITIALLY DEFERRED
                    FOR EACH ROW EXECUTE FUNCTION disk_full()
                    """
                )

            let! full =
                failure<StoreUnavailableException> "append" (fun () -> tryAppend log 1L [| 1uy |] [||])

            Expect.stringContains full.Message "the disk is full" "why"
            do! server.Execute(database, "DROP TRIGGER disk_full ON tansu_entry")
            do! appendNext log 1L
        })
    withDatabase "appends are refused once a newer version has migrated the tables" (fun server database ->
        task {
            use! store = openUrl (server.Url database)
            let! log = store.OpenLogAsync("shard-0", none)
            do! appendNext log 1L
            do! server.Execute(database, "UPDATE tansu_schema SET version = 2")
            do! server.EndSessions database
            let mutable refused: StoreRefusedException = null

            while isNull refused do
                try
                    let! outcome = tryAppend log 2L [| 1uy |] [||]
                    Expect.notEqual outcome AppendOutcome.Appended "the outcome"
                with
                | :? StoreUnavailableException -> ()
                | :? StoreRefusedException as error -> refused <- error

            Expect.stringContains refused.Message "newer version" "why"
        })
    withDatabase
        "a log that ends before an entry that was there is refused until it is opened again"
        (fun server database ->
            task {
                use! store = openUrl (server.Url database)
                let! log = store.OpenLogAsync("shard-0", none)
                use! other = openUrl (server.Url database)
                let! reader = other.OpenLogAsync("shard-0", none)
                do! appendRange log 1L 3L
                do! expectEntries reader 1L 3L
                // As after a failover to a standby that was behind.
                do! server.Execute(database, "DELETE FROM tansu_entry WHERE number = 3; UPDATE tansu_log SET tail = 2")
                let! outcome = tryAppend log 4L [| 4uy |] [||]
                Expect.equal outcome AppendOutcome.Conflict "the next entry"

                for log in [ log; reader ] do
                    let! refused = failure<StoreRefusedException> "read" (fun () -> readHeads log 3L 10)
                    Expect.stringContains refused.Message "ends with entry 2" "why"
                    Expect.isFalse (refused.Message.Contains '\n') "one line"

                use! later = openUrl (server.Url database)
                let! again = later.OpenLogAsync("shard-0", none)
                do! appendNext again 3L
            })
    withDatabase "synchronous_commit=off is waited out once the store is open" (fun server database ->
        task {
            use! store = openUrl (server.Url database)
            let! log = store.OpenLogAsync("shard-0", none)
            do! appendNext log 1L
            do! server.Execute("postgres", $"ALTER DATABASE {database} SET synchronous_commit = off")
            do! server.EndSessions database
            let mutable said = ""

            while not (said.Contains "synchronous_commit") do
                try
                    let! outcome = tryAppend log 2L [| 2uy |] [||]
                    Expect.notEqual outcome AppendOutcome.Appended "the outcome"
                with :? StoreUnavailableException as error ->
                    said <- error.Message

            do! server.Execute("postgres", $"ALTER DATABASE {database} RESET synchronous_commit")
            do! appendNext log 2L
        })
]

let private storing = [
    withDatabase "however many reads there are, they leave connections for commits" (fun server database ->
        task {
            use! store = openUrl (server.Url database + "?maximum_pool_size=4")
            let! log = store.OpenLogAsync("shard-0", none)
            let bytes = content 1 1000
            do! store.Blobs.PutAsync("some", sequence bytes, none)

            let! reading =
                server.Holding(
                    database,
                    "LOCK TABLE tansu_blob",
                    fun () ->
                        task {
                            let reading = [| for _ in 1..20 -> readBlob store.Blobs "some" 0L bytes.Length |]
                            do! appendNext log 1L
                            Expect.all reading (fun one -> not one.IsCompleted) "reads wait"
                            return reading
                        }
                )

            let! found = Task.WhenAll reading
            Expect.all found ((=) bytes) "all in the end"
        })
    withDatabase "ranges of a large payload are read without the rest" (fun server database ->
        task {
            use! store = openUrl (server.Url database)
            let! log = store.OpenLogAsync("shard-0", none)
            let payload = Array.zeroCreate<byte> store.Limits.InlinePayloadBytes
            // Compressible, which must not matter.
            payload.AsSpan().Fill 7uy
            Random(1).NextBytes(payload.AsSpan(3_000_000, 1000))
            let! outcome = tryAppend log 1L [| 1uy |] payload
            Expect.equal outcome AppendOutcome.Appended "appended"

            for position, length in
                [
                    0, 10
                    2_999_990, 1020
                    payload.Length - 1, 1
                    payload.Length, 0
                    0, payload.Length
                ] do
                let! range = readPayload log 1L position length
                Expect.isTrue (range.AsSpan().SequenceEqual(payload.AsSpan(position, length))) "the range"

            let! stored =
                server.Scalar<int64>(database, "SELECT sum(pg_column_size(payload))::bigint FROM tansu_entry")

            Expect.isGreaterThanOrEqual stored (int64 payload.Length) "uncompressed"
        })
    withDatabase "a trimmed log goes on, also for a broker that comes later" (fun server database ->
        task {
            use! store = openUrl (server.Url database)
            let! log = store.OpenLogAsync("shard-0", none)
            do! appendRange log 1L 300L
            do! log.TrimAsync(291L, none)
            let! kept = server.Scalar<int64>(database, "SELECT count(*) FROM tansu_entry")
            Expect.equal kept 10L "entries kept"

            let! missing =
                failure<EntryMissingException> "entry 290" (fun () -> readHeads log 289L 5 :> Task)

            Expect.equal missing.Number 290L "its number"
            do! expectEntries log 291L 300L
            do! log.TrimAsync(Int64.MaxValue, none)
            use! later = openUrl (server.Url database)
            let! same = later.OpenLogAsync("shard-0", none)
            let! _ = failure<EntryMissingException> "entry 300" (fun () -> readHeads same 299L 5)
            do! appendNext same 301L
            do! expectEntries log 301L 301L
        })
    withDatabase "heads come in parts that fit in memory" (fun server database ->
        task {
            use! store = openUrl (server.Url database)
            let! log = store.OpenLogAsync("shard-0", none)

            for number in 1L .. 5L do
                let! _ = tryAppend log number (content (int number) 5_000_000) [||]
                ()

            let! heads = readHeads log 0L 100
            Expect.equal [ for number, _, _ in heads -> number ] [ 1L; 2L ] "at first"
            let! heads = readHeads log 4L 100
            Expect.equal [ for number, _, _ in heads -> number ] [ 5L ] "at last"
        })
    withDatabase "listings longer than a page are whole" (fun server database ->
        task {
            use! store = openUrl (server.Url database)

            do!
                server.Execute(
                    database,
                    "INSERT INTO tansu_blob (name, content) SELECT 'data/' || i, '' FROM generate_series(10000, 12500) AS i"
                )

            let names = ResizeArray<string>()
            let listing = store.Blobs.ListAsync("data/1", none).GetAsyncEnumerator()
            let mutable more = true

            while more do
                let! next = listing.MoveNextAsync()
                more <- next

                if more then
                    names.Add listing.Current.Name
                    let age = DateTimeOffset.UtcNow - listing.Current.LastModified
                    Expect.isLessThan (abs age.TotalMinutes) 10.0 "age"

            do! listing.DisposeAsync()
            Expect.equal (List.ofSeq names) [ for i in 10000..12500 -> $"data/{i}" ] "names"
        })
    withDatabase "a damaged snapshot is passed over, with a notice" (fun server database ->
        task {
            let notices = ConcurrentQueue<string>()

            use! store =
                PostgresStore.OpenAsync(
                    server.Url database,
                    StoreOptions(OnNotice = Action<string> notices.Enqueue),
                    none
                )

            let! log = store.OpenLogAsync("shard-0", none)
            do! appendRange log 1L 3L

            for number in 1L .. 3L do
                do! log.SaveSnapshotAsync(number, sequence (content (int number) 100), none)

            let! kept = server.Scalar<int64>(database, "SELECT count(*) FROM tansu_snapshot")
            Expect.equal kept 2L "kept"

            do!
                failsWith<ArgumentOutOfRangeException> "beyond the end" (fun () ->
                    log.SaveSnapshotAsync(4L, sequence [| 1uy |], none).AsTask())

            do!
                server.Execute(
                    database,
                    "UPDATE tansu_snapshot SET content = set_byte(content, 7, 255 - get_byte(content, 7)) WHERE number = 3"
                )

            let! snapshot = log.LoadSnapshotAsync(Int64.MaxValue, none)
            Expect.equal snapshot.Number 2L "the older one"
            Expect.hasLength notices 1 "notices"
        })
    withDatabase "a log whose entries are gone is refused" (fun server database ->
        task {
            use! store = openUrl (server.Url database)
            let! log = store.OpenLogAsync("shard-0", none)
            do! appendRange log 1L 3L
            do! log.DisposeAsync()
            do! server.Execute(database, "DELETE FROM tansu_entry WHERE number = 3")

            let! refused =
                failure<StoreRefusedException> "open" (fun () -> store.OpenLogAsync("shard-0", none).AsTask())

            Expect.stringContains refused.Message "damaged" "why"
        })
]

/// That opening is refused with a message of one line that has all the parts, and no secret.
let private refuses<'error when 'error :> exn> (url: string) (parts: string list) =
    task {
        let! refused = failure<'error> url (fun () -> openUrl url)

        for part in parts do
            Expect.stringContains refused.Message part "the message"

        Expect.isFalse (refused.Message.Contains "s3cret") $"no secret in: {refused.Message}"
        Expect.isFalse (refused.Message.Contains '\n') "one line"
    }

let private refusals = [
    withDatabase "wrong password, unknown role and unknown database are refused" (fun server database ->
        task {
            do! refuses<StoreRefusedException> (server.UrlAs("postgres", "s3cret", database)) [ database; "password" ]
            do! refuses<StoreRefusedException> (server.UrlAs("nobody", "s3cret", database)) [ "nobody" ]
            do! refuses<StoreRefusedException> (server.Url "nowhere") [ "nowhere"; "CREATE DATABASE" ]
            do! refuses<StoreRefusedException> (server.Url database + "?sslmode=require") [ "ssl" ]
        })
    testCaseTask "a server that is not there is unavailable" (fun () ->
        refuses<StoreUnavailableException> "postgres://u:s3cret@127.0.0.1:1/x" [
            "127.0.0.1:1/x"
            "refused"
            "check host and port"
        ])
    withDatabase
        "a role without rights is refused, and welcome once the tables are there and granted"
        (fun server database ->
            task {
                let role = $"role_{database}"
                do! server.Execute(database, $"CREATE ROLE {role} LOGIN PASSWORD 's3cret'")
                let url = server.UrlAs(role, "s3cret", database)
                do! refuses<StoreRefusedException> url [ role; "GRANT CREATE" ]
                use! owner = openUrl (server.Url database)
                do! refuses<StoreRefusedException> url [ role; "tansu_schema" ]
                do! server.Execute(database, $"GRANT SELECT, INSERT, UPDATE ON ALL TABLES IN SCHEMA public TO {role}")
                do! refuses<StoreRefusedException> url [ role; "DELETE on tansu_entry" ]
                do! server.Execute(database, $"GRANT DELETE ON tansu_entry, tansu_snapshot, tansu_blob TO {role}")
                use! store = openUrl url
                let! log = store.OpenLogAsync("shard-0", none)
                do! appendNext log 1L
                do! owner.DisposeAsync()
            })
    withDatabase "synchronous_commit=off is refused, wherever it is set" (fun server database ->
        task {
            do!
                refuses<StoreRefusedException> (server.Url database + "?options=-csynchronous_commit%3Doff") [
                    "synchronous_commit"
                ]

            do! server.Execute("postgres", $"ALTER DATABASE {database} SET synchronous_commit = off")
            do! refuses<StoreRefusedException> (server.Url database) [ "synchronous_commit" ]
        })
    withDatabase "a database that is read-only by default is refused" (fun server database ->
        task {
            let! store = openUrl (server.Url database)
            do! store.DisposeAsync()
            do! server.Execute("postgres", $"ALTER DATABASE {database} SET default_transaction_read_only = on")
            do! refuses<StoreRefusedException> (server.Url database) [ "default_transaction_read_only" ]
        })
    withDatabase "a broker says in one line that nothing can be written" (fun server database ->
        task {
            use! store = openUrl (server.Url database)

            do!
                server.Execute(
                    database,
                    """
                    CREATE FUNCTION disk_full() RETURNS trigger LANGUAGE plpgsql AS
                    $$ BEGIN RAISE EXCEPTION 'the disk is full' USING ERRCODE = '53100'; END $$;
                    CREATE TRIGGER disk_full BEFORE INSERT ON tansu_entry FOR EACH ROW EXECUTE FUNCTION disk_full()
                    """
                )

            let options =
                ClusterOptions(
                    AdvertisedHost = "localhost",
                    AdvertisedPort = 9092,
                    StoreTimeout = TimeSpan.FromMilliseconds 300.0
                )

            let! said =
                failure<StoreUnavailableException> "start" (fun () -> Cluster.OpenAsync(store, options, none))

            Expect.stringContains said.Message "took no write" "why"
            Expect.isFalse (said.Message.Contains '\n') "one line"
        })
    withDatabase "tables of a newer version are refused" (fun server database ->
        task {
            let! store = openUrl (server.Url database)
            do! store.DisposeAsync()
            do! server.Execute(database, "UPDATE tansu_schema SET version = 2")
            do! refuses<StoreRefusedException> (server.Url database) [ "version 2"; "newer version" ]
        })
    testCaseTask "URLs that are not well-formed are refused without their secrets" (fun () ->
        task {
            for url in
                [
                    "postgres://u:s3cret#1@h/d"
                    "postgres://u:s3cret/1@h/d/e"
                    "postgres://u:s3cret?x@h/d"
                    "postgres://u:s3cret@h:99999/d"
                    "postgres://u:s3cret@h1,h2/d"
                    "postgres://u@h/d?s3cret=1"
                    "postgres://u@h/d?sslmode=s3cret"
                    "postgres://u@h/d?maximum_pool_size=0"
                    "postgres://u@h/d?connect_timeout=s3cret"
                    "postgres://u@h/d?host=s3cret"
                ] do
                do! refuses<StoreRefusedException> url []
        })
    testCase "a URL's parts become the driver's settings"
    <| fun () ->
        let settings =
            PostgresUrl.Parse(
                "postgresql://us%40r:p%3A%2F%25@[::1]:6543/d%20b?sslmode=verify-full&sslrootcert=/ca.pem&options=-c%20search_path%3Dx&connect_timeout=7&application_name=a&maximum_pool_size=3"
            )

        Expect.equal
            (settings.Username, settings.Password, settings.Host, settings.Port, settings.Database)
            ("us@r", "p:/%", "::1", 6543, "d b")
            "where"

        Expect.equal
            (settings.SslMode, settings.RootCertificate, settings.Options, settings.Timeout)
            (SslMode.VerifyFull, "/ca.pem", "-c search_path=x", 7)
            "how"

        Expect.equal (settings.ApplicationName, settings.MaxPoolSize) ("a", 3) "who"
        Expect.equal (PostgresUrl.Describe settings) "postgres [::1]:6543/d b" "the description"
        let least = PostgresUrl.Parse "postgres://u@h"
        Expect.equal (least.Host, least.Port, least.Database) ("h", 5432, "u") "what is left out"
        Expect.equal (PostgresUrl.Parse "postgres:///d?host=/run/x").Host "/run/x" "a Unix socket"
]

/// Brokers that append while the server goes down and comes back.
let private survive (disturb: Server -> unit) =
    task {
        let server = Server.Start()
        let! database = server.NewDatabase()
        let! stores = Task.WhenAll [| for _ in 1..2 -> openUrl (server.Url database) |]
        let acknowledged = ConcurrentDictionary<int64, byte array>()
        let stop = ref false
        let failures = ref 0
        use progress = new SemaphoreSlim(0)

        let broker (store: PostgresStore) (name: byte) =
            task {
                let! log = store.OpenLogAsync("shard-0", none)
                let mutable tail = 0L
                let mutable commit = 0

                while not (Volatile.Read &stop.contents) do
                    commit <- commit + 1
                    let mine = Array.append [| name |] (BitConverter.GetBytes commit)
                    let! isMine = appendUntilKnown log failures (tail + 1L) mine

                    if isMine then
                        Expect.isTrue (acknowledged.TryAdd(tail + 1L, mine)) "one owner"
                        tail <- tail + 1L
                        progress.Release() |> ignore
                    else
                        let! heads = retrying (fun () -> readHeads log tail 100)
                        tail <- tail + int64 heads.Length
            }

        let running = [|
            for index, store in Array.indexed stores -> Task.Run<unit>(fun () -> broker store (byte index))
        |]

        for round in 0..3 do
            if round > 0 then
                disturb server

            for _ in 1..20 do
                let! goesOn = progress.WaitAsync patience
                Expect.isTrue goesOn "appends go on"

        Volatile.Write(&stop.contents, true)
        let! _ = Task.WhenAll running
        Expect.isGreaterThan failures.Value 0 "it was disturbed"
        let! log = stores[0].OpenLogAsync("shard-0", none)

        // The first broker may have done nothing since the last disturbance, and learns only now that its connections are gone.
        let! heads = retrying (fun () -> readAllHeads log 0L)
        let stored = Map.ofList [ for number, head, _ in heads -> number, head ]

        for pair in acknowledged do
            Expect.equal stored[pair.Key] pair.Value $"entry {pair.Key}"

        Expect.equal stored.Count acknowledged.Count "every entry has an owner who knows it"

        for store in stores do
            do! store.DisposeAsync()
    }

let private restarts = [
    testCaseTask "no acknowledged entry is lost, and none is doubled, when the server restarts" (fun () ->
        survive _.Restart())
    testCaseTask "no acknowledged entry is lost, and none is doubled, when the server crashes" (fun () ->
        survive _.Crash())
    testCaseTask "between two appends a restart costs one failure at most" (fun () ->
        task {
            let server = Server.Start()
            let! database = server.NewDatabase()
            use! store = openUrl (server.Url database)
            let! log = store.OpenLogAsync("shard-0", none)
            let! _ = Task.WhenAll [| for _ in 1..10 -> readHeads log 0L 1 |]

            for number in 1L .. 3L do
                do! appendNext log (2L * number - 1L)
                server.Restart()
                let failures = ref 0
                let! isMine = appendUntilKnown log failures (2L * number) (headOf (2L * number))
                Expect.isTrue isMine "the entry"
                Expect.isLessThanOrEqual failures.Value 1 "failures"

            let! heads = readAllHeads log 0L
            Expect.equal heads.Length 6 "entries"
        })
]

let tests =
    testList "postgres beyond" [
        testList "brokers" brokers
        testList "connecting" connecting
        testList "outcomes" appendOutcomes
        testList "storing" storing
        testList "refusals" refusals
        testList "restarts" restarts
    ]
