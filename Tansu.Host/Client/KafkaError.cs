using Tansu.Codec;

namespace Tansu.Host.Client;

/// <summary>An error that a broker answered, in words.</summary>
/// <param name="Code">Kafka's code.</param>
/// <param name="Message">What the broker said of it, or what the code means; without a full stop.</param>
internal sealed record KafkaError(ErrorCode Code, string Message)
{
    /// <summary>An error of which the broker said nothing but its code.</summary>
    public KafkaError(ErrorCode code)
        : this(code, Meaning(code))
    {
    }

    /// <summary>The error of an answer; null for none.</summary>
    /// <param name="code">The code of the answer.</param>
    /// <param name="message">What the broker said of it; null or empty if it said nothing.</param>
    public static KafkaError? Of(ErrorCode code, string? message = null)
    {
        if (code == ErrorCode.None)
        {
            return null;
        }

        return string.IsNullOrEmpty(message) ? new KafkaError(code) : new KafkaError(code, message.TrimEnd('.'));
    }

    /// <summary>Throws the error of an answer, if it is one.</summary>
    /// <exception cref="KafkaClientException">It is one.</exception>
    public static void ThrowIf(ErrorCode code, string? message = null)
    {
        if (Of(code, message) is { } error)
        {
            throw new KafkaClientException(error);
        }
    }

    /// <summary>Whether the same request may work in a moment, perhaps at another broker: Kafka's retriable errors.</summary>
    public static bool IsRetriable(ErrorCode code) => code is
        ErrorCode.LeaderNotAvailable or ErrorCode.NotLeaderOrFollower or ErrorCode.RequestTimedOut or ErrorCode.BrokerNotAvailable
        or ErrorCode.ReplicaNotAvailable or ErrorCode.NetworkException or ErrorCode.CoordinatorLoadInProgress
        or ErrorCode.CoordinatorNotAvailable or ErrorCode.NotCoordinator or ErrorCode.NotEnoughReplicas
        or ErrorCode.NotEnoughReplicasAfterAppend or ErrorCode.NotController or ErrorCode.ConcurrentTransactions
        or ErrorCode.KafkaStorageError or ErrorCode.ListenerNotFound or ErrorCode.FencedLeaderEpoch or ErrorCode.UnknownLeaderEpoch
        or ErrorCode.OffsetNotAvailable or ErrorCode.PreferredLeaderNotAvailable or ErrorCode.EligibleLeadersNotAvailable
        or ErrorCode.UnstableOffsetCommit or ErrorCode.ThrottlingQuotaExceeded or ErrorCode.FetchSessionIdNotFound
        or ErrorCode.InvalidFetchSessionEpoch or ErrorCode.CorruptMessage;

    /// <summary>Such as `the topic does not exist (UNKNOWN_TOPIC_OR_PARTITION)`.</summary>
    public override string ToString() => $"{Message} ({Code.KafkaName()})";

    private static string Meaning(ErrorCode code) => code switch
    {
        ErrorCode.UnknownTopicOrPartition => "the topic or partition does not exist",
        ErrorCode.UnknownTopicId => "no topic has this id",
        ErrorCode.TopicAlreadyExists => "the topic exists already",
        ErrorCode.InvalidTopicException => "the name is not allowed for a topic",
        ErrorCode.InvalidPartitions => "the number of partitions is not allowed",
        ErrorCode.InvalidReplicationFactor => "the replication factor is not allowed",
        ErrorCode.InvalidReplicaAssignment => "the replica assignment is not allowed",
        ErrorCode.InvalidConfig => "a configuration is not allowed",
        ErrorCode.GroupIdNotFound => "the group does not exist",
        ErrorCode.NonEmptyGroup => "the group has members: stop them first",
        ErrorCode.GroupSubscribedToTopic => "the group is subscribed to the topic: stop its members first",
        ErrorCode.InvalidGroupId => "the name is not allowed for a group",
        ErrorCode.UnknownMemberId => "the group has members: stop them first",
        ErrorCode.RebalanceInProgress => "the group is rebalancing",
        ErrorCode.OffsetOutOfRange => "the offset is not in the partition",
        ErrorCode.TopicAuthorizationFailed => "not allowed on this topic",
        ErrorCode.GroupAuthorizationFailed => "not allowed on this group",
        ErrorCode.ClusterAuthorizationFailed => "not allowed on this cluster",
        ErrorCode.TopicDeletionDisabled => "the broker does not delete topics",
        ErrorCode.UnsupportedVersion => "the broker does not know this version of the request",
        ErrorCode.RequestTimedOut => "the broker did not finish in time; whether it was done is not known",
        ErrorCode.NotController => "the broker is not the controller",
        ErrorCode.NotLeaderOrFollower or ErrorCode.LeaderNotAvailable => "the partition has no leader at the moment",
        ErrorCode.CoordinatorNotAvailable or ErrorCode.NotCoordinator or ErrorCode.CoordinatorLoadInProgress =>
            "the coordinator is not available at the moment",
        ErrorCode.UnknownServerError => "the broker failed: its log says why",
        _ => "the broker refused",
    };
}
