using System.Globalization;
using Tansu.Domain;

namespace Tansu.Host;

/// <summary>
/// The broker's configurations as DescribeConfigs shows them: those of Kafka's that mean something here. Flags and environment set
/// them when the broker starts; only the defaults of topics can be changed, for all brokers at once.
/// </summary>
internal static class BrokerConfigs
{
    /// <summary>This broker's, or those that are set for all brokers.</summary>
    public static IEnumerable<DescribedConfig> Of(Broker broker, bool ofAllBrokers)
    {
        var defaults = DescribedConfig.OfDefaults(broker.Cluster.Catalog, onlySet: ofAllBrokers);
        return ofAllBrokers ? defaults : GivenAtStart(broker).Concat(defaults);
    }

    private static IEnumerable<DescribedConfig> GivenAtStart(Broker broker)
    {
        var settings = broker.Settings;
        var id = Text(broker.Cluster.Self.Id);
        yield return Given("advertised.listeners", ConfigType.String, $"PLAINTEXT://{settings.AdvertisedListener.Host}:{settings.AdvertisedListener.Port}", "Where clients are told to connect (--advertised-listener-url).");
        yield return Given("auto.create.topics.enable", ConfigType.Boolean, settings.AutoCreateTopics ? "true" : "false", "Whether a client's mention of an unknown topic creates it (--auto-create-topics).");
        yield return Given("broker.id", ConfigType.Int, id, "The node's id, given by the catalog to its advertised address.");
        yield return Given("connections.max.idle.ms", ConfigType.Long, Text(settings.ConnectionIdleMs), "A connection on which nothing happened for this long is closed (--connection-idle-ms).");
        yield return Fixed("default.replication.factor", ConfigType.Int, "1", "The store makes records durable; there are no replicas between brokers.");
        yield return Fixed("fetch.max.bytes", ConfigType.Int, Text(settings.FetchMaxBytes), "The most bytes one fetch answers.");
        yield return Given("group.initial.rebalance.delay.ms", ConfigType.Int, Text(settings.GroupInitialRebalanceDelayMs), "How long the first rebalance of an empty group waits after each member that joins (--group-initial-rebalance-delay-ms).");
        yield return Given("group.max.session.timeout.ms", ConfigType.Int, Text(settings.Groups.MaxSessionTimeoutMs), "The longest session timeout of a group's member (--group-max-session-timeout-ms).");
        yield return Given("group.max.size", ConfigType.Int, Text(settings.Groups.MaxSize), "The most members of one group (--group-max-size).");
        yield return Given("group.min.session.timeout.ms", ConfigType.Int, Text(settings.Groups.MinSessionTimeoutMs), "The shortest session timeout of a group's member (--group-min-session-timeout-ms).");
        yield return Given("listeners", ConfigType.String, $"PLAINTEXT://{settings.Listener.Host}:{settings.Listener.Port}", "Where the broker accepts connections (--listener-url).");
        yield return Given("log.dirs", ConfigType.String, broker.StoreDescription, "The store (--storage-engine).");
        yield return Fixed("max.incremental.fetch.session.cache.slots", ConfigType.Int, Text(settings.MaxFetchSessions), "How many fetch sessions are kept.");
        yield return Fixed("max.request.partition.size.limit", ConfigType.Int, Text(settings.MaxDescribedPartitions), "The most partitions one DescribeTopicPartitions answers.");
        yield return Given("node.id", ConfigType.Int, id, "The node's id, given by the catalog to its advertised address.");
        yield return Given("num.partitions", ConfigType.Int, Text(settings.DefaultPartitions), "Partitions of a topic that does not say how many (--default-partitions).");
        yield return Given("offset.metadata.max.bytes", ConfigType.Int, Text(settings.Groups.MaxMetadataLength), "The longest text kept with a committed offset (--offset-metadata-max-bytes).");
        yield return Given("offsets.retention.minutes", ConfigType.Int, Text(settings.Groups.OffsetsRetentionMs / 60_000), "How long committed offsets are kept after their group has emptied (--offsets-retention-minutes).");
        yield return Fixed("producer.id.expiration.ms", ConfigType.Int, Text(broker.Cluster.ProducerIdExpirationMs), "How long the state of an idle producer is kept.");
        yield return Given("socket.request.max.bytes", ConfigType.Int, Text(settings.MaxRequestBytes), "The largest request accepted (--max-request-bytes).");
        yield return Fixed("telemetry.max.bytes", ConfigType.Int, Text(settings.TelemetryMaxBytes), "The most bytes of client metrics in one push; none are asked for.");
        yield return Given("transaction.max.timeout.ms", ConfigType.Int, Text(settings.Transactions.MaxTimeoutMs), "The longest time that a transaction may be open (--transaction-max-timeout-ms).");
        yield return Given("transactional.id.expiration.ms", ConfigType.Int, Text(settings.Transactions.IdExpirationMs), "How long a transactional id that nobody uses is kept (--transactional-id-expiration-ms).");
    }

    private static DescribedConfig Given(string name, ConfigType type, string value, string documentation) =>
        new(name, type, documentation, IsReadOnly: true, [new ConfigSynonym(name, value, ConfigSource.StaticBroker)]);

    private static DescribedConfig Fixed(string name, ConfigType type, string value, string documentation) =>
        new(name, type, documentation, IsReadOnly: true, [new ConfigSynonym(name, value, ConfigSource.Default)]);

    private static string Text(long number) => number.ToString(CultureInfo.InvariantCulture);
}
