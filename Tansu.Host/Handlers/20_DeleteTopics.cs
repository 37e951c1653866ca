using Tansu.Codec;
using Tansu.Codec.Messages;
using Tansu.Domain;
using Tansu.Host.Requests;

namespace Tansu.Host.Handlers;

/// <summary>
/// DeleteTopics (API key 20). Version 4 is flexible, 5 brought error messages, 6 topics by id (KIP-516).
/// </summary>
internal sealed class DeleteTopicsHandler(Broker broker) : Handler<DeleteTopicsRequest, DeleteTopicsResponse>
{
    private const short FirstVersionWithIds = 6;

    public override async ValueTask<DeleteTopicsResponse?> HandleAsync(
        RequestContext context,
        DeleteTopicsRequest request,
        CancellationToken cancellationToken)
    {
        var wanted = context.Version >= FirstVersionWithIds
            ? request.Topics
            : [.. request.TopicNames.Select(static name => new DeleteTopicsRequest.DeleteTopicState { Name = name })];
        var results = new DeleteTopicsResponse.DeletableTopicResult[wanted.Length];
        var sound = new List<(int Index, TopicReference Reference)>();
        for (var index = 0; index < results.Length; index++)
        {
            var topic = wanted[index];
            results[index] = new DeleteTopicsResponse.DeletableTopicResult { Name = topic.Name, TopicId = topic.TopicId };
            if (Problem(wanted, topic) is { } problem)
            {
                results[index].ErrorCode = ErrorCode.InvalidRequest;
                results[index].ErrorMessage = problem;
            }
            else
            {
                sound.Add((index, topic.Name is { } name ? TopicReference.NewByName(name) : TopicReference.NewById(TopicId.NewTopicId(topic.TopicId))));
            }
        }

        await DeleteAsync(request, sound, results);
        return new DeleteTopicsResponse { Responses = results };
    }

    private async ValueTask DeleteAsync(
        DeleteTopicsRequest request,
        List<(int Index, TopicReference Reference)> sound,
        DeleteTopicsResponse.DeletableTopicResult[] results)
    {
        var outcomes = await broker.DeleteTopicsAsync([.. sound.Select(static item => item.Reference)], request.TimeoutMs);
        for (var place = 0; place < sound.Count; place++)
        {
            var result = results[sound[place].Index];
            result.ErrorCode = outcomes[place].Error;
            result.ErrorMessage = outcomes[place].Message;
            if (outcomes[place].Topic is { } topic)
            {
                result.Name = topic.Name;
                result.TopicId = topic.Id.Value;
            }
        }
    }

    private static string? Problem(DeleteTopicsRequest.DeleteTopicState[] all, DeleteTopicsRequest.DeleteTopicState topic)
    {
        if (topic.Name is null && topic.TopicId == Guid.Empty)
        {
            return "Neither topic name nor id were specified.";
        }

        if (topic.Name is not null && topic.TopicId != Guid.Empty)
        {
            return "You may not specify both topic name and topic id.";
        }

        return all.Count(other => other.Name == topic.Name && other.TopicId == topic.TopicId) > 1
            ? "Duplicate topic name or id."
            : null;
    }
}
