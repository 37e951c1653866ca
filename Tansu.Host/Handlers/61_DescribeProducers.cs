using Tansu.Adapters;
using Tansu.Codec;
using Tansu.Codec.Messages;
using Tansu.Domain;
using Tansu.Host.Requests;

namespace Tansu.Host.Handlers;

/// <summary>DescribeProducers (API key 61, KIP-664): the idempotent producers a partition remembers, and where their open transactions began.</summary>
internal sealed class DescribeProducersHandler(Broker broker) : Handler<DescribeProducersRequest, DescribeProducersResponse>
{
    public override async ValueTask<DescribeProducersResponse?> HandleAsync(
        RequestContext context,
        DescribeProducersRequest request,
        CancellationToken cancellationToken)
    {
        await broker.CatchUpForAsync(request.Topics.Select(static topic => topic.Name));

        // What other brokers acknowledged before this request was sent must count.
        var isKnown = await broker.CatchUpAsync(TimeSpan.Zero, broker.ShardsOf(
            from topic in request.Topics
            from partition in topic.PartitionIndexes
            select (topic.Name, partition)));
        var topics = new DescribeProducersResponse.TopicResponse[request.Topics.Length];
        for (var index = 0; index < topics.Length; index++)
        {
            var wanted = request.Topics[index];
            var topic = broker.FindTopic(false, default, wanted.Name);
            topics[index] = new DescribeProducersResponse.TopicResponse
            {
                Name = wanted.Name,
                Partitions = [.. wanted.PartitionIndexes.Select(partition => Describe(topic, partition, isKnown))],
            };
        }

        return new DescribeProducersResponse { Topics = topics };
    }

    private DescribeProducersResponse.PartitionResponse Describe(Topic? topic, int partition, bool isKnown)
    {
        if (topic is null || !topic.Has(partition))
        {
            return Refuse(partition, ErrorCode.UnknownTopicOrPartition);
        }

        if (!isKnown)
        {
            return Refuse(partition, ErrorCode.RequestTimedOut);
        }

        var state = broker.Cluster.ShardOf(topic, partition).Partition(new TopicPartition(topic.Id, partition));
        return new DescribeProducersResponse.PartitionResponse
        {
            PartitionIndex = partition,
            ActiveProducers = [.. state.Producers
                .Where(producer => IsActive(producer) || state.OpenTransactions.ContainsKey(producer.Key))
                .Select(producer => Describe(state, producer.Key, producer.Value))],
        };
    }

    private static DescribeProducersResponse.PartitionResponse Refuse(int partition, ErrorCode error) =>
        new() { PartitionIndex = partition, ErrorCode = error };

    private bool IsActive(KeyValuePair<long, Producer> producer) =>
        broker.NowMs - producer.Value.LastTimeMs < broker.Cluster.ProducerIdExpirationMs;

    private static DescribeProducersResponse.ProducerState Describe(Partition state, long producerId, Producer producer) => new()
    {
        ProducerId = producerId,
        ProducerEpoch = producer.Epoch,
        LastSequence = producer.Batches.Length == 0 ? -1 : producer.Batches[^1].LastSequence,
        LastTimestamp = producer.LastTimeMs,
        CoordinatorEpoch = producer.EndedTransaction > 0 ? 0 : -1,
        CurrentTxnStartOffset = state.OpenTransactions.TryGetValue(producerId, out var transaction) ? transaction.FirstOffset : -1,
    };
}
