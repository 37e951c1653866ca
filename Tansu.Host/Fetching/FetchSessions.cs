using System.Security.Cryptography;

namespace Tansu.Host.Fetching;

/// <summary>
/// The fetch sessions of this broker's clients, in memory only: a client that comes to another broker (or to this one after a
/// restart) is told FETCH_SESSION_ID_NOT_FOUND and starts a new one, as with Kafka.
/// </summary>
/// <param name="capacity">The most sessions kept; with more clients the rest fetch without one.</param>
/// <param name="maxPartitions">The most partitions that all of them may have when another one is made.</param>
/// <param name="timeProvider">Says which session is old enough to make room.</param>
internal sealed class FetchSessions(int capacity, long maxPartitions, TimeProvider timeProvider)
{
    /// <summary>A session that was used more recently than this is not evicted (as Kafka's cache).</summary>
    private static readonly TimeSpan LeastAge = TimeSpan.FromMinutes(2);

    private readonly Lock _lock = new();
    private readonly Dictionary<int, FetchSession> _sessions = [];

    /// <summary>A new session; null when there is no room.</summary>
    /// <param name="usesTopicIds">How it names partitions.</param>
    /// <param name="partitions">How many it begins with.</param>
    public FetchSession? Create(bool usesTopicIds, int partitions)
    {
        if (partitions > maxPartitions)
        {
            return null;
        }

        lock (_lock)
        {
            while (_sessions.Count >= capacity || _sessions.Values.Sum(static session => (long)session.Count) + partitions > maxPartitions)
            {
                if (!TryEvict())
                {
                    return null;
                }
            }

            int id;
            do
            {
                id = RandomNumberGenerator.GetInt32(1, int.MaxValue);
            }
            while (_sessions.ContainsKey(id));

            var session = new FetchSession(id, usesTopicIds) { LastUsedTimestamp = timeProvider.GetTimestamp() };
            _sessions.Add(id, session);
            return session;
        }
    }

    /// <summary>Finds a session and marks it as used; null if there is none.</summary>
    public FetchSession? Find(int id)
    {
        lock (_lock)
        {
            if (_sessions.TryGetValue(id, out var session))
            {
                session.LastUsedTimestamp = timeProvider.GetTimestamp();
            }

            return session;
        }
    }

    /// <summary>Ends a session.</summary>
    public void Remove(int id)
    {
        lock (_lock)
        {
            _sessions.Remove(id);
        }
    }

    private bool TryEvict()
    {
        FetchSession? oldest = null;
        foreach (var session in _sessions.Values)
        {
            if (oldest is null || session.LastUsedTimestamp < oldest.LastUsedTimestamp)
            {
                oldest = session;
            }
        }

        return oldest is not null
            && timeProvider.GetElapsedTime(oldest.LastUsedTimestamp) >= LeastAge
            && _sessions.Remove(oldest.Id);
    }
}
