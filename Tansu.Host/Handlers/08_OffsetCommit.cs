using Tansu.Codec;
using Tansu.Codec.Messages;
using Tansu.Domain;
using Tansu.Host.Requests;

namespace Tansu.Host.Handlers;

/// <summary>
/// OffsetCommit (API key 8). Version 5 dropped the retention time, 6 brought leader epochs, 7 static members, 8 flexible encoding, 9 new errors for
/// KIP-848's groups, 10 topic ids.
/// </summary>
internal sealed class OffsetCommitHandler(Broker broker) : Handler<OffsetCommitRequest, OffsetCommitResponse>
{
    private const short FirstVersionWithTopicIds = 10;
    private const short FirstVersionWithGroupIdNotFound = 9;

    public override async ValueTask<OffsetCommitResponse?> HandleAsync(
        RequestContext context,
        OffsetCommitRequest request,
        CancellationToken cancellationToken)
    {
        var byId = context.Version >= FirstVersionWithTopicIds;
        if (Array.TrueForAll(request.Topics, topic => broker.FindTopic(byId, topic.TopicId, topic.Name) is not null))
        {
            return await CommitAsync(context, request, byId, submitted: null);
        }

        // Another broker may have created the topic. Later requests of this connection must not overtake this one meanwhile: a newer commit would be
        // undone by it.
        return await context.HoldFollowingAsync(async submitted =>
        {
            await broker.CatchUpCatalogAsync();
            return await CommitAsync(context, request, byId, submitted);
        });
    }

    private async ValueTask<OffsetCommitResponse?> CommitAsync(
        RequestContext context,
        OffsetCommitRequest request,
        bool byId,
        TaskCompletionSource? submitted)
    {
        var offsets = new List<OffsetToCommit>();
        var places = new List<OffsetCommitResponse.OffsetCommitResponsePartition>();
        var response = new OffsetCommitResponse
        {
            Topics = Array.ConvertAll(request.Topics, topic => Judge(byId, topic, offsets, places)),
        };
        if (offsets.Count == 0)
        {
            return response;
        }

        // A broker that was paused may read this after a newer commit of the same client, which came over another connection.
        if (context.Connection.IsClientGone())
        {
            return null;
        }

        var committing = Groups.AskGroupAsync(
            () => broker.CoordinatorOf(request.GroupId).CommitAsync(
                request.GroupId,
                request.MemberId,
                request.GroupInstanceId,
                request.GenerationIdOrMemberEpoch,
                [.. offsets],
                broker.Settings.CoordinatorTimeout),
            tooLarge: ErrorCode.InvalidCommitOffsetSize);
        submitted?.TrySetResult();
        var (reply, error) = await committing;
        if (error == ErrorCode.GroupIdNotFound && context.Version < FirstVersionWithGroupIdNotFound)
        {
            error = ErrorCode.IllegalGeneration;
        }

        var judged = (reply as GroupReply.OffsetsJudged)?.refusals;
        for (var index = 0; index < places.Count; index++)
        {
            places[index].ErrorCode = judged is null ? error : ErrorOf(byId, judged[index]);
        }

        return response;
    }

    private static ErrorCode ErrorOf(bool byId, Microsoft.FSharp.Core.FSharpValueOption<Refusal> refusal) =>
        Groups.ErrorOf(refusal) is var error && error == ErrorCode.UnknownTopicId && !byId ? ErrorCode.UnknownTopicOrPartition : error;

    private OffsetCommitResponse.OffsetCommitResponseTopic Judge(
        bool byId,
        OffsetCommitRequest.OffsetCommitRequestTopic wanted,
        List<OffsetToCommit> offsets,
        List<OffsetCommitResponse.OffsetCommitResponsePartition> places)
    {
        var topic = broker.FindTopic(byId, wanted.TopicId, wanted.Name);
        var partitions = new OffsetCommitResponse.OffsetCommitResponsePartition[wanted.Partitions.Length];
        for (var index = 0; index < partitions.Length; index++)
        {
            var partition = wanted.Partitions[index];
            partitions[index] = new OffsetCommitResponse.OffsetCommitResponsePartition { PartitionIndex = partition.PartitionIndex };
            if (topic is null)
            {
                partitions[index].ErrorCode = byId ? ErrorCode.UnknownTopicId : ErrorCode.UnknownTopicOrPartition;
            }
            else if (!topic.Has(partition.PartitionIndex))
            {
                partitions[index].ErrorCode = ErrorCode.UnknownTopicOrPartition;
            }
            else
            {
                places.Add(partitions[index]);
                offsets.Add(new OffsetToCommit(
                    new TopicPartition(topic.Id, partition.PartitionIndex),
                    partition.CommittedOffset,
                    partition.CommittedLeaderEpoch,
                    partition.CommittedMetadata ?? ""));
            }
        }

        return new OffsetCommitResponse.OffsetCommitResponseTopic { Name = wanted.Name, TopicId = wanted.TopicId, Partitions = partitions };
    }
}
