using Microsoft.FSharp.Collections;
using Tansu.Codec;
using Tansu.Codec.Messages;
using Tansu.Domain;
using Tansu.Host.Requests;

namespace Tansu.Host.Handlers;

/// <summary>
/// CreateTopics (API key 19). Version 4 lets partitions and replication factor be the broker's defaults (-1), 5 is flexible and answers with
/// configurations (KIP-525), 7 with the topic id. There is one replica of everything, the store's.
/// </summary>
internal sealed class CreateTopicsHandler(Broker broker) : Handler<CreateTopicsRequest, CreateTopicsResponse>
{
    private const short OnlyReplicationFactor = 1;

    public override async ValueTask<CreateTopicsResponse?> HandleAsync(
        RequestContext context,
        CreateTopicsRequest request,
        CancellationToken cancellationToken)
    {
        var results = new CreateTopicsResponse.CreatableTopicResult[request.Topics.Length];
        var sound = new List<(int Index, NewTopic Topic)>();
        var seen = Count(request.Topics);
        var isCaughtUp = false;
        for (var index = 0; index < results.Length; index++)
        {
            var wanted = request.Topics[index];
            results[index] = new CreateTopicsResponse.CreatableTopicResult { Name = wanted.Name };
            if (seen[wanted.Name] > 1)
            {
                Refuse(results[index], ErrorCode.InvalidRequest, "Duplicate topic name.");
            }
            else if (Check(wanted) is { } refusal)
            {
                // Whether it exists comes before all but the name, as in Kafka. Another broker may have created it.
                if (!isCaughtUp && !refusal.IsInvalidTopicName)
                {
                    await broker.CatchUpCatalogAsync();
                    isCaughtUp = true;
                }

                var found = broker.FindTopic(false, default, wanted.Name) is null ? refusal : Refusal.NewTopicAlreadyExists(wanted.Name);
                Refuse(results[index], Errors.Of(found), Errors.Describe(found));
            }
            else
            {
                sound.Add((index, ToNewTopic(wanted)));
            }
        }

        await CreateAsync(request, sound, results);
        return new CreateTopicsResponse { Topics = results };
    }

    private async ValueTask CreateAsync(
        CreateTopicsRequest request,
        List<(int Index, NewTopic Topic)> sound,
        CreateTopicsResponse.CreatableTopicResult[] results)
    {
        var command = CatalogCommand.NewCreateTopics([.. sound.Select(static item => item.Topic)], request.ValidateOnly);
        var outcomes = await broker.JudgeTopicsAsync(command, sound.Count, request.TimeoutMs);
        for (var place = 0; place < sound.Count; place++)
        {
            var result = results[sound[place].Index];
            if (outcomes[place].Topic is { } topic)
            {
                Fill(result, topic);
            }
            else
            {
                Refuse(result, outcomes[place].Error, outcomes[place].Message);
            }
        }
    }

    private static Dictionary<string, int> Count(CreateTopicsRequest.CreatableTopic[] topics)
    {
        var seen = new Dictionary<string, int>(StringComparer.Ordinal);
        foreach (var topic in topics)
        {
            seen[topic.Name] = seen.GetValueOrDefault(topic.Name) + 1;
        }

        return seen;
    }

    /// <summary>What is wrong with the wish itself, whatever the catalog holds; null if nothing is.</summary>
    private Refusal? Check(CreateTopicsRequest.CreatableTopic wanted)
    {
        var validName = TopicName.validate(wanted.Name);
        if (validName.IsError)
        {
            return Refusal.NewInvalidTopicName($"Topic name is invalid: {validName.ErrorValue}");
        }

        if (Array.Exists(wanted.Configs, static config => config.Value is null))
        {
            return Refusal.NewInvalidConfig(
                $"Null value not supported for topic configs: {string.Join(",", wanted.Configs.Where(static config => config.Value is null).Select(static config => config.Name))}");
        }

        if (wanted.Assignments.Length > 0)
        {
            return CheckAssignments(wanted);
        }

        return wanted switch
        {
            { ReplicationFactor: < -1 or 0 } => Refusal.NewInvalidReplicationFactor(
                "Replication factor must be larger than 0, or -1 to use the default value."),
            { NumPartitions: < -1 or 0 } => Refusal.NewInvalidPartitions("Number of partitions was set to an invalid non-positive value."),
            { ReplicationFactor: > OnlyReplicationFactor } => Refusal.NewInvalidReplicationFactor(
                $"Unable to replicate the partition {wanted.ReplicationFactor} time(s): The target replication factor of "
                + $"{wanted.ReplicationFactor} cannot be reached: the store keeps the only replica and makes records durable, use 1 or -1."),
            _ => null,
        };
    }

    private Refusal? CheckAssignments(CreateTopicsRequest.CreatableTopic wanted)
    {
        if (wanted.ReplicationFactor != -1)
        {
            return Refusal.NewInvalidRequest("A manual partition assignment was specified, but replication factor was not set to -1.");
        }

        if (wanted.NumPartitions != -1)
        {
            return Refusal.NewInvalidRequest("A manual partition assignment was specified, but numPartitions was not set to -1.");
        }

        var assigned = new HashSet<int>();
        foreach (var assignment in wanted.Assignments)
        {
            if (!assigned.Add(assignment.PartitionIndex))
            {
                return Refusal.NewInvalidReplicaAssignment(
                    $"Found multiple manual partition assignments for partition {assignment.PartitionIndex}");
            }

            if (Assignments.Check(broker, assignment.BrokerIds) is { } refusal)
            {
                return refusal;
            }
        }

        return Enumerable.Range(0, assigned.Count).All(assigned.Contains)
            ? null
            : Refusal.NewInvalidReplicaAssignment("partitions should be a consecutive 0-based integer sequence");
    }

    private NewTopic ToNewTopic(CreateTopicsRequest.CreatableTopic wanted)
    {
        var partitions = wanted.Assignments.Length > 0 ? wanted.Assignments.Length
            : wanted.NumPartitions == -1 ? broker.Settings.DefaultPartitions
            : wanted.NumPartitions;
        var configs = MapModule.Empty<string, string>();
        foreach (var config in wanted.Configs)
        {
            configs = configs.Add(config.Name, config.Value!);
        }

        return new NewTopic(wanted.Name, TopicId.NewTopicId(Guid.NewGuid()), partitions, configs);
    }

    private static void Refuse(CreateTopicsResponse.CreatableTopicResult result, ErrorCode error, string? message)
    {
        result.ErrorCode = error;
        result.ErrorMessage = message;
    }

    private void Fill(CreateTopicsResponse.CreatableTopicResult result, Topic topic)
    {
        result.TopicId = topic.Id.Value;
        result.NumPartitions = topic.PartitionCount;
        result.ReplicationFactor = OnlyReplicationFactor;
        var catalog = broker.Cluster.Catalog;
        var configs = Catalog.configsOf(catalog, topic);
        result.Configs = [.. TopicConfig.definitions.Select(definition => new CreateTopicsResponse.CreatableTopicConfigs
        {
            Name = definition.Name,
            Value = TopicConfig.effective(definition.Name, configs),
            ConfigSource = (sbyte)ConfigResources.SourceOf(catalog, topic, definition.Name),
        })];
    }
}
