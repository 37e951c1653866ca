namespace Tansu.Host;

/// <summary>Where a configuration's value comes from; the numbers are those of DescribeConfigs (KIP-226).</summary>
internal enum ConfigSource : sbyte
{
    /// <summary>Set on the topic.</summary>
    DynamicTopic = 1,

    /// <summary>Given when the broker was started.</summary>
    StaticBroker = 4,

    /// <summary>Nobody set it.</summary>
    Default = 5,
}
