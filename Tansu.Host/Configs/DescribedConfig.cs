using Tansu.Domain;
using LogLevel = Tansu.Host.CommandLine.LogLevel;

namespace Tansu.Host;

/// <summary>One of the places that a value can come from (KIP-226).</summary>
/// <param name="Name">What the configuration is called there.</param>
/// <param name="Value">The value there.</param>
/// <param name="Source">Where that is.</param>
internal readonly record struct ConfigSynonym(string Name, string Value, ConfigSource Source);

/// <summary>One configuration as DescribeConfigs shows it.</summary>
/// <param name="Name">Kafka's name.</param>
/// <param name="Type">What it holds.</param>
/// <param name="Documentation">What it means here.</param>
/// <param name="IsReadOnly">Whether it cannot be changed while the broker runs.</param>
/// <param name="Synonyms">Where the value can come from; the first one is in force.</param>
internal sealed record DescribedConfig(string Name, ConfigType Type, string Documentation, bool IsReadOnly, ConfigSynonym[] Synonyms)
{
    /// <summary>The value in force.</summary>
    public string Value => Synonyms[0].Value;

    /// <summary>Where it comes from.</summary>
    public ConfigSource Source => Synonyms[0].Source;

    /// <summary>All of a topic's.</summary>
    public static IEnumerable<DescribedConfig> OfTopic(CatalogState catalog, Topic topic) => TopicConfig.definitions.Select(definition =>
    {
        var synonyms = Inherited(catalog, definition);
        return topic.Configs.TryGetValue(definition.Name, out var own)
            ? Of(definition, definition.Name, [new ConfigSynonym(definition.Name, own, ConfigSource.DynamicTopic), .. synonyms])
            : Of(definition, definition.Name, [.. synonyms]);
    });

    /// <summary>The broker's defaults of topics that are set for all brokers, or may be.</summary>
    /// <param name="catalog">Where they are kept.</param>
    /// <param name="onlySet">Whether those are left out that are not set.</param>
    public static IEnumerable<DescribedConfig> OfDefaults(CatalogState catalog, bool onlySet) => TopicConfig.definitions
        .Where(definition => definition.BrokerSynonym is not null && (!onlySet || catalog.DefaultConfigs.ContainsKey(definition.Name)))
        .Select(definition => Of(definition, definition.BrokerSynonym!, [.. Inherited(catalog, definition)]));

    /// <summary>All of a group's, whether there is such a group or not.</summary>
    public static IEnumerable<DescribedConfig> OfGroup(CatalogState catalog, string groupId)
    {
        var own = Catalog.ownerConfigs(catalog, ConfigOwner.NewOneGroup(groupId));
        return GroupConfig.definitions.Select(definition =>
        {
            var fallback = new ConfigSynonym(definition.BrokerSynonym!, definition.Default, ConfigSource.Default);
            return own.TryGetValue(definition.Name, out var value)
                ? Of(definition, definition.Name, [new ConfigSynonym(definition.Name, value, ConfigSource.Group), fallback])
                : Of(definition, definition.Name, [fallback]);
        });
    }

    /// <summary>The one logger there is, by Kafka's name, and its level in Kafka's words.</summary>
    public static DescribedConfig OfRootLogger(LogLevel level) => new(
        "root",
        ConfigType.String,
        "What is written to the log (--log-level).",
        IsReadOnly: true,
        [new ConfigSynonym("root", LevelName(level), ConfigSource.BrokerLogger)]);

    private static IEnumerable<ConfigSynonym> Inherited(CatalogState catalog, ConfigDefinition definition)
    {
        var name = definition.BrokerSynonym ?? definition.Name;
        if (catalog.DefaultConfigs.TryGetValue(definition.Name, out var value))
        {
            yield return new ConfigSynonym(name, value, ConfigSource.DynamicDefaultBroker);
        }

        yield return new ConfigSynonym(name, definition.Default, ConfigSource.Default);
    }

    private static DescribedConfig Of(ConfigDefinition definition, string name, ConfigSynonym[] synonyms) =>
        new(name, definition.Type, definition.Documentation, IsReadOnly: false, synonyms);

    private static string LevelName(LogLevel level) => level switch
    {
        LogLevel.Verbose => "TRACE",
        LogLevel.Debug => "DEBUG",
        LogLevel.Information => "INFO",
        LogLevel.Warning => "WARN",
        LogLevel.Error => "ERROR",
        _ => "FATAL",
    };
}
