namespace Tansu.Host.CommandLine

open System.Text.RegularExpressions

/// Turns flags and environment variables into options. A flag wins over a variable, a variable over the default.
module internal Configuration =
    [<NoComparison; NoEquality>]
    type Sources = {
        /// The value given to a flag, if it was given.
        Flag: string -> string option
        /// The value of an environment variable, if it is set and not empty.
        Variable: string -> string option
    }

    // A value can be a URL with a password in it.
    let private withoutPassword (text: string) =
        let masked = Regex.Replace(text, @"(://[^:/@\s]*:).*@", "$1***@")
        let isOdd = masked = text && Regex.IsMatch(text.Replace("://", ""), ":.*@")

        // A mistyped URL or a driver's connection string: nobody can say where in it the password is.
        if isOdd || masked.Contains '=' then "***" else masked

    let private read
        (sources: Sources)
        (setting: Setting)
        (parse: string -> Result<'value, string>)
        (fallback: 'value)
        =
        let given =
            match sources.Flag setting.Flag, sources.Variable setting.Variable with
            | Some text, _ -> Some(setting.Flag, text)
            | None, Some text -> Some(setting.Variable, text)
            | None, None -> None

        match given with
        | None -> Ok fallback
        | Some(name, text) ->
            let refused reason =
                Error $"{name}: '{withoutPassword text}' is not allowed: {reason}"

            match Expansion.expand sources.Variable text with
            | Error reason -> refused reason
            | Ok expanded ->
                match parse (expanded.Trim()) with
                | Ok value -> Ok value
                | Error allowed when expanded <> text ->
                    refused $"it becomes '{withoutPassword expanded}', expected {allowed}"
                | Error allowed -> refused $"expected {allowed}"

    /// Thrown and caught in this file only: many settings in a row read better than as many nested binds.
    exception private Refused of line: string

    /// The options, or one line that names the flag or variable, its value, and what is allowed.
    let broker (sources: Sources) : Result<BrokerOptions, string> =
        let read setting parse fallback =
            match read sources setting parse fallback with
            | Ok value -> value
            | Error line -> raise (Refused line)

        let orNone (parse: string -> Result<Endpoint, string>) text : Result<Endpoint | null, string> =
            match parse text with
            | Ok endpoint -> Ok endpoint
            | Error allowed -> Error allowed

        let bytes lowest highest text = Value.bytes lowest highest text

        /// Where, and whether it has to be there.
        let metrics text : Result<struct ((Endpoint | null) * bool), string> =
            if text = "none" then
                Ok(struct (null, false))
            else
                match Value.endpointOn 9100 0 text with
                | Ok endpoint -> Ok(struct (endpoint, true))
                | Error allowed -> Error $"none or {allowed}"

        try
            let struct (metricsListener, needsMetricsListener) =
                read Setting.metricsListenerUrl metrics (struct ({ Host = "::"; Port = 9100 }, false))

            Ok {
                ClusterId = read Setting.clusterId Value.clusterId null
                Listener = read Setting.listenerUrl (Value.endpoint 0) { Host = "::"; Port = 9092 }
                AdvertisedListener = read Setting.advertisedListenerUrl (orNone (Value.endpoint 1)) null
                MetricsListener = metricsListener
                NeedsMetricsListener = needsMetricsListener
                StorageEngine = read Setting.storageEngine Value.storageEngine "file://./tansu-data"
                Shards = read Setting.shards (Value.wholeNumber 1 1024) 1
                CommitIntervalMs = read Setting.commitInterval (Value.wholeNumber 0 60000) -1
                NodeLeaseMs = read Setting.nodeLeaseMs (Value.wholeNumber 1000 3600000) 30000
                MemoryLimitBytes = read Setting.memoryLimit (bytes 201326592L 1125899906842624L) 0L
                CacheBytes = read Setting.cacheBytes (bytes 0L 1099511627776L) -1L
                CompactionIntervalMs = read Setting.compactionInterval (Value.wholeNumber 100 86400000) 300000
                CompactionMemoryBytes = read Setting.compactionMemory (bytes 1048576L 17179869184L) -1L
                GcGraceMs = read Setting.gcGrace (Value.wholeNumber 0 604800000) 3600000
                MaxRequestBytes = read Setting.maxRequestBytes (bytes 1024L 1073741824L) -1L |> int
                ConnectionIdleMs = read Setting.connectionIdleMs (Value.wholeNumber 1000 604800000) 600000
                AutoCreateTopics = read Setting.autoCreateTopics Value.boolean true
                DefaultPartitions = read Setting.defaultPartitions (Value.wholeNumber 1 10000) 1
                GroupInitialRebalanceDelayMs =
                    read Setting.groupInitialRebalanceDelayMs (Value.wholeNumber 0 300000) 200
                GroupMinSessionTimeoutMs = read Setting.groupMinSessionTimeoutMs (Value.wholeNumber 1 86400000) 6000
                GroupMaxSessionTimeoutMs = read Setting.groupMaxSessionTimeoutMs (Value.wholeNumber 1 86400000) 1800000
                GroupMaxSize = read Setting.groupMaxSize (Value.wholeNumber 1 2147483647) 2147483647
                OffsetsRetentionMinutes = read Setting.offsetsRetentionMinutes (Value.wholeNumber 1 2147483647) 10080
                OffsetMetadataMaxBytes = read Setting.offsetMetadataMaxBytes (Value.wholeNumber 0 1048576) 4096
                TransactionMaxTimeoutMs = read Setting.transactionMaxTimeoutMs (Value.wholeNumber 1 2147483647) 900000
                TransactionalIdExpirationMs =
                    read Setting.transactionalIdExpirationMs (Value.wholeNumber 1000 2147483647) 604800000
                LogLevel = read Setting.logLevel Value.logLevel LogLevel.Information
            }
        with Refused line ->
            Error line
