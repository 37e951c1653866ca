using Tansu.Codec;
using Tansu.Codec.Messages;
using Tansu.Domain;
using Tansu.Host.Requests;

namespace Tansu.Host.Handlers;

/// <summary>
/// AlterPartitionReassignments (API key 45, KIP-455). Version 1 brought AllowReplicationFactorChange (KIP-860). Any broker may serve any partition,
/// so that an assignment to one live broker is complete at once and without an effect; nothing is ever under way that could be cancelled.
/// </summary>
internal sealed class AlterPartitionReassignmentsHandler(Broker broker)
    : Handler<AlterPartitionReassignmentsRequest, AlterPartitionReassignmentsResponse>
{
    public override async ValueTask<AlterPartitionReassignmentsResponse?> HandleAsync(
        RequestContext context,
        AlterPartitionReassignmentsRequest request,
        CancellationToken cancellationToken)
    {
        await broker.CatchUpForAsync(request.Topics.Select(static topic => topic.Name));
        return new AlterPartitionReassignmentsResponse
        {
            AllowReplicationFactorChange = request.AllowReplicationFactorChange,
            Responses = Array.ConvertAll(request.Topics, topic => new AlterPartitionReassignmentsResponse.ReassignableTopicResponse
            {
                Name = topic.Name,
                Partitions = Array.ConvertAll(topic.Partitions, partition =>
                {
                    var (error, message) = Judge(topic.Name, partition);
                    return new AlterPartitionReassignmentsResponse.ReassignablePartitionResponse
                    {
                        PartitionIndex = partition.PartitionIndex,
                        ErrorCode = error,
                        ErrorMessage = message,
                    };
                }),
            }),
        };
    }

    private (ErrorCode Error, string? Message) Judge(string topic, AlterPartitionReassignmentsRequest.ReassignablePartition partition)
    {
        if (broker.FindTopic(false, default, topic) is null)
        {
            return (ErrorCode.UnknownTopicOrPartition, $"Unable to find a topic named {topic}.");
        }

        if (!broker.HasPartition(topic, partition.PartitionIndex))
        {
            return (ErrorCode.UnknownTopicOrPartition, $"Unable to find partition {topic}:{partition.PartitionIndex}.");
        }

        if (partition.Replicas is null)
        {
            return (ErrorCode.NoReassignmentInProgress, "No partition reassignment is in progress.");
        }

        return Assignments.Check(broker, partition.Replicas) is { } refusal ? (Errors.Of(refusal), Errors.Describe(refusal)) : (ErrorCode.None, null);
    }
}
