namespace Tansu.Host;

/// <summary>Where a configuration's value comes from; the numbers are those of DescribeConfigs (KIP-226).</summary>
internal enum ConfigSource : sbyte
{
    /// <summary>Set on the topic.</summary>
    DynamicTopic = 1,

    /// <summary>Set for all brokers while they run.</summary>
    DynamicDefaultBroker = 3,

    /// <summary>Given when the broker was started.</summary>
    StaticBroker = 4,

    /// <summary>Nobody set it.</summary>
    Default = 5,

    /// <summary>The level of a broker's logger.</summary>
    BrokerLogger = 6,

    /// <summary>Set on the group.</summary>
    Group = 8,
}
