namespace Tansu.Domain

open System.Collections.Immutable

/// A topic. `Configs` holds only what was set on the topic itself.
type Topic = {
    /// The id it keeps for life.
    Id: TopicId
    /// The name it keeps for life.
    Name: string
    /// How many partitions it has.
    PartitionCount: int
    /// The shard of partition 0; partition n is on shard `(FirstShard + n) mod K`.
    FirstShard: int
    /// Overrides of the broker's defaults, by Kafka's config name.
    Configs: Map<string, string>
    /// When it was created, in milliseconds since 1970.
    CreatedAtMs: int64
} with

    /// Whether it has a partition of this number.
    member topic.Has(partition: int) =
        partition >= 0 && partition < topic.PartitionCount

/// An advertised address that brokers answer at. Brokers behind one address are one node.
type Node = {
    /// The id clients see.
    Id: int
    /// Host name or address.
    Host: string
    /// TCP port.
    Port: int
    /// Until when the node says that it is there, in milliseconds since 1970 by its writer's clock; `Lease.WithoutEnd` or `Lease.Ended`.
    LeaseUntilMs: int64
}

/// The ends of a node's lease that are not a time.
[<RequireQualifiedAccess>]
module Lease =
    /// A node that sees no other needs no renewals: its lease lasts until another node registers.
    [<Literal>]
    let WithoutEnd = System.Int64.MaxValue

    /// The node has left, or was written down before there were leases.
    [<Literal>]
    let Ended = 0L

/// The catalog's settings: the same on every broker of a cluster.
type CatalogSettings = {
    /// K, the number of shards partitions are spread over.
    ShardCount: int
    /// The most partitions one topic may have.
    MaxPartitionsPerTopic: int
}

/// What has configurations of its own besides topics.
type ConfigOwner =
    /// All brokers: what is set here is the default of topics, by the topics' config names (Kafka's dynamic default broker configs).
    | AllBrokers
    /// A group (KIP-848).
    | OneGroup of groupId: string

/// What the cluster as a whole knows.
type CatalogState = {
    /// Topics by name.
    TopicsByName: ImmutableDictionary<string, Topic>
    /// The same topics by id.
    TopicsById: ImmutableDictionary<TopicId, Topic>
    /// Names by `TopicName.collisionKey`.
    NamesByCollisionKey: ImmutableDictionary<string, string>
    /// Topics deleted here but perhaps not yet dropped by their shards.
    TopicsBeingRemoved: ImmutableDictionary<TopicId, Topic>
    /// The first producer id that no broker was given.
    NextProducerId: int64
    /// Registered nodes by id.
    Nodes: Map<int, Node>
    /// The shard the next topic's partition 0 goes to.
    NextFirstShard: int
    /// Defaults of topics that were set for the whole cluster, by the topics' config names.
    DefaultConfigs: Map<string, string>
    /// What was set on groups, by group id; no group is here with nothing.
    GroupConfigs: Map<string, Map<string, string>>
}

/// A topic to create. The id comes with it since the domain has no randomness.
type NewTopic = {
    /// Its name.
    Name: string
    /// A fresh random id.
    Id: TopicId
    /// At least 1.
    PartitionCount: int
    /// Overrides, by Kafka's config name.
    Configs: Map<string, string>
}

/// How a topic is named in DeleteTopics.
type TopicReference =
    /// By its name.
    | ByName of name: string
    /// By its id.
    | ById of topicId: TopicId

/// One change of one configuration (KIP-339).
type ConfigChange =
    /// Give it a value.
    | SetConfig of name: string * value: string
    /// Back to the default.
    | DeleteConfig of name: string
    /// Add values to a list.
    | AppendConfig of name: string * value: string
    /// Take values out of a list.
    | SubtractConfig of name: string * value: string

/// Configuration changes of one topic: all or none.
type TopicConfigChanges = {
    /// The topic's name.
    Topic: string
    /// Whether all that is not named goes back to its default first (AlterConfigs, not IncrementalAlterConfigs).
    ReplacesAll: bool
    /// Applied in order.
    Changes: ConfigChange[]
}

/// Configuration changes of something that is no topic: all or none.
type OwnerConfigChanges = {
    /// What they belong to.
    Owner: ConfigOwner
    /// Whether all that is not named goes back to its default first (AlterConfigs, not IncrementalAlterConfigs).
    ReplacesAll: bool
    /// Applied in order. For all brokers the names are those of Kafka's broker configs.
    Changes: ConfigChange[]
}

/// A topic that is to have more partitions.
type PartitionsToAdd = {
    /// The topic's name.
    Topic: string
    /// The new number of partitions in all.
    Count: int
}

/// What the catalog can be asked. `validateOnly` judges without changing anything.
type CatalogCommand =
    /// Create topics, each by itself.
    | CreateTopics of topics: NewTopic[] * validateOnly: bool
    /// Delete topics, each by itself.
    | DeleteTopics of topics: TopicReference[]
    /// The shards have dropped a deleted topic.
    | ConfirmTopicRemoved of topicId: TopicId
    /// Add partitions, topic by topic.
    | CreatePartitions of requests: PartitionsToAdd[] * validateOnly: bool
    /// Change topics' configurations, topic by topic.
    | AlterTopicConfigs of requests: TopicConfigChanges[] * validateOnly: bool
    /// Change configurations of something that is no topic.
    | AlterOwnerConfigs of request: OwnerConfigChanges * validateOnly: bool
    /// Give the caller a block of producer ids that nobody else gets.
    | AllocateProducerIds of count: int
    /// Make an advertised address a node, or renew its lease. `leaseMs` is `Lease.WithoutEnd` from a broker that sees no other
    /// node. With a lease that ends, leases of others that do not end are cut to the same length: they now have to renew too.
    | RegisterNode of host: string * port: int * leaseMs: int64
    /// The node leaves. Its id stays its address's.
    | DeregisterNode of nodeId: int

/// What has happened in the catalog.
type CatalogEvent =
    /// A topic came to be.
    | TopicCreated of topic: Topic
    /// A topic is gone for clients; its shards have yet to drop it.
    | TopicDeleted of topicId: TopicId
    /// A deleted topic's shards have dropped it.
    | TopicRemovalConfirmed of topicId: TopicId
    /// A topic has more partitions.
    | PartitionsAdded of topicId: TopicId * partitionCount: int
    /// A topic's overrides are now these.
    | TopicConfigsChanged of topicId: TopicId * configs: Map<string, string>
    /// What is set on something that is no topic is now this.
    | OwnerConfigsChanged of owner: ConfigOwner * configs: Map<string, string>
    /// Producer ids up to `firstProducerId + count - 1` are taken.
    | ProducerIdsAllocated of firstProducerId: int64 * count: int
    /// An address became a node, or a node renewed its lease: a sign of life.
    | NodeRegistered of node: Node
    /// A node's lease ends sooner: it has left (`Lease.Ended`), or another one came and it must renew from now on. No sign of life.
    | NodeLeaseCut of nodeId: int * leaseUntilMs: int64

/// What became of one topic in a request.
type TopicReply =
    /// The topic as it is after the change (or would be; before the change for a deletion).
    | TopicChanged of topic: Topic
    /// Nothing changed.
    | TopicRefused of refusal: Refusal

/// The catalog's answer, in the order of what was asked.
type CatalogReply =
    /// To the commands about topics.
    | TopicsJudged of replies: TopicReply[]
    /// To AlterOwnerConfigs: why nothing changed, if it was refused.
    | OwnerConfigsJudged of refusal: Refusal voption
    /// To AllocateProducerIds.
    | ProducerIdBlock of firstProducerId: int64 * count: int
    /// To RegisterNode.
    | NodeIs of node: Node
    /// To commands that have nothing to report.
    | CatalogDone

/// The catalog's rules.
[<RequireQualifiedAccess>]
module Catalog =
    /// Before the first entry.
    let initial = {
        TopicsByName = ImmutableDictionary<string, Topic>.Empty
        TopicsById = ImmutableDictionary<TopicId, Topic>.Empty
        NamesByCollisionKey = ImmutableDictionary<string, string>.Empty
        TopicsBeingRemoved = ImmutableDictionary<TopicId, Topic>.Empty
        NextProducerId = 0L
        Nodes = Map.empty
        NextFirstShard = 0
        DefaultConfigs = Map.empty
        GroupConfigs = Map.empty
    }

    /// What is set for a topic: on itself, else for the whole cluster. Kafka's defaults are not among it.
    let configsOf (state: CatalogState) (topic: Topic) =
        (state.DefaultConfigs, topic.Configs)
        ||> Map.fold (fun configs name value -> configs.Add(name, value))

    /// What is set on something that is no topic.
    let ownerConfigs (state: CatalogState) (owner: ConfigOwner) =
        match owner with
        | AllBrokers -> state.DefaultConfigs
        | OneGroup groupId -> state.GroupConfigs.TryFind groupId |> Option.defaultValue Map.empty

    /// The shard of a partition.
    let shardOf (settings: CatalogSettings) (topic: Topic) (partition: int) =
        (topic.FirstShard + partition) % settings.ShardCount

    let private withTopic (topic: Topic) (state: CatalogState) = {
        state with
            TopicsByName = state.TopicsByName.SetItem(topic.Name, topic)
            TopicsById = state.TopicsById.SetItem(topic.Id, topic)
            NamesByCollisionKey = state.NamesByCollisionKey.SetItem(TopicName.collisionKey topic.Name, topic.Name)
    }

    let private withoutTopic (topic: Topic) (state: CatalogState) = {
        state with
            TopicsByName = state.TopicsByName.Remove topic.Name
            TopicsById = state.TopicsById.Remove topic.Id
            NamesByCollisionKey = state.NamesByCollisionKey.Remove(TopicName.collisionKey topic.Name)
            TopicsBeingRemoved = state.TopicsBeingRemoved.SetItem(topic.Id, topic)
    }

    let private changeTopic topicId change (state: CatalogState) =
        match state.TopicsById.TryGetValue topicId with
        | true, topic -> withTopic (change topic) state
        | _ -> state

    /// Applies one event.
    let evolve (settings: CatalogSettings) (state: CatalogState) (event: CatalogEvent) =
        match event with
        | TopicCreated topic -> {
            withTopic topic state with
                NextFirstShard = (topic.FirstShard + topic.PartitionCount) % settings.ShardCount
          }
        | TopicDeleted topicId ->
            match state.TopicsById.TryGetValue topicId with
            | true, topic -> withoutTopic topic state
            | _ -> state
        | TopicRemovalConfirmed topicId -> { state with TopicsBeingRemoved = state.TopicsBeingRemoved.Remove topicId }
        | PartitionsAdded(topicId, count) ->
            changeTopic topicId (fun topic -> { topic with PartitionCount = count }) state
        | TopicConfigsChanged(topicId, configs) ->
            changeTopic topicId (fun topic -> { topic with Configs = configs }) state
        | OwnerConfigsChanged(AllBrokers, configs) -> { state with DefaultConfigs = configs }
        | OwnerConfigsChanged(OneGroup groupId, configs) when configs.IsEmpty -> {
            state with
                GroupConfigs = state.GroupConfigs.Remove groupId
          }
        | OwnerConfigsChanged(OneGroup groupId, configs) -> {
            state with
                GroupConfigs = state.GroupConfigs.Add(groupId, configs)
          }
        | ProducerIdsAllocated(first, count) -> { state with NextProducerId = first + int64 count }
        | NodeRegistered node -> { state with Nodes = state.Nodes.Add(node.Id, node) }
        | NodeLeaseCut(nodeId, leaseUntilMs) ->
            match state.Nodes.TryFind nodeId with
            | Some node -> { state with Nodes = state.Nodes.Add(nodeId, { node with LeaseUntilMs = leaseUntilMs }) }
            | None -> state

    /// Puts back a topic that a snapshot found half removed.
    let restoreTopicBeingRemoved (topic: Topic) (state: CatalogState) = {
        state with
            TopicsBeingRemoved = state.TopicsBeingRemoved.SetItem(topic.Id, topic)
    }

    /// Puts back the counters of a snapshot.
    let restoreCounters (nextProducerId: int64) (nextFirstShard: int) (state: CatalogState) = {
        state with
            NextProducerId = nextProducerId
            NextFirstShard = nextFirstShard
    }

    let private refuse refusal = [], TopicRefused refusal

    let private judgeNewTopic settings nowMs (state: CatalogState) (topic: NewTopic) =
        match TopicName.validate topic.Name with
        | Error reason -> refuse (InvalidTopicName reason)
        | Ok() when state.TopicsByName.ContainsKey topic.Name -> refuse (TopicAlreadyExists topic.Name)
        | Ok() when state.NamesByCollisionKey.ContainsKey(TopicName.collisionKey topic.Name) ->
            let other = state.NamesByCollisionKey[TopicName.collisionKey topic.Name]
            refuse (InvalidTopicName $"Topic '{topic.Name}' collides with existing topic: {other}")
        | Ok() when topic.PartitionCount < 1 -> refuse (InvalidPartitions "Number of partitions must be larger than 0.")
        | Ok() when topic.PartitionCount > settings.MaxPartitionsPerTopic ->
            refuse (InvalidPartitions $"Number of partitions must be at most {settings.MaxPartitionsPerTopic}.")
        | Ok() ->
            match TopicConfig.validateAll topic.Configs with
            | Error reason -> refuse (InvalidConfig reason)
            | Ok configs ->
                let created: Topic = {
                    Id = topic.Id
                    Name = topic.Name
                    PartitionCount = topic.PartitionCount
                    FirstShard = state.NextFirstShard
                    Configs = configs
                    CreatedAtMs = nowMs
                }

                [ TopicCreated created ], TopicChanged created

    let private judgeDeletion (state: CatalogState) (reference: TopicReference) =
        let found, topic, refusal =
            match reference with
            | ByName name ->
                let found, topic = state.TopicsByName.TryGetValue name
                found, topic, UnknownTopic
            | ById topicId ->
                let found, topic = state.TopicsById.TryGetValue topicId
                found, topic, UnknownTopicId

        if found then
            [ TopicDeleted topic.Id ], TopicChanged topic
        else
            refuse refusal

    let private judgeNewPartitions settings (state: CatalogState) (request: PartitionsToAdd) =
        match state.TopicsByName.TryGetValue request.Topic with
        | true, topic when request.Count < topic.PartitionCount ->
            refuse (
                InvalidPartitions
                    $"The topic {topic.Name} currently has {topic.PartitionCount} partition(s); {request.Count} would not be an increase."
            )
        | true, topic when request.Count = topic.PartitionCount ->
            refuse (InvalidPartitions $"Topic already has {topic.PartitionCount} partition(s).")
        | true, _ when request.Count > settings.MaxPartitionsPerTopic ->
            refuse (InvalidPartitions $"Number of partitions must be at most {settings.MaxPartitionsPerTopic}.")
        | true, topic ->
            [ PartitionsAdded(topic.Id, request.Count) ], TopicChanged { topic with PartitionCount = request.Count }
        | _ -> refuse UnknownTopic

    /// What is added to a list or taken out of it changes the value in force, which may be that of all brokers.
    let private applyChange (defaults: Map<string, string>) (configs: Map<string, string>) (change: ConfigChange) =
        let inForce name =
            match configs.TryFind name, defaults.TryFind name with
            | None, Some value -> configs.Add(name, value)
            | _ -> configs

        match change with
        | SetConfig(name, value) -> Ok(configs.Add(name, value))
        | DeleteConfig name -> Ok(configs.Remove name)
        | AppendConfig(name, value) -> TopicConfig.appendToList name value (inForce name)
        | SubtractConfig(name, value) -> TopicConfig.subtractFromList name value (inForce name)

    let private applyChanges defaults start changes =
        (Ok start, changes)
        ||> Array.fold (fun configs change ->
            configs |> Result.bind (fun configs -> applyChange defaults configs change))

    let private judgeConfigChanges (state: CatalogState) (request: TopicConfigChanges) =
        match state.TopicsByName.TryGetValue request.Topic with
        | true, topic ->
            let start = if request.ReplacesAll then Map.empty else topic.Configs

            match
                applyChanges state.DefaultConfigs start request.Changes
                |> Result.bind TopicConfig.validateAll
            with
            | Error reason -> refuse (InvalidConfig reason)
            | Ok configs when configs = topic.Configs -> [], TopicChanged topic
            | Ok configs -> [ TopicConfigsChanged(topic.Id, configs) ], TopicChanged { topic with Configs = configs }
        | _ -> refuse UnknownTopic

    /// The same change by the topics' name of what is set for all brokers.
    let private ofBrokerConfig (change: ConfigChange) =
        let named name make =
            match TopicConfig.tryFindByBrokerName name with
            | Some definition -> Ok(make definition.Name)
            | None -> Error(InvalidRequest $"Cannot update these configs dynamically: Set({name})")

        match change with
        | SetConfig(name, value) -> named name (fun name -> SetConfig(name, value))
        | DeleteConfig name -> named name DeleteConfig
        | AppendConfig(name, value) -> named name (fun name -> AppendConfig(name, value))
        | SubtractConfig(name, value) -> named name (fun name -> SubtractConfig(name, value))

    let private ownerConfigsAfter (current: Map<string, string>) (request: OwnerConfigChanges) =
        let start = if request.ReplacesAll then Map.empty else current

        match request.Owner with
        | AllBrokers ->
            (Ok [], request.Changes)
            ||> Array.fold (fun changes change ->
                changes
                |> Result.bind (fun changes -> ofBrokerConfig change |> Result.map (fun change -> change :: changes)))
            |> Result.bind (fun changes ->
                changes
                |> List.rev
                |> Array.ofList
                |> applyChanges Map.empty start
                |> Result.bind TopicConfig.validateAll
                |> Result.mapError InvalidRequest)
        | OneGroup _ ->
            applyChanges Map.empty start request.Changes
            |> Result.bind GroupConfig.validateAll
            |> Result.mapError InvalidConfig

    let private alterOwnerConfigs (state: CatalogState) (request: OwnerConfigChanges) validateOnly =
        let current = ownerConfigs state request.Owner

        match ownerConfigsAfter current request with
        | Error refusal -> { Events = [||]; Reply = OwnerConfigsJudged(ValueSome refusal) }
        | Ok configs -> {
            Events =
                if validateOnly || configs = current then
                    [||]
                else
                    [| OwnerConfigsChanged(request.Owner, configs) |]
            Reply = OwnerConfigsJudged ValueNone
          }

    /// Judges the items of a request one after another, each on the state the ones before left.
    let private judgeEach
        settings
        state
        (judge: CatalogState -> 'Item -> CatalogEvent list * TopicReply)
        validateOnly
        (items: 'Item[])
        =
        let step (state, events) item =
            let added, reply = judge state item
            reply, (List.fold (evolve settings) state added, List.rev added @ events)

        let replies, (_, events) = Array.mapFold step (state, []) items

        {
            Events =
                if validateOnly then
                    [||]
                else
                    events |> List.rev |> List.toArray
            Reply = TopicsJudged replies
        }

    let private registerNode nowMs (state: CatalogState) host port leaseMs =
        let known =
            state.Nodes
            |> Map.tryPick (fun _ node ->
                if node.Host = host && node.Port = port then
                    Some node
                else
                    None)

        let leaseUntilMs =
            match known with
            | _ when leaseMs = Lease.WithoutEnd -> Lease.WithoutEnd
            // A clock that stands still must not make a renewal look like none.
            | Some node when node.LeaseUntilMs <> Lease.WithoutEnd -> max (nowMs + leaseMs) (node.LeaseUntilMs + 1L)
            | _ -> nowMs + leaseMs

        let id =
            match known with
            | Some node -> node.Id
            | None when state.Nodes.IsEmpty -> 1
            | None -> (state.Nodes |> Map.maxKeyValue |> fst) + 1

        let node = { Id = id; Host = host; Port = port; LeaseUntilMs = leaseUntilMs }

        let registration =
            if known = Some node then
                [||]
            else
                [| NodeRegistered node |]

        let cuts = [|
            if leaseMs <> Lease.WithoutEnd then
                for KeyValue(otherId, other) in state.Nodes do
                    if otherId <> id && other.LeaseUntilMs = Lease.WithoutEnd then
                        NodeLeaseCut(otherId, nowMs + leaseMs)
        |]

        { Events = Array.append registration cuts; Reply = NodeIs node }

    let private deregisterNode (state: CatalogState) nodeId =
        match state.Nodes.TryFind nodeId with
        | Some node when node.LeaseUntilMs <> Lease.Ended -> {
            Events = [| NodeLeaseCut(nodeId, Lease.Ended) |]
            Reply = CatalogDone
          }
        | _ -> { Events = [||]; Reply = CatalogDone }

    /// Judges one command.
    let decide (settings: CatalogSettings) (state: CatalogState) (command: CatalogCommand) (context: DecideContext) =
        match command with
        | CreateTopics(topics, validateOnly) ->
            judgeEach settings state (judgeNewTopic settings context.NowMs) validateOnly topics
        | DeleteTopics topics -> judgeEach settings state judgeDeletion false topics
        | ConfirmTopicRemoved topicId when state.TopicsBeingRemoved.ContainsKey topicId -> {
            Events = [| TopicRemovalConfirmed topicId |]
            Reply = CatalogDone
          }
        | ConfirmTopicRemoved _ -> { Events = [||]; Reply = CatalogDone }
        | CreatePartitions(requests, validateOnly) ->
            judgeEach settings state (judgeNewPartitions settings) validateOnly requests
        | AlterTopicConfigs(requests, validateOnly) -> judgeEach settings state judgeConfigChanges validateOnly requests
        | AlterOwnerConfigs(request, validateOnly) -> alterOwnerConfigs state request validateOnly
        | AllocateProducerIds count -> {
            Events = [| ProducerIdsAllocated(state.NextProducerId, count) |]
            Reply = ProducerIdBlock(state.NextProducerId, count)
          }
        | RegisterNode(host, port, leaseMs) -> registerNode context.NowMs state host port leaseMs
        | DeregisterNode nodeId -> deregisterNode state nodeId

/// The catalog's rules as the replica calls them.
[<Sealed>]
type CatalogDecider(settings: CatalogSettings) =
    /// The settings the rules were made with.
    member _.Settings = settings

    interface IDecider<CatalogState, CatalogCommand, CatalogEvent, CatalogReply> with
        member _.Initial = Catalog.initial

        member _.Decide(state, command, context) =
            Catalog.decide settings state command context

        member _.Evolve(state, event, _) = Catalog.evolve settings state event

        // The catalog's entries carry no payload.
        member _.OldestEntry _ = System.Int64.MaxValue
        member _.ObjectsSinceMs _ = 0L
