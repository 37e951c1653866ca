using Tansu.Adapters;
using Tansu.Codec;
using Tansu.Codec.Messages;
using Tansu.Domain;
using Tansu.Host.Requests;

namespace Tansu.Host.Handlers;

/// <summary>
/// OffsetForLeaderEpoch (API key 23, KIP-101, KIP-320). Version 3 brought the replica id, 4 is flexible. The one epoch there is ends at the high
/// watermark.
/// </summary>
internal sealed class OffsetForLeaderEpochHandler(Broker broker) : Handler<OffsetForLeaderEpochRequest, OffsetForLeaderEpochResponse>
{
    public override async ValueTask<OffsetForLeaderEpochResponse?> HandleAsync(
        RequestContext context,
        OffsetForLeaderEpochRequest request,
        CancellationToken cancellationToken)
    {
        if (Array.Exists(request.Topics, topic => broker.FindTopic(false, default, topic.Topic) is null))
        {
            await broker.CatchUpCatalogAsync();
        }

        // A consumer that comes from another broker takes an end below its position for truncation.
        var isKnown = await broker.CatchUpAsync(TimeSpan.Zero, broker.ShardsOf(
            from topic in request.Topics
            from partition in topic.Partitions
            select (topic.Topic, partition.Partition)));
        var topics = new OffsetForLeaderEpochResponse.OffsetForLeaderTopicResult[request.Topics.Length];
        for (var index = 0; index < topics.Length; index++)
        {
            var wanted = request.Topics[index];
            var topic = broker.FindTopic(false, default, wanted.Topic);
            var partitions = new OffsetForLeaderEpochResponse.EpochEndOffset[wanted.Partitions.Length];
            for (var place = 0; place < partitions.Length; place++)
            {
                partitions[place] = Answer(topic, wanted.Partitions[place], isKnown);
            }

            topics[index] = new OffsetForLeaderEpochResponse.OffsetForLeaderTopicResult { Topic = wanted.Topic, Partitions = partitions };
        }

        return new OffsetForLeaderEpochResponse { Topics = topics };
    }

    private OffsetForLeaderEpochResponse.EpochEndOffset Answer(
        Topic? topic,
        OffsetForLeaderEpochRequest.OffsetForLeaderPartition wanted,
        bool isKnown)
    {
        var answer = new OffsetForLeaderEpochResponse.EpochEndOffset { Partition = wanted.Partition };
        if (topic is null || !topic.Has(wanted.Partition))
        {
            answer.ErrorCode = ErrorCode.UnknownTopicOrPartition;
        }
        else if (LeaderEpochs.Judge(wanted.CurrentLeaderEpoch) is var error and not ErrorCode.None)
        {
            answer.ErrorCode = error;
        }
        else if (!isKnown)
        {
            answer.ErrorCode = ErrorCode.RequestTimedOut;
        }
        else if (wanted.LeaderEpoch == LeaderEpochs.Current)
        {
            answer.LeaderEpoch = LeaderEpochs.Current;
            answer.EndOffset = broker.Cluster.ShardOf(topic, wanted.Partition).Partition(new TopicPartition(topic.Id, wanted.Partition)).HighWatermark;
        }

        // An epoch that never was has no end: both stay -1.
        return answer;
    }
}
