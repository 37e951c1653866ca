namespace Tansu.Domain

open System
open System.Globalization

/// The types of Kafka's configuration values; the numbers are those of DescribeConfigs.
type ConfigType =
    | Boolean = 1y
    | String = 2y
    | Int = 3y
    | Long = 5y
    | Double = 6y
    | List = 7y

/// Which values a configuration accepts.
type ConfigRule =
    /// A number of at least this.
    | AtLeast of least: float
    /// A number between the two, both allowed.
    | Between of least: float * most: float
    /// One of these words; every element, for a list.
    | OneOf of words: string list
    /// Anything of the right type.
    | Anything

/// One of Kafka's topic configurations.
type ConfigDefinition = {
    /// The topic's config name.
    Name: string
    /// What it holds.
    Type: ConfigType
    /// Kafka's default.
    Default: string
    /// The broker config that would set the default for all topics; null where there is none.
    BrokerSynonym: string | null
    /// Which values are accepted.
    Rule: ConfigRule
    /// What it means here.
    Documentation: string
}

/// Kafka's topic configurations (org.apache.kafka.storage.internals.log.LogConfig, 4.1) with their defaults and rules.
[<RequireQualifiedAccess>]
module TopicConfig =
    let private define name configType defaultValue (brokerSynonym: string | null) rule documentation = {
        Name = name
        Type = configType
        Default = defaultValue
        BrokerSynonym = brokerSynonym
        Rule = rule
        Documentation = documentation
    }

    let private maxLong = "9223372036854775807"

    /// All of them, ordered by name.
    let definitions = [|
        define
            "cleanup.policy"
            ConfigType.List
            "delete"
            "log.cleanup.policy"
            (OneOf [ "compact"; "delete" ])
            "What becomes of old records: dropped by age and size (delete), reduced to the last one per key (compact), or both."
        define
            "compression.gzip.level"
            ConfigType.Int
            "-1"
            "compression.gzip.level"
            (Between(-1.0, 9.0))
            "Level for gzip when the broker compresses; -1 is the codec's own default."
        define
            "compression.lz4.level"
            ConfigType.Int
            "9"
            "compression.lz4.level"
            (Between(1.0, 17.0))
            "Level for lz4 when the broker compresses."
        define
            "compression.type"
            ConfigType.String
            "producer"
            "compression.type"
            (OneOf [ "uncompressed"; "zstd"; "lz4"; "snappy"; "gzip"; "producer" ])
            "Codec of stored batches; 'producer' keeps what the producer chose."
        define
            "compression.zstd.level"
            ConfigType.Int
            "3"
            "compression.zstd.level"
            (Between(-131072.0, 22.0))
            "Level for zstd when the broker compresses."
        define
            "delete.retention.ms"
            ConfigType.Long
            "86400000"
            "log.cleaner.delete.retention.ms"
            (AtLeast 0.0)
            "How long a compacted topic keeps tombstones, in milliseconds."
        define
            "file.delete.delay.ms"
            ConfigType.Long
            "60000"
            "log.segment.delete.delay.ms"
            (AtLeast 0.0)
            "Accepted for compatibility; unreferenced objects are collected after the cluster's own grace period."
        define
            "flush.messages"
            ConfigType.Long
            maxLong
            "log.flush.interval.messages"
            (AtLeast 1.0)
            "Accepted for compatibility; every acknowledged record is already durable."
        define
            "flush.ms"
            ConfigType.Long
            maxLong
            "log.flush.interval.ms"
            (AtLeast 0.0)
            "Accepted for compatibility; every acknowledged record is already durable."
        define
            "follower.replication.throttled.replicas"
            ConfigType.List
            ""
            null
            Anything
            "Accepted for compatibility; there is no replication between brokers."
        define
            "index.interval.bytes"
            ConfigType.Int
            "4096"
            "log.index.interval.bytes"
            (AtLeast 0.0)
            "Accepted for compatibility; the index holds every batch run."
        define
            "leader.replication.throttled.replicas"
            ConfigType.List
            ""
            null
            Anything
            "Accepted for compatibility; there is no replication between brokers."
        define
            "local.retention.bytes"
            ConfigType.Long
            "-2"
            "log.local.retention.bytes"
            (AtLeast -2.0)
            "Accepted for compatibility; there is no tier between brokers and the store."
        define
            "local.retention.ms"
            ConfigType.Long
            "-2"
            "log.local.retention.ms"
            (AtLeast -2.0)
            "Accepted for compatibility; there is no tier between brokers and the store."
        define
            "max.compaction.lag.ms"
            ConfigType.Long
            maxLong
            "log.cleaner.max.compaction.lag.ms"
            (AtLeast 1.0)
            "The longest a record may stay uncompacted, in milliseconds."
        define
            "max.message.bytes"
            ConfigType.Int
            "1048588"
            "message.max.bytes"
            (AtLeast 0.0)
            "The largest record batch accepted, in bytes, after compression."
        define
            "message.timestamp.after.max.ms"
            ConfigType.Long
            "3600000"
            "log.message.timestamp.after.max.ms"
            (AtLeast 0.0)
            "How far a record's timestamp may be ahead of the broker's clock, in milliseconds."
        define
            "message.timestamp.before.max.ms"
            ConfigType.Long
            maxLong
            "log.message.timestamp.before.max.ms"
            (AtLeast 0.0)
            "How far a record's timestamp may be behind the broker's clock, in milliseconds."
        define
            "message.timestamp.type"
            ConfigType.String
            "CreateTime"
            "log.message.timestamp.type"
            (OneOf [ "CreateTime"; "LogAppendTime" ])
            "Whether records keep the producer's timestamp or get the broker's."
        define
            "min.cleanable.dirty.ratio"
            ConfigType.Double
            "0.5"
            "log.cleaner.min.cleanable.ratio"
            (Between(0.0, 1.0))
            "The share of uncompacted bytes from which a compacted topic is compacted again."
        define
            "min.compaction.lag.ms"
            ConfigType.Long
            "0"
            "log.cleaner.min.compaction.lag.ms"
            (AtLeast 0.0)
            "The least time a record stays uncompacted, in milliseconds."
        define
            "min.insync.replicas"
            ConfigType.Int
            "1"
            "min.insync.replicas"
            (AtLeast 1.0)
            "Accepted for compatibility; the store makes records durable, whatever acks asks for."
        define
            "preallocate"
            ConfigType.Boolean
            "false"
            "log.preallocate"
            Anything
            "Accepted for compatibility; partitions have no files of their own."
        define
            "remote.log.copy.disable"
            ConfigType.Boolean
            "false"
            null
            Anything
            "Accepted for compatibility; there is no tier between brokers and the store."
        define
            "remote.log.delete.on.disable"
            ConfigType.Boolean
            "false"
            null
            Anything
            "Accepted for compatibility; there is no tier between brokers and the store."
        define
            "remote.storage.enable"
            ConfigType.Boolean
            "false"
            null
            Anything
            "Accepted for compatibility; there is no tier between brokers and the store."
        define
            "retention.bytes"
            ConfigType.Long
            "-1"
            "log.retention.bytes"
            Anything
            "The size a partition is cut back to by deleting from its start, in bytes; -1 for no limit."
        define
            "retention.ms"
            ConfigType.Long
            "604800000"
            "log.retention.ms"
            (AtLeast -1.0)
            "How long records are kept, in milliseconds; -1 for ever."
        define
            "segment.bytes"
            ConfigType.Int
            "1073741824"
            "log.segment.bytes"
            (AtLeast 1048576.0)
            "Accepted for compatibility; segments are shared by many partitions and have a size of their own."
        define
            "segment.index.bytes"
            ConfigType.Int
            "10485760"
            "log.index.size.max.bytes"
            (AtLeast 4.0)
            "Accepted for compatibility; segments carry their index."
        define
            "segment.jitter.ms"
            ConfigType.Long
            "0"
            "log.roll.jitter.ms"
            (AtLeast 0.0)
            "Accepted for compatibility; segments are shared by many partitions."
        define
            "segment.ms"
            ConfigType.Long
            "604800000"
            "log.roll.ms"
            (AtLeast 1.0)
            "Accepted for compatibility; segments are shared by many partitions."
        define
            "unclean.leader.election.enable"
            ConfigType.Boolean
            "false"
            "unclean.leader.election.enable"
            Anything
            "Accepted for compatibility; there are no elections."
    |]

    let private byName =
        definitions
        |> Array.map (fun definition -> definition.Name, definition)
        |> Map.ofArray

    /// The definition of a config name, if Kafka has one.
    let tryFind (name: string) = byName.TryFind name

    let private byBrokerName =
        definitions
        |> Array.filter (fun definition -> not (isNull definition.BrokerSynonym))
        |> Array.map (fun definition -> string definition.BrokerSynonym, definition)
        |> Map.ofArray

    /// The definition whose default a broker config sets, if there is one.
    let tryFindByBrokerName (name: string) = byBrokerName.TryFind name

    let internal elements (value: string) =
        value.Split(',', StringSplitOptions.TrimEntries ||| StringSplitOptions.RemoveEmptyEntries)

    let private parseNumber configType (value: string) =
        let integers = NumberStyles.AllowLeadingSign
        let culture = CultureInfo.InvariantCulture

        match configType with
        | ConfigType.Int ->
            let ok, number = Int32.TryParse(value, integers, culture)
            if ok then Some(float number) else None
        | ConfigType.Long ->
            let ok, number = Int64.TryParse(value, integers, culture)
            if ok then Some(float number) else None
        | _ ->
            let ok, number = Double.TryParse(value, NumberStyles.Float, culture)
            if ok && Double.IsFinite number then Some number else None

    let private isAccepted (definition: ConfigDefinition) (value: string) =
        match definition.Type, definition.Rule with
        | ConfigType.Boolean, _ -> value = "true" || value = "false"
        | ConfigType.String, OneOf words -> List.contains value words
        | ConfigType.List, OneOf words ->
            let given = elements value

            given.Length > 0
            && given |> Array.forall (fun element -> List.contains element words)
        | (ConfigType.String | ConfigType.List), _ -> true
        | numeric, rule ->
            match parseNumber numeric value, rule with
            | None, _ -> false
            | Some number, AtLeast least -> number >= least
            | Some number, Between(least, most) -> number >= least && number <= most
            | Some _, (OneOf _ | Anything) -> true

    let private expectation (definition: ConfigDefinition) =
        match definition.Type, definition.Rule with
        | ConfigType.Boolean, _ -> "true or false"
        | ConfigType.List, OneOf words ->
            let joined = String.Join(", ", words)
            $"a list of: {joined}"
        | _, OneOf words ->
            let joined = String.Join(", ", words)
            $"one of: {joined}"
        | _, AtLeast least -> $"a number of at least {least}"
        | _, Between(least, most) -> $"a number from {least} to {most}"
        | ConfigType.Int, Anything
        | ConfigType.Long, Anything -> "a whole number"
        | _, Anything -> "a value"

    /// The value as Kafka reads it: without space around it or its elements, and true or false in any letters.
    let private read (definition: ConfigDefinition) (value: string) =
        match definition.Type with
        | ConfigType.Boolean -> value.Trim().ToLowerInvariant()
        | ConfigType.List -> String.Join(",", elements value)
        | _ -> value.Trim()

    /// The value as it is kept, if Kafka would accept it; the reason when not.
    let internal validateBy (definition: ConfigDefinition) (value: string) : Result<string, string> =
        let kept = read definition value

        if isAccepted definition kept then
            Ok kept
        else
            Error $"Invalid value {value} for configuration {definition.Name}: must be {expectation definition}."

    /// The value as it is kept, if Kafka would accept it; the reason when not.
    let validate (name: string) (value: string) : Result<string, string> =
        match tryFind name with
        | None -> Error $"Unknown topic config name: {name}"
        | Some definition -> validateBy definition value

    /// All values as they are kept, or why one is not accepted.
    let internal validateEach (validate: string -> string -> Result<string, string>) (configs: Map<string, string>) =
        (Ok Map.empty, configs)
        ||> Map.fold (fun result name value ->
            result
            |> Result.bind (fun kept -> validate name value |> Result.map (fun value -> Map.add name value kept)))

    let private number name (configs: Map<string, string>) =
        let text =
            configs.TryFind name |> Option.defaultWith (fun () -> byName[name].Default)

        Int64.Parse(text, CultureInfo.InvariantCulture)

    let private validateTogether configs =
        if number "min.compaction.lag.ms" configs > number "max.compaction.lag.ms" configs then
            Error
                "Conflicting topic config setting min.compaction.lag.ms: it may not be larger than max.compaction.lag.ms."
        else
            Ok configs

    /// A topic's overrides as they are kept, if they are valid, each by itself and all together.
    let validateAll (configs: Map<string, string>) : Result<Map<string, string>, string> =
        validateEach validate configs |> Result.bind validateTogether

    let private changeList name (configs: Map<string, string>) (change: string[] -> string[]) =
        match tryFind name with
        | Some definition when definition.Type = ConfigType.List ->
            let current = configs.TryFind name |> Option.defaultValue definition.Default
            Ok(configs.Add(name, String.Join(",", change (elements current))))
        | Some _ -> Error $"Config value append is not allowed for config key: {name}"
        | None -> Error $"Unknown topic config name: {name}"

    /// Adds the elements that are not there yet (IncrementalAlterConfigs, APPEND).
    let appendToList name (value: string) configs =
        changeList name configs (fun current -> Array.distinct (Array.append current (elements value)))

    /// Takes elements out (IncrementalAlterConfigs, SUBTRACT).
    let subtractFromList name (value: string) configs =
        changeList name configs (Array.except (elements value))

    /// The value in force: the topic's own, else Kafka's default.
    let effective (name: string) (topicConfigs: Map<string, string>) =
        match topicConfigs.TryFind name with
        | Some value -> value
        | None -> byName[name].Default
