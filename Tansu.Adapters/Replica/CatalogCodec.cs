using Microsoft.FSharp.Collections;
using Tansu.Codec;
using Tansu.Codec.Storage;
using Tansu.Domain;

namespace Tansu.Adapters.Replica;

/// <summary>The catalog's events and state, written down with the messages of <c>spec/storage</c>.</summary>
public sealed class CatalogCodec(CatalogSettings settings) : ILogCodec<CatalogState, CatalogEvent>
{
    /// <summary>First byte of an event. A number is never used again for another event.</summary>
    internal enum EventType : sbyte
    {
        TopicCreated = 1,
        TopicDeleted = 2,
        TopicRemovalConfirmed = 3,
        PartitionsAdded = 4,
        TopicConfigsChanged = 5,
        ProducerIdsAllocated = 6,
        NodeRegistered = 7,
        NodeLeaseCut = 8,
        OwnerConfigsChanged = 9,
    }

    /// <summary>What configurations belong to, numbered as in the config APIs.</summary>
    private enum OwnerType : sbyte
    {
        AllBrokers = 4,
        Group = 32,
    }

    /// <inheritdoc/>
    public void WriteEvent(KafkaWriter writer, CatalogEvent value)
    {
        switch (value)
        {
            case CatalogEvent.TopicCreated created:
                var topic = created.topic;
                EventFrame.Write(writer, (sbyte)EventType.TopicCreated, new TopicCreatedEvent
                {
                    TopicId = topic.Id.Value,
                    Name = topic.Name,
                    PartitionCount = topic.PartitionCount,
                    FirstShard = topic.FirstShard,
                    CreatedAtMs = topic.CreatedAtMs,
                    Configs = ToArray(topic.Configs, static (name, text) => new TopicCreatedEvent.Config { Name = name, Value = text }),
                });
                break;
            case CatalogEvent.TopicDeleted deleted:
                EventFrame.Write(writer, (sbyte)EventType.TopicDeleted, new TopicDeletedEvent { TopicId = deleted.topicId.Value });
                break;
            case CatalogEvent.TopicRemovalConfirmed confirmed:
                EventFrame.Write(writer, (sbyte)EventType.TopicRemovalConfirmed, new TopicRemovalConfirmedEvent { TopicId = confirmed.topicId.Value });
                break;
            case CatalogEvent.PartitionsAdded added:
                EventFrame.Write(writer, (sbyte)EventType.PartitionsAdded, new PartitionsAddedEvent
                {
                    TopicId = added.topicId.Value,
                    PartitionCount = added.partitionCount,
                });
                break;
            case CatalogEvent.TopicConfigsChanged changed:
                EventFrame.Write(writer, (sbyte)EventType.TopicConfigsChanged, new TopicConfigsChangedEvent
                {
                    TopicId = changed.topicId.Value,
                    Configs = ToArray(changed.configs, static (name, text) => new TopicConfigsChangedEvent.Config { Name = name, Value = text }),
                });
                break;
            case CatalogEvent.OwnerConfigsChanged changed:
                var (ownerType, ownerName) = ToStored(changed.owner);
                EventFrame.Write(writer, (sbyte)EventType.OwnerConfigsChanged, new OwnerConfigsChangedEvent
                {
                    OwnerType = ownerType,
                    OwnerName = ownerName,
                    Configs = ToArray(changed.configs, static (name, text) => new OwnerConfigsChangedEvent.Config { Name = name, Value = text }),
                });
                break;
            case CatalogEvent.ProducerIdsAllocated allocated:
                EventFrame.Write(writer, (sbyte)EventType.ProducerIdsAllocated, new ProducerIdsAllocatedEvent
                {
                    FirstProducerId = allocated.firstProducerId,
                    Count = allocated.count,
                });
                break;
            case CatalogEvent.NodeRegistered registered:
                EventFrame.Write(writer, (sbyte)EventType.NodeRegistered, new NodeRegisteredEvent
                {
                    NodeId = registered.node.Id,
                    Host = registered.node.Host,
                    Port = registered.node.Port,
                    LeaseUntilMs = registered.node.LeaseUntilMs,
                });
                break;
            case CatalogEvent.NodeLeaseCut cut:
                EventFrame.Write(writer, (sbyte)EventType.NodeLeaseCut, new NodeLeaseCutEvent
                {
                    NodeId = cut.nodeId,
                    LeaseUntilMs = cut.leaseUntilMs,
                });
                break;
            default:
                throw new InvalidOperationException($"no stored form for event {value.Tag}");
        }
    }

    /// <inheritdoc/>
    public CatalogEvent ReadEvent(ref KafkaReader reader)
    {
        switch ((EventType)reader.ReadInt8())
        {
            case EventType.TopicCreated:
                var created = EventFrame.Read<TopicCreatedEvent>(ref reader);
                return CatalogEvent.NewTopicCreated(new Topic(
                    TopicId.NewTopicId(created.TopicId),
                    created.Name,
                    created.PartitionCount,
                    created.FirstShard,
                    ToMap(created.Configs, static config => (config.Name, config.Value)),
                    created.CreatedAtMs));
            case EventType.TopicDeleted:
                return CatalogEvent.NewTopicDeleted(TopicId.NewTopicId(EventFrame.Read<TopicDeletedEvent>(ref reader).TopicId));
            case EventType.TopicRemovalConfirmed:
                return CatalogEvent.NewTopicRemovalConfirmed(TopicId.NewTopicId(EventFrame.Read<TopicRemovalConfirmedEvent>(ref reader).TopicId));
            case EventType.PartitionsAdded:
                var added = EventFrame.Read<PartitionsAddedEvent>(ref reader);
                return CatalogEvent.NewPartitionsAdded(TopicId.NewTopicId(added.TopicId), added.PartitionCount);
            case EventType.TopicConfigsChanged:
                var changed = EventFrame.Read<TopicConfigsChangedEvent>(ref reader);
                return CatalogEvent.NewTopicConfigsChanged(
                    TopicId.NewTopicId(changed.TopicId),
                    ToMap(changed.Configs, static config => (config.Name, config.Value)));
            case EventType.OwnerConfigsChanged:
                var owned = EventFrame.Read<OwnerConfigsChangedEvent>(ref reader);
                return CatalogEvent.NewOwnerConfigsChanged(
                    ToOwner(owned.OwnerType, owned.OwnerName),
                    ToMap(owned.Configs, static config => (config.Name, config.Value)));
            case EventType.ProducerIdsAllocated:
                var allocated = EventFrame.Read<ProducerIdsAllocatedEvent>(ref reader);
                return CatalogEvent.NewProducerIdsAllocated(allocated.FirstProducerId, allocated.Count);
            case EventType.NodeRegistered:
                var registered = EventFrame.Read<NodeRegisteredEvent>(ref reader);
                return CatalogEvent.NewNodeRegistered(new Node(
                    registered.NodeId,
                    registered.Host,
                    registered.Port,
                    registered.LeaseUntilMs));
            case EventType.NodeLeaseCut:
                var cut = EventFrame.Read<NodeLeaseCutEvent>(ref reader);
                return CatalogEvent.NewNodeLeaseCut(cut.NodeId, cut.LeaseUntilMs);
            case var unknown:
                throw new KafkaFormatException($"it holds an event of unknown type {(sbyte)unknown}");
        }
    }

    /// <inheritdoc/>
    public void WriteState(KafkaWriter writer, CatalogState state)
    {
        var topics = new List<CatalogSnapshot.Topic>(state.TopicsById.Count + state.TopicsBeingRemoved.Count);
        foreach (var topic in state.TopicsById.Values)
        {
            topics.Add(ToStored(topic, beingRemoved: false));
        }

        foreach (var topic in state.TopicsBeingRemoved.Values)
        {
            topics.Add(ToStored(topic, beingRemoved: true));
        }

        topics.Sort(static (left, right) => left.TopicId.CompareTo(right.TopicId));
        var nodes = new List<CatalogSnapshot.Node>(state.Nodes.Count);
        foreach (var (id, node) in state.Nodes)
        {
            nodes.Add(new CatalogSnapshot.Node { NodeId = id, Host = node.Host, Port = node.Port, LeaseUntilMs = node.LeaseUntilMs });
        }

        var owners = new List<CatalogSnapshot.Owner>(state.GroupConfigs.Count + 1);
        if (!state.DefaultConfigs.IsEmpty)
        {
            owners.Add(ToStored(ConfigOwner.AllBrokers, state.DefaultConfigs));
        }

        foreach (var (groupId, configs) in state.GroupConfigs)
        {
            owners.Add(ToStored(ConfigOwner.NewOneGroup(groupId), configs));
        }

        EventFrame.WriteVersioned(writer, new CatalogSnapshot
        {
            Topics = [.. topics],
            Nodes = [.. nodes],
            NextProducerId = state.NextProducerId,
            NextFirstShard = state.NextFirstShard,
            Owners = [.. owners],
        });
    }

    /// <inheritdoc/>
    public CatalogState ReadState(ref KafkaReader reader)
    {
        // The events that would have led here rebuild the indexes, so that they are built in one place only.
        var stored = EventFrame.Read<CatalogSnapshot>(ref reader);
        var state = Catalog.initial;
        foreach (var topic in stored.Topics)
        {
            var created = new Topic(
                TopicId.NewTopicId(topic.TopicId),
                topic.Name,
                topic.PartitionCount,
                topic.FirstShard,
                ToMap(topic.Configs, static config => (config.Name, config.Value)),
                topic.CreatedAtMs);
            if (topic.BeingRemoved)
            {
                state = Catalog.restoreTopicBeingRemoved(created, state);
            }
            else
            {
                state = Catalog.evolve(settings, state, CatalogEvent.NewTopicCreated(created));
            }
        }

        foreach (var node in stored.Nodes)
        {
            state = Catalog.evolve(settings, state, CatalogEvent.NewNodeRegistered(new Node(node.NodeId, node.Host, node.Port, node.LeaseUntilMs)));
        }

        foreach (var owner in stored.Owners)
        {
            state = Catalog.evolve(settings, state, CatalogEvent.NewOwnerConfigsChanged(
                ToOwner(owner.OwnerType, owner.OwnerName),
                ToMap(owner.OwnerConfigs, static config => (config.Name, config.Value))));
        }

        return Catalog.restoreCounters(stored.NextProducerId, stored.NextFirstShard, state);
    }

    private static CatalogSnapshot.Topic ToStored(Topic topic, bool beingRemoved) => new()
    {
        TopicId = topic.Id.Value,
        Name = topic.Name,
        PartitionCount = topic.PartitionCount,
        FirstShard = topic.FirstShard,
        CreatedAtMs = topic.CreatedAtMs,
        Configs = ToArray(topic.Configs, static (name, text) => new CatalogSnapshot.Config { Name = name, Value = text }),
        BeingRemoved = beingRemoved,
    };

    private static CatalogSnapshot.Owner ToStored(ConfigOwner owner, FSharpMap<string, string> configs)
    {
        var (type, name) = ToStored(owner);
        return new CatalogSnapshot.Owner
        {
            OwnerType = type,
            OwnerName = name,
            OwnerConfigs = ToArray(configs, static (name, text) => new CatalogSnapshot.OwnerConfig { Name = name, Value = text }),
        };
    }

    private static (sbyte Type, string Name) ToStored(ConfigOwner owner) =>
        owner is ConfigOwner.OneGroup group ? ((sbyte)OwnerType.Group, group.groupId) : ((sbyte)OwnerType.AllBrokers, "");

    private static ConfigOwner ToOwner(sbyte type, string name) => (OwnerType)type switch
    {
        OwnerType.AllBrokers => ConfigOwner.AllBrokers,
        OwnerType.Group => ConfigOwner.NewOneGroup(name),
        _ => throw new KafkaFormatException($"it holds configurations of unknown type {type}"),
    };

    private static T[] ToArray<T>(FSharpMap<string, string> map, Func<string, string, T> make)
    {
        var array = new T[map.Count];
        var index = 0;
        foreach (var (name, value) in map)
        {
            array[index++] = make(name, value);
        }

        return array;
    }

    private static FSharpMap<string, string> ToMap<T>(T[] stored, Func<T, (string Name, string Value)> pair)
    {
        var map = MapModule.Empty<string, string>();
        foreach (var item in stored)
        {
            var (name, value) = pair(item);
            map = map.Add(name, value);
        }

        return map;
    }
}
