using Tansu.Codec;
using Tansu.Codec.Messages;

namespace Tansu.Host.Fetching;

/// <summary>Gathers the partitions of a fetch's answer: all of them, or in a session those with something new.</summary>
internal sealed class FetchAnswer(FetchScope scope)
{
    private readonly List<FetchResponse.FetchableTopicResponse> _topics = [];
    private readonly List<FetchResponse.PartitionData> _partitions = [];
    private FetchKey _topic;

    /// <summary>Adds what was read of a partition, if the client has to hear of it.</summary>
    public void Add(FetchPartition partition, FetchResponse.PartitionData data)
    {
        var isNews = data.Records.Length > 0
            || data.ErrorCode != ErrorCode.None
            || data.HighWatermark != partition.SentHighWatermark
            || data.LogStartOffset != partition.SentLogStartOffset;
        if (data.ErrorCode == ErrorCode.None)
        {
            partition.SentHighWatermark = data.HighWatermark;
            partition.SentLogStartOffset = data.LogStartOffset;
        }
        else
        {
            // Told again until it is over, also when the offsets are what they were.
            partition.SentHighWatermark = -1;
        }

        if (scope.IsIncremental && !isNews)
        {
            return;
        }

        if (data.Records.Length > 0 || data.ErrorCode != ErrorCode.None)
        {
            // Also one that cannot be read: it is not to stand before the others for ever.
            scope.Served(partition);
        }

        var topic = partition.Key with { Partition = 0 };
        if (_partitions.Count > 0 && topic != _topic)
        {
            CloseTopic();
        }

        _topic = topic;
        _partitions.Add(data);
    }

    /// <summary>The response.</summary>
    public FetchResponse Build()
    {
        if (_partitions.Count > 0)
        {
            CloseTopic();
        }

        return new FetchResponse { SessionId = scope.SessionId, Responses = [.. _topics] };
    }

    private void CloseTopic()
    {
        _topics.Add(new FetchResponse.FetchableTopicResponse
        {
            Topic = _topic.TopicName ?? "",
            TopicId = _topic.TopicId,
            Partitions = [.. _partitions],
        });
        _partitions.Clear();
    }
}
