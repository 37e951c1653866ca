/// `tansu`'s flags, variables and `.env` file.
module Tansu.PropertyTests.Host.OptionTests

open System
open System.Collections.Generic
open Expecto
open Tansu.Host.CommandLine
open Tansu.PropertyTests

let private parse (arguments: string list) (environment: (string * string) list) (dotEnv: string) =
    let variables = Map.ofList environment
    let variable name = variables.TryFind name |> Option.toObj
    CommandLine.Parse(Array.ofList arguments, "1.2.3", Func<_, _> variable, dotEnv)

let private options arguments environment dotEnv =
    match parse arguments environment dotEnv with
    | RunBroker(options, _) -> options
    | DumpStore _
    | VerifyStore _ -> failtest "a check"
    | UseCluster _ -> failtest "a command for a cluster"
    | Print text -> failtest $"printed {text}"
    | Refuse(text, _) -> failtest $"refused: {text}"

let private refusal arguments environment dotEnv =
    match parse arguments environment dotEnv with
    | Refuse(text, exitCode) -> text, exitCode
    | Print text -> failtest $"printed {text}"
    | DumpStore _
    | VerifyStore _
    | UseCluster _
    | RunBroker _ -> failtest "accepted"

let private defaults = {
    ClusterId = null
    Listener = { Host = "::"; Port = 9092 }
    AdvertisedListener = null
    MetricsListener = { Host = "::"; Port = 9100 }
    NeedsMetricsListener = false
    StorageEngine = "file://./tansu-data"
    Shards = 1
    CommitIntervalMs = -1
    NodeLeaseMs = 30000
    MemoryLimitBytes = 0L
    CacheBytes = -1L
    CompactionIntervalMs = 300000
    CompactionMemoryBytes = -1L
    GcGraceMs = 3600000
    MaxRequestBytes = -1
    MaxConnections = -1
    MaxConnectionsPerIp = 2147483647
    ConnectionIdleMs = 600000
    SlowClientMs = 60000
    AutoCreateTopics = true
    DefaultPartitions = 1
    GroupInitialRebalanceDelayMs = 200
    GroupMinSessionTimeoutMs = 6000
    GroupMaxSessionTimeoutMs = 1800000
    GroupMaxSize = 2147483647
    OffsetsRetentionMinutes = 10080
    OffsetMetadataMaxBytes = 4096
    TransactionMaxTimeoutMs = 900000
    TransactionalIdExpirationMs = 604800000
    LogLevel = LogLevel.Information
}

/// Every setting: its flag, its variable, a value, and the options with it.
let private settings: (string * string * string * BrokerOptions) list = [
    "--cluster-id", "CLUSTER_ID", "c-1", { defaults with ClusterId = "c-1" }
    "--listener-url", "LISTENER_URL", "tcp://[::1]:0", { defaults with Listener = { Host = "::1"; Port = 0 } }
    "--advertised-listener-url",
    "ADVERTISED_LISTENER_URL",
    "tcp://kafka.example:19092",
    { defaults with AdvertisedListener = { Host = "kafka.example"; Port = 19092 } }
    "--metrics-listener-url", "METRICS_LISTENER_URL", "tcp://[::]", { defaults with NeedsMetricsListener = true }
    "--storage-engine", "STORAGE_ENGINE", "memory://", { defaults with StorageEngine = "memory://" }
    "--shards", "SHARDS", "16", { defaults with Shards = 16 }
    "--commit-interval", "COMMIT_INTERVAL", "50", { defaults with CommitIntervalMs = 50 }
    "--node-lease-ms", "NODE_LEASE_MS", "5000", { defaults with NodeLeaseMs = 5000 }
    "--memory-limit", "MEMORY_LIMIT", "256MiB", { defaults with MemoryLimitBytes = 268435456L }
    "--cache-bytes", "CACHE_BYTES", "1GiB", { defaults with CacheBytes = 1073741824L }
    "--compaction-interval", "COMPACTION_INTERVAL", "1000", { defaults with CompactionIntervalMs = 1000 }
    "--compaction-memory", "COMPACTION_MEMORY", "8MiB", { defaults with CompactionMemoryBytes = 8388608L }
    "--gc-grace", "GC_GRACE", "60000", { defaults with GcGraceMs = 60000 }
    "--max-request-bytes", "MAX_REQUEST_BYTES", "1048576", { defaults with MaxRequestBytes = 1048576 }
    "--max-connections", "MAX_CONNECTIONS", "100", { defaults with MaxConnections = 100 }
    "--max-connections-per-ip", "MAX_CONNECTIONS_PER_IP", "10", { defaults with MaxConnectionsPerIp = 10 }
    "--slow-client-ms", "SLOW_CLIENT_MS", "5000", { defaults with SlowClientMs = 5000 }
    "--connection-idle-ms", "CONNECTION_IDLE_MS", "5000", { defaults with ConnectionIdleMs = 5000 }
    "--group-initial-rebalance-delay-ms",
    "GROUP_INITIAL_REBALANCE_DELAY_MS",
    "50",
    { defaults with GroupInitialRebalanceDelayMs = 50 }
    "--group-min-session-timeout-ms",
    "GROUP_MIN_SESSION_TIMEOUT_MS",
    "1000",
    { defaults with GroupMinSessionTimeoutMs = 1000 }
    "--group-max-session-timeout-ms",
    "GROUP_MAX_SESSION_TIMEOUT_MS",
    "60000",
    { defaults with GroupMaxSessionTimeoutMs = 60000 }
    "--group-max-size", "GROUP_MAX_SIZE", "100", { defaults with GroupMaxSize = 100 }
    "--offsets-retention-minutes", "OFFSETS_RETENTION_MINUTES", "60", { defaults with OffsetsRetentionMinutes = 60 }
    "--offset-metadata-max-bytes", "OFFSET_METADATA_MAX_BYTES", "100", { defaults with OffsetMetadataMaxBytes = 100 }
    "--transaction-max-timeout-ms",
    "TRANSACTION_MAX_TIMEOUT_MS",
    "60000",
    { defaults with TransactionMaxTimeoutMs = 60000 }
    "--transactional-id-expiration-ms",
    "TRANSACTIONAL_ID_EXPIRATION_MS",
    "86400000",
    { defaults with TransactionalIdExpirationMs = 86400000 }
    "--auto-create-topics", "AUTO_CREATE_TOPICS", "False", { defaults with AutoCreateTopics = false }
    "--default-partitions", "DEFAULT_PARTITIONS", "12", { defaults with DefaultPartitions = 12 }
    "--log-level", "LOG_LEVEL", "Debug", { defaults with LogLevel = LogLevel.Debug }
]

let private everySetting =
    testList "every setting" [
        testCase "nothing said: the defaults"
        <| fun () -> Expect.equal (options [] [] null) defaults "defaults"

        for flag, variable, value, expected in settings do
            testCase $"{flag} and {variable} say the same"
            <| fun () ->
                Expect.equal (options [ flag; value ] [] null) expected "a flag without the command"
                Expect.equal (options [ "broker"; flag; value ] [] null) expected "a flag"
                Expect.equal (options [ $"{flag}={value}" ] [] null) expected "a flag with ="
                Expect.equal (options [] [ variable, value ] null) expected "a variable"
                Expect.equal (options [] [] $"{variable}={value}") expected ".env"
                Expect.equal (options [] [ variable, "" ] null) defaults "an empty variable is not set"

            testCase $"{flag} wins over {variable}, which wins over .env"
            <| fun () ->
                Expect.equal (options [ flag; value ] [ variable, "?!" ] $"{variable}=!?") expected "flag"
                Expect.equal (options [] [ variable, value ] $"{variable}=!?") expected "variable"

            testCase $"{flag} and {variable} are in the help"
            <| fun () ->
                match parse [ "broker"; "--help" ] [] null with
                | Print text ->
                    Expect.stringContains text flag "flag"
                    Expect.stringContains text variable "variable"
                | other -> failtest $"{other}"
    ]

let private badValues = [
    "--cluster-id", "CLUSTER_ID", [ "a b"; "é"; String('x', 101) ], "letters"
    "--listener-url",
    "LISTENER_URL",
    [ "9092"; "http://x:1"; "tcp://"; "tcp://h:65536"; "tcp://[zz]:1" ],
    "tcp://host:port"
    "--advertised-listener-url", "ADVERTISED_LISTENER_URL", [ "tcp://h:0"; "tcp://h:1/x" ], "tcp://host:port"
    "--metrics-listener-url", "METRICS_LISTENER_URL", [ "9100"; "http://[::]:9100"; "tcp://h:65536" ], "tcp://host:port"
    "--storage-engine", "STORAGE_ENGINE", [ "file:"; "file://"; "ftp://x"; "tansu-data" ], "memory://"
    "--shards", "SHARDS", [ "0"; "-1"; "1.5"; "x"; "99999999999" ], "from 1 to"
    "--commit-interval", "COMMIT_INTERVAL", [ "-1"; "60001"; "1s" ], "from 0 to 60000"
    "--node-lease-ms", "NODE_LEASE_MS", [ "999"; "3600001"; "30s" ], "from 1000 to"
    "--cache-bytes", "CACHE_BYTES", [ "-1"; "1TB"; "MiB"; "9223372036854775807GiB" ], "number of bytes"
    "--compaction-interval", "COMPACTION_INTERVAL", [ "99"; "86400001"; "5m" ], "from 100 to"
    "--compaction-memory", "COMPACTION_MEMORY", [ "1"; "1TB" ], "number of bytes"
    "--gc-grace", "GC_GRACE", [ "-1"; "1h" ], "from 0 to"
    "--max-request-bytes", "MAX_REQUEST_BYTES", [ "0"; "2GiB" ], "number of bytes"
    "--max-connections", "MAX_CONNECTIONS", [ "0"; "-1"; "many" ], "from 1"
    "--max-connections-per-ip", "MAX_CONNECTIONS_PER_IP", [ "0"; "1.5" ], "from 1"
    "--slow-client-ms", "SLOW_CLIENT_MS", [ "999"; "1m" ], "from 1000"
    "--connection-idle-ms", "CONNECTION_IDLE_MS", [ "999" ], "from 1000"
    "--auto-create-topics", "AUTO_CREATE_TOPICS", [ "yes"; "1" ], "true or false"
    "--default-partitions", "DEFAULT_PARTITIONS", [ "0"; "10001" ], "from 1 to"
    "--log-level", "LOG_LEVEL", [ "loud" ], "information"
]

let private refusals =
    testList "refusals" [
        for flag, variable, values, allowed in badValues do
            for value in values do
                testCase $"{flag} '{value}': names itself, the value and what is allowed"
                <| fun () ->
                    for name, (text, exitCode) in
                        [
                            flag, refusal [ $"{flag}={value}" ] [] null
                            variable, refusal [] [ variable, value ] null
                        ] do
                        Expect.equal exitCode 1 "exit code"
                        Expect.stringContains text name "name"
                        Expect.stringContains text $"'{value}'" "value"
                        Expect.stringContains text allowed "what is allowed"

        testCase "no metrics port"
        <| fun () ->
            Expect.equal
                (options [ "broker"; "--metrics-listener-url"; "none" ] [] null)
                { defaults with MetricsListener = null }
                "none"

        testCase "a password is not repeated"
        <| fun () ->
            for engine in
                [
                    "ftp://me:secret@host/"
                    "ftp://me:p@secret@host/"
                    "ftp://me:p/secret@host/"
                    "postgres:/me:secret@host/"
                    "postgres//me:secret@host/"
                    "me:secret@host/"
                    "jdbc:postgresql://host/?user=me&password=secret"
                    "Host=host;Password=secret"
                ] do
                let text, _ = refusal [] [ "STORAGE_ENGINE", engine ] null
                Expect.isFalse (text.Contains "secret") text

        testCase "wrong usage ends with 2 and names the argument"
        <| fun () ->
            for arguments in [ [ "brokr" ]; [ "--nope" ]; [ "broker"; "--nope" ]; [ "broker"; "nope" ] ] do
                let text, exitCode = refusal arguments [] null
                Expect.equal exitCode 2 "exit code"
                Expect.stringContains text (List.last arguments) "argument"
                Expect.equal (text.Split('\n').Length) 1 "one line"

        testCase "a flag without its value ends with 2"
        <| fun () -> Expect.equal (snd (refusal [ "--shards" ] [] null)) 2 "exit code"

        testCase "--version prints the version"
        <| fun () ->
            match parse [ "--version" ] [] null with
            | Print text -> Expect.equal text "tansu 1.2.3" "version"
            | other -> failtest $"{other}"
    ]

let private files =
    testList ".env and expansion" [
        testCase "comments, quotes, export and blank lines"
        <| fun () ->
            let text =
                "# first\n\n export SHARDS = \"4\" \r\nCLUSTER_ID='x' \nLOG_LEVEL=debug # loud\n"

            let options = options [] [] text
            Expect.equal options.Shards 4 "quoted"
            Expect.equal options.ClusterId "x" "single quotes"
            Expect.equal options.LogLevel LogLevel.Debug "comment after the value"

        testCase "a line that says nothing is named"
        <| fun () -> Expect.stringContains (fst (refusal [] [] "A=1\nnonsense")) ".env line 2" "line"

        testCase "variables that the environment lacks are handed on"
        <| fun () ->
            match parse [] [ "B", "real" ] "A=1\nB=2" with
            | RunBroker(_, dotEnv) -> Expect.equal (List.ofSeq dotEnv) [ KeyValuePair("A", "1") ] "A only"
            | other -> failtest $"{other}"

        testCase "${VAR} is expanded in flags, variables and .env, from either"
        <| fun () ->
            Expect.equal (options [ "--cluster-id"; "${A}-${B}" ] [ "A", "x" ] "B=y").ClusterId "x-y" "flag"
            Expect.equal (options [] [ "CLUSTER_ID", "${A}"; "A", "${B}"; "B", "deep" ] null).ClusterId "deep" "nested"
            Expect.equal (options [] [ "A", "real" ] "A=file\nCLUSTER_ID=${A}").ClusterId "real" "the environment wins"

        testCase "what cannot be expanded is said"
        <| fun () ->
            Expect.stringContains (fst (refusal [ "--cluster-id"; "${NOPE}" ] [] null)) "'NOPE' is not set" "missing"
            Expect.stringContains (fst (refusal [] [ "CLUSTER_ID", "${CLUSTER_ID}" ] null)) "itself" "circle"
            Expect.stringContains (fst (refusal [ "--cluster-id"; "${A" ] [] null)) "without '}'" "open"

        testCase "a value that expands without end is refused"
        <| fun () ->
            let doubling = [
                for level in 1..15 -> $"V{level}", "${V" + string (level - 1) + "}${V" + string (level - 1) + "}"
            ]

            let text, _ =
                refusal [ "--cluster-id"; "${V15}" ] (("V0", String('x', 1000)) :: doubling) null

            Expect.stringContains text "longer than" "limit"

        Check.property "any text is a .env file or is refused, never a crash" (fun (text: string) ->
            match text with
            | null -> ()
            | text -> parse [] [] text |> ignore)

        Check.property "any arguments are understood or refused, never a crash" (fun (arguments: string list) ->
            parse (arguments |> List.filter (isNull >> not)) [] null |> ignore)
    ]

let tests = testList "options" [ everySetting; refusals; files ]
