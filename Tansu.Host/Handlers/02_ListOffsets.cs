using Tansu.Adapters;
using Tansu.Adapters.Reading;
using Tansu.Codec;
using Tansu.Codec.Messages;
using Tansu.Codec.Records;
using Tansu.Domain;
using Tansu.Host.Requests;

namespace Tansu.Host.Handlers;

/// <summary>
/// ListOffsets (API key 2). Version 2 brought isolation levels, 4 leader epochs, 6 flexible encoding, 7 the largest timestamp (KIP-734),
/// 8 and 9 the offsets of tiered storage (KIP-405), 10 a timeout, 11 the earliest offset not yet tiered (KIP-1023).
/// </summary>
internal sealed class ListOffsetsHandler(Broker broker) : Handler<ListOffsetsRequest, ListOffsetsResponse>
{
    private const sbyte ReadCommitted = 1;
    private const long Latest = -1;
    private const long Earliest = -2;
    private const long MaxTimestamp = -3;
    private const long EarliestLocal = -4;
    private const long LatestTiered = -5;
    private const long EarliestPendingUpload = -6;

    public override async ValueTask<ListOffsetsResponse?> HandleAsync(
        RequestContext context,
        ListOffsetsRequest request,
        CancellationToken cancellationToken)
    {
        if (Array.Exists(request.Topics, topic => broker.FindTopic(false, default, topic.Name) is null))
        {
            await broker.CatchUpCatalogAsync();
        }

        var asked = new Dictionary<(string Topic, int Partition), int>();
        foreach (var topic in request.Topics)
        {
            foreach (var partition in topic.Partitions)
            {
                var key = (topic.Name, partition.PartitionIndex);
                asked[key] = asked.GetValueOrDefault(key) + 1;
            }
        }

        // What other brokers acknowledged before this request was sent must count.
        var isKnown = await broker.CatchUpAsync(TimeSpan.Zero, broker.ShardsOf(asked.Keys));
        var topics = new ListOffsetsResponse.ListOffsetsTopicResponse[request.Topics.Length];
        for (var index = 0; index < topics.Length; index++)
        {
            topics[index] = await AnswerTopicAsync(context.Version, request, request.Topics[index], asked, isKnown, cancellationToken);
        }

        return new ListOffsetsResponse { Topics = topics };
    }

    private async ValueTask<ListOffsetsResponse.ListOffsetsTopicResponse> AnswerTopicAsync(
        short version,
        ListOffsetsRequest request,
        ListOffsetsRequest.ListOffsetsTopic wanted,
        Dictionary<(string Topic, int Partition), int> asked,
        bool isKnown,
        CancellationToken cancellationToken)
    {
        var topic = broker.FindTopic(false, default, wanted.Name);
        var partitions = new ListOffsetsResponse.ListOffsetsPartitionResponse[wanted.Partitions.Length];
        for (var index = 0; index < partitions.Length; index++)
        {
            var partition = wanted.Partitions[index];
            var answer = new ListOffsetsResponse.ListOffsetsPartitionResponse { PartitionIndex = partition.PartitionIndex };
            partitions[index] = answer;
            if (asked[(wanted.Name, partition.PartitionIndex)] > 1)
            {
                answer.ErrorCode = ErrorCode.InvalidRequest;
            }
            else if (topic is null || !topic.Has(partition.PartitionIndex))
            {
                answer.ErrorCode = ErrorCode.UnknownTopicOrPartition;
            }
            else if (LeaderEpochs.Judge(partition.CurrentLeaderEpoch) is var epochError and not ErrorCode.None)
            {
                answer.ErrorCode = epochError;
            }
            else if (!isKnown)
            {
                answer.ErrorCode = ErrorCode.RequestTimedOut;
            }
            else
            {
                await FillAsync(version, request.IsolationLevel, topic, partition, answer, cancellationToken);
            }
        }

        return new ListOffsetsResponse.ListOffsetsTopicResponse { Name = wanted.Name, Partitions = partitions };
    }

    private async ValueTask FillAsync(
        short version,
        sbyte isolationLevel,
        Topic topic,
        ListOffsetsRequest.ListOffsetsPartition wanted,
        ListOffsetsResponse.ListOffsetsPartitionResponse answer,
        CancellationToken cancellationToken)
    {
        if (!IsServed(version, wanted.Timestamp))
        {
            answer.ErrorCode = ErrorCode.UnsupportedVersion;
            return;
        }

        var shard = broker.Cluster.ShardOf(topic, wanted.PartitionIndex);
        var state = shard.Partition(new TopicPartition(topic.Id, wanted.PartitionIndex));
        var endOffset = isolationLevel == ReadCommitted ? PartitionModule.lastStableOffset(state) : state.HighWatermark;
        try
        {
            var found = wanted.Timestamp switch
            {
                Latest => new FoundOffset(endOffset, -1),
                Earliest or EarliestLocal => new FoundOffset(state.LogStartOffset, -1),
                MaxTimestamp => Below(endOffset, await OffsetLookup.MaxTimestampAsync(shard, state, cancellationToken)),
                LatestTiered or EarliestPendingUpload => FoundOffset.None,
                _ => Below(endOffset, await OffsetLookup.FirstAtOrAfterAsync(shard, state, wanted.Timestamp, cancellationToken)),
            };
            answer.Offset = found.Offset;
            answer.Timestamp = found.TimestampMs;
            answer.LeaderEpoch = found.Offset >= 0 ? LeaderEpochs.Current : LeaderEpochs.Unknown;
        }
        catch (Exception failure) when (RecordsReader.IsFailure(failure) || failure is RecordFormatException)
        {
            broker.Log.Warning("Cannot look up offsets of {Topic}-{Partition}: {Reason:l}", topic.Name, wanted.PartitionIndex, failure.Message);
            answer.ErrorCode = ErrorCode.KafkaStorageError;
        }
    }

    /// <summary>A record that is not decided yet is not there for those who want only committed ones.</summary>
    private static FoundOffset Below(long endOffset, FoundOffset found) => found.Offset < endOffset ? found : FoundOffset.None;

    /// <summary>The special timestamps came one by one.</summary>
    private static bool IsServed(short version, long timestamp) => timestamp switch
    {
        >= Earliest => true,
        MaxTimestamp => version >= 7,
        EarliestLocal => version >= 8,
        LatestTiered => version >= 9,
        EarliestPendingUpload => version >= 11,
        _ => false,
    };
}
