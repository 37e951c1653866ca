using Microsoft.FSharp.Collections;
using Tansu.Codec;
using Tansu.Codec.Messages;
using Tansu.Domain;
using Tansu.Host.Requests;

namespace Tansu.Host.Handlers;

/// <summary>
/// Metadata (API key 3). Version 1: null topics mean all of them (in version 0 none do), 4 auto-creation can be declined, 5 offline replicas,
/// 7 leader epochs, 8 authorized operations, 9 flexible encoding, 10 topic ids, 12 a topic by its id alone, 13 a top-level error.
/// </summary>
internal sealed class MetadataHandler(Broker broker) : Handler<MetadataRequest, MetadataResponse>
{
    private const short FirstVersionWithNone = 1;
    private const short FirstVersionWithIdLookup = 12;
    private const short FirstVersionWithChoice = 4;

    public override async ValueTask<MetadataResponse?> HandleAsync(
        RequestContext context,
        MetadataRequest request,
        CancellationToken cancellationToken)
    {
        var nodes = broker.Cluster.Nodes;
        var leaders = new PartitionLeaders(broker.Cluster, nodes);
        var response = new MetadataResponse
        {
            ClusterId = broker.Cluster.ClusterId,
            ControllerId = nodes.Controller.Id,
            Brokers = [.. nodes.All.Select(static node => new MetadataResponse.MetadataResponseBroker
            {
                NodeId = node.Id,
                Host = node.Host,
                Port = node.Port,
            })],
            ClusterAuthorizedOperations = request.IncludeClusterAuthorizedOperations
                ? AuthorizedOperations.Cluster
                : AuthorizedOperations.NotAsked,
        };
        var wantsAll = request.Topics is null || (context.Version < FirstVersionWithNone && request.Topics.Length == 0);
        response.Topics = wantsAll
            ? DescribeAll(request, leaders)
            : await DescribeNamedAsync(context, request, leaders);
        return response;
    }

    private MetadataResponse.MetadataResponseTopic[] DescribeAll(MetadataRequest request, PartitionLeaders leaders)
    {
        var topics = broker.Cluster.Catalog.TopicsByName;
        var described = new List<MetadataResponse.MetadataResponseTopic>(topics.Count);
        foreach (var topic in topics.Values)
        {
            described.Add(Describe(topic, request, leaders));
        }

        return [.. described];
    }

    private async ValueTask<MetadataResponse.MetadataResponseTopic[]> DescribeNamedAsync(
        RequestContext context,
        MetadataRequest request,
        PartitionLeaders leaders)
    {
        var wanted = request.Topics!;
        if (Array.Exists(wanted, topic => Find(topic) is null))
        {
            // Another broker may have created it.
            await broker.CatchUpCatalogAsync();
        }

        var failures = await CreateMissingAsync(context, request);
        var described = new MetadataResponse.MetadataResponseTopic[wanted.Length];
        for (var index = 0; index < wanted.Length; index++)
        {
            described[index] = Find(wanted[index]) is { } topic
                ? Describe(topic, request, leaders)
                : Unknown(context, wanted[index], failures);
        }

        return described;
    }

    /// <summary>Creates what is named but not there. The errors of names that could not be created, by name.</summary>
    private async ValueTask<Dictionary<string, ErrorCode>> CreateMissingAsync(RequestContext context, MetadataRequest request)
    {
        var failures = new Dictionary<string, ErrorCode>(StringComparer.Ordinal);
        var mayCreate = context.Version < FirstVersionWithChoice || request.AllowAutoTopicCreation;
        if (!mayCreate || !broker.Settings.AutoCreateTopics)
        {
            return failures;
        }

        var missing = new Dictionary<string, NewTopic>(StringComparer.Ordinal);
        foreach (var topic in request.Topics!)
        {
            if (topic.TopicId == Guid.Empty && topic.Name is { } name && Find(topic) is null)
            {
                missing[name] = new NewTopic(
                    name,
                    TopicId.NewTopicId(Guid.NewGuid()),
                    broker.Settings.DefaultPartitions,
                    MapModule.Empty<string, string>());
            }
        }

        if (missing.Count == 0)
        {
            return failures;
        }

        NewTopic[] topics = [.. missing.Values];
        var outcomes = await broker.JudgeTopicsAsync(CatalogCommand.NewCreateTopics(topics, false), topics.Length, 0);
        for (var index = 0; index < topics.Length; index++)
        {
            // Two clients may have asked at once: a topic that exists now is what was wanted. A store that does not answer
            // is for the client to try again.
            if (outcomes[index].Error is not (ErrorCode.None or ErrorCode.TopicAlreadyExists))
            {
                failures[topics[index].Name] = outcomes[index].Error is ErrorCode.RequestTimedOut or ErrorCode.KafkaStorageError
                    ? ErrorCode.LeaderNotAvailable
                    : outcomes[index].Error;
            }
        }

        return failures;
    }

    private Topic? Find(MetadataRequest.MetadataRequestTopic wanted) =>
        broker.FindTopic(wanted.TopicId != Guid.Empty, wanted.TopicId, wanted.Name);

    private static MetadataResponse.MetadataResponseTopic Unknown(
        RequestContext context,
        MetadataRequest.MetadataRequestTopic wanted,
        Dictionary<string, ErrorCode> failures)
    {
        if (wanted.TopicId != Guid.Empty)
        {
            return new MetadataResponse.MetadataResponseTopic
            {
                ErrorCode = ErrorCode.UnknownTopicId,
                TopicId = wanted.TopicId,
                Name = context.Version >= FirstVersionWithIdLookup ? null : "",
            };
        }

        var name = wanted.Name ?? "";
        var error = failures.TryGetValue(name, out var failure) ? failure
            : TopicName.validate(name).IsOk ? ErrorCode.UnknownTopicOrPartition
            : ErrorCode.InvalidTopicException;
        return new MetadataResponse.MetadataResponseTopic { ErrorCode = error, Name = name };
    }

    private static MetadataResponse.MetadataResponseTopic Describe(Topic topic, MetadataRequest request, PartitionLeaders leaders)
    {
        var partitions = new MetadataResponse.MetadataResponsePartition[topic.PartitionCount];
        for (var index = 0; index < partitions.Length; index++)
        {
            var leader = leaders.Of(topic, index);
            partitions[index] = new MetadataResponse.MetadataResponsePartition
            {
                PartitionIndex = index,
                LeaderId = leader[0],
                LeaderEpoch = LeaderEpochs.Current,
                ReplicaNodes = leader,
                IsrNodes = leader,
            };
        }

        return new MetadataResponse.MetadataResponseTopic
        {
            Name = topic.Name,
            TopicId = topic.Id.Value,
            Partitions = partitions,
            TopicAuthorizedOperations = request.IncludeTopicAuthorizedOperations ? AuthorizedOperations.Topic : AuthorizedOperations.NotAsked,
        };
    }
}
