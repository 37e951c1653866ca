using System.Runtime.CompilerServices;
using Tansu.Adapters;
using Tansu.Domain;
using Tansu.Host.Fetching;

namespace Tansu.Host;

/// <summary>What every handler works with: the cluster, this broker's settings, its clock and its fetch sessions.</summary>
internal sealed class Broker(Cluster cluster, BrokerSettings settings, TimeProvider timeProvider)
{
    /// <summary>Parsed configurations, for as long as the topic they belong to is the current one.</summary>
    private readonly ConditionalWeakTable<Topic, TopicSettings> _settings = [];

    /// <summary>The store's contents and rules.</summary>
    public Cluster Cluster => cluster;

    /// <summary>What was configured.</summary>
    public BrokerSettings Settings => settings;

    /// <summary>The clock.</summary>
    public TimeProvider TimeProvider => timeProvider;

    /// <summary>Fetch sessions of this broker's clients (KIP-227).</summary>
    public FetchSessions FetchSessions { get; } = new(settings.MaxFetchSessions, timeProvider);

    /// <summary>The clock, in milliseconds since 1970.</summary>
    public long NowMs => timeProvider.GetUtcNow().ToUnixTimeMilliseconds();

    /// <summary>A topic by id or by name, in the newest catalog this broker knows; null if there is none.</summary>
    public Topic? FindTopic(bool byId, Guid topicId, string? name)
    {
        var catalog = cluster.Catalog;
        Topic? topic;
        if (byId)
        {
            return catalog.TopicsById.TryGetValue(TopicId.NewTopicId(topicId), out topic) ? topic : null;
        }

        return name is not null && catalog.TopicsByName.TryGetValue(name, out topic) ? topic : null;
    }

    /// <summary>
    /// Learns what other brokers did to the catalog. A store that does not answer in time leaves the catalog as it was: the caller
    /// then says that it does not know the topic, which clients retry.
    /// </summary>
    public async Task CatchUpCatalogAsync()
    {
        try
        {
            await cluster.CatchUpCatalogAsync(settings.CatchUpTimeout);
        }
        catch (TimeoutException)
        {
            // Said above.
        }
    }

    /// <summary>The topic's configurations as the produce path needs them.</summary>
    public TopicSettings ConfigsOf(Topic topic) => _settings.GetValue(topic, static topic => new TopicSettings(topic));
}
