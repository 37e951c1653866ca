using Tansu.Adapters;
using Tansu.Adapters.Ports;
using Tansu.Adapters.Replica;
using Tansu.Codec;
using Tansu.Codec.Messages;
using Tansu.Domain;
using Tansu.Host.Requests;

namespace Tansu.Host.Handlers;

/// <summary>
/// DeleteRecords (API key 21, KIP-107). Version 2 is flexible. Moves log start offsets forward; an offset of -1 means the high watermark.
/// </summary>
internal sealed class DeleteRecordsHandler(Broker broker) : Handler<DeleteRecordsRequest, DeleteRecordsResponse>
{
    private const long NoLowWatermark = -1;

    public override async ValueTask<DeleteRecordsResponse?> HandleAsync(
        RequestContext context,
        DeleteRecordsRequest request,
        CancellationToken cancellationToken)
    {
        var topics = new DeleteRecordsResponse.DeleteRecordsTopicResult[request.Topics.Length];
        var perShard = new Dictionary<ClusterShard, List<(RecordsToDelete Wanted, DeleteRecordsResponse.DeleteRecordsPartitionResult Result)>>();
        for (var index = 0; index < topics.Length; index++)
        {
            topics[index] = Plan(request.Topics[index], perShard);
        }

        var timeout = broker.AdminTimeout(request.TimeoutMs);
        await Task.WhenAll(perShard.Select(part => DeleteAsync(part.Key, part.Value, timeout)));
        return new DeleteRecordsResponse { Topics = topics };
    }

    private DeleteRecordsResponse.DeleteRecordsTopicResult Plan(
        DeleteRecordsRequest.DeleteRecordsTopic wanted,
        Dictionary<ClusterShard, List<(RecordsToDelete Wanted, DeleteRecordsResponse.DeleteRecordsPartitionResult Result)>> perShard)
    {
        var topic = broker.FindTopic(false, default, wanted.Name);
        var partitions = new DeleteRecordsResponse.DeleteRecordsPartitionResult[wanted.Partitions.Length];
        for (var index = 0; index < partitions.Length; index++)
        {
            var partition = wanted.Partitions[index];
            partitions[index] = new DeleteRecordsResponse.DeleteRecordsPartitionResult
            {
                PartitionIndex = partition.PartitionIndex,
                LowWatermark = NoLowWatermark,
            };
            if (topic is null || !topic.Has(partition.PartitionIndex))
            {
                partitions[index].ErrorCode = ErrorCode.UnknownTopicOrPartition;
                continue;
            }

            if (!broker.ConfigsOf(topic).DeletesRecords)
            {
                // As Kafka: what is only compacted must not lose the last record of a key.
                partitions[index].ErrorCode = ErrorCode.PolicyViolation;
                continue;
            }

            var shard = broker.Cluster.ShardOf(topic, partition.PartitionIndex);
            if (!perShard.TryGetValue(shard, out var part))
            {
                perShard.Add(shard, part = []);
            }

            part.Add((new RecordsToDelete(new TopicPartition(topic.Id, partition.PartitionIndex), partition.Offset), partitions[index]));
        }

        return new DeleteRecordsResponse.DeleteRecordsTopicResult { Name = wanted.Name, Partitions = partitions };
    }

    private static async Task DeleteAsync(
        ClusterShard shard,
        List<(RecordsToDelete Wanted, DeleteRecordsResponse.DeleteRecordsPartitionResult Result)> part,
        TimeSpan timeout)
    {
        try
        {
            var command = ShardCommand.NewDeleteRecords([.. part.Select(static item => item.Wanted)]);
            var deleted = (ShardReply.RecordsDeleted)await shard.Replica.SubmitAsync(command, Payload.None, timeout);
            for (var index = 0; index < part.Count; index++)
            {
                var reply = deleted.replies[index];
                if (reply.IsLogStartsAt)
                {
                    part[index].Result.LowWatermark = reply.logStartOffset;
                }
                else
                {
                    part[index].Result.ErrorCode = Errors.Of(reply.refusal!);
                }
            }
        }
        catch (Exception failure) when (failure is TimeoutException or StoreRefusedException)
        {
            foreach (var (_, result) in part)
            {
                result.ErrorCode = failure is TimeoutException ? ErrorCode.RequestTimedOut : ErrorCode.KafkaStorageError;
            }
        }
    }
}
