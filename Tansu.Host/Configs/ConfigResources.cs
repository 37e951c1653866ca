using System.Globalization;
using Tansu.Domain;

namespace Tansu.Host;

/// <summary>What a configuration can belong to; the numbers are those of the config APIs.</summary>
internal enum ConfigResource : sbyte
{
    /// <summary>A topic.</summary>
    Topic = 2,

    /// <summary>A broker, or with an empty name all of them.</summary>
    Broker = 4,

    /// <summary>A broker's loggers.</summary>
    BrokerLogger = 8,

    /// <summary>A subscription to client metrics (KIP-714).</summary>
    ClientMetrics = 16,

    /// <summary>A consumer group (KIP-848).</summary>
    Group = 32,
}

/// <summary>Checks that all config APIs share.</summary>
internal static class ConfigResources
{
    /// <summary>What the catalog keeps configurations of besides topics; null if it is none of that.</summary>
    public static ConfigOwner? OwnerOf(AlteredResource resource) => (ConfigResource)resource.Type switch
    {
        ConfigResource.Broker => ConfigOwner.AllBrokers,
        ConfigResource.Group => ConfigOwner.NewOneGroup(resource.Name),
        _ => null,
    };

    /// <summary>Where the value of a topic's configuration comes from.</summary>
    public static ConfigSource SourceOf(CatalogState catalog, Topic topic, string name) =>
        topic.Configs.ContainsKey(name) ? ConfigSource.DynamicTopic
        : catalog.DefaultConfigs.ContainsKey(name) ? ConfigSource.DynamicDefaultBroker
        : ConfigSource.Default;

    /// <summary>What is wrong with the name of a broker resource; null if it names this broker.</summary>
    public static string? CheckBroker(Broker broker, string name)
    {
        if (!int.TryParse(name, NumberStyles.AllowLeadingSign, CultureInfo.InvariantCulture, out var id))
        {
            return $"Node id must be an integer, but it is: {name}";
        }

        return id == broker.Cluster.Self.Id ? null : $"Unexpected broker id, expected {broker.Cluster.Self.Id}, but received {name}";
    }
}
