using Tansu.Codec;
using Tansu.Codec.Messages;
using Tansu.Host.Requests;

namespace Tansu.Host.Handlers;

/// <summary>
/// ElectLeaders (API key 43, KIP-183). Version 1 brought kinds of elections (KIP-460), 2 is flexible. The leader of a partition is computed from the
/// live nodes and so always is the preferred one.
/// </summary>
internal sealed class ElectLeadersHandler(Broker broker) : Handler<ElectLeadersRequest, ElectLeadersResponse>
{
    private const sbyte Unclean = 1;

    public override async ValueTask<ElectLeadersResponse?> HandleAsync(
        RequestContext context,
        ElectLeadersRequest request,
        CancellationToken cancellationToken)
    {
        if (request.ElectionType is < 0 or > Unclean)
        {
            return new ElectLeadersResponse { ErrorCode = ErrorCode.InvalidRequest };
        }

        if (request.TopicPartitions is null)
        {
            // Partitions that need no election are left out when all are asked about.
            return new ElectLeadersResponse
            {
                ReplicaElectionResults = [.. broker.Cluster.Catalog.TopicsByName.Keys.Select(static name =>
                    new ElectLeadersResponse.ReplicaElectionResult { Topic = name })],
            };
        }

        await broker.CatchUpForAsync(request.TopicPartitions.Select(static wanted => wanted.Topic));
        return new ElectLeadersResponse { ReplicaElectionResults = Array.ConvertAll(request.TopicPartitions, Judge) };
    }

    private ElectLeadersResponse.ReplicaElectionResult Judge(ElectLeadersRequest.ElectedTopic wanted)
    {
        var isKnown = broker.FindTopic(false, default, wanted.Topic) is not null;
        return new ElectLeadersResponse.ReplicaElectionResult
        {
            Topic = wanted.Topic,
            PartitionResult = Array.ConvertAll(wanted.Partitions, partition =>
            {
                var result = new ElectLeadersResponse.PartitionResult { PartitionId = partition };
                (result.ErrorCode, result.ErrorMessage) = broker.HasPartition(wanted.Topic, partition)
                    ? (ErrorCode.ElectionNotNeeded, "Leader election not needed for topic partition.")
                    : (ErrorCode.UnknownTopicOrPartition, isKnown ? $"No such partition as {wanted.Topic}-{partition}" : $"No such topic as {wanted.Topic}");
                return result;
            }),
        };
    }
}
