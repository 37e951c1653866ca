using System.Buffers.Binary;
using System.Text;
using Tansu.Codec;
using Tansu.Codec.Messages;

namespace Tansu.Host.Client;

/// <summary>
/// A member of a classic consumer group that reads one topic (the protocol `range`). Has connections of its own, as a broker
/// answers nothing else on one where a JoinGroup waits.
/// </summary>
internal sealed class ClassicMember(ClientOptions options, string groupId, string topic) : IAsyncDisposable
{
    private const string ProtocolType = "consumer";
    private const string ProtocolName = "range";
    private const int SessionTimeoutMs = 10_000;
    private const int RebalanceTimeoutMs = 20_000;
    // From version 10 on, topics are named by their ids.
    private const short HighestCommit = 9;
    private const short FirstLeaveOfSeveral = 3;

    private static readonly TimeSpan HeartbeatInterval = TimeSpan.FromSeconds(2);

    private readonly KafkaClient _client = new(options);
    private string _memberId = "";
    private int _generation = -1;

    /// <summary>Joins, or joins again, and waits for an assignment.</summary>
    /// <returns>The partitions of the topic that are this member's.</returns>
    /// <exception cref="KafkaClientException">The group does not take it.</exception>
    public Task<IReadOnlyList<int>> JoinAsync(CancellationToken cancellationToken) => _client.RetryAsync(
        async token =>
        {
            try
            {
                return await TryJoinAsync(token);
            }
            catch (KafkaClientException failure) when (IsFenced(failure.Code))
            {
                if (failure.Code == ErrorCode.UnknownMemberId)
                {
                    _memberId = "";
                }

                throw new KafkaClientException(failure.Message, isRetriable: true, failure);
            }
        },
        cancellationToken);

    /// <summary>Says that the member is there, until the group rebalances or has forgotten it; then it has to join again.</summary>
    public async Task HeartbeatAsync(CancellationToken cancellationToken)
    {
        while (true)
        {
            await Task.Delay(HeartbeatInterval, options.TimeProvider, cancellationToken);
            try
            {
                var connection = await _client.CoordinatorAsync(CoordinatorType.Group, groupId, cancellationToken);
                var request = new HeartbeatRequest { GroupId = groupId, GenerationId = _generation, MemberId = _memberId };
                var response = await connection.AskAsync<HeartbeatRequest, HeartbeatResponse>(
                    request, connection.VersionOf<HeartbeatRequest>(), cancellationToken);
                KafkaError.ThrowIf(response.ErrorCode);
            }
            catch (KafkaClientException failure) when (IsFenced(failure.Code))
            {
                return;
            }
            catch (KafkaClientException failure) when (failure.IsRetriable)
            {
                // The session lasts for some more heartbeats.
            }
        }
    }

    /// <summary>Commits offsets.</summary>
    /// <returns>False if the group rebalances, or has given the partitions to another member.</returns>
    /// <exception cref="KafkaClientException">They could not be committed.</exception>
    public Task<bool> CommitAsync(IReadOnlyDictionary<int, long> offsets, CancellationToken cancellationToken) => _client.RetryAsync(
        async token =>
        {
            var connection = await _client.CoordinatorAsync(CoordinatorType.Group, groupId, token);
            var request = new OffsetCommitRequest
            {
                GroupId = groupId,
                GenerationIdOrMemberEpoch = _generation,
                MemberId = _memberId,
                Topics =
                [
                    new OffsetCommitRequest.OffsetCommitRequestTopic
                    {
                        Name = topic,
                        Partitions = Array.ConvertAll(offsets.Keys.ToArray(), partition => new OffsetCommitRequest.OffsetCommitRequestPartition
                        {
                            PartitionIndex = partition,
                            CommittedOffset = offsets[partition],
                        }),
                    },
                ],
            };
            var response = await connection.AskAsync<OffsetCommitRequest, OffsetCommitResponse>(
                request, connection.VersionOf<OffsetCommitRequest>(HighestCommit), token);
            foreach (var answer in response.Topics.SelectMany(one => one.Partitions))
            {
                if (IsFenced(answer.ErrorCode))
                {
                    return false;
                }

                KafkaError.ThrowIf(answer.ErrorCode);
            }

            return true;
        },
        cancellationToken);

    /// <summary>Leaves the group, so that others get the partitions at once.</summary>
    public async Task LeaveAsync(CancellationToken cancellationToken)
    {
        if (_memberId.Length == 0)
        {
            return;
        }

        var connection = await _client.CoordinatorAsync(CoordinatorType.Group, groupId, cancellationToken);
        var version = connection.VersionOf<LeaveGroupRequest>();
        var request = version >= FirstLeaveOfSeveral
            ? new LeaveGroupRequest { GroupId = groupId, Members = [new LeaveGroupRequest.MemberIdentity { MemberId = _memberId }] }
            : new LeaveGroupRequest { GroupId = groupId, MemberId = _memberId };
        await connection.AskAsync<LeaveGroupRequest, LeaveGroupResponse>(request, version, cancellationToken);
        _memberId = "";
    }

    /// <inheritdoc/>
    public ValueTask DisposeAsync() => _client.DisposeAsync();

    private static bool IsFenced(ErrorCode code) => code is ErrorCode.RebalanceInProgress or ErrorCode.IllegalGeneration
        or ErrorCode.UnknownMemberId or ErrorCode.FencedInstanceId or ErrorCode.MemberIdRequired;

    private async Task<IReadOnlyList<int>> TryJoinAsync(CancellationToken cancellationToken)
    {
        var connection = await _client.CoordinatorAsync(CoordinatorType.Group, groupId, cancellationToken);
        var joined = await JoinAsync(connection, cancellationToken);
        if (joined.ErrorCode == ErrorCode.MemberIdRequired)
        {
            _memberId = joined.MemberId;
            joined = await JoinAsync(connection, cancellationToken);
        }

        KafkaError.ThrowIf(joined.ErrorCode);
        _memberId = joined.MemberId;
        _generation = joined.GenerationId;
        var assignments = joined.Leader == joined.MemberId ? await AssignAsync(joined, cancellationToken) : [];
        var sync = new SyncGroupRequest
        {
            GroupId = groupId,
            GenerationId = _generation,
            MemberId = _memberId,
            ProtocolType = ProtocolType,
            ProtocolName = ProtocolName,
            Assignments = assignments,
        };
        var answer = await connection.AskAsync<SyncGroupRequest, SyncGroupResponse>(
            sync, connection.VersionOf<SyncGroupRequest>(), cancellationToken);
        KafkaError.ThrowIf(answer.ErrorCode);
        var own = new List<int>();
        foreach (var partition in ConsumerProtocol.ReadAssignment(answer.Assignment))
        {
            if (partition.Topic == topic)
            {
                own.Add(partition.Partition);
            }
        }

        return own;
    }

    private Task<JoinGroupResponse> JoinAsync(KafkaConnection connection, CancellationToken cancellationToken)
    {
        var request = new JoinGroupRequest
        {
            GroupId = groupId,
            SessionTimeoutMs = SessionTimeoutMs,
            RebalanceTimeoutMs = RebalanceTimeoutMs,
            MemberId = _memberId,
            ProtocolType = ProtocolType,
            Protocols = [new JoinGroupRequest.JoinGroupRequestProtocol { Name = ProtocolName, Metadata = SubscriptionTo(topic) }],
        };
        return connection.AskAsync<JoinGroupRequest, JoinGroupResponse>(
            request, connection.VersionOf<JoinGroupRequest>(), cancellationToken);
    }

    private async Task<SyncGroupRequest.SyncGroupRequestAssignment[]> AssignAsync(JoinGroupResponse joined, CancellationToken cancellationToken)
    {
        var subscriptions = joined.Members.ToDictionary(
            member => member.MemberId, member => ConsumerProtocol.ReadSubscription(member.Metadata), StringComparer.Ordinal);
        string[] topics = [.. subscriptions.Values.SelectMany(names => names).Distinct()];
        var metadata = await _client.MetadataAsync(topics, cancellationToken);
        var counts = topics
            .Where(name => metadata.Topics.TryGetValue(name, out var known) && known.ErrorCode == ErrorCode.None)
            .ToDictionary(name => name, name => metadata.Topic(name).Partitions.Length, StringComparer.Ordinal);
        return
        [
            .. RangeAssignor.Assign(subscriptions, counts).Select(assigned => new SyncGroupRequest.SyncGroupRequestAssignment
            {
                MemberId = assigned.Key,
                Assignment = AssignmentOf(assigned.Value),
            }),
        ];
    }

    // Version 0, the topics, and no user data.
    private static byte[] SubscriptionTo(string topic)
    {
        var name = Encoding.UTF8.GetBytes(topic);
        var bytes = new byte[sizeof(short) + sizeof(int) + sizeof(short) + name.Length + sizeof(int)];
        BinaryPrimitives.WriteInt32BigEndian(bytes.AsSpan(sizeof(short)), 1);
        BinaryPrimitives.WriteInt16BigEndian(bytes.AsSpan(sizeof(short) + sizeof(int)), (short)name.Length);
        name.CopyTo(bytes, sizeof(short) + sizeof(int) + sizeof(short));
        BinaryPrimitives.WriteInt32BigEndian(bytes.AsSpan(bytes.Length - sizeof(int)), -1);
        return bytes;
    }

    private static byte[] AssignmentOf(IReadOnlyList<TopicPartition> partitions)
    {
        using var writer = new KafkaWriter();
        writer.WriteInt16(0);
        TopicPartition[][] topics = [.. partitions.GroupBy(partition => partition.Topic).Select(group => group.ToArray())];
        writer.WriteCount(topics.Length, compact: false);
        foreach (var ofTopic in topics)
        {
            writer.WriteString(ofTopic[0].Topic, compact: false);
            writer.WriteCount(ofTopic.Length, compact: false);
            foreach (var partition in ofTopic)
            {
                writer.WriteInt32(partition.Partition);
            }
        }

        writer.WriteInt32(-1);
        return writer.ToArray();
    }
}
