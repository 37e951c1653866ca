using Tansu.Codec;
using Tansu.Codec.Messages;
using Tansu.Domain;
using Tansu.Host.Requests;

namespace Tansu.Host.Handlers;

/// <summary>CreatePartitions (API key 37, KIP-195). Version 2 is flexible.</summary>
internal sealed class CreatePartitionsHandler(Broker broker) : Handler<CreatePartitionsRequest, CreatePartitionsResponse>
{
    public override async ValueTask<CreatePartitionsResponse?> HandleAsync(
        RequestContext context,
        CreatePartitionsRequest request,
        CancellationToken cancellationToken)
    {
        var results = new CreatePartitionsResponse.CreatePartitionsTopicResult[request.Topics.Length];
        var sound = new List<(int Index, PartitionsToAdd Wanted)>();
        if (Array.Exists(request.Topics, static topic => topic.Assignments is { Length: > 0 }))
        {
            // How many partitions there are says how many assignments are needed, and another broker may have added some.
            await broker.CatchUpCatalogAsync();
        }

        for (var index = 0; index < results.Length; index++)
        {
            var wanted = request.Topics[index];
            results[index] = new CreatePartitionsResponse.CreatePartitionsTopicResult { Name = wanted.Name };
            if (request.Topics.Count(other => other.Name == wanted.Name) > 1)
            {
                results[index].ErrorCode = ErrorCode.InvalidRequest;
                results[index].ErrorMessage = "Duplicate topic name.";
            }
            else if (CheckAssignments(wanted) is { } refusal)
            {
                results[index].ErrorCode = Errors.Of(refusal);
                results[index].ErrorMessage = Errors.Describe(refusal);
            }
            else
            {
                sound.Add((index, new PartitionsToAdd(wanted.Name, wanted.Count)));
            }
        }

        await AddAsync(request, sound, results);
        return new CreatePartitionsResponse { Results = results };
    }

    private async ValueTask AddAsync(
        CreatePartitionsRequest request,
        List<(int Index, PartitionsToAdd Wanted)> sound,
        CreatePartitionsResponse.CreatePartitionsTopicResult[] results)
    {
        var command = CatalogCommand.NewCreatePartitions([.. sound.Select(static item => item.Wanted)], request.ValidateOnly);
        var outcomes = await broker.JudgeTopicsAsync(command, sound.Count, request.TimeoutMs);
        for (var place = 0; place < sound.Count; place++)
        {
            results[sound[place].Index].ErrorCode = outcomes[place].Error;
            results[sound[place].Index].ErrorMessage = outcomes[place].Message;
        }
    }

    /// <summary>What is wrong with the assignments; null if nothing is, or if the catalog refuses the topic or the count anyway, which comes first.</summary>
    private Refusal? CheckAssignments(CreatePartitionsRequest.CreatePartitionsTopic wanted)
    {
        if (wanted.Assignments is null
            || wanted.Assignments.Length == 0
            || broker.FindTopic(false, default, wanted.Name) is not { PartitionCount: var present }
            || wanted.Count <= present)
        {
            return null;
        }

        if (wanted.Count - present != wanted.Assignments.Length)
        {
            return Refusal.NewInvalidReplicaAssignment(
                $"Attempted to add {wanted.Count - present} additional partition(s), but only {wanted.Assignments.Length} assignment(s) were specified.");
        }

        foreach (var assignment in wanted.Assignments)
        {
            if (Assignments.Check(broker, assignment.BrokerIds) is { } refusal)
            {
                return refusal;
            }
        }

        return null;
    }
}
