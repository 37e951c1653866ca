using Tansu.Codec.Messages;

namespace Tansu.Host.Client;

/// <content>Topics: sent to the controller.</content>
internal sealed partial class KafkaAdmin
{
    private const short FirstWithDefaults = 4;
    private const short FirstWithTopicStates = 6;

    /// <summary>Creates topics.</summary>
    /// <param name="topics">-1 partitions or replicas stand for the broker's default; before version 4 (KIP-464) for 1.</param>
    /// <param name="cancellationToken">Ends it.</param>
    public Task<Outcome<string>[]> CreateTopicsAsync(
        CreateTopicsRequest.CreatableTopic[] topics, CancellationToken cancellationToken)
    {
        return ForEachAsync(Array.ConvertAll(topics, topic => topic.Name), AskAsync, cancellationToken);

        async Task<Outcome<string>[]> AskAsync(string[] names, CancellationToken token)
        {
            var connection = await client.ControllerAsync(token);
            var version = connection.VersionOf<CreateTopicsRequest>();
            var request = new CreateTopicsRequest
            {
                TimeoutMs = TimeoutMs,
                Topics = Array.ConvertAll(
                    Array.FindAll(topics, topic => names.AsSpan().Contains(topic.Name)),
                    topic => version < FirstWithDefaults ? WithoutDefaults(topic) : topic),
            };
            var response = await connection.AskAsync<CreateTopicsRequest, CreateTopicsResponse>(request, version, token);
            return Array.ConvertAll(
                response.Topics, topic => new Outcome<string>(topic.Name, KafkaError.Of(topic.ErrorCode, topic.ErrorMessage)));
        }
    }

    /// <summary>Deletes topics.</summary>
    public Task<Outcome<string>[]> DeleteTopicsAsync(string[] topics, CancellationToken cancellationToken)
    {
        return ForEachAsync(topics, AskAsync, cancellationToken);

        async Task<Outcome<string>[]> AskAsync(string[] names, CancellationToken token)
        {
            var connection = await client.ControllerAsync(token);
            var version = connection.VersionOf<DeleteTopicsRequest>();
            var request = version >= FirstWithTopicStates
                ? new DeleteTopicsRequest { Topics = Array.ConvertAll(names, name => new DeleteTopicsRequest.DeleteTopicState { Name = name }) }
                : new DeleteTopicsRequest { TopicNames = names };
            request.TimeoutMs = TimeoutMs;
            var response = await connection.AskAsync<DeleteTopicsRequest, DeleteTopicsResponse>(request, version, token);
            return Array.ConvertAll(
                response.Responses, topic => new Outcome<string>(topic.Name ?? "", KafkaError.Of(topic.ErrorCode, topic.ErrorMessage)));
        }
    }

    /// <summary>Gives topics more partitions.</summary>
    /// <param name="topics">Their names.</param>
    /// <param name="count">How many partitions each is to have altogether.</param>
    /// <param name="cancellationToken">Ends it.</param>
    public Task<Outcome<string>[]> CreatePartitionsAsync(
        string[] topics, int count, CancellationToken cancellationToken)
    {
        return ForEachAsync(topics, AskAsync, cancellationToken);

        async Task<Outcome<string>[]> AskAsync(string[] names, CancellationToken token)
        {
            var connection = await client.ControllerAsync(token);
            var request = new CreatePartitionsRequest
            {
                TimeoutMs = TimeoutMs,
                Topics = Array.ConvertAll(
                    names, name => new CreatePartitionsRequest.CreatePartitionsTopic { Name = name, Count = count, Assignments = null }),
            };
            var version = connection.VersionOf<CreatePartitionsRequest>();
            var response = await connection.AskAsync<CreatePartitionsRequest, CreatePartitionsResponse>(request, version, token);
            return Array.ConvertAll(
                response.Results, topic => new Outcome<string>(topic.Name, KafkaError.Of(topic.ErrorCode, topic.ErrorMessage)));
        }
    }

    private static CreateTopicsRequest.CreatableTopic WithoutDefaults(CreateTopicsRequest.CreatableTopic topic) => new()
    {
        Name = topic.Name,
        NumPartitions = topic.NumPartitions < 0 && topic.Assignments.Length == 0 ? 1 : topic.NumPartitions,
        ReplicationFactor = topic.ReplicationFactor < 0 && topic.Assignments.Length == 0 ? (short)1 : topic.ReplicationFactor,
        Assignments = topic.Assignments,
        Configs = topic.Configs,
    };
}
