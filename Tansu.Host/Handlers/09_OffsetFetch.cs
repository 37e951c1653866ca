using Tansu.Codec;
using Tansu.Codec.Messages;
using Tansu.Domain;
using Tansu.Host.Requests;

namespace Tansu.Host.Handlers;

/// <summary>
/// OffsetFetch (API key 9). Version 2 brought all topics of a group and an error for the group, 5 leader epochs, 6 flexible encoding, 7 stable
/// offsets (KIP-447), 8 many groups (KIP-709), 9 members of KIP-848's groups, 10 topic ids.
/// </summary>
internal sealed class OffsetFetchHandler(Broker broker) : Handler<OffsetFetchRequest, OffsetFetchResponse>
{
    private const short FirstVersionWithGroupError = 2;
    private const short FirstVersionWithManyGroups = 8;
    private const short FirstVersionWithTopicIds = 10;

    public override async ValueTask<OffsetFetchResponse?> HandleAsync(
        RequestContext context,
        OffsetFetchRequest request,
        CancellationToken cancellationToken)
    {
        var wanted = context.Version >= FirstVersionWithManyGroups ? request.Groups : [OnlyGroup(request)];
        var byId = context.Version >= FirstVersionWithTopicIds;
        if (Array.Exists(wanted, group => group.Topics is { } topics && Array.Exists(topics, topic => broker.FindTopic(byId, topic.TopicId, topic.Name) is null)))
        {
            await broker.CatchUpCatalogAsync();
        }

        // A new owner must see what the one before has committed, perhaps through another broker.
        var error = await broker.CatchUpGroupsAsync(wanted.Select(static group => group.GroupId));
        if (error == ErrorCode.None && Array.Exists(wanted, HasUnknownTopics))
        {
            await broker.CatchUpCatalogAsync();
        }

        var groups = Array.ConvertAll(wanted, group => Answer(byId, request.RequireStable, group, error));
        return context.Version >= FirstVersionWithManyGroups
            ? new OffsetFetchResponse { Groups = groups }
            : new OffsetFetchResponse
            {
                ErrorCode = groups[0].ErrorCode,
                Topics = error != ErrorCode.None && context.Version < FirstVersionWithGroupError
                    ? Failed(request, error)
                    : Array.ConvertAll(groups[0].Topics, OnlyTopic),
            };
    }

    private static OffsetFetchRequest.OffsetFetchRequestGroup OnlyGroup(OffsetFetchRequest request) => new()
    {
        GroupId = request.GroupId,
        Topics = request.Topics is null
            ? null
            : Array.ConvertAll(request.Topics, static topic => new OffsetFetchRequest.OffsetFetchRequestTopics
            {
                Name = topic.Name,
                PartitionIndexes = topic.PartitionIndexes,
            }),
    };

    private static OffsetFetchResponse.OffsetFetchResponseTopic OnlyTopic(OffsetFetchResponse.OffsetFetchResponseTopics topic) => new()
    {
        Name = topic.Name,
        Partitions = Array.ConvertAll(topic.Partitions, static partition => new OffsetFetchResponse.OffsetFetchResponsePartition
        {
            PartitionIndex = partition.PartitionIndex,
            CommittedOffset = partition.CommittedOffset,
            CommittedLeaderEpoch = partition.CommittedLeaderEpoch,
            Metadata = partition.Metadata,
            ErrorCode = partition.ErrorCode,
        }),
    };

    /// <summary>Version 1 has no place for an error but the partitions.</summary>
    private static OffsetFetchResponse.OffsetFetchResponseTopic[] Failed(OffsetFetchRequest request, ErrorCode error) => Array.ConvertAll(
        request.Topics ?? [],
        topic => new OffsetFetchResponse.OffsetFetchResponseTopic
        {
            Name = topic.Name,
            Partitions = Array.ConvertAll(topic.PartitionIndexes, partition => new OffsetFetchResponse.OffsetFetchResponsePartition
            {
                PartitionIndex = partition,
                CommittedOffset = Absent.Offset,
                ErrorCode = error,
            }),
        });

    private static OffsetFetchResponse.OffsetFetchResponsePartitions Describe(int partition, CommittedOffset? offset) => new()
    {
        PartitionIndex = partition,
        CommittedOffset = offset?.Offset ?? Absent.Offset,
        CommittedLeaderEpoch = offset?.LeaderEpoch ?? -1,
        Metadata = offset?.Metadata ?? "",
    };

    /// <summary>An offset that an open transaction is about to change is not told to those who want a stable one (KIP-447).</summary>
    private static OffsetFetchResponse.OffsetFetchResponsePartitions Describe(bool requiresStable, Group group, TopicPartition partition)
    {
        if (requiresStable && GroupModule.isUnstable(partition, group))
        {
            var unstable = Describe(partition.Partition, null);
            unstable.ErrorCode = ErrorCode.UnstableOffsetCommit;
            return unstable;
        }

        return Describe(partition.Partition, group.Offsets.TryGetValue(partition, out var offset) ? offset : null);
    }

    /// <summary>Whether all topics are asked for, and among those are some that another broker may have created a moment ago.</summary>
    private bool HasUnknownTopics(OffsetFetchRequest.OffsetFetchRequestGroup wanted) =>
        wanted.Topics is null
        && broker.CoordinatorOf(wanted.GroupId).Find(wanted.GroupId) is { } group
        && group.Offsets.Keys.Any(partition => broker.FindTopic(byId: true, partition.TopicId.Value, name: null) is null);

    private OffsetFetchResponse.OffsetFetchResponseGroup Answer(
        bool byId,
        bool requiresStable,
        OffsetFetchRequest.OffsetFetchRequestGroup wanted,
        ErrorCode error)
    {
        if (error != ErrorCode.None)
        {
            return new OffsetFetchResponse.OffsetFetchResponseGroup { GroupId = wanted.GroupId, ErrorCode = error };
        }

        var group = broker.CoordinatorOf(wanted.GroupId).Find(wanted.GroupId) ?? GroupModule.initial;
        return new OffsetFetchResponse.OffsetFetchResponseGroup
        {
            GroupId = wanted.GroupId,
            Topics = wanted.Topics is null ? All(requiresStable, group) : Array.ConvertAll(wanted.Topics, topic => Some(byId, requiresStable, group, topic)),
        };
    }

    private OffsetFetchResponse.OffsetFetchResponseTopics Some(
        bool byId,
        bool requiresStable,
        Group group,
        OffsetFetchRequest.OffsetFetchRequestTopics wanted)
    {
        var topic = broker.FindTopic(byId, wanted.TopicId, wanted.Name);
        return new OffsetFetchResponse.OffsetFetchResponseTopics
        {
            Name = wanted.Name,
            TopicId = wanted.TopicId,
            Partitions = Array.ConvertAll(wanted.PartitionIndexes, partition =>
            {
                if (topic is not null)
                {
                    return Describe(requiresStable, group, new TopicPartition(topic.Id, partition));
                }

                var unknown = Describe(partition, null);
                unknown.ErrorCode = byId ? ErrorCode.UnknownTopicId : ErrorCode.None;
                return unknown;
            }),
        };
    }

    /// <summary>Everything that was committed, of topics that there are.</summary>
    private OffsetFetchResponse.OffsetFetchResponseTopics[] All(bool requiresStable, Group group)
    {
        var topics = new List<OffsetFetchResponse.OffsetFetchResponseTopics>();
        foreach (var committed in group.Offsets.GroupBy(static item => item.Key.TopicId.Value))
        {
            if (broker.FindTopic(byId: true, committed.Key, name: null) is { } topic)
            {
                topics.Add(new OffsetFetchResponse.OffsetFetchResponseTopics
                {
                    Name = topic.Name,
                    TopicId = committed.Key,
                    Partitions = [.. committed.OrderBy(static item => item.Key.Partition).Select(item => Describe(requiresStable, group, item.Key))],
                });
            }
        }

        return [.. topics];
    }
}
