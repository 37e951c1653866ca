using Tansu.Codec;
using Tansu.Codec.Messages;

namespace Tansu.Host.Fetching;

/// <summary>
/// What one Fetch request is about: the partitions it names, or those its session remembers (KIP-227). To be left when the
/// request has been answered.
/// </summary>
internal sealed class FetchScope
{
    /// <summary>Asks for a fetch without a session, and ends the one named.</summary>
    private const int FinalEpoch = -1;

    /// <summary>Asks for a new session.</summary>
    private const int InitialEpoch = 0;

    private readonly FetchSession? _session;

    private FetchScope(FetchSession? session, List<FetchPartition> partitions, bool isIncremental)
    {
        _session = session;
        Partitions = partitions;
        IsIncremental = isIncremental;
    }

    /// <summary>The partitions, in the order in which they are to be served.</summary>
    public List<FetchPartition> Partitions { get; }

    /// <summary>Whether the answer leaves out what has not changed.</summary>
    public bool IsIncremental { get; }

    /// <summary>The session's id for the answer; 0 without one.</summary>
    public int SessionId => _session?.Id ?? 0;

    /// <summary>Finds or makes what the request is about.</summary>
    /// <returns>The scope, or the error that the whole request is answered with.</returns>
    public static (ErrorCode Error, FetchScope? Scope) Open(FetchSessions sessions, FetchRequest request, bool usesTopicIds)
    {
        if (request.SessionEpoch is FinalEpoch or InitialEpoch)
        {
            if (request.SessionId != 0)
            {
                sessions.Remove(request.SessionId);
            }

            var session = request.SessionEpoch == InitialEpoch && request.Topics.Length > 0 ? sessions.Create(usesTopicIds, request.Topics.Sum(static topic => topic.Partitions.Length)) : null;
            session?.TryEnter();
            return (ErrorCode.None, new FetchScope(session, AllOf(request, usesTopicIds, session), isIncremental: false));
        }

        return Continue(sessions, request, usesTopicIds);
    }

    /// <summary>Ends the request's hold on the session.</summary>
    public void Leave() => _session?.Leave();

    /// <summary>Sends a partition that was served to the end of the session's order.</summary>
    public void Served(FetchPartition partition) => _session?.MoveToEnd(partition);

    private static (ErrorCode Error, FetchScope? Scope) Continue(FetchSessions sessions, FetchRequest request, bool usesTopicIds)
    {
        var session = sessions.Find(request.SessionId);
        if (session is null)
        {
            return (ErrorCode.FetchSessionIdNotFound, null);
        }

        if (session.UsesTopicIds != usesTopicIds)
        {
            return (ErrorCode.FetchSessionTopicIdError, null);
        }

        if (!session.TryEnter())
        {
            return (ErrorCode.InvalidFetchSessionEpoch, null);
        }

        if (request.SessionEpoch != session.NextEpoch)
        {
            session.Leave();
            return (ErrorCode.InvalidFetchSessionEpoch, null);
        }

        session.NextEpoch = FetchSession.EpochAfter(session.NextEpoch);
        Change(session, request, usesTopicIds);
        if (session.Count == 0)
        {
            sessions.Remove(session.Id);
            session.Leave();
            return (ErrorCode.None, new FetchScope(null, [], isIncremental: true));
        }

        return (ErrorCode.None, new FetchScope(session, [.. session.Partitions], isIncremental: true));
    }

    private static void Change(FetchSession session, FetchRequest request, bool usesTopicIds)
    {
        foreach (var topic in request.ForgottenTopicsData)
        {
            foreach (var partition in topic.Partitions)
            {
                session.Remove(Key(usesTopicIds, topic.Topic, topic.TopicId, partition));
            }
        }

        foreach (var topic in request.Topics)
        {
            foreach (var partition in topic.Partitions)
            {
                session.Set(Key(usesTopicIds, topic.Topic, topic.TopicId, partition.Partition)).Want(partition);
            }
        }
    }

    private static List<FetchPartition> AllOf(FetchRequest request, bool usesTopicIds, FetchSession? session)
    {
        var partitions = new List<FetchPartition>();
        foreach (var topic in request.Topics)
        {
            foreach (var partition in topic.Partitions)
            {
                var key = Key(usesTopicIds, topic.Topic, topic.TopicId, partition.Partition);
                var wanted = session is null ? new FetchPartition(key) : session.Set(key);
                wanted.Want(partition);
                partitions.Add(wanted);
            }
        }

        return partitions;
    }

    private static FetchKey Key(bool usesTopicIds, string topic, Guid topicId, int partition) =>
        usesTopicIds ? new FetchKey(null, topicId, partition) : new FetchKey(topic, Guid.Empty, partition);
}
