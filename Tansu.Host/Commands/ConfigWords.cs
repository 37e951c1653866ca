using Tansu.Codec.Messages;

namespace Tansu.Host.Commands;

/// <summary>Kafka's words for the numbers of DescribeConfigs (KIP-226, KIP-569).</summary>
internal static class ConfigWords
{
    private const sbyte DefaultSource = 5;
    private const sbyte StaticBrokerSource = 4;

    /// <summary>Where a value comes from.</summary>
    public static string Source(sbyte source) => source switch
    {
        1 => "DYNAMIC_TOPIC_CONFIG",
        2 => "DYNAMIC_BROKER_CONFIG",
        3 => "DYNAMIC_DEFAULT_BROKER_CONFIG",
        StaticBrokerSource => "STATIC_BROKER_CONFIG",
        DefaultSource => "DEFAULT_CONFIG",
        6 => "DYNAMIC_BROKER_LOGGER_CONFIG",
        7 => "DYNAMIC_CLIENT_METRICS_CONFIG",
        8 => "GROUP_CONFIG",
        _ => "UNKNOWN",
    };

    /// <summary>What a value is.</summary>
    public static string Type(sbyte type) => type switch
    {
        1 => "BOOLEAN",
        2 => "STRING",
        3 => "INT",
        4 => "SHORT",
        5 => "LONG",
        6 => "DOUBLE",
        7 => "LIST",
        8 => "CLASS",
        9 => "PASSWORD",
        _ => "UNKNOWN",
    };

    /// <summary>Whether somebody has set it.</summary>
    public static bool IsSet(DescribeConfigsResponse.DescribeConfigsResourceResult config) => config.ConfigSource != DefaultSource;
}
