namespace Tansu.Domain

/// Kafka's configurations of single groups (org.apache.kafka.coordinator.group.GroupConfig, 4.1): those of KIP-848's consumer groups.
[<RequireQualifiedAccess>]
module GroupConfig =
    let private define name configType defaultValue brokerSynonym rule documentation : ConfigDefinition = {
        Name = name
        Type = configType
        Default = defaultValue
        BrokerSynonym = brokerSynonym
        Rule = rule
        Documentation = documentation
    }

    /// All of them, ordered by name.
    let definitions = [|
        define
            "consumer.heartbeat.interval.ms"
            ConfigType.Int
            "5000"
            "group.consumer.heartbeat.interval.ms"
            (Between(5000.0, 15000.0))
            "How often members of the new protocol (KIP-848) beat their hearts, in milliseconds; classic groups have no use for it."
        define
            "consumer.session.timeout.ms"
            ConfigType.Int
            "45000"
            "group.consumer.session.timeout.ms"
            (Between(45000.0, 60000.0))
            "After which silence a member of the new protocol (KIP-848) is removed, in milliseconds; classic groups have no use for it."
    |]

    let private validate (name: string) (value: string) =
        match definitions |> Array.tryFind (fun definition -> definition.Name = name) with
        | None -> Error $"Unknown group config name: {name}"
        | Some definition -> TopicConfig.validateBy definition value

    /// What is set on a group as it is kept, if it is valid.
    let validateAll (configs: Map<string, string>) : Result<Map<string, string>, string> =
        TopicConfig.validateEach validate configs

    /// The value in force: the group's own, else Kafka's default.
    let effective (definition: ConfigDefinition) (configs: Map<string, string>) =
        configs.TryFind definition.Name |> Option.defaultValue definition.Default
