using Tansu.Codec;
using Tansu.Codec.Messages;
using Tansu.Domain;
using Tansu.Host.Requests;

namespace Tansu.Host.Handlers;

/// <summary>
/// WriteTxnMarkers (API key 27), version 1. In Kafka the coordinator sends it, and an operator to abort a transaction that hangs in a partition.
/// Here none hangs: whatever is open in a partition is open at its coordinator. So an abort aborts the whole transaction there, and a
/// commit, which would commit a part of one, is refused.
/// </summary>
internal sealed class WriteTxnMarkersHandler(Broker broker) : Handler<WriteTxnMarkersRequest, WriteTxnMarkersResponse>
{
    public override async ValueTask<WriteTxnMarkersResponse?> HandleAsync(
        RequestContext context,
        WriteTxnMarkersRequest request,
        CancellationToken cancellationToken)
    {
        await broker.CatchUpCatalogAsync();
        var isKnown = await broker.CatchUpAsync(TimeSpan.Zero, broker.Cluster.Shards);
        var results = new WriteTxnMarkersResponse.WritableTxnMarkerResult[request.Markers.Length];
        for (var index = 0; index < results.Length; index++)
        {
            results[index] = await AnswerAsync(request.Markers[index], isKnown);
        }

        return new WriteTxnMarkersResponse { Markers = results };
    }

    private async ValueTask<WriteTxnMarkersResponse.WritableTxnMarkerResult> AnswerAsync(
        WriteTxnMarkersRequest.WritableTxnMarker marker,
        bool isKnown)
    {
        var topics = new List<WriteTxnMarkersResponse.WritableTxnMarkerTopicResult>();
        foreach (var wanted in marker.Topics)
        {
            var partitions = new List<WriteTxnMarkersResponse.WritableTxnMarkerPartitionResult>();
            foreach (var partition in wanted.PartitionIndexes)
            {
                partitions.Add(new WriteTxnMarkersResponse.WritableTxnMarkerPartitionResult
                {
                    PartitionIndex = partition,
                    ErrorCode = isKnown ? await EndAsync(marker, wanted.Name, partition) : ErrorCode.RequestTimedOut,
                });
            }

            topics.Add(new WriteTxnMarkersResponse.WritableTxnMarkerTopicResult { Name = wanted.Name, Partitions = [.. partitions] });
        }

        return new WriteTxnMarkersResponse.WritableTxnMarkerResult { ProducerId = marker.ProducerId, Topics = [.. topics] };
    }

    private async ValueTask<ErrorCode> EndAsync(WriteTxnMarkersRequest.WritableTxnMarker marker, string topicName, int partition)
    {
        if (broker.FindTopic(false, default, topicName) is not { } topic || !topic.Has(partition))
        {
            return ErrorCode.UnknownTopicOrPartition;
        }

        var state = broker.Cluster.ShardOf(topic, partition).Partition(new TopicPartition(topic.Id, partition));
        if (state.Producers.TryGetValue(marker.ProducerId, out var producer) && marker.ProducerEpoch < producer.Epoch)
        {
            return ErrorCode.InvalidProducerEpoch;
        }

        if (!state.OpenTransactions.ContainsKey(marker.ProducerId))
        {
            return ErrorCode.None;
        }

        if (marker.TransactionResult)
        {
            return ErrorCode.InvalidTxnState;
        }

        foreach (var shard in broker.Cluster.Shards)
        {
            foreach (var (transactionalId, transaction) in shard.Replica.Current.State.Transactions)
            {
                if (transaction.ProducerId == marker.ProducerId)
                {
                    return await Groups.GuardAsync(async () =>
                    {
                        await broker.Transacting().FenceAsync(transactionalId, broker.Settings.CoordinatorTimeout);
                        await broker.Transacting().FinishAsync(transactionalId, broker.Settings.CoordinatorTimeout);
                        return ErrorCode.None;
                    });
                }
            }
        }

        return ErrorCode.None;
    }
}
