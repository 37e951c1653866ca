using Tansu.Codec;
using Tansu.Codec.Messages;

namespace Tansu.Host.Client;

/// <content>What groups have committed.</content>
internal sealed partial class KafkaAdmin
{
    // From version 10 on, topics are named by their ids.
    private const short LastWithTopicNames = 9;
    private const short FirstWithGroups = 8;

    /// <summary>All that a group has committed; empty for a group that does not exist.</summary>
    public Task<IReadOnlyDictionary<TopicPartition, CommittedOffset>> CommittedOffsetsAsync(
        string groupId, CancellationToken cancellationToken)
    {
        return client.RetryAsync(FetchAsync, cancellationToken);

        async Task<IReadOnlyDictionary<TopicPartition, CommittedOffset>> FetchAsync(CancellationToken token)
        {
            var connection = await client.CoordinatorAsync(CoordinatorType.Group, groupId, token);
            var version = connection.VersionOf<OffsetFetchRequest>(LastWithTopicNames);
            var request = version >= FirstWithGroups
                ? new OffsetFetchRequest { Groups = [new OffsetFetchRequest.OffsetFetchRequestGroup { GroupId = groupId, Topics = null }] }
                : new OffsetFetchRequest { GroupId = groupId, Topics = null };
            var response = await connection.AskAsync<OffsetFetchRequest, OffsetFetchResponse>(request, version, token);
            return version >= FirstWithGroups ? CommittedOf(Only(response.Groups)) : CommittedOf(response);
        }
    }

    /// <summary>Commits offsets for a group that has no members.</summary>
    public Task<Outcome<TopicPartition>[]> CommitOffsetsAsync(
        string groupId, IReadOnlyDictionary<TopicPartition, long> offsets, CancellationToken cancellationToken)
    {
        return ForEachAsync<TopicPartition>([.. offsets.Keys], AskAsync, cancellationToken);

        async Task<Outcome<TopicPartition>[]> AskAsync(TopicPartition[] left, CancellationToken token)
        {
            var connection = await client.CoordinatorAsync(CoordinatorType.Group, groupId, token);
            var version = connection.VersionOf<OffsetCommitRequest>(LastWithTopicNames);
            var request = new OffsetCommitRequest
            {
                GroupId = groupId,
                Topics = ByTopic(left, (topic, partitions) => new OffsetCommitRequest.OffsetCommitRequestTopic
                {
                    Name = topic,
                    Partitions = Array.ConvertAll(partitions, partition => new OffsetCommitRequest.OffsetCommitRequestPartition
                    {
                        PartitionIndex = partition.Partition,
                        CommittedOffset = offsets[partition],
                    }),
                }),
            };
            var response = await connection.AskAsync<OffsetCommitRequest, OffsetCommitResponse>(request, version, token);
            var answers = new List<Outcome<TopicPartition>>();
            foreach (var topic in response.Topics)
            {
                foreach (var answer in topic.Partitions)
                {
                    answers.Add(new(new TopicPartition(topic.Name, answer.PartitionIndex), KafkaError.Of(answer.ErrorCode)));
                }
            }

            return [.. answers];
        }
    }

    /// <summary>Deletes what a group has committed for partitions of topics that it is not subscribed to.</summary>
    public Task<Outcome<TopicPartition>[]> DeleteOffsetsAsync(
        string groupId, TopicPartition[] partitions, CancellationToken cancellationToken)
    {
        return ForEachAsync(partitions, AskAsync, cancellationToken);

        async Task<Outcome<TopicPartition>[]> AskAsync(TopicPartition[] left, CancellationToken token)
        {
            var connection = await client.CoordinatorAsync(CoordinatorType.Group, groupId, token);
            var request = new OffsetDeleteRequest
            {
                GroupId = groupId,
                Topics = ByTopic(left, (topic, partitions) => new OffsetDeleteRequest.OffsetDeleteRequestTopic
                {
                    Name = topic,
                    Partitions = Array.ConvertAll(partitions, partition =>
                        new OffsetDeleteRequest.OffsetDeleteRequestPartition { PartitionIndex = partition.Partition }),
                }),
            };
            var version = connection.VersionOf<OffsetDeleteRequest>();
            var response = await connection.AskAsync<OffsetDeleteRequest, OffsetDeleteResponse>(request, version, token);
            KafkaError.ThrowIf(response.ErrorCode);
            var answers = new List<Outcome<TopicPartition>>();
            foreach (var topic in response.Topics)
            {
                foreach (var answer in topic.Partitions)
                {
                    answers.Add(new(new TopicPartition(topic.Name, answer.PartitionIndex), KafkaError.Of(answer.ErrorCode)));
                }
            }

            return [.. answers];
        }
    }

    private static Dictionary<TopicPartition, CommittedOffset> CommittedOf(OffsetFetchResponse.OffsetFetchResponseGroup group)
    {
        // Not an error to whoever asks what is committed: nothing is.
        KafkaError.ThrowIf(group.ErrorCode == ErrorCode.GroupIdNotFound ? ErrorCode.None : group.ErrorCode);
        var committed = new Dictionary<TopicPartition, CommittedOffset>();
        foreach (var topic in group.Topics)
        {
            foreach (var answer in topic.Partitions)
            {
                KafkaError.ThrowIf(answer.ErrorCode);
                var offset = new CommittedOffset(answer.CommittedOffset, answer.CommittedLeaderEpoch, answer.Metadata ?? "");
                Add(committed, topic.Name, answer.PartitionIndex, offset);
            }
        }

        return committed;
    }

    private static Dictionary<TopicPartition, CommittedOffset> CommittedOf(OffsetFetchResponse response)
    {
        KafkaError.ThrowIf(response.ErrorCode);
        var committed = new Dictionary<TopicPartition, CommittedOffset>();
        foreach (var topic in response.Topics)
        {
            foreach (var answer in topic.Partitions)
            {
                KafkaError.ThrowIf(answer.ErrorCode);
                var offset = new CommittedOffset(answer.CommittedOffset, answer.CommittedLeaderEpoch, answer.Metadata ?? "");
                Add(committed, topic.Name, answer.PartitionIndex, offset);
            }
        }

        return committed;
    }

    // -1 stands for nothing committed.
    private static void Add(Dictionary<TopicPartition, CommittedOffset> committed, string topic, int partition, CommittedOffset offset)
    {
        if (offset.Offset >= 0)
        {
            committed[new TopicPartition(topic, partition)] = offset;
        }
    }
}
