using Tansu.Codec;
using Tansu.Codec.Messages;
using Tansu.Domain;
using Tansu.Host.Requests;

namespace Tansu.Host.Handlers;

/// <summary>OffsetDelete (API key 47, KIP-496).</summary>
internal sealed class OffsetDeleteHandler(Broker broker) : Handler<OffsetDeleteRequest, OffsetDeleteResponse>
{
    public override async ValueTask<OffsetDeleteResponse?> HandleAsync(
        RequestContext context,
        OffsetDeleteRequest request,
        CancellationToken cancellationToken)
    {
        if (request.GroupId.Length == 0)
        {
            return new OffsetDeleteResponse { ErrorCode = ErrorCode.InvalidGroupId };
        }

        if (Array.Exists(request.Topics, topic => broker.FindTopic(false, default, topic.Name) is null))
        {
            await broker.CatchUpCatalogAsync();
        }

        var partitions = new List<(TopicPartition, string)>();
        var places = new List<OffsetDeleteResponse.OffsetDeleteResponsePartition>();
        var response = new OffsetDeleteResponse { Topics = Array.ConvertAll(request.Topics, topic => Judge(topic, partitions, places)) };
        var (reply, error) = await broker.AskGroupAsync(request.GroupId, GroupCommand.NewDeleteOffsets([.. partitions]));
        if (reply is not GroupReply.OffsetsDeletion deletion)
        {
            return new OffsetDeleteResponse { ErrorCode = error };
        }

        for (var index = 0; index < places.Count; index++)
        {
            places[index].ErrorCode = deletion.outcomes[index].IsOffsetInUse ? ErrorCode.GroupSubscribedToTopic : ErrorCode.None;
        }

        return response;
    }

    private OffsetDeleteResponse.OffsetDeleteResponseTopic Judge(
        OffsetDeleteRequest.OffsetDeleteRequestTopic wanted,
        List<(TopicPartition, string)> partitions,
        List<OffsetDeleteResponse.OffsetDeleteResponsePartition> places)
    {
        var topic = broker.FindTopic(false, default, wanted.Name);
        return new OffsetDeleteResponse.OffsetDeleteResponseTopic
        {
            Name = wanted.Name,
            Partitions = Array.ConvertAll(wanted.Partitions, partition =>
            {
                var answer = new OffsetDeleteResponse.OffsetDeleteResponsePartition { PartitionIndex = partition.PartitionIndex };
                if (topic is null || !topic.Has(partition.PartitionIndex))
                {
                    answer.ErrorCode = ErrorCode.UnknownTopicOrPartition;
                }
                else
                {
                    places.Add(answer);
                    partitions.Add((new TopicPartition(topic.Id, partition.PartitionIndex), topic.Name));
                }

                return answer;
            }),
        };
    }
}
