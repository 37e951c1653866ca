using Tansu.Codec;
using Tansu.Codec.Messages;

namespace Tansu.Host.Client;

/// <content>Groups: each is asked of its coordinator.</content>
internal sealed partial class KafkaAdmin
{
    /// <summary>The type of groups of the older protocol.</summary>
    public const string ClassicType = "classic";

    /// <summary>The type of groups of the protocol of KIP-848.</summary>
    public const string ConsumerType = "consumer";

    private const short FirstWithStates = 4;
    private const short FirstWithTypes = 5;

    /// <summary>Lists the groups of all brokers, by name.</summary>
    /// <param name="states">Only groups in one of these states; none for all.</param>
    /// <param name="types">Only groups of one of these types; none for all.</param>
    /// <param name="cancellationToken">Ends it.</param>
    public async Task<ListGroupsResponse.ListedGroup[]> ListGroupsAsync(
        string[] states, string[] types, CancellationToken cancellationToken)
    {
        return await client.RetryAsync(ListAsync, cancellationToken);

        async Task<ListGroupsResponse.ListedGroup[]> ListAsync(CancellationToken token)
        {
            var brokers = await client.MetadataAsync([], token);
            var groups = new SortedDictionary<string, ListGroupsResponse.ListedGroup>(StringComparer.Ordinal);
            foreach (var id in brokers.Nodes.Keys)
            {
                var connection = await client.NodeAsync(id, token);
                foreach (var group in await ListGroupsAsync(connection, states, types, token))
                {
                    groups[group.GroupId] = group;
                }
            }

            return [.. groups.Values];
        }
    }

    /// <summary>Describes a group of either protocol.</summary>
    /// <exception cref="KafkaClientException">There is none (GROUP_ID_NOT_FOUND), or it cannot be asked.</exception>
    public Task<GroupDescription> DescribeGroupAsync(string groupId, CancellationToken cancellationToken)
    {
        return client.RetryAsync(DescribeAsync, cancellationToken);

        async Task<GroupDescription> DescribeAsync(CancellationToken token)
        {
            var connection = await client.CoordinatorAsync(CoordinatorType.Group, groupId, token);
            return await TryDescribeConsumerGroupAsync(connection, groupId, token)
                ?? await DescribeClassicGroupAsync(connection, groupId, token);
        }
    }

    /// <summary>Deletes groups.</summary>
    public Task<Outcome<string>[]> DeleteGroupsAsync(string[] groupIds, CancellationToken cancellationToken)
    {
        return ForEachAsync(groupIds, AskAsync, cancellationToken);

        async Task<Outcome<string>[]> AskAsync(string[] left, CancellationToken token)
        {
            var answers = new List<Outcome<string>>();
            foreach (var groupId in left)
            {
                var connection = await client.CoordinatorAsync(CoordinatorType.Group, groupId, token);
                var request = new DeleteGroupsRequest { GroupsNames = [groupId] };
                var version = connection.VersionOf<DeleteGroupsRequest>();
                var response = await connection.AskAsync<DeleteGroupsRequest, DeleteGroupsResponse>(request, version, token);
                answers.Add(new Outcome<string>(groupId, KafkaError.Of(Only(response.Results).ErrorCode)));
            }

            return [.. answers];
        }
    }

    private static async Task<ListGroupsResponse.ListedGroup[]> ListGroupsAsync(
        KafkaConnection connection, string[] states, string[] types, CancellationToken cancellationToken)
    {
        var version = connection.VersionOf<ListGroupsRequest>();
        if ((states.Length > 0 && version < FirstWithStates) || (types.Length > 0 && version < FirstWithTypes))
        {
            throw new KafkaClientException(
                $"the broker at {KafkaConnection.NameOf(connection.Address)} does not tell states or types of groups", isRetriable: false);
        }

        var request = new ListGroupsRequest { StatesFilter = states, TypesFilter = types };
        var response = await connection.AskAsync<ListGroupsRequest, ListGroupsResponse>(request, version, cancellationToken);
        KafkaError.ThrowIf(response.ErrorCode);
        return response.Groups;
    }

    // Null if the broker knows no such groups, or the group is not one of them.
    private static async Task<GroupDescription?> TryDescribeConsumerGroupAsync(
        KafkaConnection connection, string groupId, CancellationToken cancellationToken)
    {
        if (connection.Served.Find<ConsumerGroupDescribeRequest>() is not { } version)
        {
            return null;
        }

        var request = new ConsumerGroupDescribeRequest { GroupIds = [groupId] };
        var response = await connection.AskAsync<ConsumerGroupDescribeRequest, ConsumerGroupDescribeResponse>(
            request, version, cancellationToken);
        var group = Only(response.Groups);
        if (group.ErrorCode is ErrorCode.GroupIdNotFound or ErrorCode.UnsupportedVersion)
        {
            return null;
        }

        KafkaError.ThrowIf(group.ErrorCode, group.ErrorMessage);
        var members = Array.ConvertAll(group.Members, member => new GroupMember(
            member.MemberId,
            member.InstanceId,
            member.ClientId,
            member.ClientHost,
            PartitionsOf(member.Assignment)));
        return new GroupDescription(
            groupId, ConsumerType, group.GroupState, "consumer", group.AssignorName, connection.Address, members);
    }

    private static List<TopicPartition> PartitionsOf(ConsumerGroupDescribeResponse.Assignment assignment)
    {
        var partitions = new List<TopicPartition>();
        foreach (var topic in assignment.TopicPartitions)
        {
            foreach (var partition in topic.Partitions)
            {
                partitions.Add(new TopicPartition(topic.TopicName, partition));
            }
        }

        return partitions;
    }

    private static async Task<GroupDescription> DescribeClassicGroupAsync(
        KafkaConnection connection, string groupId, CancellationToken cancellationToken)
    {
        var request = new DescribeGroupsRequest { Groups = [groupId] };
        var version = connection.VersionOf<DescribeGroupsRequest>();
        var response = await connection.AskAsync<DescribeGroupsRequest, DescribeGroupsResponse>(request, version, cancellationToken);
        var group = Only(response.Groups);
        KafkaError.ThrowIf(group.ErrorCode, group.ErrorMessage);
        // Before version 6 a group that does not exist is called dead.
        if (group.GroupState == "Dead" && group.Members.Length == 0)
        {
            KafkaError.ThrowIf(ErrorCode.GroupIdNotFound);
        }

        var members = Array.ConvertAll(group.Members, member => new GroupMember(
            member.MemberId,
            member.GroupInstanceId,
            member.ClientId,
            member.ClientHost,
            group.ProtocolType == "consumer" ? ConsumerProtocol.ReadAssignment(member.MemberAssignment) : []));
        return new GroupDescription(
            groupId, ClassicType, group.GroupState, group.ProtocolType, group.ProtocolData, connection.Address, members);
    }

    private static T Only<T>(T[] answers) =>
        answers.Length == 1 ? answers[0] : throw new KafkaClientException("the broker did not answer what it was asked", isRetriable: false);
}
